"""`python -m gateway.bench.sink PORT`: an SMTP sink that prints when each message ended, one JSON object a line.

It keeps the first 64 KB of a message (stamp and link stand there) and counts the rest, so that a gigabyte costs little.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time

KEPT_BYTES = 65_536
_STAMP = re.compile(rb"^X-Bench-Sent: (\S+)\r$", re.MULTILINE)
_LINK = re.compile(rb"https?://[^\s\"<>]+/m/[0-9A-Za-z]{34}")


class Sink(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._lines = b""
        self._in_data = False
        self._kept = bytearray()
        self._size = 0
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(b"220 sink.test ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        if self._in_data:
            self._take(data)
            return
        self._lines += data
        while b"\r\n" in self._lines:
            line, _, self._lines = self._lines.partition(b"\r\n")
            if self._command(line):
                rest, self._lines = self._lines, b""
                self._take(rest)
                return

    def _command(self, line: bytes) -> bool:
        """Answer it; whether content follows."""
        verb = line[:4].upper()
        if verb == b"EHLO":
            self._transport.write(b"250-sink.test\r\n250-PIPELINING\r\n250-SIZE 0\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")
        elif verb == b"DATA":
            self._in_data, self._size, self._tail = True, 0, b"\r\n"
            self._kept.clear()
            self._transport.write(b"354 go on\r\n")
        elif verb == b"QUIT":
            self._transport.write(b"221 2.0.0 bye\r\n")
            self._transport.close()
        else:
            self._transport.write(b"250 2.0.0 ok\r\n")
        return verb == b"DATA"

    def _take(self, data: bytes) -> None:
        """Content, up to the dot that ends it; then commands again (RFC 5321 4.1.1.4)."""
        seen = self._tail + data
        at = seen.find(b"\r\n.\r\n")
        if at < 0:
            self._size += len(data)
            self._keep(data)
            self._tail = seen[-4:]
            return
        used = at + 5 - len(self._tail)
        self._size += used
        self._keep(data[:used])
        self._in_data = False
        stamp, link = _STAMP.search(self._kept), _LINK.search(self._kept)
        found = {
            "stamp": stamp[1].decode() if stamp else "",
            "at": time.monotonic(),
            "size_bytes": self._size,
            "link": link[0].decode() if link else "",
        }
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
        self._transport.write(b"250 2.0.0 taken\r\n")
        self.data_received(data[used:])

    def _keep(self, data: bytes) -> None:
        if len(self._kept) < KEPT_BYTES:
            self._kept += data[: KEPT_BYTES - len(self._kept)]


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port, backlog=1000)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
