"""The plaintext of a sealed stream by ranges: what MIME scanning and the courier read a spooled message from.

Promises: only bytes of verified segments leave; the last segment is verified before anything else, so a cut stream is
never read; what is kept in memory is bounded, whatever the size of the stream. C2SP FLOE.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator

from gateway.errors import Tampered
from keys import floe
from keys.errors import Tampered as SealBroken

Fetch = Callable[[int, int], bytes]
_KEPT_SEGMENTS = 4
KEPT_WHOLE_BYTES = 16 << 20
"""A stream up to this size is kept whole where it is asked for; of a larger one the last segments are."""
CHUNK_BYTES = floe.SEGMENT_PLAIN_BYTES


class SealedSource:
    """Implements `gateway.mail.source.Source`. Safe to use from several threads.

    `name` stands in errors; `fetch(start, stop)` gives sealed bytes of the body. Every method raises
    gateway.errors.Tampered when a seal does not hold, and OSError.
    """

    def __init__(self, name: str, opener: floe.Opener, fetch: Fetch, sealed_bytes: int) -> None:
        self._name = name
        self._opener = opener
        self._fetch = fetch
        self._sealed_bytes = sealed_bytes
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._keep = _KEPT_SEGMENTS
        self._skip = 0
        try:
            self._count = floe.segment_count(sealed_bytes)
            self._size = floe.plain_length(sealed_bytes)
        except SealBroken as error:
            raise Tampered(f"{name}: {error}") from error
        self._segment(self._count - 1)

    @property
    def size(self) -> int:
        """Length in bytes of what can be read."""
        return self._size

    def keep(self) -> None:
        """It will be read more than once: keep all that is opened from now on, up to `KEPT_WHOLE_BYTES`."""
        if self._sealed_bytes <= KEPT_WHOLE_BYTES:
            self._keep = max(self._count, _KEPT_SEGMENTS)

    def skip(self, count: int) -> None:
        """Leave out that many more bytes at the front."""
        if not 0 <= count <= self._size:
            raise ValueError("more than there is")
        self._skip += count
        self._size -= count

    def read(self, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop`, cut at the end."""
        return b"".join(self.chunks(start, stop))

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        """The same in pieces of at most one segment."""
        if start < 0 or stop < 0:
            raise ValueError("a range with a negative end")
        at, end = start + self._skip, min(stop, self._size) + self._skip
        while at < end:
            index, within = divmod(at, floe.SEGMENT_PLAIN_BYTES)
            plain = self._segment(index)
            piece = plain[within : within + (end - at)]
            at += len(piece)
            yield piece

    def _segment(self, index: int) -> bytes:
        with self._lock:
            plain = self._kept.get(index)
            if plain is not None:
                self._kept.move_to_end(index)
                return plain
        start, stop = floe.segment_range(index, self._sealed_bytes)
        sealed = self._fetch(start, stop)
        if len(sealed) != stop - start:
            raise Tampered(f"{self._name}: its content is shorter than its record says")
        final = index == self._count - 1
        try:
            plain = self._opener.segment(index, sealed, final=final)
        except SealBroken as error:
            raise Tampered(f"{self._name}: {error}") from error
        if not final and len(plain) != floe.SEGMENT_PLAIN_BYTES:
            raise Tampered(f"{self._name}: a segment in the middle is short")
        with self._lock:
            self._kept[index] = plain
            while len(self._kept) > self._keep:
                self._kept.popitem(last=False)
        return plain
