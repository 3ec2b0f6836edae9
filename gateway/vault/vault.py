"""Sealed objects: written as one FLOE stream, read only in segments whose tag holds.

Promises: `seal` and `commit` return after the blob is durable; a reader opens the final segment first, so that a cut
blob is refused before a byte of it leaves; every byte it gives out comes from a segment whose tag held; missing, short
and forged blobs are the same Tampered outside and differ in the log only. The header tag pinned in the object's row
commits to key, tenant, object and kind. Clauses: C2SP FLOE; DESIGN §4a (Object, Reader, Writer).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from gateway.errors import Misconfigured, Tampered
from gateway.logs import Log
from gateway.vault.port import BLOBSTORES, BlobReader, BlobStore, BlobWriter, Missing
from keys import floe
from keys.datakey import DataKey
from keys.derive import blob_aad
from keys.errors import Tampered as SealBroken

log = Log("sealgate.vault")
SHARDS = 256
REST_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Stored:
    """A blob that is durable: its name, the header tag that pins it, its size sealed and in clear (bytes)."""

    blob: str
    header_tag: bytes
    sealed_bytes: int
    plain_bytes: int


class Vault:
    """Seals, opens and removes objects. Thread-safe. Made by `Vault.at` or `Vault.create`."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    @classmethod
    def at(cls, url: str) -> Vault:
        """Open an existing vault. Raises Misconfigured when it is not there: it is never made by opening."""
        return cls(BLOBSTORES.get(_scheme(url)).open(url))

    @classmethod
    def create(cls, url: str) -> Vault:
        """Make the vault of a fresh installation. Raises Misconfigured when there is anything at that place."""
        return cls(BLOBSTORES.get(_scheme(url)).create(url))

    @staticmethod
    def check(url: str) -> None:
        """Look at the URL, and at the files it names, without going there. Raises Misconfigured."""
        BLOBSTORES.get(_scheme(url)).check(url)

    @staticmethod
    def absent(url: str) -> bool:
        """Whether nothing is there: missing or empty."""
        return BLOBSTORES.get(_scheme(url)).absent(url)

    @staticmethod
    def plain_bytes(sealed_bytes: int) -> int:
        """The length in clear of a blob of that size. Raises Tampered for a size that no blob has."""
        try:
            return floe.plain_length(sealed_bytes - floe.HEADER_BYTES)
        except SealBroken as error:
            raise Tampered("an object has an impossible size") from error

    def seal(
        self, key: DataKey, *, tenant: str, object_id: str, kind: str, chunks: Iterable[bytes | memoryview]
    ) -> Stored:
        """Seal a stream of chunks. Durable when it returns; the row may be written then, not before.

        Raises TryLater, and whatever `chunks` raises; nothing is left behind then.
        """
        with self.writer(key, tenant=tenant, object_id=object_id, kind=kind) as writer:
            for chunk in chunks:
                writer.write(chunk)
            return writer.commit()

    def writer(self, key: DataKey, *, tenant: str, object_id: str, kind: str) -> Writer:
        """The streaming twin of `seal`: leaving the context without `commit` drops the blob. Raises TryLater."""
        aad = blob_aad(tenant=tenant, object_id=object_id, kind=kind)
        return Writer(self._blobs.create(), key.sealer(aad))

    def open(
        self, key: DataKey, *, tenant: str, object_id: str, kind: str, blob: str, header_tag: bytes, sealed_bytes: int
    ) -> Reader:
        """Open an object whose header and final segment hold. Raises Tampered, or TryLater when the vault is not there.

        The caller closes the reader, or uses it as a context.
        """
        try:
            blobs = self._blobs.open(blob)
        except Missing as error:
            raise _refused(object_id, tenant, "missing") from error
        try:
            return Reader(blobs, key, tenant, object_id, kind, header_tag, sealed_bytes)
        except BaseException:
            blobs.close()
            raise

    def sealed(self, blob: str) -> BlobReader:
        """The sealed bytes of a blob, for a backup. Raises Missing, TryLater."""
        return self._blobs.open(blob)

    def put_back(self, blob: str, chunks: Iterable[bytes]) -> None:
        """Write the sealed bytes of a blob under the name it had. Durable when it returns.

        Raises ValueError for a name that is taken or is none, TryLater, and whatever `chunks` raises; nothing is left
        behind then.
        """
        writer = self._blobs.put_back(blob)
        try:
            for chunk in chunks:
                writer.write(chunk)
            writer.commit()
        except BaseException:
            writer.abort()
            raise

    def remove(self, blob: str) -> None:
        """Remove a blob; one that is gone already is fine. Raises TryLater."""
        self._blobs.remove(blob)

    def sweep(
        self, known: Callable[[list[str]], set[str]], older_than: datetime, shards: Iterable[int] | None = None
    ) -> int:
        """Remove blobs written before `older_than` that nobody wants, and unfinished ones; how many.

        `known` gives those of a list that must stay: they have a row, and may still be opened. A crash between blob and
        row leaves others; call it with a day's distance, so that no transaction under way loses its blob. `shards`: a
        part of the vault alone, as `BlobStore.older` names them; then it rests after each page as long as that took, so
        that whoever delivers or reads meanwhile has the processor too. Raises TryLater.
        """
        count = self._blobs.remove_unfinished(older_than)
        for shard in (None,) if shards is None else shards:
            began = time.monotonic()
            for names in self._blobs.older(older_than, shard):
                kept = known(list(names))
                for name in names:
                    if name not in kept:
                        self._blobs.remove(name)
                        count += 1
                if shard is not None:
                    time.sleep(min(REST_SECONDS, time.monotonic() - began))
                began = time.monotonic()
        if count:
            log.info("vault:swept", count=count)
        return count

    def healthy(self) -> bool:
        """Whether a blob could be written now. A missing directory is never made anew."""
        return self._blobs.healthy()


class Writer:
    """Seals what is written. A context: leaving it without `commit` drops everything."""

    def __init__(self, blob: BlobWriter, sealer: floe.Sealer) -> None:
        self._blob = blob
        self._sealer = sealer
        self._sealed = 0
        self._plain = 0
        self._put(sealer.header)

    def write(self, data: bytes | memoryview) -> None:
        """Append plaintext; at most a segment of it is kept back in memory. Raises TryLater."""
        self._plain += len(data)
        for sealed in self._sealer.update_pieces(data):
            self._put(sealed)

    def commit(self) -> Stored:
        """Finish, sync, make visible. Raises TryLater, and then nothing is left."""
        self._put(self._sealer.finish())
        return Stored(self._blob.commit(), self._sealer.header_tag, self._sealed, self._plain)

    def abort(self) -> None:
        """Drop what was written. Safe after `commit`."""
        self._blob.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def _put(self, sealed: bytes) -> None:
        if sealed:
            self._blob.write(sealed)
            self._sealed += len(sealed)


class Reader:
    """One opened object. `plain_bytes` is its length in clear. One thread at a time."""

    def __init__(
        self, blob: BlobReader, key: DataKey, tenant: str, object_id: str, kind: str, tag: bytes, sealed_bytes: int
    ) -> None:
        self._blob = blob
        self._name = (object_id, tenant)
        self._body = sealed_bytes - floe.HEADER_BYTES
        if blob.size_bytes != sealed_bytes:
            raise _refused(object_id, tenant, "short" if blob.size_bytes < sealed_bytes else "long")
        header = blob.read(0, floe.HEADER_BYTES)
        try:
            self._opener = key.opener(blob_aad(tenant=tenant, object_id=object_id, kind=kind), header, bytes(tag))
            self._count = floe.segment_count(self._body)
            self.plain_bytes = floe.plain_length(self._body)
        except SealBroken as error:
            raise _refused(object_id, tenant, "forged") from error
        # Only the final segment proves where the stream ends; small objects have no other.
        self._final = self._segment(self._count - 1)

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` up to `stop`, in pieces of at most a segment, each verified before it is given.

        Raises ValueError for a range outside the object, Tampered at the first segment that does not hold: the caller
        breaks the connection then, so that a cut never looks like an end.
        """
        stop = self.plain_bytes if stop is None else stop
        if not 0 <= start <= stop <= self.plain_bytes:
            raise ValueError("a range outside the object")
        return self._pieces(start, stop)

    def close(self) -> None:
        """Give the blob back. Safe twice."""
        self._blob.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _pieces(self, start: int, stop: int) -> Iterator[bytes]:
        size = floe.SEGMENT_PLAIN_BYTES
        for index in range(start // size, -(-stop // size)):
            plain = self._final if index == self._count - 1 else self._segment(index)
            first = index * size
            piece = plain[max(0, start - first) : stop - first]
            if piece:
                yield piece

    def _segment(self, index: int) -> bytes:
        first, last = floe.segment_range(index, self._body)
        sealed = self._blob.read(floe.HEADER_BYTES + first, last - first)
        try:
            return self._opener.segment(index, sealed, final=index == self._count - 1)
        except SealBroken as error:
            raise _refused(*self._name, "short" if len(sealed) < last - first else "forged") from error


def _refused(object_id: str, tenant: str, reason: str) -> Tampered:
    log.error("vault:refused", object=object_id, tenant=tenant, reason=reason)
    return Tampered(f"object {object_id}: {reason}")


def _scheme(url: str) -> str:
    scheme = urlsplit(url).scheme
    if not scheme:
        raise Misconfigured("[vault] url names no kind of store; write file:///var/lib/sealgate/vault")
    return scheme
