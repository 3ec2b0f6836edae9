"""The transparency of DATA: leading dots doubled, the end marked, whatever the borders of the chunks (RFC 5321 4.5.2).

Promises: the output of a message is the same for every way of cutting it into chunks. A CR or LF on its own is refused
(RFC 5321 2.3.8): passed on, it could end the message early at the next server.
"""

from __future__ import annotations


class BareNewline(ValueError):
    """A CR without LF or a LF without CR."""


class DotStuffer:
    """One message on its way into DATA."""

    def __init__(self) -> None:
        self._line_start = True
        self._carry = b""  # a CR at the end of a chunk waits for its LF

    def feed(self, chunk: bytes) -> bytes:
        """What to send for this chunk. Raises BareNewline."""
        data = self._carry + chunk
        self._carry = b""
        if data.endswith(b"\r"):
            data, self._carry = data[:-1], b"\r"
        if not data:
            return b""
        pairs = data.count(b"\r\n")
        if data.count(b"\n") != pairs or data.count(b"\r") != pairs:
            raise BareNewline
        stuffed = data.replace(b"\r\n.", b"\r\n..")
        if self._line_start and stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        self._line_start = data.endswith(b"\r\n")
        return stuffed

    def finish(self) -> bytes:
        """The end of the last line, if it lacks one, and the end of data. Raises BareNewline."""
        if self._carry:
            raise BareNewline
        return b".\r\n" if self._line_start else b"\r\n.\r\n"
