"""Writes one S3 object: small ones in one conditional request, larger ones in parts as they come.

Promises: no object of that name is ever replaced (`If-None-Match: *`; in parts, a name of 160 random bits); the object
is visible when `commit` returns and not before; parts go with SHA-256 checksums; memory stays at a few parts however
long the object or slow the store is; what is dropped ends its upload at the store.
Clauses: RFC 9110 13.1.2; Amazon S3 API: PutObject, CreateMultipartUpload (parts of 5 MiB to 5 GiB, 10,000 at most).
"""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from gateway.errors import TryLater
from gateway.vault.s3reader import later

if TYPE_CHECKING:
    from obstore.store import S3Store

PART_BYTES = 8 << 20
"""10,000 of them are 78 GiB, above any message that is taken."""
SINGLE_BYTES = 16 << 20
"""Up to that size an object is held and written in one request."""
_PARTS_AT_ONCE = 2
_WAITING_PIECES = 8  # segments between who seals and who sends
_NAMES = 3
_LOOK_SECONDS = 0.5


class _Dropped(Exception):
    """The writer was aborted."""


class _Upload:
    """A thread that sends what it is handed, part by part."""

    def __init__(self, store: S3Store, path: str) -> None:
        self._store = store
        self._path = path
        self._pieces: queue.Queue[bytes | None] = queue.Queue(_WAITING_PIECES)
        self._dropped = False
        self._ended = threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="vault-upload", daemon=True)
        self._thread.start()

    def give(self, piece: bytes | None) -> None:
        """One more piece, or None behind the last. Waits while the store is slower. Raises TryLater."""
        while not self._ended.is_set():
            try:
                self._pieces.put(piece, timeout=_LOOK_SECONDS)
                return
            except queue.Full:
                continue
        if self.error is not None:
            raise later("write", self.error)

    def finish(self) -> None:
        """All of it is at the store. Raises TryLater, and then nothing of it is visible."""
        self.give(None)
        self._thread.join()
        if self.error is not None:
            raise later("write", self.error)

    def drop(self) -> None:
        """End it; the store is told to forget the parts."""
        self._dropped = True
        while not self._ended.is_set():
            try:
                self._pieces.put(None, timeout=_LOOK_SECONDS)
                break
            except queue.Full:
                continue
        self._thread.join()

    def _run(self) -> None:
        try:
            self._store.put(
                self._path, self._given(), use_multipart=True, chunk_size=PART_BYTES, max_concurrency=_PARTS_AT_ONCE
            )
        except BaseException as error:  # whatever it is, who writes must hear of it
            self.error = error
        finally:
            self._ended.set()

    def _given(self) -> Iterator[bytes]:
        # An error raised here makes the client abort the upload, which is what becomes of one that was dropped.
        while (piece := self._pieces.get()) is not None:
            if self._dropped:
                raise _Dropped
            yield piece
        if self._dropped:
            raise _Dropped


class S3Writer:
    """A blob in the making. `path` gives a name's place, `failed` hears whether a write did."""

    def __init__(
        self, store: S3Store, path: Callable[[str], str], failed: Callable[[bool], None], name: str = ""
    ) -> None:
        from obstore.exceptions import AlreadyExistsError, BaseError

        self._taken = AlreadyExistsError
        self._errors = (BaseError, OSError, ValueError)
        self._store = store
        self._path = path
        self._failed = failed
        self._given = bool(name)
        self._name = name or secrets.token_hex(20)
        self._held: list[bytes] = []
        self._bytes = 0
        self._upload: _Upload | None = None
        self._done = False

    def write(self, data: bytes) -> None:
        """See `BlobWriter`."""
        self._bytes += len(data)
        try:
            if self._upload is not None:
                self._upload.give(data)
                return
            self._held.append(data)
            if self._bytes > SINGLE_BYTES:
                self._upload = _Upload(self._store, self._path(self._name))
                held, self._held = self._held, []
                for piece in held:
                    self._upload.give(piece)
        except TryLater:
            self._failed(True)
            self.abort()
            raise

    def commit(self) -> str:
        """See `BlobWriter`."""
        try:
            if self._upload is None:
                self._single()
            else:
                self._upload.finish()
                self._whole()
        except TryLater:
            self._failed(True)
            self.abort()
            raise
        self._failed(False)
        self._done = True
        return self._name

    def abort(self) -> None:
        """See `BlobWriter`."""
        upload, self._upload, self._held = self._upload, None, []
        if upload is not None and not self._done:
            upload.drop()

    def _single(self) -> None:
        data = b"".join(self._held)
        for _ in range(_NAMES):
            try:
                self._store.put(self._path(self._name), data, mode="create", use_multipart=False)
                return
            except self._taken:
                # Most likely our own: the answer to a first try was lost. It has no row, and is swept up.
                if self._given:
                    raise ValueError("a name that is taken") from None
                self._name = secrets.token_hex(20)
            except self._errors as error:
                raise later("write", error) from None
        raise TryLater("vault write: every name is taken")

    def _whole(self) -> None:
        """Not every store checks what it joins; the length is asked for once. Raises TryLater."""
        try:
            size = self._store.head(self._path(self._name))["size"]
            if size != self._bytes:
                self._store.delete(self._path(self._name))
                raise TryLater("vault write: the store has another length")
        except self._errors as error:
            raise later("write", error) from None
