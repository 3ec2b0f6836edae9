"""The port of a blob store: named bytes, written once.

Contract, for every adapter: a blob is durable and complete when `commit` returns, and invisible before; names are made
by the store, random, and are never taken twice; a blob is never changed. Nothing here retries: TryLater means the store
is not to be had now, `Missing` that the store is there and the blob is not. Any method may run in any thread; one
BlobWriter or BlobReader belongs to one thread at a time. A store whose place is missing never makes it anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol

from gateway.registry import Registry


class Missing(Exception):
    """The store is there, the blob is not."""


class BlobWriter(Protocol):
    """A blob in the making."""

    def write(self, data: bytes) -> None:
        """Append. Raises TryLater."""

    def commit(self) -> str:
        """Make it durable and visible; its name. Raises TryLater, and then nothing of it is left visible."""

    def abort(self) -> None:
        """Drop it. Safe after `commit` and twice; never raises."""


class BlobReader(Protocol):
    """One state of one blob: what it reads cannot be exchanged between two reads."""

    size_bytes: int

    def read(self, start: int, length: int) -> bytes:
        """Bytes from `start`; fewer than `length` only where the blob ends or was cut. Raises TryLater."""

    def close(self) -> None:
        """Give the descriptor back. Safe twice."""


class BlobStore(Protocol):
    """Where blobs lie."""

    def create(self) -> BlobWriter:
        """Begin a blob. Raises TryLater."""

    def put_back(self, blob: str) -> BlobWriter:
        """Begin a blob under the name it had, for a restore. Raises ValueError for a name that no blob can have, or
        that is taken; TryLater.
        """

    def open(self, blob: str) -> BlobReader:
        """Raises Missing, also for a name that no blob can have; TryLater."""

    def remove(self, blob: str) -> None:
        """Remove a blob, durably; one that is gone already is fine. Raises TryLater."""

    def older(self, than: datetime, shard: int | None = None) -> Iterator[Sequence[str]]:
        """Names of blobs written before `than`, in pages; of one `shard` alone, those that begin with that byte (0 to
        255), which costs a share of listing all. Raises TryLater.
        """

    def remove_unfinished(self, than: datetime) -> int:
        """Remove what writers left behind before `than`; how many."""

    def healthy(self) -> bool:
        """Whether a blob could be written now. Never raises, never makes anything."""


class BlobStoreType(Protocol):
    """What an adapter registers."""

    def open(self, url: str) -> BlobStore:
        """Open an existing store. Raises Misconfigured, TryLater."""

    def create(self, url: str) -> BlobStore:
        """Make a new, empty store. Raises Misconfigured when there is something already."""

    def absent(self, url: str) -> bool:
        """Whether there is nothing at all at that place: missing or empty. Raises Misconfigured, TryLater."""

    def check(self, url: str) -> None:
        """Look at the URL, and at the files it names, without going there. Raises Misconfigured."""


BLOBSTORES: Registry[BlobStoreType] = Registry("blob store", "gateway.vault.blobstores")
