"""Parser children and the process that forks them, as the gateway sees them (`parser.py` is their own side).

Promises: a child that is gone, silent or wrong raises ChildFailed and nothing else; what it says is taken only in the
right shape and of its own part. One `Child` is for one message and one thread; a `Forker` is safe from many threads.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

from gateway.detect.model import Extracted, Format, Inner, PartInput, Text, Unread

START_SECONDS = 60.0
ANSWER_BYTES = 96 * 1024 * 1024


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

    def parse(self, part: PartInput, wall_seconds: float, cpu_seconds: float) -> Extracted:
        """One job. Raises ChildFailed; the child is of no use afterwards."""
        until = time.monotonic() + wall_seconds
        head = json.dumps(
            {
                "part": part.part,
                "place": part.place,
                "content_type": part.content_type,
                "filename": part.filename,
                "charset": part.charset,
                "size": len(part.data),
                "seconds": cpu_seconds,
            }
        ).encode("ascii")
        try:
            self._socket.settimeout(wall_seconds)
            self._socket.sendall(struct.pack(">I", len(head)) + head)
            self._socket.settimeout(max(0.01, until - time.monotonic()))
            self._socket.sendall(part.data)
        except TimeoutError:
            raise ChildFailed("took too long") from None
        except OSError:
            raise ChildFailed("the parser crashed") from None
        return from_wire(self._answer(until), part)

    def _answer(self, until: float) -> bytes:
        (length,) = struct.unpack(">I", self._exactly(4, until))
        if length > ANSWER_BYTES:
            raise ChildFailed("over limits")
        return self._exactly(length, until)

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
    if not _apart(found.inner, len(part.data)) or any(
        one != part.part and not one.startswith(part.part + "/") for one in named
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
