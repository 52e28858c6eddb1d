"""The table, and the files that it is kept in."""

import json
import math
import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path


def cell(value, digits=0, unit=""):
    return "-" if math.isnan(value) else f"{value:.{digits}f}{unit}"


def columns(row, ours, first):
    """The cells of a row. `warmfront/it`: warmfront's CPU time in parts of this server's; below 1, warmfront needs less."""
    cpu = row.median("cpu")
    return [
        row.name + ("" if row.valid else " INVALID"),
        cell(cpu, 2),
        cell(row.median("user"), 2),
        cell(cpu / first, 2, "x") if first else "-",
        cell(ours / cpu, 2, "x") if ours and cpu else "-",
        cell(row.median("rate")),
        cell(row.median("p50")),
        cell(row.median("p99")),
        cell(row.median("p999")),
        cell(row.median("resident")),
        cell(row.spread * 100, 0, "%"),
    ]


HEADS = ["server", "cpu us/req", "user us", "to first", "warmfront/it", "req/s", "p50 us", "p99 us", "p99.9 us", "MiB", "spread"]
NOT_ALWAYS = ("p99.9 us", "MiB")


def table(rows):
    """Lines of cells, the heads before them. Ratios are between rows without a fault only: to the first row, and where a server has several to the first
    of its own; and to warmfront's row of the same label."""
    valid = {(row.server, row.label): row.median("cpu") for row in rows if row.valid}
    out = [HEADS]
    for row in rows:
        first = next(one for one in rows if not row.label or one.server == row.server)
        ours, first = valid.get(("warmfront", row.label)), valid.get((first.server, first.label))
        out.append(columns(row, ours if row.valid else None, first if row.valid else None))
    shown = [at for at, head in enumerate(HEADS) if head not in NOT_ALWAYS or any(line[at] != "-" for line in out[1:])]
    return [[line[at] for at in shown] for line in out]


def text(scenario, rows):
    lines = table(rows)
    widths = [max(map(len, column)) for column in zip(*lines)]
    out = ["", f"{scenario.name}: {scenario.what}"]
    for line in lines:
        out.append("  " + line[0].ljust(widths[0]) + "".join(one.rjust(width + 2) for one, width in zip(line[1:], widths[1:])))
    for row in rows:
        out += [f"  !! {row.name}: {fault}" for fault in dict.fromkeys(row.faults)]
    return "\n".join(out)


def markdown(about, done, notes):
    out = [f"# Load test, {about['date']}", "", f"Commit {about['commit']}{' with changes' if about['dirty'] else ''}. {about['machine']}.", ""]
    out += ["CPU time is the server's, of one core, user and system, by request; medians of alternating rounds. Compare ratios within a table, not", "figures between runs. `to first`: in parts of the first row's, which is the limit where there is one; of several rows of a server, the first of its own.", "`warmfront/it`: warmfront's in parts of that server's. MiB: the resident set.", ""]
    out += [f"- {name}: {version}" for name, version in about["versions"].items()]
    out += [f"- load average before and after: {about['load'][0]}, {about['load'][1]}", f"- command: `{about['command']}`"]
    for scenario, rows in done:
        heads, *lines = table(rows)
        out += ["", f"## {scenario.name}: {scenario.what}", "", "| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
        out += ["| " + " | ".join(line) + " |" for line in lines]
        out += [f"\n**{row.name}: {fault}**" for row in rows for fault in dict.fromkeys(row.faults)]
    if notes:
        out += ["", "## Not measured", "", *[f"- {note}" for note in notes]]
    return "\n".join(out) + "\n"


def said(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except OSError:
        return "?"
    return ((done.stdout + done.stderr).strip().splitlines() or ["?"])[0]


def machine():
    with open("/proc/cpuinfo") as info:
        names = [line.split(":")[1].strip() for line in info if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    return f"{len(os.sched_getaffinity(0))} x {names[0] if names else platform.machine()}, {memory} MiB, Linux {platform.release()}"


def about(root, command, servers):
    git = lambda *words: said("git", "-C", str(root), *words)  # noqa: E731
    versions = {server.name: server.version for server in servers}
    versions |= {"wrk": said("wrk", "-v"), "ab": said("ab", "-V"), "rustc": said("rustc", "-V")}
    now = datetime.now(timezone.utc)
    dirty = bool(subprocess.run(["git", "-C", str(root), "status", "--porcelain"], capture_output=True, text=True).stdout.strip())
    return {
        "date": now.strftime("%Y-%m-%d %H:%M UTC"),
        "day": now.strftime("%Y-%m-%d"),
        "commit": git("rev-parse", "--short", "HEAD"),
        "dirty": dirty,
        "machine": machine(),
        "versions": versions,
        "load": [load(), ""],
        "command": command,
    }


def load():
    return " ".join(f"{one:.2f}" for one in os.getloadavg())


def write(folder, about, done, notes, suffix=""):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    base = folder / f"{about['day']}-{about['commit']}{suffix}"
    rows = [
        {
            "scenario": scenario.name,
            "what": scenario.what,
            "server": row.name,
            "valid": row.valid,
            "faults": row.faults,
            "samples": [sample.as_json() for sample in row.samples],
        }
        for scenario, all_rows in done
        for row in all_rows
    ]
    base.with_suffix(".json").write_text(json.dumps({"about": about, "not_measured": notes, "rows": rows}, indent=1) + "\n")
    base.with_suffix(".md").write_text(markdown(about, done, notes))
    return base
