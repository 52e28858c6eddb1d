#!/usr/bin/env python3
"""Checks the OpenAPI document of the admin API against the running server, with schemathesis.

    tests/api/run.py --binary target/debug/warmfront --cache target/schemathesis

Exit code 0: the server does what its document says; anything else: it does not, and what was found stands in the output.
Only the standard library is needed: schemathesis is installed into the directory of --cache, once.
"""

import argparse
import contextlib
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
TOKEN = "schemathesis"
# Cases of one call in each phase.
EXAMPLES = 100
# Seconds. What is usual is three quarters of a minute; a call that takes longer than one request may is a finding.
WHOLE, REQUEST, START = 240, 10, 30


def say(words):
    print(words, flush=True)


def succeeds(*command, **options):
    say("$ " + " ".join(map(str, command)))
    return subprocess.run(command, stdin=subprocess.DEVNULL, **options).returncode == 0


def make_venv(place):
    """A virtual environment at `place`; Debian has what makes one in a package of its own."""
    make = [sys.executable, "-m", "venv", place]
    if succeeds(*make):
        return True
    shutil.rmtree(place, ignore_errors=True)
    quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "python3-venv"]
    if shutil.which("apt-get") and succeeds("apt-get", "update", "-qq") and succeeds(*install, env=quietly) and succeeds(*make):
        return True
    shutil.rmtree(place, ignore_errors=True)
    return False


def tool(cache):
    """The command that is schemathesis, and its environment. What is installed already stays, if it is what is wanted."""
    venv, alone, stamp = cache / "venv", cache / "packages", cache / "installed"
    wanted = f"{sys.version}\n{REQUIREMENTS.read_text()}"
    if not (stamp.exists() and stamp.read_text() == wanted):
        shutil.rmtree(cache, ignore_errors=True)
        cache.mkdir(parents=True)
        pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore", "--requirement", REQUIREMENTS]
        if make_venv(venv):
            installed = succeeds(venv / "bin/python", *pip)
        else:
            installed = succeeds(sys.executable, *pip, "--target", alone)
        if not installed:
            sys.exit("schemathesis cannot be installed: neither python3 -m venv nor python3 -m pip install --target works")
        stamp.write_text(wanted)
    command = ["-m", "schemathesis.cli"]
    if venv.exists():
        return [venv / "bin/python", *command], dict(os.environ)
    return [sys.executable, *command], {**os.environ, "PYTHONPATH": str(alone)}


class Origin(http.server.BaseHTTPRequestHandler):
    """Answers everything at once, good for a minute: what is warmed is there when a call that waits for it returns."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps({"items": [{"name": f"item-{at}"} for at in range(3)]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "max-age=60")
        self.send_header("ETag", '"1"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def origin():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


@contextlib.contextmanager
def sidecar(binary, upstream, scratch):
    """A sidecar with rules and groups of all kinds; gives the address of its admin API."""
    log = scratch / "log"
    command = [binary, "run", "--config", HERE / "warmfront.toml", "--upstream", upstream]
    command += ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    with log.open("w") as output:
        # What it has refused and changed it writes down, each a line: only trouble is of interest here.
        env = {**os.environ, "WARMFRONT_LOG": "warn,warmfront::audit=off"}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env)
    try:
        until = time.monotonic() + START
        while not (found := re.search(r"admin (http://127\.0\.0\.1:\d+)", log.read_text())):
            if process.poll() is not None or time.monotonic() > until:
                sys.exit(f"no admin API after {START} s, or an end before:\n{log.read_text()}")
            time.sleep(0.05)
        yield found[1]
        if process.poll() is not None:
            sys.exit(f"warmfront ended on its own with {process.returncode}:\n{log.read_text()}")
        if "panicked" in log.read_text():
            sys.exit(f"warmfront panicked:\n{log.read_text()}")
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def check(command, env, address, scratch):
    config = ["--config-file", HERE / "schemathesis.toml", "--no-color"]
    run = ["run", f"{address}/api/openapi.json", "--header", f"Authorization: Bearer {TOKEN}", "--phases", "coverage,fuzzing,stateful"]
    # No time budget: with one, the last phases go on until it is spent.
    # The stream of events has no end: tests/cli/logs.rs asks for it.
    run += ["--exclude-path", "/api/logs/stream"]
    bounds = ["--max-examples", str(EXAMPLES), "--generation-deterministic", "--request-timeout", str(REQUEST)]
    # Each call to its end, so that one run shows all there is.
    whole = [*command, *config, *run, *bounds, "--continue-on-failure"]
    say("$ " + " ".join(map(str, whole)))
    env = {**env, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE), env.get("PYTHONPATH")]))}
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    try:
        # It keeps what it found in its working directory.
        return subprocess.run(whole, stdin=subprocess.DEVNULL, cwd=scratch, env=env, timeout=WHOLE).returncode
    except subprocess.TimeoutExpired:
        say(f"schemathesis was not done after {WHOLE} s")
        return 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=pathlib.Path, required=True)
    parser.add_argument("--cache", type=pathlib.Path, required=True)
    args = parser.parse_args()
    command, env = tool(args.cache.resolve())
    with tempfile.TemporaryDirectory() as name, origin() as upstream:
        scratch = pathlib.Path(name)
        with sidecar(args.binary.resolve(), upstream, scratch) as address:
            code = check(command, env, address, scratch)
    return code


if __name__ == "__main__":
    sys.exit(main())
