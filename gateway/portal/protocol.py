"""HTTP connections with bounds that the server's own parser does not have: header size, header time, body rate.

Promises: a header has at most `HEADER_BYTES` and `HEADER_FIELDS` and comes within `HEADER_SECONDS`, a body at
`BODY_BYTES_A_SECOND` or faster; an answer that waits for its reader is taken on at least once in `STALL_SECONDS`; who
does not keep to it is cut off.
RFC 9110 15.5.9; RFC 6585 5.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.portal.crowd import Crowd

HEADER_BYTES, HEADER_FIELDS = 16_384, 100
HEADER_SECONDS = BODY_GRACE_SECONDS = 15.0
BODY_BYTES_A_SECOND = 1024
STALL_SECONDS = 90.0
UNSENT_BYTES = 131_072
"""What the kernel takes beyond what is on its way: without a bound it takes megabytes, and a reader that goes on slowly
looks for minutes like one that stopped. With it, 1.5 KB/s are enough."""
_TOO_MUCH = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\ncache-control: no-store\r\n"
    b"connection: close\r\n\r\n"
)


class TooMuch(Exception):
    """A header beyond the bounds; raised through the parser, which then stops."""


class Bounded(HttpToolsProtocol):
    """One connection after the handshake; `crowd` and `name` are set by who accepted it, and count it out."""

    crowd: Crowd
    name: str
    begun = False
    _fields = 0
    _bytes = 0
    _fed = 0
    _too_much = False
    _phase = "header"  # header, body, or rest: an answer is under way, or the next request is waited for
    _since = 0.0
    _body = 0
    _waiting = 0
    _moved = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._moved = self.loop.time()
        self.begun = True
        self._since = self.loop.time()
        self.crowd.guests.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.crowd.guests.discard(self)
        self.crowd.leave(self.name)

    def data_received(self, data: bytes) -> None:
        if self._too_much:
            return
        if self._phase == "rest":  # empty lines before a request are a request that does not come, too
            self._phase, self._since, self._fed = "header", self.loop.time(), 0
        before = self._phase
        super().data_received(data)
        if before == "header" and self._phase == "header" and not self._too_much:
            self._fed += len(data)
            if self._fed > HEADER_BYTES:
                self._too_much = True
                self.send_400_response("")

    def send_400_response(self, msg: str) -> None:
        if not self._too_much:
            super().send_400_response(msg)
        elif not self.transport.is_closing():
            self.transport.write(_TOO_MUCH)
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._fields = self._bytes = self._fed = 0
        if self._phase != "header":
            self._phase, self._since = "header", self.loop.time()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._bytes += size
        if self._bytes > HEADER_BYTES or self._fields > HEADER_FIELDS:
            self._too_much = True
            raise TooMuch

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._phase, self._since, self._body = "body", self.loop.time(), 0

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._phase, self._fed = "rest", 0
        super().on_message_complete()

    def late(self, now: float) -> bool:
        """Whether the header, or the body for its length, takes too long, or nobody reads the answer."""
        if self._stalled(now):
            return True
        if self._phase == "rest":
            return False
        if self._phase == "body":
            if self.flow.read_paused:  # what came is still being taken in
                self._since = now - self._body / BODY_BYTES_A_SECOND
                return False
            return now - self._since > BODY_GRACE_SECONDS + self._body / BODY_BYTES_A_SECOND
        if self.cycle is not None and not self.cycle.response_complete:
            self._since = now  # the answer before is still being read
            return False
        return now - self._since > HEADER_SECONDS

    def _stalled(self, now: float) -> bool:
        """What waits for the reader is the same number of bytes as long ago; it is looked at once a second.

        Under TLS the last piece handed over is not seen: a page that nobody reads waits for the time-out between
        requests, a download for the piece after.
        """
        waiting = self.transport.get_write_buffer_size()
        if waiting == 0 or waiting != self._waiting:
            self._waiting, self._moved = waiting, now
        return now - self._moved > STALL_SECONDS

    def cut(self) -> None:
        """End it without a word: whoever is this slow would not read one."""
        self.transport.abort()
