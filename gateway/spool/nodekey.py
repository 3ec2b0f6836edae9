"""A role's own signing key of one node, in that role's own folder.

Promises: the file is made once, whole or not at all, readable by its owner alone; one that is missing later, readable
by others or of another length is refused, never replaced. DESIGN §2, "Node keys".
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from gateway.errors import Misconfigured
from gateway.spool.layout import sync_folder
from keys.signing import SigningKey

PINNED_NAME = "keyholder.pub"


def create(path: Path) -> SigningKey:
    """Make the key and its file (mode 0400). Raises Misconfigured where a file stands already."""
    key = SigningKey.generate()
    _write_new(path, key.seed(), 0o400)
    return key


def load(path: Path) -> SigningKey:
    """The key of that file. Raises Misconfigured naming the file and what is wrong with it."""
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            seed = file.read(64)
    except OSError as error:
        raise Misconfigured(f"node key {path} cannot be read: {error.strerror}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise Misconfigured(f"node key {path} is readable by others: mode {stat.S_IMODE(mode):04o}, must be 0400")
    if len(seed) != 32:
        raise Misconfigured(f"node key {path} has {len(seed)} bytes, must have 32")
    return SigningKey.from_bytes(seed)


def pin(path: Path, public: bytes) -> None:
    """Write the keyholder's public key where this role will look for it. Raises Misconfigured if one is there."""
    if len(public) != 32:
        raise ValueError("a public key must have 32 bytes")
    _write_new(path, public.hex().encode("ascii") + b"\n", 0o444)


def pinned(path: Path) -> bytes:
    """The keyholder's public key as pinned at set-up: 32 bytes. Raises Misconfigured."""
    try:
        text = path.read_text("ascii").strip()
        public = bytes.fromhex(text)
    except (OSError, ValueError) as error:
        raise Misconfigured(f"pinned keyholder key {path} cannot be read") from error
    if len(public) != 32:
        raise Misconfigured(f"pinned keyholder key {path} has {len(public)} bytes, must have 32")
    return public


def _write_new(path: Path, content: bytes, mode: int) -> None:
    # Written beside and linked into place: a set-up that is killed here leaves no key or a whole one.
    beside = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(beside)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        os.write(descriptor, content)
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
        os.link(beside, path)
    except FileExistsError as error:
        raise Misconfigured(f"{path} exists already; a key is never overwritten") from error
    finally:
        os.close(descriptor)
        os.unlink(beside)
    sync_folder(path.parent)
