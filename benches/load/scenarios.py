import json
import os
import shutil
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from measure import Row, ab, rate, resident, wrk
from servers import MILLION

HERE = Path(__file__).resolve().parent
AB = (("haproxy", "ab speaks HTTP/1.0, which it does not answer from its cache"),)
FAST = (("varnish", "50,000 per second are more than it can do"),)
FILL = 120  # seconds at most, of one server
STEP = 30_000  # keys that are asked for in a second or less


@dataclass(frozen=True)
class Scenario:
    name: str
    what: str
    path: str = "/1k"
    kind: str = "cache"  # which of a server's ports
    connections: int = 64
    origin: str = "none"  # how many requests may reach the origin: none, all, twentieth, any
    servers: str = "all"  # all: the limit too; caches; warmfront
    without: tuple = ()  # peers that it does not go with, and why
    tool: str = "wrk"  # wrk, ab, ab -k, rate
    rate: int = 0  # per second, for rate
    size: int = 1024  # of the limit's answers
    script: str = ""
    keys: int = 0  # that are stored before and asked for by the script, instead of the path
    special: str = ""  # warm: a warm run goes on; workers: two against one; million: many keys against few; logs: none, some, all
    by_name: bool = False  # no part of the whole run, which is to stay under 25 minutes


QUICK = ("hit-1k", "pass-1k", "ab", "ab-k")
ALL = (
    Scenario("hit-1k", "hit, 1 KiB, 64 connections"),
    Scenario("hit-1k-512", "hit, 1 KiB, 512 connections", connections=512),
    Scenario("hit-10k", "hit, 10 KiB, 64 connections", "/10k", size=10 << 10),
    Scenario("hit-100k", "hit, 100 KiB, 64 connections", "/100k", size=100 << 10),
    Scenario("hit-1m", "hit, 1 MiB, 64 connections", "/1m", size=1 << 20),
    Scenario("pass-1k", "pass, 1 KiB, 64 connections", "/pass/1k", "pass", origin="all", servers="caches"),
    Scenario("pass-100k", "pass, 100 KiB, 64 connections", "/pass/100k", "pass", origin="all", servers="caches"),
    Scenario("pass-1m", "pass, 1 MiB, 64 connections", "/pass/1m", "pass", origin="all", servers="caches"),
    Scenario("stream-100k", "chunked from upstream, 100 KiB, 64 connections", "/stream/100k", "pass", origin="all", servers="caches"),
    Scenario("stream-1m", "chunked from upstream, 1 MiB, 64 connections", "/stream/1m", "pass", origin="all", servers="caches"),
    Scenario("mixed", "19 hits, then a pass, 1 KiB, 64 connections", "/1k", "mixed", origin="twentieth", servers="caches", script="mixed.lua"),
    Scenario("zipf", "hits of 100,000 keys by Zipf's law, 1 KiB, 64 connections", servers="caches", script="zipf.lua", keys=100_000),
    Scenario("latency", "hit, 1 KiB, 8 connections: latency with next to no queue", connections=8),
    # Half of what the slowest can do, which is Varnish; and a good half of what the others can.
    Scenario("rate", "hit, 1 KiB, 64 connections, 20,000 per second for all", tool="rate", rate=20_000),
    Scenario("rate-512", "hit, 1 KiB, 512 connections, 20,000 per second for all", connections=512, tool="rate", rate=20_000, by_name=True),
    Scenario("rate-50k", "hit, 1 KiB, 64 connections, 50,000 per second for all", tool="rate", rate=50_000, without=FAST, by_name=True),
    Scenario("warm", "hit, 1 KiB, 64 connections: quiet, and while a warm run goes on", origin="any", servers="warmfront", special="warm"),
    Scenario("workers", "hit, 1 KiB, 64 connections: one worker and two, on all cores with wrk", servers="warmfront", special="workers"),
    Scenario("logs", "hit, 1 KiB, 64 connections: no events, one of a hundred, one of each request", servers="warmfront", special="logs"),
    Scenario("million", "hits of random keys, 1 KiB, 64 connections: a thousand stored, and a million", script="uniform.lua", special="million", by_name=True),
    Scenario("ab", "ab -n 10000 -c 50: a connection per request, 1 KiB", connections=50, servers="caches", tool="ab", without=AB),
    Scenario("ab-k", "ab -n 10000 -c 50 -k: kept connections, 1 KiB", connections=50, servers="caches", tool="ab -k", without=AB),
)


@dataclass(frozen=True)
class Turn:
    """Whose turn it is, again and again. `label`: what tells it apart from others of the same server."""

    server: object
    label: str = ""
    keys: int = 0  # that are stored before and asked for
    log: str = ""  # a file that is emptied after each sample


def available():
    """GiB of memory that can be had."""
    with open("/proc/meminfo") as info:
        return next(int(line.split()[1]) for line in info if line.startswith("MemAvailable")) / (1 << 20)


class Warming:
    """Warm runs without a pause, asked for by the admin API."""

    def __init__(self, server):
        self.server, self.stop, self.runs, self.fault = server, threading.Event(), 0, ""

    def __enter__(self):
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        while not self.stop.is_set():
            body = json.dumps({"force": True}).encode()
            request = urllib.request.Request(f"http://127.0.0.1:{self.server.admin}/api/cache/warm", body, {"content-type": "application/json"})
            try:
                urllib.request.urlopen(request, timeout=60).read()
                self.runs += 1
            except OSError as error:
                if not self.stop.is_set():
                    self.fault = f"warm run: {error}"
                return

    def __exit__(self, *_):
        """The run under way is cancelled: the next sample is to be quiet."""
        self.stop.set()
        jobs = f"http://127.0.0.1:{self.server.admin}/api/warm/jobs"
        try:
            with urllib.request.urlopen(jobs, timeout=10) as answer:
                running = [job["id"] for job in json.load(answer)["jobs"] if job["state"] == "running"]
            for job in running:
                urllib.request.urlopen(urllib.request.Request(f"{jobs}/{job}", method="DELETE"), timeout=10).read()
        except OSError as error:
            self.fault = self.fault or f"cannot end the warm run: {error}"
        self.thread.join()


class Bench:
    def __init__(self, house, warmfront, peers, wanted, binary, seconds, rounds):
        self.house, self.warmfront, self.peers, self.wanted, self.binary = house, warmfront, peers, wanted, binary
        self.seconds, self.rounds = seconds, rounds
        self.limit, self.rate = house.compile("limit"), house.compile("rate")

    def run(self, scenario):
        """(rows, None), or (None, why there are none)."""
        if scenario.tool.startswith("ab") and not shutil.which("ab"):
            return None, "ab is not installed (apt-get install apache2-utils)"
        if scenario.tool == "rate" and not self.rate:
            return None, "rate.c was not compiled"
        needed = 4 + 5 * len(self.peers)
        if scenario.special == "million" and available() < needed:
            return None, f"it takes up to {needed} GiB of memory (fewer with --peer), and {available():.0f} are free"
        own = []  # servers of this scenario alone
        try:
            return self.rows(scenario, self.turns(scenario, own)), None
        finally:
            for server in own:
                self.house.end(server.process)

    def turns(self, scenario, own):
        if special := {"warm": self.warm, "workers": self.workers, "logs": self.logs, "million": self.million}.get(scenario.special):
            return special(own)
        servers = [self.warmfront]
        if scenario.servers != "warmfront":
            servers += [peer for peer in self.peers if peer.name not in dict(scenario.without)]
        if scenario.servers == "all":
            servers = self.own(own, self.limit and self.house.start_limit(self.limit, scenario.size)) + servers
        return [Turn(server, keys=scenario.keys) for server in servers]

    @staticmethod
    def own(own, *servers):
        """Those of them that have started; they are ended with the scenario."""
        started = [server for server in servers if server]
        own += started
        return started

    def warm(self, _):
        return [Turn(self.warmfront, "quiet"), Turn(self.warmfront, "warm run")]

    def workers(self, own):
        turns = []
        for count, label in ((1, "one worker"), (2, "two workers")):
            server = self.house.start_warmfront(self.binary, f"{count}-workers", count, self.house.cpu.two)
            turns += [Turn(one, label) for one in self.own(own, server)]
        return turns

    def logs(self, own):
        turns = []
        for label, share, filters in (("no events", 0, "off"), ("1 of 100", 0.01, ""), ("every request", 1, "")):
            called = f"logs-{share}"
            server = self.house.start_warmfront(self.binary, called, settings=[f"logs.sample_rate={share}"], environment={"WARMFRONT_LOG": filters})
            turns += [Turn(one, label, log=self.house.access_log(called)) for one in self.own(own, server)]
        return turns

    def million(self, own):
        """The usual servers, which hold little else than a thousand items, and others that have room for a million. The limit holds them ready-made: what
        the memory of the machine costs, without a cache."""
        large = self.own(own, self.house.start_warmfront(self.binary, "million", room=MILLION), *self.house.start_peers(self.wanted, MILLION))
        limit = self.own(own, self.limit and self.house.start_limit(self.limit, 1024, 1_000_000))
        usual = {server.name: server for server in (self.warmfront, *self.peers)}
        turns = []
        for few, many in [(one, one) for one in limit] + [(usual[one.name], one) for one in large]:
            turns += [Turn(few, "1,000 keys", 1000), Turn(many, "1,000,000 keys", 1_000_000)]
        return turns

    def rows(self, scenario, turns):
        """A B C A B C ...: what else the machine does comes upon all of them alike. The first round, a short one, is not counted."""
        rows = [Row(turn.server.name, turn.label) for turn in turns]
        for row, turn in zip(rows, turns):
            if fault := self.prepare(scenario, turn):
                row.faults.append(fault)
        for round_no in range(self.rounds + 1):
            for row, turn in zip(rows, turns):
                sample = self.turn(scenario, turn, 1 if round_no == 0 else self.seconds)
                if round_no > 0:
                    row.add(sample)
        return rows

    def turn(self, scenario, turn, seconds):
        if turn.label == "warm run":
            warming = Warming(turn.server)
            with warming:
                sample = self.sample(scenario, turn, seconds)
            sample.error = sample.error or warming.fault
        else:
            sample = self.sample(scenario, turn, seconds)
        if scenario.special == "million":
            sample.resident = resident(turn.server.pid)
        if turn.log:
            sample.error = sample.error or self.events(turn.server)
            os.truncate(turn.log, 0)
        return sample

    @staticmethod
    def events(server):
        """What is wrong with the events that it has written so far: that some were not, for they came faster than the disk takes them."""
        with urllib.request.urlopen(f"http://127.0.0.1:{server.admin}/metrics", timeout=10) as answer:
            counts = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line.startswith("warmfront_log_events_total"))
        kept, dropped = (int(counts[f'warmfront_log_events_total{{result="{result}"}}']) for result in ("kept", "dropped"))
        return f"{dropped} of {kept + dropped} events were dropped" if dropped else ""

    def prepare(self, scenario, turn):
        """Stores what is to be hit, and checks that the body is what it should be."""
        server = turn.server
        if turn.keys:
            return "" if server.name == "limit" else self.fill(server, turn.keys)
        for _ in range(3):
            try:
                body, _ = server.get(scenario.path, scenario.kind if scenario.kind in server.ports else "cache")
            except OSError as error:
                return f"{scenario.path}: {error}"
        size = {"1k": 1 << 10, "10k": 10 << 10, "100k": 100 << 10, "1m": 1 << 20}[scenario.path.rsplit("/", 1)[-1]]
        return "" if len(body) == size else f"{scenario.path}: {len(body)} bytes instead of {size}"

    def fill(self, server, keys):
        """Asks for every key once; a busy machine takes its time, but not for ever."""
        done, began = 0, time.monotonic()
        seconds = max(1, min(10, keys // STEP))
        while done < keys:
            if time.monotonic() > began + FILL - seconds:
                return f"only {done} of {keys} keys were stored within {FILL} s"
            sample = wrk(self.house, server, "cache", "/", 64, seconds, (str(HERE / "each.lua"), str(keys), str(done)))
            done += sample.requests
            if sample.error:
                return f"while it was filled: {sample.error}"
        return ""

    def sample(self, scenario, turn, seconds):
        server = turn.server
        if scenario.tool == "rate":
            sample = rate(self.house, self.rate, server, scenario.path, scenario.connections, scenario.rate, seconds)
        elif scenario.tool.startswith("ab"):
            sample = ab(self.house, server, scenario.path, scenario.tool == "ab -k")
        else:
            script = (str(HERE / scenario.script), *([str(turn.keys)] if turn.keys else [])) if scenario.script else ()
            sample = wrk(self.house, server, scenario.kind, scenario.path, scenario.connections, seconds, script)
        # What was under way when the load generator stopped counting has been at the origin too.
        count, slack = sample.requests, scenario.connections
        low, high = {"none": (0, 0.001), "all": (0.99, 1.01), "twentieth": (0.045, 0.055), "any": (0, 1e9)}[scenario.origin]
        wanted = low * count - slack <= sample.origin <= high * count + (slack if low else 0)
        if not sample.error and server.name != "limit" and not wanted:
            sample.error = f"{sample.origin} of {sample.requests} requests reached the origin"
        return sample
