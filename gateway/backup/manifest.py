"""What a backup says about itself, signed by the keyholder; without it a folder is no backup.

Promises: the manifest is written last, whole or not at all, so a backup that was cut is never taken for one; a changed,
missing or added byte in any part is refused by the part's name; a manifest is believed only under the key that its
reader expects. Byte form: `keys/FORMAT.md` §12.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gateway.errors import Misconfigured, Tampered, TryLater
from keys.encoding import canonical, parse_canonical
from keys.errors import Tampered as SealBroken
from keys.signing import verify_signature

NAME = "manifest.json"
FORMAT = 1
CONTENT, KEYHOLDER = "content", "keyholder"
LABEL = "sealgate/backup/v1"
CHUNK_BYTES = 1 << 20
_MOST_BYTES = 16 << 20


class Changed(Tampered):
    """This backup was changed after it was made, or is damaged. Do not restore it; take an older one."""

    @property
    def public(self) -> str:
        """The detail names a part of the backup, which is no secret."""
        return f"{self.detail}: {super().public}" if self.detail else super().public


class Failed(TryLater):
    """The backup could not be finished. What was written of it is not taken for one."""

    @property
    def public(self) -> str:
        """The detail names programs and folders of this machine: for its technician."""
        return self.detail or super().public


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a backup: its name in the folder, its size and its SHA-256 in hexadecimal."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """`expires_us` is the moment from which a copy of the keyholder's store opens nothing; None for content.

    `kek` is the check value of the root key it hangs on, `public_key` the keyholder's root key in hexadecimal, `about`
    what the kind of backup adds: sizes and roots of logs, counts, the kind of database.
    """

    kind: str
    id: str
    made_us: int
    expires_us: int | None
    public_key: str
    kek: str
    release: str
    parts: tuple[Part, ...]
    about: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> bytes:
        """The bytes that are signed."""
        plain = {name: value for name, value in asdict(self).items() if name != "parts"}
        return canonical(plain | {"format": FORMAT, "parts": [asdict(part) for part in self.parts]})

    @property
    def digest(self) -> bytes:
        """What the keyholder signs."""
        return hashlib.sha256(self.text()).digest()

    @property
    def size_bytes(self) -> int:
        """Of its parts, blobs not counted."""
        return sum(part.size_bytes for part in self.parts)

    def part(self, name: str) -> Part:
        """Raises Changed when it has none of that name."""
        for one in self.parts:
            if one.name == name:
                return one
        raise Changed(name)


def write(directory: Path, manifest: Manifest, signature: bytes) -> None:
    """Make the folder a backup. Everything else in it is durable already."""
    fresh = directory / (NAME + ".new")
    with open(fresh, "xb") as file:
        file.write(manifest.text() + b"\n" + base64.b64encode(signature) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, directory / NAME)
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def kind_of(directory: Path) -> str | None:
    """Which half lies in that folder, by its own word; None for a folder that is no backup."""
    try:
        return str(_parsed(directory)[0]["kind"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read(directory: Path, kind: str, public_key: str | None = None) -> Manifest:
    """The manifest of a whole backup of that kind, signed under its own key, or under `public_key` (hex).

    Raises Misconfigured for what is no backup, was cut, or is the other half; Changed.
    """
    try:
        plain, text, signature = _parsed(directory)
    except FileNotFoundError as error:
        raise Misconfigured(
            f"{directory} is no backup: it has no {NAME}, so it is another folder, or was cut while it was made"
        ) from error
    except OSError as error:
        raise Misconfigured(f"{directory / NAME} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise Changed(NAME) from error
    try:
        if plain.pop("format") != FORMAT:
            raise Misconfigured(f"{directory} is of another format: restore it with the release that made it")
        manifest = Manifest(**plain | {"parts": tuple(Part(**part) for part in plain["parts"])})
        expected = manifest.public_key if public_key is None else public_key
        verify_signature(bytes.fromhex(expected), signature, LABEL, manifest.kind, manifest.id, manifest.digest)
        if manifest.text() != text:
            raise Changed(NAME)
    except (KeyError, TypeError, ValueError, AttributeError, SealBroken) as error:
        raise Changed(NAME) from error
    if manifest.kind != kind:
        raise Misconfigured(f"{directory} is a backup of the {manifest.kind}; name the one of the {kind} here")
    return manifest


def checked(directory: Path, part: Part) -> Iterator[bytes]:
    """The bytes of a part. Raises Changed at its end when they are not those that were signed: use nothing before."""
    try:
        with open(directory / part.name, "rb", opener=plain_file) as file:
            yield from hashed(file.read, part)
    except OSError as error:
        raise Changed(part.name) from error


def hashed(read_some: Any, part: Part) -> Iterator[bytes]:
    """Chunks from `read_some(size)`. Raises Changed at the end unless size and hash are the part's."""
    running, size = hashlib.sha256(), 0
    while chunk := read_some(CHUNK_BYTES):
        running.update(chunk)
        size += len(chunk)
        if size > part.size_bytes:
            break
        yield chunk
    if size != part.size_bytes or running.hexdigest() != part.sha256:
        raise Changed(part.name)


def part_of(directory: Path, name: str) -> Part:
    """Size and hash of a file that was just written, and that file made durable."""
    running, size = hashlib.sha256(), 0
    with open(directory / name, "rb", opener=plain_file) as file:
        while chunk := file.read(CHUNK_BYTES):
            running.update(chunk)
            size += len(chunk)
        os.fsync(file.fileno())
    return Part(name, size, running.hexdigest())


def _parsed(directory: Path) -> tuple[dict[str, Any], bytes, bytes]:
    with open(directory / NAME, "rb", opener=plain_file) as file:
        whole = file.read(_MOST_BYTES)
    text, _, rest = whole.partition(b"\n")
    plain = parse_canonical(text)
    if not isinstance(plain, dict) or not rest.endswith(b"\n"):
        raise ValueError("no manifest")
    return plain, text, base64.b64decode(rest[:-1], validate=True)


def plain_file(path: str, flags: int) -> int:
    """Opener for what others could have put there: a regular file, or OSError; never a link, never a pipe."""
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return descriptor
