"""Blobs as files: ``file:///var/lib/sealgate/vault``.

Promises: a blob is written to a temporary file, synced, renamed, and its directory synced, before `commit` returns; the
parent of a new directory is synced too, or the directory itself could vanish with the power. The directory carries a
marker: an empty mount point or a renamed directory is "not there", never a fresh vault. Modes 0700 and 0600.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gateway.errors import Misconfigured, TryLater
from gateway.vault.port import BLOBSTORES, BlobStore, Missing
from gateway.writeback import Writeback

MARKER = "sealgate-vault"
MARKER_TEXT = b"sealgate vault, format 1\n"
UNFINISHED = "unfinished"
PAGE = 500

_NAME = re.compile(r"[0-9a-f]{40}", re.ASCII)
_NO_BLOB = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})
"""Nothing is there, or what nobody here wrote: a link, a socket, a file in the place of a folder."""


class FileBlobs:
    """A blob store in one directory. Make it by `FileBlobStore`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def create(self) -> FileWriter:
        self._present()
        return FileWriter(self._root)

    def put_back(self, blob: str) -> FileWriter:
        self._present()
        if _NAME.fullmatch(blob) is None or os.path.lexists(_path(self._root, blob)):
            raise ValueError("a name that no blob can have, or that is taken")
        return FileWriter(self._root, blob)

    def open(self, blob: str) -> FileReader:
        if _NAME.fullmatch(blob) is None:  # a name from a changed row must not lead out of the directory
            raise Missing
        try:
            # Not blocking, or a pipe that somebody put there keeps this thread for ever.
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(_path(self._root, blob), flags)
        except OSError as error:
            if error.errno in _NO_BLOB:
                self._present()
                raise Missing from error
            raise TryLater(f"vault read: {error.strerror}") from error
        return FileReader(descriptor)

    def remove(self, blob: str) -> None:
        if _NAME.fullmatch(blob) is None:
            return
        path = _path(self._root, blob)
        try:
            os.unlink(path)
            _sync(path.parent)
        except FileNotFoundError:
            self._present()
        except OSError as error:
            raise TryLater(f"vault remove: {error.strerror}") from error

    def older(self, than: datetime, shard: int | None = None) -> Iterator[Sequence[str]]:
        self._present()
        page: list[str] = []
        for folder in sorted(self._root.iterdir()) if shard is None else [self._root / f"{shard:02x}"]:
            if len(folder.name) != 2 or not folder.is_dir():
                continue
            for entry in os.scandir(folder):
                if _NAME.fullmatch(entry.name) and entry.stat(follow_symlinks=False).st_mtime < than.timestamp():
                    page.append(entry.name)
                if len(page) == PAGE:
                    yield page
                    page = []
        if page:
            yield page

    def remove_unfinished(self, than: datetime) -> int:
        self._present()
        count = 0
        for entry in os.scandir(self._root / UNFINISHED):
            if entry.stat(follow_symlinks=False).st_mtime < than.timestamp():
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(entry.path)
                    count += 1
        return count

    def healthy(self) -> bool:
        probe = self._root / UNFINISHED / f"probe-{secrets.token_hex(8)}"
        try:
            self._present()
            descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
            try:
                os.write(descriptor, b"\0" * 4096)  # a full disk lets a file be made, but takes no block
            finally:
                os.close(descriptor)
                os.unlink(probe)
        except (OSError, TryLater):
            return False
        return True

    def _present(self) -> None:
        """Raises TryLater unless this is the vault: the marker tells it from an empty mount point."""
        try:
            held = (self._root / MARKER).read_bytes()
        except OSError as error:
            raise TryLater("the vault's directory is missing") from error
        if held != MARKER_TEXT:
            raise TryLater("the vault's directory is of another format")


class FileWriter:
    """A blob in the making: a temporary file in the same file system."""

    def __init__(self, root: Path, name: str = "") -> None:
        self._root = root
        self._name = name or secrets.token_hex(20)
        self._temporary = root / UNFINISHED / self._name
        try:
            self._descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise TryLater(f"vault write: {error.strerror}") from error
        self._writeback = Writeback(self._descriptor)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                count = os.write(self._descriptor, view)
                self._writeback.wrote(count)
                view = view[count:]
        except OSError as error:
            self.abort()
            raise TryLater(f"vault write: {error.strerror}") from error

    def commit(self) -> str:
        target = _path(self._root, self._name)
        try:
            os.fsync(self._descriptor)
            # One level only: where the vault itself is missing this fails, and nothing is made in its place.
            with contextlib.suppress(FileExistsError):
                os.mkdir(target.parent, 0o750)
                _sync(self._root)
            self._temporary.rename(target)
            _sync(target.parent)
        except OSError as error:
            self.abort()
            with contextlib.suppress(OSError):
                os.unlink(target)  # renamed, but its directory could not be synced: nobody has heard its name
            raise TryLater(f"vault write: {error.strerror}") from error
        os.close(self._descriptor)
        self._descriptor = -1
        return self._name

    def abort(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            with contextlib.suppress(OSError):
                os.unlink(self._temporary)


class FileReader:
    """One open file: a rename or a new file of the same name changes nothing for it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        try:
            found = os.fstat(descriptor)
        except OSError as error:
            self.close()
            raise TryLater(f"vault read: {error.strerror}") from error
        if not stat.S_ISREG(found.st_mode):
            self.close()
            raise Missing
        self.size_bytes = found.st_size

    def read(self, start: int, length: int) -> bytes:
        pieces: list[bytes] = []
        try:
            while length > 0:
                piece = os.pread(self._descriptor, length, start)
                if not piece:
                    break
                pieces.append(piece)
                start, length = start + len(piece), length - len(piece)
        except OSError as error:
            raise TryLater(f"vault read: {error.strerror}") from error
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class FileBlobStore:
    """Opens and makes vault directories."""

    def open(self, url: str) -> BlobStore:
        root = _root(url)
        try:
            held = (root / MARKER).read_bytes()
        except OSError as error:
            raise Misconfigured(f"[vault] url: {root} is no vault; restore it, or correct the path") from error
        if held != MARKER_TEXT:
            raise Misconfigured(f"[vault] url: {root} was made by another version")
        return FileBlobs(root)

    def create(self, url: str) -> BlobStore:
        root = _root(url)
        if not self.absent(url):
            raise Misconfigured(f"[vault] url: {root} is not empty; it is not made anew")
        try:
            for folder in (root, root / UNFINISHED):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder, 0o700)
            # The marker is last, and whole or not there: without it the place still counts as empty.
            with open(root / UNFINISHED / MARKER, "wb", opener=_private) as marker:
                marker.write(MARKER_TEXT)
                marker.flush()
                os.fsync(marker.fileno())
            (root / UNFINISHED / MARKER).rename(root / MARKER)
            _sync(root)
            _sync(root.parent)
        except OSError as error:
            raise Misconfigured(f"[vault] url: cannot make {root}: {error.strerror}") from error
        return FileBlobs(root)

    def absent(self, url: str) -> bool:
        root = _root(url)
        try:
            # What `create` leaves when it is killed half-way is still nothing.
            return all(one.name == UNFINISHED and _names(one) <= {MARKER} for one in root.iterdir())
        except FileNotFoundError:
            return True
        except OSError as error:
            raise Misconfigured(f"[vault] url: cannot read {root}: {error.strerror}") from error

    def check(self, url: str) -> None:
        _root(url)


BLOBSTORES.register("file")(FileBlobStore())


def _root(url: str) -> Path:
    parts = urlsplit(url)
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not path.is_absolute() or parts.query or parts.fragment:
        raise Misconfigured("[vault] url: write file:/// and an absolute path")
    return path


def _path(root: Path, name: str) -> Path:
    return root / name[:2] / name


def _names(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()}


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
