#!/usr/bin/env python3
"""The origin where there is no nginx: what nginx would serve (see servers.py), by one asyncio thread. Slower than what stands in front of it, so that
rates of requests that pass are its own; the CPU time of a server is not.

    origin.py PORT
"""
import asyncio
import sys

SIZES = {"1k": 1 << 10, "10k": 10 << 10, "100k": 100 << 10, "1m": 1 << 20}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: public, max-age=3600\r\n"


def answer(size, chunked):
    body = b"a" * size
    if not chunked:
        return HEAD + b"Content-Length: %d\r\n\r\n" % size + body
    pieces = (body[at : at + 32768] for at in range(0, size, 32768))
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


ANSWERS = {f"/{kind}{name}".encode(): answer(size, kind == "stream/") for name, size in SIZES.items() for kind in ("", "pass/", "stream/")}
ITEM = answer(1024, False)
count = 0


class Connection(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.seen = transport, b""

    def data_received(self, data):
        global count
        *heads, self.seen = (self.seen + data).split(b"\r\n\r\n")
        for head in heads:
            path = head.split(b" ", 2)[1].split(b"?")[0]
            count += 1
            if path == b"/_count":
                said = b" %d" % count
                self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(said) + said)
            elif path.startswith(b"/items/"):
                self.transport.write(ITEM)
            else:
                self.transport.write(ANSWERS.get(path) or b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


async def main():
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


asyncio.run(main())
