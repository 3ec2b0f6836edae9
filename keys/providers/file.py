"""The root key in a file that only the keyholder's user can read.

The file holds one line, ``sealgate-kek-v1`` and 64 hexadecimal digits, so that it can be printed and kept on paper.
Promises: it is created whole or not at all and never overwritten; a file that others may read is refused.
DESIGN §4a (Root KEK); FORMAT §11.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from keys.errors import Unusable
from keys.providers import register
from keys.providers._local import MAGIC, LocalKey, fresh_line, key_of
from keys.providers._private import MODE, read_private

__all__ = ["MAGIC", "FileProvider", "key_of", "sync_directory"]

_LONGEST = 200


@register("file")
class FileProvider(LocalKey):
    """The port over a key read from a file once."""

    __slots__ = ()
    NEEDS: ClassVar[tuple[str, ...]] = ("kek_file",)
    MAY: ClassVar[tuple[str, ...]] = ()

    def __init__(self, raw: bytes, path: str | os.PathLike[str]) -> None:
        super().__init__(raw, f"file {os.fspath(path)}")

    @classmethod
    def opened(cls, values: Mapping[str, str], *, create: bool, secret: bytes | None) -> FileProvider:
        """As `open`, for a configuration."""
        return cls.open(values["kek_file"], create=create)

    @classmethod
    def open(cls, path: str | os.PathLike[str], create: bool = False) -> FileProvider:
        """The provider of the key in that file; with `create`, made first if there is none.

        Raises Unusable, with what to do, for a missing file (without `create`), one that others than its owner may read
        or change, one that belongs to a stranger, and one that does not hold a key.
        """
        if create and not os.path.lexists(path):
            _create(Path(path))
        return cls(_read(path), path)


def _create(path: Path) -> None:
    """Write beside, sync, link into place: after a crash the file is whole or absent, and none is ever replaced."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(fresh_line())
                file.flush()
                os.fchmod(file.fileno(), MODE)
                os.fsync(file.fileno())
            os.link(beside, path)
        except FileExistsError:
            pass  # another process was first; its key is the one
        finally:
            os.unlink(beside)
        sync_directory(path.parent)
    except OSError as error:
        raise Unusable(f"{path}: the root key cannot be created here: {error.strerror}") from error


def sync_directory(directory: Path) -> None:
    """Make the name durable too: a synced file without its directory entry is lost at a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: str | os.PathLike[str]) -> bytes:
    where = os.fspath(path)
    raw = key_of(read_private(path, "the root key", "put the file back from its safe place", longest=_LONGEST))
    if raw is None:
        raise Unusable(f"{where}: this is no root key; its one line reads '{MAGIC}' and 64 hexadecimal digits")
    return raw
