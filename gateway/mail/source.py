"""Where the bytes of a message are read from, by range."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

CHUNK_BYTES = 262_144


class Source(Protocol):
    """The bytes of one message, readable in any order and more than once.

    Adapters read from the spool (verified segments only) or from memory. A damaged source raises `Tampered`;
    nothing here retries.
    """

    @property
    def size(self) -> int:
        """Length of the message in bytes."""

    def read(self, start: int, stop: int) -> bytes:
        """Exactly the bytes of that range. Only for ranges known to be small."""

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes of that range in pieces of bounded size."""


class BytesSource:
    """A message in memory."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        return len(self._data)

    def read(self, start: int, stop: int) -> bytes:
        return self._data[start:stop]

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        stop = min(stop, len(self._data))
        for at in range(start, stop, CHUNK_BYTES):
            yield self._data[at : min(at + CHUNK_BYTES, stop)]
