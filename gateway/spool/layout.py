"""The folders of one direction of a spool, and the disk operations that make them lasting.

Promises: folders are made by `create` alone; a missing one is an error later, never a fresh start. A file that was
made, renamed or removed is lasting only after its folder was synced: without that a power cut may forget the name
while the data is safe.
"""

from __future__ import annotations

import fcntl
import os
import re
from functools import lru_cache
from pathlib import Path

from gateway.errors import Misconfigured

LOG, LARGE, MARKS = "log", "large", "marks"
FILE_MODE = 0o640
_SEGMENT = re.compile(r"([0-9a-f]{16})\.seg\Z")


def create(directory: Path, *, mode: int = 0o700, marks_mode: int | None = None) -> None:
    """Make the folders of a fresh spool. `mode` is 0o2770 where smtp and worker are two users of one group."""
    for part in ("", LOG, LARGE, MARKS):
        folder = directory / part if part else directory
        folder.mkdir(parents=not part, exist_ok=True)
        _allow(folder, marks_mode if part == MARKS and marks_mode is not None else mode)
    sync_folder(directory)
    sync_folder(directory.parent)


def _allow(folder: Path, mode: int) -> None:
    """Root does this in a folder of smtp's, so what is there is opened first: a link to elsewhere is refused."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise Misconfigured(f"{folder} must be a folder of its own, no link or a file: {error.strerror}") from error
    try:
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def require(directory: Path) -> None:
    """Raises Misconfigured naming the first folder that is missing."""
    for folder in (directory, directory / LOG, directory / LARGE, directory / MARKS):
        if not folder.is_dir():
            raise Misconfigured(
                f"spool folder {folder} is missing; it is not made anew, because that would hide lost mail"
            )


def lock(directory: Path, name: str) -> int:
    """Hold the folder's lock of that name until the process ends. Raises Misconfigured when another holds it."""
    descriptor = os.open(directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise Misconfigured(f"spool folder {directory} is in use by another process ({name})") from error
    return descriptor


@lru_cache(maxsize=64)  # asked for with every message, of the same few segments
def segment_path(directory: Path, number: int) -> Path:
    """The file of one log segment. Numbers are 16 hexadecimal digits, so names sort like numbers."""
    return directory / LOG / f"{number:016x}.seg"


def segments(directory: Path) -> list[int]:
    """The segments that exist, oldest first."""
    found = (_SEGMENT.match(name) for name in os.listdir(directory / LOG))
    return sorted(int(match[1], 16) for match in found if match)


def large_path(directory: Path, item: str) -> Path:
    """The file with the sealed content of a large item."""
    return directory / LARGE / f"{item}.item"


def partial_path(directory: Path, item: str) -> Path:
    """Its name while it is being written."""
    return directory / LARGE / f"{item}.part"


def sync_folder(folder: Path) -> None:
    """Make the names in this folder lasting."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, pieces: list[bytes]) -> int:
    """Write every byte of `pieces`; the number of bytes. A write may be cut short, on a full disk before the error."""
    total = 0
    waiting = [memoryview(piece) for piece in pieces if piece]
    while waiting:
        count = os.writev(descriptor, waiting[:512])
        total += count
        while count:
            if count >= len(waiting[0]):
                count -= len(waiting[0])
                del waiting[0]
            else:
                waiting[0] = waiting[0][count:]
                count = 0
    return total
