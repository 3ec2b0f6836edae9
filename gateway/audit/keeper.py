"""A keeper: a place outside this machine that a log is exported to again and again, and that only ever gets more.

Contract of the port: a name is put once; what was put first under it is what `read` gives, whatever was done there
since; nothing is ever removed. A store with Object Lock holds each object against everybody until a date; whether it
does is only said after the store said so of that very object. Clauses: 45 CFR 164.316(b)(2)(i) (six years).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from gateway.errors import Misconfigured, Tampered, TryLater

SETTING = "[audit] export_url"


@dataclass(frozen=True, slots=True)
class Held:
    """What the store itself says of an object: it can be neither changed nor removed before that day (UTC).

    `mode`: ``compliance`` (by nobody) or ``governance`` (by nobody without a right of its own to do so).
    """

    mode: str
    until: str


class Keeper(Protocol):
    """Where a log grows. Every method raises TryLater while the place is away, Misconfigured when it refuses us."""

    words: str
    """The place as people read it."""

    def names(self) -> frozenset[str]:
        """What is there, looked up anew."""

    def read(self, name: str) -> bytes:
        """What was put under that name first. Raises Tampered when it is not there."""

    def put(self, name: str, data: bytes) -> None:
        """Put it once; the same bytes again are fine. Raises Tampered when other bytes lie there."""

    def held(self, name: str) -> Held | None:
        """What the store says of it; None where nothing holds it."""

    def hidden(self) -> int:
        """How many of what `names` saw last were removed or written over since, and are read from what was first."""


class FolderKeeper:
    """A folder, best on another machine's disk: what lies in it can be changed by whoever can write there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.words = str(folder)

    def names(self) -> frozenset[str]:
        if not self._folder.is_dir():
            return frozenset()
        return frozenset(
            path.relative_to(self._folder).as_posix() for path in self._folder.rglob("*") if path.is_file()
        )

    def read(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError as error:
            raise Tampered(f"{name} is missing in {self.words}") from error
        except OSError as error:
            raise TryLater(f"{self.words} cannot be read: {error.strerror}") from error

    def put(self, name: str, data: bytes) -> None:
        path = self._folder / name
        fresh = path.with_name(path.name + ".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh.unlink(missing_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            try:
                os.link(fresh, path)  # fails where the name is taken, which a rename would not
            except FileExistsError:
                if path.read_bytes() != data:
                    raise Tampered(f"other bytes lie at {name} in {self.words}") from None
            finally:
                fresh.unlink(missing_ok=True)
        except OSError as error:
            raise TryLater(f"{self.words} cannot be written: {error.strerror}") from error

    def held(self, name: str) -> Held | None:
        """None: a folder holds nothing against whoever can write to it."""
        return None

    def hidden(self) -> int:
        """0: a folder keeps no earlier versions."""
        return 0


def is_url(text: str) -> bool:
    """Whether a command's argument names a keeper and not a directory for a single export."""
    return text.startswith(("s3://", "file://"))


def keeper_at(url: str, below: str = "", *, lock: str = "none", days: int = 0, patient: bool = True) -> Keeper:
    """The keeper that a URL names, and the folder `below` it. Asks nothing yet. Raises Misconfigured.

    `lock` and `days`: how an S3 store is to hold what is put. `patient`: whether to wait for a slow store.
    """
    if url.startswith("file://"):
        parts = urlsplit(url)
        path = Path(unquote(parts.path))
        if parts.netloc not in ("", "localhost") or not path.is_absolute() or parts.query or parts.fragment:
            raise Misconfigured(f"{SETTING}: write file:/// and an absolute path, or s3://bucket/prefix")
        return FolderKeeper(path / below)
    from gateway.audit.s3keeper import S3Keeper

    return S3Keeper(url, below, lock=lock, days=days, patient=patient)
