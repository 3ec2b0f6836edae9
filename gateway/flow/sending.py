"""Steps 6 and 7 of a download: verified bytes out, a recall heard while they go, and how it ended in the log.

Promises: `read` gives bytes whose segment's tag held, and nothing after a recall; what `left` was told is what the log
says has left; whatever happens, `end` writes it once. The blob is opened with the first `read`, so that of many files
that go out together one at a time is open. At most `BATCH_BYTES` and a segment are in memory between two reads.
DESIGN §4a (Reader), §4b 3; 45 CFR 164.312(b).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from gateway import steps
from gateway.errors import GatewayError, Refused, Tampered
from gateway.flow.counting import Left
from gateway.flow.running import Stop
from gateway.vault.vault import Reader

BATCH_BYTES = 780_000
"""Read on until this much is there: three whole segments of the format."""
RECHECK_SECONDS = 2.0


class DownloadStopped(Refused):
    """This download was stopped because the message was taken back or has ended."""

    http_status = 410


class Source(Protocol):
    """What an answer streams. `length` is exact; one thread at a time."""

    length: int

    def read(self) -> list[bytes]:
        """The next verified pieces, none at the end. Raises Tampered, DownloadStopped, TryLater."""

    def left(self, count: int) -> None:
        """That many more bytes were handed to the connection. Never blocks."""

    def end(self, *, well: bool) -> None:
        """Close, and commit how it ended; `well` when the connection took everything. Safe twice. Raises TryLater."""


class Sending:
    """One object, or the bytes `[start, stop)` of it, on their way to one person."""

    def __init__(
        self,
        row: tuple[str, bytes, int],
        span: tuple[int, int],
        *,
        opened: Callable[[], Reader],
        stop: Stop,
        still: Callable[[], None],
        alarm: Callable[[], None],
        record: Callable[[Left], None],
    ) -> None:
        self._object, self._tag, self._size = row
        self._start, self._asked = span
        self.length = self._asked - self._start
        self._opened, self._stop, self._still, self._alarm, self._record = opened, stop, still, alarm, record
        self._reader: Reader | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._given = self._skipped = self._left = 0
        self._why = ""
        self._failure: GatewayError | None = None
        self._checked = time.monotonic()
        self._lock = threading.Lock()
        self._ended = False

    def read(self) -> list[bytes]:
        """As `Source.read`."""
        if self._failure is not None:
            raise self._failure
        if self._given:
            steps.reached("d6")
        pieces: list[bytes] = []
        held = 0
        try:
            if self._reader is None:
                self._reader = self._opened()
                self._pieces = self._reader.read(self._start, self._asked)
            while held < BATCH_BYTES and (piece := self._next()) is not None:
                pieces.append(piece)
                held += len(piece)
            self._given += held
            if held == 0 and self._given != self.length:
                raise Tampered("an object ended early")
        except GatewayError as error:
            self._failed(error)
            if not pieces:
                raise
            self._given += held  # these held; the next read raises
        return pieces

    def left(self, count: int) -> None:
        """As `Source.left`."""
        self._left += count

    def skip(self, count: int) -> None:
        """That many bytes, the first of those not yet left, were read for the sake of what follows and stay here."""
        self._skipped += count

    @property
    def complete(self) -> bool:
        """Whether all of it was read and handed over, or had been before."""
        return self._reader is not None and not self._why and self._given == self._skipped + self._left == self.length

    def narrow(self) -> None:
        """What has left is all that was asked for."""
        self._asked = self._start + self._skipped + self._left
        self.length = self._skipped + self._left

    def end(self, *, well: bool) -> None:
        """As `Source.end`."""
        found = self.settle(well=well)
        if found is not None:
            self._record(found)
            steps.reached("d7")

    def settle(self, *, well: bool) -> Left | None:
        """Close, and give what is to be recorded, once."""
        with self._lock:
            if self._ended:
                return None
            self._ended = True
        if self._given:
            steps.reached("d6")
        self._stop.over()
        if self._reader is not None:
            self._reader.close()
        why = self._why or ("" if well and self._skipped + self._left == self.length else "cut")
        first = self._start + self._skipped
        return Left(self._object, self._tag, self._size, first, first + self._left, self._asked, why)

    def _next(self) -> bytes | None:
        if self._stop.is_set():
            raise DownloadStopped("recalled under way")
        if time.monotonic() - self._checked > RECHECK_SECONDS:
            self._checked = time.monotonic()
            self._still()
        return next(self._pieces, None)

    def _failed(self, error: GatewayError) -> None:
        self._failure = error
        self._why = "stopped"
        if isinstance(error, Tampered):
            self._why = "tampered"
            self._alarm()


def whole(source: Source) -> bytes:
    """Everything of a source that a page shows itself, counted as left and its end committed. Raises as `read`."""
    pieces: list[bytes] = []
    well = False
    try:
        while batch := source.read():
            pieces += batch
        source.left(sum(map(len, pieces)))
        well = True
    finally:
        source.end(well=well)
    return b"".join(pieces)
