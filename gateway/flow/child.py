"""Parser children and the process that forks them, as the gateway sees them (`parser.py` is their own side).

Promises: a child that is gone, silent or wrong raises ChildFailed and nothing else; what it says is taken only in the
right shape and of its own part. One `Child` is for one message and one thread; a `Forker` is safe from many threads.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gateway.detect.model import Extracted, Format, Inner, PartInput, Text, Unread
from gateway.flow.plausible import ours

START_SECONDS = 60.0
ANSWER_BYTES = 96 * 1024 * 1024
AHEAD = 1 << 31
"""This bit in a frame's length: a text that will stand in the answer too, told as soon as it was read."""

GIVEN_BYTES = 1 << 20
"""A part of this size or more is not sent over the socket: the child reads it from memory that it cannot change."""


_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class ChildFailed(Exception):
    """The child is gone or did not answer in time; `reason` in machine words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Forker:
    """The process that forks children; it never sees a byte of a message. Safe from many threads."""

    def __init__(self, memory_bytes: int) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(START_SECONDS)
        root = str(Path(__file__).resolve().parents[2])
        try:
            self._process = subprocess.Popen(  # our own interpreter and module
                [sys.executable, "-s", "-m", "gateway.flow.parser", str(theirs.fileno()), str(memory_bytes)],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"PYTHONPATH": root, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
                cwd="/",
                start_new_session=True,
            )
        except BaseException:
            self._control.close()
            raise
        finally:
            theirs.close()

    def fork(self, theirs: socket.socket) -> int:
        """A child on that socket; its number. Raises OSError when the process is gone."""
        with self._lock:
            socket.send_fds(self._control, [b"child"], [theirs.fileno()])
            answer = self._control.recv(4)
        if len(answer) != 4:
            raise ConnectionError("the parser is gone")
        return int(struct.unpack(">I", answer)[0])

    def end(self, number: int) -> None:
        """End that child now; when the process is gone, so are its children."""
        with contextlib.suppress(OSError), self._lock:
            self._control.send(struct.pack(">I", number))

    def close(self) -> None:
        """End it and every child."""
        self._control.close()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Child:
    """One forked parser, for the parts of one message, and the socket to it."""

    def __init__(self, forker: Forker) -> None:
        self._socket, theirs = socket.socketpair()
        self._forker = forker
        try:
            self.number = forker.fork(theirs)
        except BaseException:
            self._socket.close()
            raise
        finally:
            theirs.close()
        try:
            self.holds: dict[str, bool] = json.loads(self._answer(time.monotonic() + START_SECONDS))
        except (ChildFailed, ValueError):
            self.kill()
            raise ChildFailed("the parser did not start") from None

    def parse(
        self, part: PartInput, wall_seconds: float, cpu_seconds: float, hear: Callable[[str], None] | None = None
    ) -> Extracted:
        """One job. Raises ChildFailed; the child is of no use afterwards.

        `hear` is given texts that the child read, before the answer is there and for what it is worth: the answer alone
        counts. The time that `hear` takes is not the child's.
        """
        until = time.monotonic() + wall_seconds
        given = len(part.data) >= GIVEN_BYTES
        head = json.dumps(
            {
                "part": part.part,
                "place": part.place,
                "content_type": part.content_type,
                "filename": part.filename,
                "charset": part.charset,
                "size": len(part.data),
                "given": given,
                "seconds": cpu_seconds,
            }
        ).encode("ascii")
        try:
            self._socket.settimeout(wall_seconds)
            self._socket.sendall(struct.pack(">I", len(head)) + head)
            self._socket.settimeout(max(0.01, until - time.monotonic()))
            if given:
                self._give(part.data)
            else:
                self._socket.sendall(part.data)
        except TimeoutError:
            raise ChildFailed("took too long") from None
        except OSError:
            raise ChildFailed("the parser crashed") from None
        return from_wire(self._answer(until, hear), part)

    def fresh(self) -> bool:
        """Whether it still waits for its first job."""
        try:
            self._socket.settimeout(0.0)
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False  # it said something unasked, or it is gone

    def _give(self, data: bytes) -> None:
        """Memory with these bytes that nobody can change any more, by its descriptor. Raises OSError."""
        descriptor = os.memfd_create("part", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with memoryview(data) as view:
                at = 0
                while at < len(data):
                    at += os.write(descriptor, view[at:])
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            socket.send_fds(self._socket, [b"\0"], [descriptor])
        finally:
            os.close(descriptor)

    def _answer(self, until: float, hear: Callable[[str], None] | None = None) -> bytes:
        left = ANSWER_BYTES
        while True:
            (length,) = struct.unpack(">I", self._exactly(4, until))
            ahead, length = bool(length & AHEAD), length & ~AHEAD
            left -= length
            if left < 0:
                raise ChildFailed("over limits")
            said = self._exactly(length, until)
            if not ahead:
                return said
            if hear is not None:
                began = time.monotonic()
                hear(said.decode("utf-8", "replace"))
                until += time.monotonic() - began

    def _exactly(self, count: int, until: float) -> bytes:
        pieces = bytearray()
        while len(pieces) < count:
            left = until - time.monotonic()
            if left <= 0:
                raise ChildFailed("took too long")
            self._socket.settimeout(left)
            try:
                piece = self._socket.recv(min(1_048_576, count - len(pieces)))
            except TimeoutError:
                raise ChildFailed("took too long") from None
            except OSError:
                raise ChildFailed("the parser crashed") from None
            if not piece:
                raise ChildFailed("the parser crashed")
            pieces += piece
        return bytes(pieces)

    def kill(self) -> None:
        """End it now."""
        self._socket.close()
        self._forker.end(self.number)


def from_wire(answer: bytes, part: PartInput) -> Extracted:
    """What the child said, as far as it has the right shape and speaks of its own part."""
    try:
        data = json.loads(answer)
        found = Extracted(
            tuple(Text(str(one[0]), str(one[1]), str(one[2])) for one in data["texts"]),
            tuple(Unread(str(one[0]), str(one[1]), str(one[2])) for one in data["unread"]),
            tuple(Format(str(one[0]), str(one[1]), str(one[2])) for one in data["formats"]),
            tuple(
                Inner(str(one[0]), str(one[1]), str(one[2]), int(one[3]), int(one[4]), str(one[5]))
                for one in data["inner"]
            ),
        )
    except (ValueError, KeyError, IndexError, TypeError):
        raise ChildFailed("the parser answered wrongly") from None
    named = {one.part for one in found.texts} | {one.part for one in found.unread}
    named |= {one.part for one in found.formats} | {one.part for one in found.inner}
    if (
        not ours(part, found)
        or not _apart(found.inner, len(part.data))
        or any(one != part.part and not one.startswith(part.part + "/") for one in named)
    ):
        raise ChildFailed("the parser answered wrongly")
    return found


def _apart(inner: tuple[Inner, ...], size_bytes: int) -> bool:
    """Whether these lie in the part, none in another: what is sealed of a part can never be more than the part."""
    at = 0
    for start, stop in sorted((one.start, one.stop) for one in inner if (one.start, one.stop) != (0, 0)):
        if not at <= start <= stop <= size_bytes:
            return False
        at = stop
    return True
