"""What is measured, and how a row of it is judged."""

import json
import shutil
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from measure import Row, ab, wrk

HERE = Path(__file__).resolve().parent
KEYS = 100_000


@dataclass(frozen=True)
class Scenario:
    name: str
    what: str
    path: str = "/1k"
    kind: str = "cache"  # which of a server's ports
    connections: int = 64
    origin: str = "none"  # how many requests may reach the origin: none, all, twentieth, any
    servers: str = "all"  # all: the limit too; caches; warmfront
    tool: str = "wrk"  # wrk, ab, ab -k
    size: int = 1024  # of the limit's answers
    script: tuple = ()
    special: str = ""  # warm: a warm run goes on; workers: two against one; rate: the same rate for all


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
    Scenario("mixed", "19 hits, then a pass, 1 KiB, 64 connections", "/1k", "mixed", origin="twentieth", servers="caches", script=("mixed.lua",)),
    Scenario("zipf", f"hits of {KEYS} keys by Zipf's law, 1 KiB, 64 connections", "/", servers="caches", script=("zipf.lua", str(KEYS))),
    Scenario("latency", "hit, 1 KiB, 8 connections: latency without a queue", connections=8),
    Scenario("rate", "hit, 1 KiB, 64 connections, the same rate for all (wrk2)", servers="all", special="rate"),
    Scenario("warm", "hit, 1 KiB, 64 connections: quiet, and while a warm run goes on", origin="any", servers="warmfront", special="warm"),
    Scenario("workers", "hit, 1 KiB, 64 connections: one worker and two, on all cores with wrk", servers="warmfront", special="workers"),
    Scenario("ab", "ab -n 10000 -c 50: a connection per request, 1 KiB", connections=50, servers="caches", tool="ab"),
    Scenario("ab-k", "ab -n 10000 -c 50 -k: kept connections, 1 KiB", connections=50, servers="caches", tool="ab -k"),
)


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
    def __init__(self, house, warmfront, peers, limit, binary, seconds, rounds):
        self.house, self.warmfront, self.peers, self.limit, self.binary = house, warmfront, peers, limit, binary
        self.seconds, self.rounds = seconds, rounds

    def run(self, scenario):
        """(rows, None), or (None, why there are none)."""
        if scenario.tool != "wrk" and not shutil.which("ab"):
            return None, "ab is not installed (apt-get install apache2-utils)"
        if scenario.special == "rate" and not shutil.which("wrk2"):
            return None, "wrk2 is not installed (wrk has no fixed rate); see `latency`"
        if scenario.special == "warm":
            return self.rows(scenario, [("quiet", self.warmfront), ("warm run", self.warmfront)]), None
        own, limit = [], None
        try:
            servers = [("warmfront", self.warmfront)]
            if scenario.special == "workers":
                cpus = self.house.cpu.two
                own = [self.house.start_warmfront(self.binary, f"{count}-workers", count, cpus) for count in (1, 2)]
                servers = [(server.name, server) for server in own if server]
            elif scenario.servers != "warmfront":
                # ab speaks HTTP/1.0, which HAProxy does not answer from its cache.
                servers += [(peer.name, peer) for peer in self.peers if scenario.tool == "wrk" or peer.name != "haproxy"]
            if scenario.servers == "all" and self.limit:
                limit = self.house.start_limit(self.limit, scenario.size)
                servers[:0] = [("limit", limit)] if limit else []
            return self.rows(scenario, servers), None
        finally:
            for server in [*own, limit]:
                if server:
                    self.house.end(server.process)

    def rows(self, scenario, servers):
        """A B C A B C ...: what else the machine does comes upon all of them alike. The first round, a short one, is not counted."""
        rows = {name: Row(name) for name, _ in servers}
        for name, server in servers:
            if fault := self.prepare(scenario, server):
                rows[name].faults.append(fault)
        for round_no in range(self.rounds + 1):
            for name, server in servers:
                if name == "warm run":
                    warming = Warming(server)
                    with warming:
                        sample = self.sample(scenario, name, server, round_no == 0)
                    sample.error = sample.error or warming.fault
                else:
                    sample = self.sample(scenario, name, server, round_no == 0)
                if round_no > 0:
                    rows[name].add(sample)
        return list(rows.values())

    def prepare(self, scenario, server):
        """Stores what is to be hit, and checks that the body is what it should be."""
        if scenario.script and scenario.script[0] == "zipf.lua":
            return self.fill(server)
        for _ in range(3):
            try:
                body, _ = server.get(scenario.path, scenario.kind if scenario.kind in server.ports else "cache")
            except OSError as error:
                return f"{scenario.path}: {error}"
        size = {"1k": 1 << 10, "10k": 10 << 10, "100k": 100 << 10, "1m": 1 << 20}[scenario.path.rsplit("/", 1)[-1]]
        return "" if len(body) == size else f"{scenario.path}: {len(body)} bytes instead of {size}"

    def fill(self, server):
        """Asks for every key once; a busy machine takes its time, but not for ever."""
        done, until = 0, time.monotonic() + 90
        while done < KEYS:
            if time.monotonic() > until:
                return f"only {done} of {KEYS} keys were stored within 90 s"
            sample = wrk(self.house, server, "cache", "/", 64, 3, (str(HERE / "zipf.lua"), str(KEYS), str(done)))
            done += sample.requests
            if sample.error:
                return f"while it was filled: {sample.error}"
        return ""

    def sample(self, scenario, name, server, first):
        if scenario.tool != "wrk":
            sample = ab(self.house, server, scenario.path, scenario.tool == "ab -k")
        else:
            seconds = 1 if first else self.seconds
            script = (str(HERE / scenario.script[0]), *scenario.script[1:]) if scenario.script else ()
            program, rate = ("wrk2", 20000) if scenario.special == "rate" else ("wrk", 0)
            sample = wrk(self.house, server, scenario.kind, scenario.path, scenario.connections, seconds, script, program, rate)
        # What was under way when the load generator stopped counting has been at the origin too.
        count, slack = sample.requests, scenario.connections
        low, high = {"none": (0, 0.001), "all": (0.99, 1.01), "twentieth": (0.045, 0.055), "any": (0, 1e9)}[scenario.origin]
        wanted = low * count - slack <= sample.origin <= high * count + (slack if low else 0)
        if not sample.error and name != "limit" and not wanted:
            sample.error = f"{sample.origin} of {sample.requests} requests reached the origin"
        return sample
