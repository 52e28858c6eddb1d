"""One measurement: a load generator's run against one server, and the CPU time that the server used for it."""

import math
import os
import re
import statistics
import subprocess
from dataclasses import asdict, dataclass

HZ = os.sysconf("SC_CLK_TCK")
RATE_SLACK = 0.01
LATE = 200  # us that the load generator may be late in one of a hundred requests
TRIES = 3


class Cpus:
    """Servers on CPU 0, the load generator and the origin on CPU 1, where there are two."""

    def __init__(self):
        mine = sorted(os.sched_getaffinity(0))
        self.count = len(mine)
        self.server, self.load, self.two = (str(mine[0]), str(mine[1]), f"{mine[0]},{mine[-1]}") if self.count > 1 else ("", "", "")


def family(pid):
    """A process and all its descendants."""
    out = [pid]
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as children:
                for child in children.read().split():
                    out += family(int(child))
    except FileNotFoundError:
        pass
    return out


def cpu(pid):
    """Seconds that a family has run: all and in user space by its clock ticks, and all to the nanosecond by thread."""
    user = system = 0
    threads = {}
    for one in family(pid):
        try:
            with open(f"/proc/{one}/stat") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
            user, system = user + int(fields[11]), system + int(fields[12])
            for task in os.listdir(f"/proc/{one}/task"):
                with open(f"/proc/{one}/task/{task}/schedstat") as stat:
                    threads[task] = int(stat.read().split()[0]) / 1e9
        except (FileNotFoundError, ProcessLookupError):
            pass
    return user / HZ, system / HZ, threads


def resident(pid):
    """MiB that a family holds, shared pages once."""
    pages = 0
    for one in family(pid):
        try:
            with open(f"/proc/{one}/smaps_rollup") as rollup:
                pages += int(field(r"^Pss:\s+(\d+)", rollup.read()) or 0)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return pages / 1024


def used(before, after):
    """(all, user) seconds between two looks. Ticks where a thread has ended meanwhile and taken its nanoseconds with it."""
    user, system = after[0] - before[0], after[1] - before[1]
    total = user + system
    if before[2] and before[2].keys() <= after[2].keys():
        exact = sum(after[2].values()) - sum(before[2].values())
        user = user / total * exact if total > 0 else 0.0
        total = exact
    return total, user


@dataclass
class Sample:
    cpu: float  # us of the server's CPU per request
    user: float  # of it in user space
    rate: float  # requests per second
    p50: float  # us
    p99: float  # us
    requests: int
    origin: int  # requests that reached the origin meanwhile
    error: str  # what makes it invalid
    raw: str
    p999: float = math.nan  # us
    resident: float = math.nan  # MiB

    def as_json(self):
        return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in asdict(self).items()}


def field(pattern, text):
    found = re.search(pattern, text, re.M)
    return found[1] if found else ""


def microseconds(text):
    found = re.match(r"([\d.]+)(us|ms|s|m)$", text)
    return float(found[1]) * {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}[found[2]] if found else math.nan


def number(text):
    return float(text) if text else math.nan


def pinned(cpus, *command):
    return ["taskset", "-c", cpus.load, *command] if cpus.load else list(command)


def generate(house, server, command, limit):
    before, asked = cpu(server.pid), house.asked()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
        text = done.stdout + (f"\n{done.stderr}" if done.returncode else "")
        fault = "" if done.returncode == 0 else f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[-200:]}"
    except subprocess.TimeoutExpired:
        text, fault = "", f"no end after {limit} s"
    total, user = used(before, cpu(server.pid))
    return text, fault, total, user, house.asked() - asked - 1  # the question itself


def wrk(house, server, kind, path, connections, seconds, script=()):
    port = server.ports.get(kind, server.ports["cache"])
    command = pinned(house.cpu, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency")
    command += ["-s", script[0]] if script else []
    command += [f"http://127.0.0.1:{port}{path}", *(["--", *script[1:]] if len(script) > 1 else [])]
    text, fault, total, user, origin = generate(house, server, command, seconds + 30)
    count = int(field(r"(\d+) requests in", text) or 0)
    for pattern in (r"(Non-2xx or 3xx responses: \d+)", r"(Socket errors: .*)"):
        fault = fault or field(pattern, text)
    fault = fault or ("" if count else "no answer")
    one = 1e6 / max(count, 1)
    p50, p99 = (microseconds(field(rf"^\s+{p}%\s+(\S+)", text)) for p in (50, 99))
    return Sample(total * one, user * one, number(field(r"Requests/sec:\s+([\d.]+)", text)), p50, p99, count, origin, fault, text)


def rate(house, program, server, path, connections, per_second, seconds):
    """At a rate that is the same for all. Where it was not reached, the row is invalid. What held up the load generator held up all that it measured: that is
    no fault of the server, so that it is tried again, and invalid if it stays."""
    command = pinned(house.cpu, program, str(server.ports["cache"]), path, str(connections), str(per_second), str(seconds))
    for _ in range(TRIES):
        text, fault, total, user, origin = generate(house, server, command, seconds + 30)
        said = {name: float(value) for name, value in re.findall(r"^([a-z0-9. ]+): ([\d.]+)", text, re.M)}
        if not (late := said.get("late p99", 0)) > LATE:
            break
        fault = fault or f"the load generator was {late:.0f} us late in one of a hundred requests: the machine is busy"
    reached, count = said.get("per second", math.nan), int(said.get("requests", 0))
    if reached and abs(reached / per_second - 1) > RATE_SLACK:
        fault = fault or f"{reached:.0f} per second instead of {per_second}"
    fault = field(r"^failed: (.*)", text) or fault or ("" if count else "no answer")
    one = 1e6 / max(count, 1)
    p50, p99, p999 = (said.get(name, math.nan) for name in ("p50", "p99", "p99.9"))
    return Sample(total * one, user * one, reached, p50, p99, count, origin, fault, text, p999=p999)


def ab(house, server, path, keep, requests=10000, connections=50):
    command = pinned(house.cpu, "ab", "-q", "-n", str(requests), "-c", str(connections), *(["-k"] if keep else []))
    command.append(f"http://127.0.0.1:{server.ports['cache']}{path}")
    text, fault, total, user, origin = generate(house, server, command, 60)
    count = int(field(r"Complete requests:\s+(\d+)", text) or 0)
    failed = int(field(r"Failed requests:\s+(\d+)", text) or 0) + int(field(r"Non-2xx responses:\s+(\d+)", text) or 0)
    kept = int(field(r"Keep-Alive requests:\s+(\d+)", text) or 0)
    if failed or count != requests:
        fault = fault or f"{failed} failed, {count} of {requests} complete"
    elif keep and kept < 0.9 * requests:
        fault = fault or f"only {kept} of {requests} on kept connections"
    one = 1e6 / max(count, 1)
    p50, p99 = (number(field(rf"^\s+{p}%\s+(\d+)", text)) * 1e3 for p in (50, 99))
    return Sample(total * one, user * one, number(field(r"Requests per second:\s+([\d.]+)", text)), p50, p99, count, origin, fault, text)


class Row:
    """What one server did in one scenario: medians of its rounds. `label` tells rows of the same server apart."""

    def __init__(self, server, label=""):
        self.server, self.label, self.samples, self.faults = server, label, [], []

    @property
    def name(self):
        return ", ".join(filter(None, (self.server, self.label)))

    def add(self, sample):
        (self.faults.append(sample.error) if sample.error else None)
        self.samples.append(sample)

    def median(self, name):
        values = [value for sample in self.samples if not sample.error and not math.isnan(value := getattr(sample, name))]
        return statistics.median(values) if values else math.nan

    @property
    def valid(self):
        return bool(self.samples) and not self.faults

    @property
    def spread(self):
        """Highest less lowest CPU time, in parts of the median."""
        values = [sample.cpu for sample in self.samples]
        return (max(values) - min(values)) / statistics.median(values) if values and statistics.median(values) else math.nan
