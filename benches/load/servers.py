"""The origin, warmfront and its peers: each on one core, from its own configuration, at free ports of loopback."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SIZES = {"1k": 1 << 10, "10k": 10 << 10, "100k": 100 << 10, "1m": 1 << 20}


@dataclass(frozen=True)
class Room:
    """How much the caches are made for. HAProxy takes no more than 4095 MB, and for an answer of 1 KiB two blocks of 1 KiB: its head comes on top."""

    name: str
    warmfront: str
    nginx: str  # for the keys
    files: str
    haproxy: int
    varnish: str


USUAL = Room("", warmfront="1GiB", nginx="64m", files="1g", haproxy=512, varnish="512m")
MILLION = Room("-million", warmfront="4GiB", nginx="256m", files="8g", haproxy=4095, varnish="4g")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def said(*command):
    """The first line of what a program says of itself."""
    done = subprocess.run(command, capture_output=True, text=True)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else "?"


class Server:
    """A process of ours; `ports` by what it is asked for: cache, pass, mixed."""

    def __init__(self, name, process, ports, version="", admin=None):
        self.name, self.process, self.ports, self.version, self.admin = name, process, ports, version, admin

    @property
    def pid(self):
        return self.process.pid

    def get(self, path, kind="cache"):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[kind]}{path}", timeout=10) as answer:
            return answer.read(), answer.headers


class House:
    """Everything that runs. Ends what it has started, and nothing else."""

    def __init__(self, scratch, memory, cpu):
        self.scratch, self.memory, self.cpu = Path(scratch), Path(memory), cpu
        self.processes, self.missing = [], []
        self.origin = None

    def start(self, name, command, cpus, ports, path="/1k", version="", admin=None, log=None, environment=None):
        """Starts a server and waits until it answers; None if it does not. `log`: what its output goes by, where there are several of a name."""
        log_file = self.scratch / f"{log or name}.log"
        pinned = ["taskset", "-c", cpus, *command] if cpus else command
        with open(log_file, "wb") as out:
            process = subprocess.Popen(pinned, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **(environment or {})})
        self.processes.append(process)
        server = Server(name, process, ports, version, admin)
        for _ in range(100):
            if process.poll() is not None:
                break
            try:
                server.get(path, next(iter(ports)))
                return server
            except OSError:
                time.sleep(0.1)
        self.end(process)
        why = log_file.read_text(errors="replace").strip().splitlines()[-3:]
        self.lacks(name, "did not start: " + " | ".join(why))
        return None

    def lacks(self, name, why):
        self.missing.append(f"{name}: {why}")
        print(f"!! {name}: {why}; it goes on without", file=sys.stderr)

    def end(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process in self.processes:
            self.processes.remove(process)

    def close(self):
        for process in list(reversed(self.processes)):
            self.end(process)

    def start_origin(self):
        port, nginx = free_port(), shutil.which("nginx")
        if nginx:
            www = self.memory / "www"
            for folder in ("", "pass", "stream"):
                (www / folder).mkdir(exist_ok=True, parents=True)
                for name, size in SIZES.items():
                    (www / folder / name).write_bytes(b"a" * size)
            conf = self.config("origin.conf", ORIGIN.format(**self.places("origin"), port=port, www=www, item="a" * 1024))
            server = self.start("origin (nginx)", [nginx, "-c", conf], self.cpu.load, {"cache": port}, version=said("nginx", "-v"))
        else:
            server = self.start("origin (origin.py)", [sys.executable, str(HERE / "origin.py"), str(port)], self.cpu.load, {"cache": port})
        if server is None:
            raise SystemExit("no origin, no measurement")
        self.origin = server
        print(f"origin: {server.name} on port {port}")

    def asked(self):
        """How often the origin has been asked so far."""
        return int(re.findall(r"\d+", self.origin.get("/_count")[0].decode())[-4 if "nginx" in self.origin.name else -1])

    def start_warmfront(self, binary, called="warmfront", workers=1, cpus=None, room=USUAL, settings=(), environment=None):
        """`called`: what its files are called by, as there may be several."""
        port, admin = free_port(), free_port()
        command = [binary, "run", "--config", str(HERE / "warmfront.toml"), "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}"]
        command += ["--upstream", f"http://127.0.0.1:{self.origin.ports['cache']}", "--workers", str(workers)]
        for setting in (f"cache.max_bytes={room.warmfront}", f"logs.file={self.access_log(called)}", *settings):
            command += ["--set", setting]
        version = said(binary, "--version")
        return self.start("warmfront", command, cpus or self.cpu.server, {"cache": port}, version=version, admin=admin, log=called, environment=environment)

    def access_log(self, called):
        return str(self.scratch / f"{called}.access.log")

    def start_limit(self, compiled, size, answers=1):
        port = free_port()
        return self.start("limit", [compiled, str(port), str(size), str(answers)], self.cpu.server, {"cache": port}, version="limit.c, gcc -O2")

    def compile(self, name):
        """limit.c or rate.c; None without a compiler."""
        target = self.scratch / name
        if not shutil.which("gcc"):
            return self.lacks(name, "no gcc (apt-get install gcc libc6-dev)")
        done = subprocess.run(["gcc", "-O2", "-o", target, HERE / f"{name}.c", "-lm"], capture_output=True, text=True)
        return str(target) if done.returncode == 0 else self.lacks(name, done.stderr)

    def start_peers(self, wanted, room=USUAL):
        """Every peer that is installed."""
        makers = {"nginx": self.nginx, "haproxy": self.haproxy, "varnish": self.varnish}
        peers = []
        for name, make in makers.items():
            if wanted and name not in wanted:
                continue
            program = shutil.which({"varnish": "varnishd"}.get(name, name), path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
            if program is None:
                self.lacks(name, f"not installed (apt-get install {name})")
            elif server := make(program, room):
                peers.append(server)
        return peers

    def nginx(self, program, room):
        cache, plain, called = free_port(), free_port(), f"nginx{room.name}"
        text = NGINX.format(**self.places(called), cache=cache, plain=plain, origin=self.origin.ports["cache"], memory=self.memory / called, room=room)
        ports = {"cache": cache, "pass": plain}
        return self.start("nginx", [program, "-c", self.config(f"{called}.conf", text)], self.cpu.server, ports, version=said(program, "-v"), log=called)

    def haproxy(self, program, room):
        cache, plain, mixed, called = free_port(), free_port(), free_port(), f"haproxy{room.name}"
        text = HAPROXY.format(cache=cache, plain=plain, mixed=mixed, origin=self.origin.ports["cache"], room=room)
        ports = {"cache": cache, "pass": plain, "mixed": mixed}
        return self.start("haproxy", [program, "-db", "-f", self.config(f"{called}.cfg", text)], self.cpu.server, ports, version=said(program, "-v"), log=called)

    def varnish(self, program, room):
        port, called = free_port(), f"varnish{room.name}"
        vcl = self.config(f"{called}.vcl", VARNISH.format(origin=self.origin.ports["cache"]))
        command = [program, "-F", "-j", "none", "-n", str(self.scratch / called), "-a", f"127.0.0.1:{port}", "-f", vcl, "-s", f"malloc,{room.varnish}"]
        command += ["-p", "thread_pools=1", "-p", "thread_pool_min=100", "-p", "thread_pool_max=1000"]
        return self.start("varnish", command, self.cpu.server, {"cache": port}, version=said(program, "-V"), log=called)

    def config(self, name, text):
        (self.scratch / name).write_text(text)
        return str(self.scratch / name)

    def places(self, name):
        return {"user": "user root;" if os.geteuid() == 0 else "", "pid": self.scratch / f"{name}.pid", "error": self.scratch / f"{name}.error.log", "temp": self.scratch / f"{name}.temp"}


# Items are made up, so that a hundred thousand of them need no files. SSI makes nginx send chunks.
ORIGIN = """
{user} worker_processes 1; daemon off; pid {pid}; error_log {error};
events {{ worker_connections 8192; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {temp}; proxy_temp_path {temp}; fastcgi_temp_path {temp}; uwsgi_temp_path {temp}; scgi_temp_path {temp};
  default_type application/json; add_header Cache-Control "public, max-age=3600";
  server {{
    listen 127.0.0.1:{port} backlog=4096; root {www};
    location /items/ {{ return 200 "{item}"; }}
    location /stream/ {{ ssi on; ssi_types application/json; sendfile off; tcp_nopush off; }}
    location = /_count {{ stub_status; }}
  }}
}}
"""

# Its best case for small objects: the cache on tmpfs, sendfile off, open files remembered.
NGINX = """
{user} worker_processes 1; daemon off; pid {pid}; error_log {error};
events {{ worker_connections 8192; multi_accept on; }}
http {{
  access_log off; sendfile off; tcp_nodelay on; keepalive_requests 1000000000;
  client_body_temp_path {temp}; proxy_temp_path {temp}; fastcgi_temp_path {temp}; uwsgi_temp_path {temp}; scgi_temp_path {temp};
  open_file_cache max=10000 inactive=60s; open_file_cache_valid 60s;
  proxy_cache_path {memory} levels=1:2 keys_zone=c:{room.nginx} max_size={room.files} inactive=1h use_temp_path=off;
  proxy_http_version 1.1; proxy_set_header Connection "";
  upstream o {{ server 127.0.0.1:{origin}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{cache} backlog=4096 reuseport;
    location / {{ proxy_pass http://o; proxy_cache c; proxy_cache_lock on; add_header X-Cache $upstream_cache_status; }}
    location /pass/ {{ proxy_pass http://o; }}
  }}
  server {{ listen 127.0.0.1:{plain} backlog=4096; location / {{ proxy_pass http://o; }} }}
}}
"""

HAPROXY = """
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
cache c
  total-max-size {room.haproxy}
  max-object-size 4000000
  max-age 3600
frontend f
  bind 127.0.0.1:{cache}
  http-request cache-use c
  http-response cache-store c
  default_backend cached
frontend m
  bind 127.0.0.1:{mixed}
  use_backend plain if {{ path_beg /pass/ }}
  default_backend cached
frontend p
  bind 127.0.0.1:{plain}
  default_backend plain
backend cached
  http-request cache-use c
  http-response cache-store c
  server s 127.0.0.1:{origin}
backend plain
  http-reuse always
  server s 127.0.0.1:{origin}
"""

VARNISH = """vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{origin}"; }}
sub vcl_recv {{ if (req.url ~ "^/(pass|stream)/") {{ return (pass); }} }}
"""
