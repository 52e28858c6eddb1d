"""Locked instructions of one request, by function: locked.py BINARY CALLGRIND_OUT REQUESTS

For `benches/callgrind BINARY PATH locked`. Each costs some 20 cycles though nobody else wants its line, which a count of instructions does not show. They are found
in the disassembly (`lock`, and `xchg` with memory), and their counts in what callgrind wrote with --dump-instr=yes.
"""

import collections
import re
import subprocess
import sys
from pathlib import Path


def locked_in(binary):
    """Where they are, and in which function."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "-C", binary], capture_output=True, text=True, check=True).stdout
    function, found = "?", {}
    for line in text.splitlines():
        if start := re.match(r"^[0-9a-f]+ <(.*)>:$", line):
            function = start[1]
        elif (step := re.match(r"^\s*([0-9a-f]+):\s+(lock |xchg.*\()", line)):
            found[int(step[1], 16)] = function
    return found


def counts_in(out, binary):
    """How often each instruction of the binary was executed. Calls are followed by a line with what they cost in all: not the instruction's own."""
    counts, objects, ours, address, of_call = collections.Counter(), {}, False, 0, False
    for line in open(out, encoding="utf-8", errors="replace"):
        if named := re.match(r"c?ob=\((\d+)\)(?: (.*))?", line):
            if named[2]:
                objects[named[1]] = named[2]
            if not line.startswith("c"):
                ours = Path(objects[named[1]]).name == Path(binary).name
        elif line.startswith("calls="):
            of_call = True
        elif step := re.match(r"(0x[0-9a-f]+|[+-]\d+|\*) \S+ ?(\d+)?", line):
            address = int(step[1], 16) if step[1].startswith("0x") else address + (0 if step[1] == "*" else int(step[1]))
            if ours and not of_call:
                counts[address] += int(step[2] or 0)
            of_call = False
    return counts


def main():
    binary, out, requests = sys.argv[1], sys.argv[2], int(sys.argv[3])
    counts, by_function = counts_in(out, binary), collections.Counter()
    for address, function in locked_in(binary).items():
        by_function[function] += counts[address]
    print(f"locked: {sum(by_function.values()) / requests:.1f} for each")
    for function, count in by_function.most_common(25):
        print(f"{count / requests:8.2f}  {function[:140]}")


main()
