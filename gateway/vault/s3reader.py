"""Reads one state of one S3 object by ranges.

Promises: each range is asked for with `If-Match`, so that two reads never see two states; whoever reads on is given
from `AHEAD_BYTES` fetched at once. An object that was exchanged meanwhile reads as cut, which the vault refuses and
tells; one that was removed is "not to be had now". Clauses: RFC 9110 13.1.1 (If-Match), 14.2 (Range).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import TryLater

if TYPE_CHECKING:
    from obstore import GetResult
    from obstore.store import S3Store

AHEAD_BYTES = 2 << 20
"""Eight segments for one round trip; a download that is not read on keeps so much in memory."""


class S3Reader:
    """One thread. Raises FileNotFoundError, and TryLater, when made."""

    def __init__(self, store: S3Store, path: str) -> None:
        from obstore.exceptions import BaseError

        self._errors = (BaseError, OSError, ValueError)
        self._store = store
        self._path = path
        try:
            found = store.head(path)
        except FileNotFoundError:
            raise
        except self._errors as error:
            raise later("read", error) from None
        self.size_bytes = found["size"]
        etag = found["e_tag"]
        if not etag:
            raise TryLater("vault read: the store gives its objects no version (ETag)")
        self._etag = etag
        self._start = self._next = 0
        self._ahead = b""

    def read(self, start: int, length: int) -> bytes:
        """See `BlobReader`."""
        stop = min(start + length, self.size_bytes)
        if start >= stop:
            return b""
        at = start - self._start
        if not (at >= 0 and stop <= self._start + len(self._ahead)):
            # Header and final segment are asked for first, by themselves; who then goes on, from wherever, reads ahead.
            on = 0 < start == self._next
            until = min(self.size_bytes, max(stop, start + AHEAD_BYTES)) if on else stop
            self._ahead, self._start, at = self._fetch(start, until), start, 0
        self._next = stop
        return self._ahead[at : at + stop - start]

    def close(self) -> None:
        """See `BlobReader`."""
        self._ahead = b""

    def _fetch(self, start: int, stop: int) -> bytes:
        from obstore.exceptions import PreconditionError

        try:
            answer = self._store.get(self._path, options={"range": (start, stop), "if_match": self._etag})
            return bounded(answer, stop - start)
        except PreconditionError:
            return b""
        except self._errors as error:
            raise later("read", error) from None


def bounded(answer: GetResult, most: int) -> bytes:
    """What the store sends, read as it comes and no further than `most` bytes: nobody but us says how much we hold.

    More is cut there, and does not hold for whoever checks it.
    """
    pieces: list[bytes] = []
    left = most
    for chunk in answer.stream(min_chunk_size=max(1, most)):
        if left == 0:  # looked for behind the last: a body that is read to its end keeps its connection
            break
        piece = bytes(chunk)
        pieces.append(piece if len(piece) <= left else piece[:left])
        left -= len(pieces[-1])
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def later(deed: str, error: BaseException) -> TryLater:
    """What the store said as a class of error alone: its words hold addresses and, at times, what was signed."""
    return TryLater(f"vault {deed}: {type(error).__name__}")
