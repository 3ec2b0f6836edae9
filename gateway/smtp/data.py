"""The bytes of a message as they arrive: where it ends, what is stuffed, bare newlines, Received fields.

Pure. Works on chunks of any size and cut: no line is ever looked at alone, so cost is per byte, not per line.
Clauses: RFC 5321 2.3.8 (only CRLF ends a line), 4.1.1.4 (end of data), 4.5.2 (transparency), 6.3 (loops).
"""

from __future__ import annotations

import re

from gateway.mail.columns import columns
from gateway.mail.trace import TRACE

_END = b"\r\n.\r\n"
_STUFFED = b"\r\n."
_NOT_NEWLINES = bytes(byte for byte in range(256) if byte not in b"\r\n")
_ANY_NEWLINE = re.compile(rb"\r\n|\r|\n")
_NULS = re.compile(rb"\0+")
_HIDDEN_END = re.compile(rb"\n\0+\.\0*\r?\n")
_HIDDEN_BEGUN = re.compile(rb"\n\0+(?:\.\0*)?\r?\Z")
_AFTER_A_NAME = (b":", b" ", b"\t")
_DOT = 46
MAX_HEADER_BYTES = 1 << 20


class DotReader:
    """Finds CRLF.CRLF over chunk borders and takes off the stuffed dots.

    The stream is read as if a CRLF stood before it: a dot on the first line needs no case of its own. `paired` tells
    of what `feed` gave last that all its CR and LF were seen to stand in CRLFs; where it is false nothing is known.
    """

    __slots__ = ("_ahead", "_held", "paired")

    def __init__(self) -> None:
        self._held = b"\r\n"
        self._ahead = 2  # bytes of that CRLF that have not come out yet
        self.paired = False

    def feed(self, chunk: bytes) -> tuple[bytes, bytes | None]:
        """The message's next bytes, and what follows the end of data, or None while the end has not come.

        What comes out never ends between CR and LF, nor before a dot that the next chunk may prove stuffed.
        """
        buffer = self._held + chunk if self._held else chunk
        self.paired = False
        if not self._ahead:
            keep = _prefix_of_end(buffer)
            body = buffer[: len(buffer) - keep] if keep else buffer
            even = columns(body)
            # The end, whole or cut, and a stuffed dot make a line begin with a dot, this side of what is held back.
            if even is not None and _DOT not in even.leads:
                self.paired = True
                self._held = buffer[len(buffer) - keep :] if keep else b""
                return body, None
        rest: bytes | None = None
        dotted = _STUFFED in buffer  # both the end and a stuffed dot begin so; most chunks have neither
        if dotted:
            end = buffer.find(_END)
            if end >= 0:
                rest = buffer[end + 5 :]
                buffer = buffer[: end + 2]
        if rest is None:
            keep = _prefix_of_end(buffer)
            self._held = buffer[len(buffer) - keep :]
            buffer = buffer[: len(buffer) - keep]
        if dotted:
            buffer = buffer.replace(_STUFFED, b"\r\n")
        if self._ahead:
            cut = min(self._ahead, len(buffer))
            self._ahead -= cut
            buffer = buffer[cut:]
        return buffer, rest


def _prefix_of_end(buffer: bytes) -> int:
    """Length of the longest end of `buffer` that could be the beginning of CRLF.CRLF."""
    for length in (4, 3, 2, 1):
        if buffer.endswith(_END[:length]):
            return length
    return 0


class Newlines:
    """Notices CR without LF and LF without CR; with `normalize` it makes each of them CRLF.

    A CR at the end of a chunk is held back until the next one, or `finish`, shows what it is.
    """

    __slots__ = ("_held", "_normalize", "bare")

    def __init__(self, *, normalize: bool) -> None:
        self._normalize = normalize
        self._held = b""
        self.bare = False

    def feed(self, data: bytes, *, paired: bool = False) -> bytes:
        """The bytes to keep. Without `normalize` they are the given ones, and `bare` tells.

        `paired`: it is known that every CR and LF in them stands in a CRLF.
        """
        if paired and not self._held:
            return data
        if self._held:
            data = self._held + data
            self._held = b""
        if data.endswith(b"\r"):
            self._held, data = b"\r", data[:-1]
        return self._check(data)

    def finish(self) -> bytes:
        """What was held back at the end of the message."""
        data, self._held = self._held, b""
        return self._check(data) if data else data

    def _check(self, data: bytes) -> bytes:
        if columns(data) is not None:
            return data
        # Each CRLF uses up one CR and one LF; if that leaves none over, every one of them stood in a CRLF.
        if len(data.translate(None, _NOT_NEWLINES)) == 2 * data.count(b"\r\n"):
            return data
        self.bare = True
        return _ANY_NEWLINE.sub(b"\r\n", data) if self._normalize else data


class HiddenEnd:
    """Notices a line that is nothing but a dot with NULs before it.

    No end of data, and no stuffed dot either; but a server that drops NULs before it looks for the end would find one
    there (RFC 5321 4.1.1.4; RFC 5322 3.5 lets no mail hold NUL). Cost for mail without NUL: one search of each chunk.
    """

    __slots__ = ("_held", "found")

    def __init__(self) -> None:
        self._held = b"\n"  # what came last, as far as such a line may have begun there
        self.found = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the message."""
        if not data:
            return
        if b"\0" not in data and len(self._held) == 1:
            self._held = data[-1:]
            return
        buffer = self._held + data
        self.found = self.found or _HIDDEN_END.search(buffer) is not None
        begun = _HIDDEN_BEGUN.search(buffer, buffer.rfind(b"\n"))
        # One NUL says as much as a million of them.
        self._held = _NULS.sub(b"\0", begun[0]) if begun else buffer[-1:]

    def finish(self) -> None:
        """The message has ended; the courier will end its last line."""
        self.feed(b"\n")


class HopCount:
    """Counts Received fields, and our own trace fields, in the header as it passes by; looks at no more than its first
    mebibyte, and keeps none of it: whoever sends headers without an end must not hold memory with them.
    """

    __slots__ = ("_held", "_left", "count", "own")

    def __init__(self) -> None:
        self._held = b"\r\n"  # the end of what was seen; a header may be empty, and its first line is one too
        self._left = MAX_HEADER_BYTES
        self.count = 0
        self.own = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the message."""
        if self._left <= 0 or not data:
            return
        piece = data[: self._left] if len(data) > self._left else data
        self._left -= len(piece)
        # A blank line may begin in what came before: its last three bytes are looked at again.
        before = self._held[-3:]
        end = (before + piece).find(b"\r\n\r\n")
        if end >= 0:
            piece = piece[: max(0, end - len(before) + 2)]
            self._left = 0
        low = piece.lower()
        self.count += _fields(self._held, low, b"\nreceived")
        self.own += _fields(self._held, low, _OWN)
        self._held = (self._held + low)[-_LONGEST:]

    def finish(self) -> None:
        """The message has ended, perhaps inside its header."""
        self._left = 0


_OWN = b"\n" + TRACE.lower().encode()
_LONGEST = len(_OWN)


def _fields(held: bytes, low: bytes, name: bytes) -> int:
    """How many fields of that name end in `low`, before which came `held`; of that only what one of them could begin in
    is looked at, so that none is counted twice.
    """
    text = held[-len(name) :] + low
    return sum(text.count(name + after) for after in _AFTER_A_NAME)
