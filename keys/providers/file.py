"""The root key in a file that only the keyholder's user can read.

The file holds one line, ``sealgate-kek-v1`` and 64 hexadecimal digits, so that it can be printed and kept on paper.
Promises: it is created whole or not at all and never overwritten; a file that others may read is refused.
A wrap is ``0x01 ‖ nonce(12) ‖ AES-256-GCM(KEK, key)``, AAD ``lp("sealgate/kek/v1", context)``. DESIGN §4a (Root KEK).
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.encoding import lp
from keys.errors import Tampered, Unusable
from keys.kdf import hkdf
from keys.providers import register
from keys.secret import Secret

VERSION = 1
MAGIC = "sealgate-kek-v1"
MODE = 0o400

_LONGEST = 200
_TOLERATED = 0o600  # an owner who may write could change the mode anyway
_OVERHEAD = 1 + 12 + 16


@register("file")
class FileProvider(Secret):
    """The port over a key read from a file once."""

    __slots__ = ("_gcm", "check_value", "name")

    def __init__(self, raw: bytes, path: str | os.PathLike[str]) -> None:
        super().__init__(raw)
        self.name = f"file {os.fspath(path)}"
        self.check_value = hkdf(self._raw, lp("sealgate/kek-check/v1"), 8).hex()
        self._gcm = AESGCM(self._raw)

    @classmethod
    def open(cls, path: str | os.PathLike[str], create: bool = False) -> FileProvider:
        """The provider of the key in that file; with `create`, made first if there is none.

        Raises Unusable, with what to do, for a missing file (without `create`), one that others than its owner may read
        or change, one that belongs to a stranger, and one that does not hold a key.
        """
        if create and not os.path.lexists(path):
            _create(Path(path))
        return cls(_read(path), path)

    def wrap(self, key: bytes, context: bytes) -> bytes:
        nonce = os.urandom(12)
        return bytes((VERSION,)) + nonce + self._gcm.encrypt(nonce, key, lp("sealgate/kek/v1", context))

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        if len(wrapped) < _OVERHEAD or wrapped[0] != VERSION:
            raise Tampered("a wrapped key has an unknown form")
        try:
            return self._gcm.decrypt(wrapped[1:13], wrapped[13:], lp("sealgate/kek/v1", context))
        except InvalidTag as error:
            raise Tampered("a wrapped key does not open") from error


def _create(path: Path) -> None:
    """Write beside, sync, link into place: after a crash the file is whole or absent, and none is ever replaced."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(f"{MAGIC} {os.urandom(32).hex()}\n".encode())
                file.flush()
                os.fchmod(file.fileno(), MODE)
                os.fsync(file.fileno())
            os.link(beside, path)
        except FileExistsError:
            pass  # another process was first; its key is the one
        finally:
            os.unlink(beside)
        _sync_directory(path.parent)
    except OSError as error:
        raise Unusable(f"{path}: the root key cannot be created here: {error.strerror}") from error


def _sync_directory(directory: Path) -> None:
    """Make the name durable too: a synced file without its directory entry is lost at a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: str | os.PathLike[str]) -> bytes:
    where = os.fspath(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise Unusable(f"{where}: the root key is missing; put the file back from its safe place") from error
    except OSError as error:
        raise Unusable(f"{where}: the root key cannot be read: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        mode = stat.S_IMODE(status.st_mode)
        if not stat.S_ISREG(status.st_mode):
            raise Unusable(f"{where}: the root key must be a regular file")
        if mode & ~_TOLERATED:
            raise Unusable(f"{where}: the root key has mode {mode:04o}, others may reach it; run: chmod 0400 {where}")
        if status.st_uid not in (0, os.geteuid()):
            raise Unusable(f"{where}: the root key belongs to user {status.st_uid}, it must be the keyholder's own")
        line = os.read(descriptor, _LONGEST)
    finally:
        os.close(descriptor)
    word, _, digits = line.decode("ascii", "replace").rstrip("\n").partition(" ")
    if word != MAGIC or len(digits) != 64 or digits.strip("0123456789abcdef"):
        raise Unusable(f"{where}: this is no root key; its one line reads '{MAGIC}' and 64 hexadecimal digits")
    return bytes.fromhex(digits)
