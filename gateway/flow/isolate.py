"""Step 5 of an outgoing message: assess its parts; foreign binary formats are parsed in confined children.

Promises: plain text and HTML of modest size are read here, everything else by a child with limits (`confine.py`); a
crash, a time-out or an answer out of order makes that part unread and costs one child, nothing more. Safe from many
threads. Children start on first need, are renewed after `JOBS_PER_CHILD` jobs and end with `close`.
"""

from __future__ import annotations

import json
import os
import queue
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from gateway.detect.assess import assess_texts
from gateway.detect.extract import extract_here
from gateway.detect.model import Assessment, Extracted, Format, PartInput, Text, Unread
from gateway.flow.parser import MEMORY_BYTES
from gateway.logs import Log

HERE_BYTES = 262_144
"""Text up to this size is read in this process."""

JOBS_PER_CHILD = 200
ANSWER_BYTES = 96 * 1024 * 1024
_log = Log(__name__)


class ChildFailed(Exception):
    """The child is gone or did not answer in time; `reason` in machine words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Child:
    """One parser process and the socket to it."""

    def __init__(self, memory_bytes: int) -> None:
        ours, theirs = socket.socketpair()
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
        finally:
            theirs.close()
        self._socket = ours
        self.jobs = 0
        try:
            self.holds: dict[str, bool] = json.loads(self._answer(time.monotonic() + 60.0))
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
        self.jobs += 1
        return _from_wire(self._answer(until), part)

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
        self._process.kill()
        self._process.wait()


def _from_wire(answer: bytes, part: PartInput) -> Extracted:
    """What the child said, as far as it has the right shape and speaks of its own part."""
    try:
        data = json.loads(answer)
        found = Extracted(
            tuple(Text(str(one[0]), str(one[1]), str(one[2])) for one in data["texts"]),
            tuple(Unread(str(one[0]), str(one[1]), str(one[2])) for one in data["unread"]),
            tuple(Format(str(one[0]), str(one[1]), str(one[2])) for one in data["formats"]),
        )
    except (ValueError, KeyError, IndexError, TypeError):
        raise ChildFailed("the parser answered wrongly") from None
    named = {one.part for one in found.texts} | {one.part for one in found.unread} | {one.part for one in found.formats}
    if any(one != part.part and not one.startswith(part.part + "/") for one in named):
        raise ChildFailed("the parser answered wrongly")
    return found


def _judged(read: Sequence[tuple[PartInput, Extracted]], unread: Sequence[Unread]) -> Assessment:
    """The assessment of a message from what its parts gave."""
    texts: list[Text] = []
    gone: list[Unread] = []
    formats: list[Format] = []
    for part, found in read:
        texts += found.texts
        gone += found.unread
        formats += found.formats
        if not (found.texts or found.unread or found.formats):
            texts.append(Text(part.part, part.place, ""))  # read, and empty: it gets its verdict too
    return assess_texts(texts, [*gone, *unread], formats)


class Isolated:
    """The pool of parser children, and the way from parts to an assessment."""

    def __init__(
        self,
        *,
        children: int = 2,
        wall_seconds: float = 30.0,
        cpu_seconds: float = 20.0,
        memory_bytes: int = MEMORY_BYTES,
        here_bytes: int = HERE_BYTES,
    ) -> None:
        self._seats: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(children):
            self._seats.put(None)
        self._wall_seconds, self._cpu_seconds, self._memory_bytes, self._here_bytes = (
            wall_seconds,
            cpu_seconds,
            memory_bytes,
            here_bytes,
        )
        self._lock = threading.Lock()
        self._count, self._closed, self._pid = children, False, os.getpid()
        self.kills = 0
        """Children ended for a crash, a time-out or a wrong answer, since start."""

    def assess(self, parts: Sequence[PartInput], unread: Sequence[Unread] = ()) -> Assessment:
        """Judge a message by its parts. Never raises for what a part holds."""
        return _judged([(part, self.extract(part)) for part in parts], unread)

    def assess_here(self, parts: Sequence[PartInput], unread: Sequence[Unread] = ()) -> Assessment | None:
        """As `assess` for a message that needs no child; None for one that does, and nothing slow was done then."""
        read: list[tuple[PartInput, Extracted]] = []
        for part in parts:
            found = extract_here(part, self._here_bytes)
            if found is None:
                return None
            read.append((part, found))
        return _judged(read, unread)

    def extract(self, part: PartInput) -> Extracted:
        """The text of one part, here or in a child."""
        found = extract_here(part, self._here_bytes)
        if found is not None:
            return found
        try:
            return self._in_child(part)
        except ChildFailed as failure:
            _log.warning("part:unread", reason=failure.reason, bytes=len(part.data))
            from gateway.detect.extract import name_text

            return Extracted(name_text(part), (Unread(part.part, part.place, failure.reason),))

    def confinement(self) -> dict[str, bool]:
        """Which confinements hold in the children of this machine; starts one to see. All False when none starts."""
        try:
            child = self._take()
        except ChildFailed:
            return {"limits": False, "network": False, "files": False}
        self._seats.put(child)
        return dict(child.holds)

    def close(self) -> None:
        """End all children. Waits for jobs under way."""
        self._closed = True
        for _ in range(self._count):
            child = self._seats.get()
            if child is not None:
                child.kill()
        for _ in range(self._count):
            self._seats.put(None)

    def __enter__(self) -> Isolated:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self) -> _Child:
        if self._closed:
            raise ChildFailed("closed")
        try:
            child = self._seats.get(timeout=2 * self._wall_seconds)
        except queue.Empty:
            raise ChildFailed("took too long") from None
        if child is not None:
            return child
        try:
            return _Child(self._memory_bytes)
        except (ChildFailed, OSError) as failure:
            self._seats.put(None)
            raise ChildFailed("the parser did not start") from failure

    def _in_child(self, part: PartInput) -> Extracted:
        child = self._take()
        kept: _Child | None = None
        try:
            found = child.parse(part, self._wall_seconds, self._cpu_seconds)
            kept = child if child.jobs < JOBS_PER_CHILD else None
            return found
        except ChildFailed:
            with self._lock:
                self.kills += 1
            raise
        finally:
            if kept is None:
                child.kill()
            self._seats.put(kept)
