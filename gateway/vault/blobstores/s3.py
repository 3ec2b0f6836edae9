"""Blobs as objects of an S3 store: ``s3://bucket/prefix?endpoint=https://host``; see `gateway/vault/s3place.py`.

Promises: an object is written once and never replaced; the prefix carries a marker, so that an emptied or a wrong
bucket is "not there", never a fresh vault; a bucket is never made. Proved against Ceph's RADOS Gateway and moto.
What a killed process leaves of an upload in parts cannot be listed by this client; `s3uploads` ends it by another.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from gateway.errors import Misconfigured, TryLater
from gateway.vault import s3place
from gateway.vault.port import BLOBSTORES, BlobStore, Missing
from gateway.vault.s3reader import S3Reader, bounded, later
from gateway.vault.s3uploads import Uploads
from gateway.vault.s3writer import S3Writer

if TYPE_CHECKING:
    from obstore.store import S3Store

MARKER = "sealgate-vault"
MARKER_TEXT = b"sealgate vault, format 1\n"
_MARKER_BYTES = len(MARKER_TEXT) + 1
PAGE = 500
SEEN_SECONDS = 10.0
"""The marker is looked for before a write this often at most."""
_NAME = re.compile(r"[0-9a-f]{40}", re.ASCII)


class S3Blobs:
    """A blob store below one prefix. Make it by `S3BlobStore`. Thread-safe."""

    def __init__(self, store: S3Store, look: S3Store, uploads: Uploads) -> None:
        from obstore.exceptions import BaseError

        self._errors = (BaseError, OSError, ValueError)
        self._store = store
        self._look = look
        self._uploads = uploads
        self._seen = -SEEN_SECONDS
        self._failing = False

    def create(self) -> S3Writer:
        if time.monotonic() - self._seen >= SEEN_SECONDS:
            self._present()
        return S3Writer(self._store, _path, self._heard)

    def put_back(self, blob: str) -> S3Writer:
        self._present()
        if _NAME.fullmatch(blob) is None:
            raise ValueError("a name that no blob can have")
        return S3Writer(self._store, _path, self._heard, blob)

    def open(self, blob: str) -> S3Reader:
        if _NAME.fullmatch(blob) is None:  # a name from a changed row must not lead out of the prefix
            raise Missing
        try:
            return S3Reader(self._store, _path(blob))
        except FileNotFoundError:
            self._present()
            raise Missing from None

    def remove(self, blob: str) -> None:
        if _NAME.fullmatch(blob) is None:
            return
        try:
            self._store.delete(_path(blob))
        except self._errors as error:
            raise later("remove", error) from None

    def older(self, than: datetime, shard: int | None = None) -> Iterator[Sequence[str]]:
        self._present()
        try:
            for found in self._store.list(None if shard is None else f"{shard:02x}", chunk_size=PAGE):
                names = [(one["path"].rpartition("/")[2], one) for one in found]
                page = [
                    name for name, one in names
                    if _NAME.fullmatch(name) and one["path"] == _path(name) and one["last_modified"] < than
                ]  # fmt: skip
                if page:
                    yield page
        except self._errors as error:
            raise later("list", error) from None

    def remove_unfinished(self, than: datetime) -> int:
        return self._uploads.end(than)

    def healthy(self) -> bool:
        try:
            self._present()
        except TryLater:
            return False
        return not self._failing or self._probe()

    def _probe(self) -> bool:
        """Whether a write that failed works again: nothing is left of it."""
        writer = S3Writer(self._store, _path, self._heard)
        try:
            writer.write(b"\0")
            self.remove(writer.commit())
        except TryLater:
            return False
        return True

    def _heard(self, failed: bool) -> None:
        self._failing = failed

    def _present(self) -> None:
        """Raises TryLater unless this is the vault."""
        try:
            held = bounded(self._look.get(MARKER), _MARKER_BYTES)
        except FileNotFoundError:
            raise TryLater("the vault's bucket or its marker is missing") from None
        except self._errors as error:
            raise later("read", error) from None
        if held != MARKER_TEXT:
            raise TryLater("the vault is of another format")
        self._seen = time.monotonic()


class S3BlobStore:
    """Opens and makes vaults below a prefix of a bucket that is there."""

    def open(self, url: str) -> BlobStore:
        place = s3place.parse(url)
        store = s3place.connect(place)
        held = _marker(store, place)
        if held is None:
            raise Misconfigured(f"[vault] url: {place.words} holds no vault; restore it, or correct the URL")
        if held != MARKER_TEXT:
            raise Misconfigured(f"[vault] url: {place.words} was made by another version")
        return S3Blobs(store, s3place.connect(place, look=True), Uploads(place))

    def create(self, url: str) -> BlobStore:
        from obstore.exceptions import AlreadyExistsError, BaseError

        place = s3place.parse(url)
        store = s3place.connect(place)
        if not self.absent(url):
            raise Misconfigured(f"[vault] url: {place.words} is not empty; it is not made anew")
        try:
            store.put(MARKER, MARKER_TEXT, mode="create", use_multipart=False)
        except AlreadyExistsError:
            raise Misconfigured(f"[vault] url: {place.words} is not empty; it is not made anew") from None
        except (BaseError, OSError, ValueError) as error:
            raise Misconfigured(
                f"[vault] url: nothing can be written to {place.words} ({type(error).__name__}); the keys need "
                "GetObject, PutObject, DeleteObject and ListBucket there, and the bucket must exist"
            ) from None
        return S3Blobs(store, s3place.connect(place, look=True), Uploads(place))

    def absent(self, url: str) -> bool:
        from obstore.exceptions import BaseError

        place = s3place.parse(url)
        store = s3place.connect(place)
        try:
            return not any(found for found in store.list(chunk_size=1))
        except (BaseError, OSError, ValueError) as error:
            if isinstance(error, FileNotFoundError) or "NoSuchBucket" in str(error):
                raise Misconfigured(f"[vault] url: there is no bucket {place.bucket}; make it first") from None
            raise _unreachable(place, error) from None

    def check(self, url: str) -> None:
        s3place.connect(s3place.parse(url))


BLOBSTORES.register("s3")(S3BlobStore())


def _marker(store: S3Store, place: s3place.Place) -> bytes | None:
    from obstore.exceptions import BaseError

    try:
        return bounded(store.get(MARKER), _MARKER_BYTES)
    except FileNotFoundError:
        return None
    except (BaseError, OSError, ValueError) as error:
        raise _unreachable(place, error) from None


def _unreachable(place: s3place.Place, error: BaseException) -> Misconfigured | TryLater:
    """Keys that are refused are the configuration's fault; what does not answer may answer later."""
    if type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError"):
        return Misconfigured(f"[vault] url: the store refuses our keys for {place.words}; see credentials=")
    return later("read", error)


def _path(name: str) -> str:
    return f"{name[:2]}/{name}"
