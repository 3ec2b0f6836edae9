"""The scanner: one streaming pass over a message that records where every part begins and ends.

Promises: no exception on any bytes; the same result however the message is cut into chunks; memory bounded by one
chunk and the header limit, whatever the size of the message; time linear in it. Delimiter lines are searched for,
body lines are not looked at one by one. A line that merely begins like a delimiter is none (and flagged), since
readers differ on it. RFC 2046 5.1.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from gateway.mail.columns import columns
from gateway.mail.entity import Entity
from gateway.mail.model import Message
from gateway.mail.source import Source

_BLANK = re.compile(rb"\n\r?\n")
_NOT_LINE = bytes(byte for byte in range(256) if byte not in b"\0\r\n")
_LINE_MAX = 1000
_MISSES_MAX = 64
_DASH = 45


@dataclass(frozen=True, slots=True)
class Limits:
    """How much structure is read; beyond, the message is flagged `limit` and the rest is opaque."""

    depth: int = 20
    parts: int = 10_000
    header_bytes: int = 1_048_576


class _Hit(NamedTuple):
    """A delimiter line in the buffer: where its line end before it, itself and its own end lie, and whose it is."""

    before: int
    line: int
    stop: int
    owner: Entity
    closing: bool


_MORE = "more"


class Scanner:
    """Feed the message in order, then close."""

    def __init__(self, limits: Limits = Limits()) -> None:
        self._limits = limits
        self._buffer = b""
        self._base = 0  # offset in the message of the buffer's first byte
        self._at = 0  # offset from where the current state goes on
        self._mode = "header"
        root = Entity((), 0, 0)
        self._stack: list[Entity] = [root]
        self._boundaries: list[Entity] = []
        self._needle = b""
        self._longest = 0
        self._misses = 0
        self._pattern: re.Pattern[bytes] | None = None
        self._header_bytes = 0
        self._searched = 0  # before this offset no blank line begins
        self._parts = 1
        self._message: Message | None = None
        self._defects: set[str] = set()
        self._pairs = self._line_feeds = self._returns = 0
        self._after_cr = False
        self._eight_bit = False
        self._first_newline = b""
        self._size = 0
        self._sought = 0  # how far into the buffer a delimiter can begin, where that is known; else 0

    def feed(self, chunk: bytes) -> None:
        """The next bytes of the message, of any length."""
        if not chunk:
            return
        self._size += len(chunk)
        dashes = self._watch(chunk)
        if self._mode == "rest":
            return
        # Where no line of the chunk begins with a dash, only what was kept from before can begin a delimiter.
        kept = len(self._buffer)
        self._sought = 0 if dashes else max(1, kept)
        self._buffer = self._buffer + chunk if self._buffer else chunk
        self._run(last=False)
        self._sought = 0

    def close(self) -> Message:
        """The message is complete: its structure."""
        if self._message is None:
            if self._mode != "rest":
                self._run(last=True)
            while len(self._stack) > 1:
                self._pop(self._size)
            if self._returns > self._pairs:
                self._defects.add("bare-cr")
            if self._line_feeds > self._pairs:
                self._defects.add("mixed-newlines" if self._pairs else "bare-lf")
            newline = self._first_newline or b"\r\n"
            root = self._stack[0].freeze(self._size)
            self._message = Message(root, self._size, tuple(sorted(self._defects)), self._eight_bit, newline)
        return self._message

    def _watch(self, chunk: bytes) -> bool:
        """Count line ends, and notice NUL and 8-bit bytes, without a Python turn per line.

        Whether a line that begins in this chunk may begin with a dash.
        """
        if not self._eight_bit and not chunk.isascii():
            self._eight_bit = True
        even = columns(chunk) if self._first_newline and not self._after_cr else None
        if even is not None:
            self._line_feeds += even.count
            self._returns += even.count
            self._pairs += even.count
            if b"\0" in chunk:
                self._defects.add("nul")
            return _DASH in even.leads
        lines = chunk.translate(None, _NOT_LINE)
        self._line_feeds += lines.count(b"\n")
        self._returns += lines.count(b"\r")
        self._pairs += chunk.count(b"\r\n")
        if self._after_cr and chunk[0] == 10:
            self._pairs += 1
        if not self._first_newline:
            at = chunk.find(b"\n")
            if at >= 0:
                paired = chunk[at - 1] == 13 if at else self._after_cr
                self._first_newline = b"\r\n" if paired else b"\n"
        self._after_cr = chunk[-1] == 13
        if b"\0" in lines:
            self._defects.add("nul")
        return True

    def _run(self, last: bool) -> None:
        while True:
            if self._mode == "header":
                going = self._header(last)
            elif self._mode == "body":
                going = self._body(last)
            else:
                self._buffer = b""
                return
            if not going:
                break
        # Two bytes before the search position are kept: the line end before a delimiter is part of the delimiter.
        cut = self._at - 2 - self._base
        if cut > 0:
            self._buffer = self._buffer[cut:]
            self._base += cut

    def _header(self, last: bool) -> bool:
        buffer, entity = self._buffer, self._stack[-1]
        start = self._at - self._base
        have = len(buffer) - start
        head = buffer[start : start + 2]
        if not last and head in (b"", b"\r"):
            return False
        blank = None
        if head == b"\r\n" or head[:1] == b"\n":
            header_stop, body_start = start, start + (2 if head == b"\r\n" else 1)
        else:
            blank = self._blank(start)
            header_stop, body_start = (blank.start() + 1, blank.end()) if blank else (len(buffer), len(buffer))
            allowed = start + self._limits.header_bytes - self._header_bytes + 1
            hit = self._find(start - 1, min(header_stop, allowed), last) if self._boundaries else None
            if isinstance(hit, _Hit):
                if self._too_much(hit.line - start):
                    return True
                entity.flags.add("headers-cut")
                # The line end before a delimiter is the delimiter's, also of a header that is cut short by it.
                cut = max(start, hit.before)
                entity.header_stop = entity.body_start = self._base + cut
                entity.read(buffer[start:cut], self._parent())
                if entity.kind == "multipart":
                    # Its own delimiter, to a reader who takes any line that is no field for the end of the header.
                    entity.flags.add("boundary-unused")
                if entity.kind in ("multipart", "message"):
                    entity.kind = "opaque"
                self._delimiter(hit)
                return True
            if not blank and not last:
                # The blank line may have begun with the last two bytes, so they do not count yet.
                return hit is not _MORE and self._too_much(have - 2, final=False)
            if blank is None and entity.path:
                entity.flags.add("headers-cut")
        if self._too_much(header_stop - start):
            return True
        entity.header_stop, entity.body_start = self._base + header_stop, self._base + body_start
        entity.read(buffer[start:header_stop], self._parent())
        self._at = entity.body_start
        self._enter(entity)
        return True

    def _blank(self, start: int) -> re.Match[bytes] | None:
        """The first blank line from there on, with the line end before it.

        Bytes that were searched in vain are not searched again: headers may be many, and none of them ended.
        """
        found = _BLANK.search(self._buffer, max(start, self._searched - self._base))
        # A blank line may begin in the last two bytes; one that was found counts for every header before it.
        self._searched = self._base + (found.start() if found else max(start, len(self._buffer) - 2))
        return found

    def _too_much(self, more_bytes: int, final: bool = True) -> bool:
        """Whether the header limit is passed; then everything after is opaque."""
        if self._header_bytes + more_bytes > self._limits.header_bytes:
            self._give_up()
            return True
        if final:
            self._header_bytes += more_bytes
        return False

    def _give_up(self) -> None:
        self._defects.add("limit")
        self._mode = "rest"

    def _parent(self) -> Entity | None:
        return self._stack[-2] if len(self._stack) > 1 else None

    def _enter(self, entity: Entity) -> None:
        """The header is read: go on with the body, or with the header of the message inside."""
        self._mode = "body"
        if entity.kind in ("multipart", "message") and len(self._stack) > self._limits.depth:
            entity.kind = "opaque"
            entity.flags.add("limit")
        elif entity.kind == "multipart":
            for outer in self._boundaries:
                if entity.boundary.startswith(outer.boundary) or outer.boundary.startswith(entity.boundary):
                    entity.flags.add("boundary-overlap")
            self._boundaries.append(entity)
            self._boundaries_changed()
        elif entity.kind == "message":
            self._push(entity, self._at, self._at)

    def _push(self, parent: Entity, delimiter_start: int, start: int) -> None:
        self._parts += 1
        if self._parts > self._limits.parts:
            self._give_up()
            return
        number = len(parent.children) + 1
        self._stack.append(Entity((*parent.path, number), delimiter_start, start))
        self._at = start
        self._mode = "header"

    def _pop(self, body_stop: int) -> None:
        entity = self._stack.pop()
        if self._boundaries and self._boundaries[-1] is entity:
            self._boundaries.pop()
            self._boundaries_changed()
        self._stack[-1].children.append(entity.freeze(body_stop))

    def _body(self, last: bool) -> bool:
        if not self._boundaries:
            self._at = self._base + len(self._buffer)
            return False
        start = max(0, self._at - 1 - self._base)
        hit = self._find(start, len(self._buffer), last)
        if isinstance(hit, _Hit):
            self._delimiter(hit)
            return True
        return False

    def _find(self, start: int, stop: int, last: bool) -> _Hit | str | None:
        """The first delimiter line whose preceding line end lies in that part of the buffer."""
        buffer = self._buffer
        reach = self._longest + 3
        if self._sought:
            stop = min(stop, self._sought)
        while True:
            if self._pattern is not None:
                match = self._pattern.search(buffer, start, stop + reach)
                found = match.start() if match else -1
            else:
                found = buffer.find(self._needle, start, stop + len(self._needle))
            if found < 0 or found >= stop:
                # What may be the beginning of a delimiter stays in the buffer.
                self._resume(max(start, len(buffer) - reach))
                return None
            hit = self._match(found, last)
            if hit is _MORE:
                self._resume(found)
                return _MORE
            if hit is not None:
                return hit
            start = found + 1
            self._misses += 1
            if self._misses == _MISSES_MAX:
                choices = b"|".join(re.escape(entity.boundary) for entity in reversed(self._boundaries))
                self._pattern = re.compile(rb"\n--(?:" + choices + rb")")

    def _resume(self, index: int) -> None:
        if self._mode == "body":
            self._at = max(self._at, self._base + index + 1)

    def _match(self, found: int, last: bool) -> _Hit | str | None:
        buffer = self._buffer
        text = found + 3
        bound = text + self._longest + _LINE_MAX
        newline = buffer.find(b"\n", found + 1, bound)
        if newline < 0 and not last and len(buffer) < bound:
            return _MORE
        stop = newline + 1 if newline >= 0 else len(buffer)
        whole = newline >= 0 or (last and len(buffer) < bound)
        near: Entity | None = None
        for owner in reversed(self._boundaries):
            if not buffer.startswith(owner.boundary, text):
                continue
            rest = buffer[text + len(owner.boundary) : stop].rstrip(b" \t\r\n") if whole else b"?"
            if rest in (b"", b"--"):
                before = found - 1 if found and buffer[found - 1] == 13 else found
                return _Hit(before, found + 1, stop, owner, rest == b"--")
            near = near or owner
        if near is not None:
            near.flags.add("boundary-prefix")
        return None

    def _delimiter(self, hit: _Hit) -> None:
        owner = hit.owner
        content_stop, line, stop = self._base + hit.before, self._base + hit.line, self._base + hit.stop
        if owner.closed:
            # The epilogue goes on: anything here is hidden by some readers and shown by others.
            owner.flags.add("delimiter-after-close")
            self._mode, self._at = "body", stop
            return
        while self._stack[-1] is not owner:
            self._pop(content_stop)
        if owner.preamble_stop < 0:
            owner.preamble_stop = content_stop
        self._at = stop
        self._mode = "body"
        if hit.closing:
            owner.closed, owner.close_start, owner.close_stop = True, line, stop
        else:
            self._push(owner, line, stop)

    def _boundaries_changed(self) -> None:
        self._misses, self._pattern = 0, None
        names = [entity.boundary for entity in self._boundaries]
        self._longest = max(map(len, names), default=0)
        common = names[0] if names else b""
        for name in names[1:]:
            while not name.startswith(common):
                common = common[:-1]
        self._needle = b"\n--" + common


def scan(source: Source, limits: Limits = Limits()) -> Message:
    """The structure of a whole message, read once from its source."""
    scanner = Scanner(limits)
    for chunk in source.chunks(0, source.size):
        scanner.feed(chunk)
    return scanner.close()
