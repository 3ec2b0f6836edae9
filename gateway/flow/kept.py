"""Exports that lie ready while somebody reads them: how many, how large together, and for how long.

Promises: what is put by is bounded by count and bytes, whoever reads how slowly; one tenant's readers never take all of
it; after `READ_FOR_SECONDS` an export that still lies there gives way to the next one, and its reader is cut off, which
no reader takes for the end of a ZIP. An export alone may be of any size. Thread-safe.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from gateway.errors import TryLater

MOST, MOST_PER_TENANT = 4, 2
MOST_BYTES = 2 * 1024**3
READ_FOR_SECONDS = 900.0


class Busy(TryLater):
    """The log is being taken away by others right now. Please try again in a few minutes."""


@dataclass(slots=True)
class _Place:
    tenant: str
    bytes: int
    since: float
    folder: TemporaryDirectory[str]
    over: bool = False


class Pieces:
    """One export's pieces. Its place is free again when it ends, is closed or is forgotten."""

    def __init__(self, pieces: Iterator[bytes], place: _Place, free: Callable[[], object]) -> None:
        self._pieces = pieces
        self._place = place
        self._free = free

    def __iter__(self) -> Pieces:
        return self

    def __next__(self) -> bytes:
        if self._place.over:
            self._free()
            raise TryLater("an export was read too slowly")
        try:
            return next(self._pieces)
        except BaseException:  # its end as well
            self._free()
            raise

    def close(self) -> None:
        """Nobody reads on."""
        self._free()


class Kept:
    """The places. `now` is a monotonic clock in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._places: list[_Place] = []
        self._lock = threading.Lock()

    def need_room(self, tenant: str) -> None:
        """Raises Busy while too much is being read."""
        with self._lock:
            self._give_way()
            mine = sum(place.tenant == tenant for place in self._places)
            if len(self._places) >= MOST or mine >= MOST_PER_TENANT:
                raise Busy("too many exports are being read")

    def keep(self, tenant: str, folder: TemporaryDirectory[str], size: int, pieces: Iterator[bytes]) -> Pieces:
        """Take a place for what was made in `folder`, which is cleaned up with it. Raises Busy."""
        place = _Place(tenant, size, self._now(), folder)
        with self._lock:
            if self._places and sum(one.bytes for one in self._places) + size > MOST_BYTES:
                raise Busy("too much is being read")
            self._places.append(place)
        made = Pieces(pieces, place, lambda: self._end(place))
        weakref.finalize(made, self._end, place)
        return made

    def _give_way(self) -> None:
        for place in list(self._places):
            if self._now() - place.since > READ_FOR_SECONDS:
                place.over = True
                self._places.remove(place)
                place.folder.cleanup()

    def _end(self, place: _Place) -> None:
        with self._lock:
            if place in self._places:
                self._places.remove(place)
        place.folder.cleanup()
