"""ClamAV's daemon as a scanner: INSTREAM over a Unix or TCP socket, one connection for each stream.

Promises: bytes go to that address alone and nothing is written to a disk here; an answer that is not exactly "OK" or
"FOUND" for the whole stream is `Unscanned`. What clamd names "Heuristics.Limits.Exceeded…" or "…Encrypted…" says that
it could not look, not that it found something.
Clauses: clamd(8), "INSTREAM" and "VERSION".
"""

from __future__ import annotations

import re
import socket
import struct
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.scan.port import Clean, Infected, Unscanned, Verdict

PIECE_BYTES = 262_144
_ANSWER_BYTES = 4096
_FOUND = re.compile(rb"stream: ([\x21-\x7e]{1,400}?)(?:\([0-9a-f:]+\))? FOUND\Z")
_VERSION = re.compile(r"ClamAV ([0-9.]+)[^/]*/(\d+)/\w{3} (\w{3} +\d+ [\d:]{8} \d{4})\Z")
_COULD_NOT_LOOK = (("Heuristics.Limits.Exceeded", "over limits"), ("Heuristics.Encrypted", "encrypted"))


@dataclass(frozen=True, slots=True)
class Signatures:
    """What clamd says of itself: its version, the number of its daily signatures and when those were made.

    `number` is 0 and `made_at` None for a daemon with signatures of its own alone.
    """

    version: str
    number: int
    made_at: datetime | None


class _TooLarge(Exception):
    """The stream is longer than we let clamd see."""


class Clamd:
    """See the module's words. `address` is "host:port" or "unix:/path"."""

    def __init__(self, address: str, *, max_bytes: int, timeout_seconds: float) -> None:
        self._address = address
        self._max_bytes = max_bytes
        self._timeout_seconds = timeout_seconds

    def scan(self, chunks: Iterable[bytes], until: float) -> Verdict:
        """As the port says."""
        until = min(until, time.monotonic() + self._timeout_seconds)
        pieces = iter(chunks)
        try:
            with closing(self._connected(until)) as line:
                return _verdict(self._streamed(line, pieces, until))
        except _TooLarge:
            return Unscanned("too large")
        except TimeoutError:
            return Unscanned("took too long")
        except OSError:
            return Unscanned("scanner down")

    def signatures(self) -> Signatures:
        """Raises OSError when there is no answer, ValueError for one that is not clamd's."""
        until = time.monotonic() + min(self._timeout_seconds, 5.0)
        with closing(self._connected(until)) as line:
            line.sendall(b"zVERSION\0")
            answer = _answer(line, until).decode("ascii", "replace").strip()
        found = _VERSION.match(answer)
        if found is None:
            plain = re.match(r"ClamAV ([0-9.]+)", answer)
            if plain is None:
                raise ValueError("no answer of clamd's")
            return Signatures(plain[1], 0, None)
        made = datetime.strptime(re.sub(" +", " ", found[3]), "%b %d %H:%M:%S %Y").replace(tzinfo=UTC)
        return Signatures(found[1], int(found[2]), made)

    def takes(self, count: int) -> bool:
        """Whether it takes a stream of so many bytes; given up before its end, so that nothing is looked at.

        Raises OSError when there is no answer.
        """
        until = time.monotonic() + self._timeout_seconds
        with closing(self._connected(until)) as line:
            line.sendall(b"zINSTREAM\0")
            piece = bytes(PIECE_BYTES)
            try:
                for at in range(0, count, PIECE_BYTES):
                    line.settimeout(_left(until))
                    size = min(PIECE_BYTES, count - at)
                    line.sendall(struct.pack(">I", size) + piece[:size])
                line.shutdown(socket.SHUT_WR)
                return b"size limit exceeded" not in _answer(line, until)
            except (BrokenPipeError, ConnectionResetError):
                return False

    def _connected(self, until: float) -> socket.socket:
        if self._address.startswith("unix:"):
            line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                line.settimeout(_left(until))
                line.connect(self._address.removeprefix("unix:"))
            except BaseException:
                line.close()
                raise
            return line
        host, _, port = self._address.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), _left(until))

    def _streamed(self, line: socket.socket, pieces: Iterable[bytes], until: float) -> bytes:
        line.sendall(b"zINSTREAM\0")
        count = 0
        for chunk in pieces:
            count += len(chunk)
            if count > self._max_bytes:
                raise _TooLarge
            for at in range(0, len(chunk), PIECE_BYTES):
                piece = chunk[at : at + PIECE_BYTES]
                line.settimeout(_left(until))
                try:
                    line.sendall(struct.pack(">I", len(piece)) + piece)
                except (BrokenPipeError, ConnectionResetError):
                    return _answer(line, until)  # its own limit is lower than ours, and it says so before it hangs up
        line.sendall(struct.pack(">I", 0))
        return _answer(line, until)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _answer(line: socket.socket, until: float) -> bytes:
    answer = b""
    while b"\0" not in answer and len(answer) < _ANSWER_BYTES:
        line.settimeout(_left(until))
        piece = line.recv(_ANSWER_BYTES)
        if not piece:
            break
        answer += piece
    return answer.partition(b"\0")[0]


def _verdict(answer: bytes) -> Verdict:
    if answer == b"stream: OK":
        return Clean()
    found = _FOUND.match(answer)
    if found is None:
        return Unscanned("too large" if b"size limit exceeded" in answer else "scanner failed")
    name = found[1].decode("ascii")[:100]
    for beginning, reason in _COULD_NOT_LOOK:
        if name.startswith(beginning):
            return Unscanned(reason)
    return Infected(name)
