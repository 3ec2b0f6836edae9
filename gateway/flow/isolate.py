"""Step 5 of an outgoing message: assess its parts; foreign binary formats are parsed in confined children.

Promises: plain text of modest size and small HTML are read here, everything else by a child with limits (`confine.py`);
a crash, a time-out or an answer out of order makes that part unread and costs one child, nothing more. A child serves
one message and no other, so that what takes it over reaches nothing else; an answer that says nothing of a file, or too
little of a text, is no answer. All parts of a message have one budget of time. While a child reads on, what it has
read is looked at here; the assessment is the same as without that. Safe from many threads.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType

from gateway.detect.assess import Ahead, assess_texts
from gateway.detect.extract import extract_here, name_text
from gateway.detect.model import Assessment, Extracted, Format, PartInput, Text, Unread
from gateway.flow.child import Child, ChildFailed, Forker
from gateway.flow.parser import MEMORY_BYTES
from gateway.flow.plausible import fits
from gateway.logs import Log

HERE_BYTES = 262_144
"""Text up to this size is read in this process."""

MESSAGE_SECONDS = 60.0
"""All parts of one message together may take that long to read; what is left then is unread."""

Likely = Callable[[str], None]
_log = Log(__name__)


def _judged(
    read: Sequence[tuple[PartInput, Extracted]], unread: Sequence[Unread], ahead: Ahead | None = None
) -> Assessment:
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
    assessment = assess_texts(texts, [*gone, *unread], formats, ahead)
    inner = tuple(one for _part, each in read for one in each.inner)
    return replace(assessment, inner=inner) if inner else assessment


class _Sitting:
    """One message at the pool: at most one child at a time, begun on first need, and what is left of its time."""

    def __init__(self, pool: Isolated, likely: Likely | None = None) -> None:
        self._pool = pool
        self._likely = likely
        self._left = pool.message_seconds
        self._child: Child | None = None
        self._seated = False
        self.ahead = Ahead()

    def __enter__(self) -> _Sitting:
        return self

    def __exit__(self, *_error: object) -> None:
        self._leave()
        if self._seated:
            self._pool.seats.put(None)
            self._pool.prepare()

    def extract(self, part: PartInput) -> Extracted:
        """The text of one part, here or in the child."""
        began = time.monotonic()
        try:
            if self._left <= 0:
                raise ChildFailed("took too long")
            here = extract_here(part, self._pool.here_bytes)
            if here is not None:
                return here
            began = self._sit(began)
            return self._in_child(part)
        except ChildFailed as failure:
            _log.warning("part:unread", reason=failure.reason, bytes=len(part.data))
            return Extracted(name_text(part), (Unread(part.part, part.place, failure.reason),))
        finally:
            self._left -= time.monotonic() - began

    def holds(self) -> dict[str, bool]:
        """What confines the child. Raises ChildFailed."""
        self._sit(0.0)
        return dict(self._begun().holds)

    def _sit(self, began: float) -> float:
        """Take a seat; waiting for one is not this message's time, so the moment from which its time counts."""
        if self._seated:
            return began
        self._pool.take_seat()
        self._seated = True
        return time.monotonic()

    def _begun(self) -> Child:
        if self._child is None:
            self._child = self._pool.child()
        return self._child

    def _hear(self, part: str, text: str) -> None:
        """Looking is not reading, so this message's time for reading is longer by it."""
        began = time.monotonic()
        self.ahead.look(text)
        if self._likely is not None and self.ahead.likely():
            self._likely(part)
        self._left += time.monotonic() - began

    def _leave(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _in_child(self, part: PartInput) -> Extracted:
        child = self._begun()
        self.ahead.attachment()
        hear = partial(self._hear, part.part)
        try:
            found = child.parse(part, min(self._pool.wall_seconds, self._left), self._pool.cpu_seconds, hear)
            if not fits(part, found):
                raise ChildFailed("the parser answered wrongly")
            return found
        except ChildFailed:
            self._pool.killed()
            self._leave()
            raise


class Isolated:
    """The pool of parser children, and the way from parts to an assessment."""

    def __init__(
        self,
        *,
        children: int = 2,
        wall_seconds: float = 30.0,
        cpu_seconds: float = 20.0,
        message_seconds: float = MESSAGE_SECONDS,
        memory_bytes: int = MEMORY_BYTES,
        here_bytes: int = HERE_BYTES,
        spare: bool = False,
    ) -> None:
        """`spare`: one child more is kept ready, so that nobody waits for its start."""
        self.seats: queue.LifoQueue[None] = queue.LifoQueue()
        for _ in range(children):
            self.seats.put(None)
        self.wall_seconds, self.cpu_seconds, self.message_seconds = wall_seconds, cpu_seconds, message_seconds
        self.here_bytes, self._memory_bytes = here_bytes, memory_bytes
        self._lock = threading.Lock()
        self._forker: Forker | None = None
        self._wants_spare, self._preparing = spare, False
        self._spare: Child | None = None
        self._count, self._closed = children, False
        self.kills = 0
        """Children ended for a crash, a time-out or a wrong answer, since start."""

    def assess(
        self, parts: Sequence[PartInput], unread: Sequence[Unread] = (), likely: Likely | None = None
    ) -> Assessment:
        """Judge a message by its parts. Never raises for what a part holds.

        `likely` hears, once, of a part that a child still reads and that is PHI by what was seen of it so far. That is
        what the child said, and no verdict.
        """
        with _Sitting(self, likely) as sitting:
            return _judged([(part, sitting.extract(part)) for part in parts], unread, sitting.ahead)

    def assess_here(self, parts: Sequence[PartInput], unread: Sequence[Unread] = ()) -> Assessment | None:
        """As `assess` for a message that needs no child and little time; None for one that does, and nothing slow was
        done then.
        """
        read: list[tuple[PartInput, Extracted]] = []
        until = time.monotonic() + self.message_seconds
        for part in parts:
            found = extract_here(part, self.here_bytes) if time.monotonic() < until else None
            if found is None:
                return None
            read.append((part, found))
        return _judged(read, unread)

    def extract(self, part: PartInput) -> Extracted:
        """The text of one part, here or in a child, as if it were a message by itself."""
        with _Sitting(self) as sitting:
            return sitting.extract(part)

    def confinement(self) -> dict[str, bool]:
        """Which confinements hold in the children of this machine; starts one to see. All False when none starts."""
        try:
            with _Sitting(self) as sitting:
                return sitting.holds()
        except ChildFailed:
            return {"limits": False, "network": False, "files": False}

    def close(self) -> None:
        """End all children. Waits for jobs under way."""
        self._closed = True
        for _ in range(self._count):
            self.seats.get()
        with self._lock:
            forker, self._forker = self._forker, None
            spare, self._spare = self._spare, None
        if spare is not None:
            spare.kill()
        if forker is not None:
            forker.close()
        for _ in range(self._count):
            self.seats.put(None)

    def __enter__(self) -> Isolated:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def take_seat(self) -> None:
        """Wait for one of the seats. Raises ChildFailed; who took one puts it back into `seats`."""
        if self._closed:
            raise ChildFailed("closed")
        try:
            self.seats.get(timeout=2 * max(self.wall_seconds, self.message_seconds))
        except queue.Empty:
            raise ChildFailed("took too long") from None

    def child(self) -> Child:
        """A fresh child, for whoever has a seat. Raises ChildFailed."""
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None:
            if spare.fresh():
                return spare
            spare.kill()
        return self._born()

    def prepare(self) -> None:
        """Have a child made ready for the next message, beside what goes on."""
        with self._lock:
            if not self._wants_spare or self._closed or self._preparing or self._spare is not None:
                return
            self._preparing = True
        threading.Thread(target=self._prepare, name="parser-spare", daemon=True).start()

    def _prepare(self) -> None:
        made: Child | None = None
        try:
            made = self._born()
        except ChildFailed as failure:
            _log.warning("parser:no-spare", reason=failure.reason)
        with self._lock:
            self._preparing = False
            if made is not None and not self._closed:
                self._spare, made = made, None
        if made is not None:
            made.kill()

    def _born(self) -> Child:
        for last in (False, True):
            forker = None
            try:
                with self._lock:
                    forker = self._forker = self._forker or Forker(self._memory_bytes)
                return Child(forker)
            except OSError as failure:
                self._give_up(forker)  # it was killed or hangs: the next one is new
                if last:
                    raise ChildFailed("the parser did not start") from failure
        raise AssertionError

    def killed(self) -> None:
        """Count a child that had to be ended."""
        with self._lock:
            self.kills += 1

    def _give_up(self, forker: Forker | None) -> None:
        with self._lock:
            if forker is None or self._forker is not forker:
                return
            self._forker = None
        forker.close()
