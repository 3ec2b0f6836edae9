"""The sealed files in a backup: those that the copied rows name, by name, each with its hash; and back.

Promises: memory does not grow with their number; a file that an earlier backup holds, whole and unchanged, is linked
and not written again; one that the vault no longer has (erased since the copied moment, or lost) is listed as missing
and does not end the backup; what comes back is compared with its hash before it counts. DESIGN §4a.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from gateway.backup.manifest import CHUNK_BYTES, Changed, Manifest, Part, hashed, plain_file
from gateway.store.schema import objects
from gateway.vault import Vault
from gateway.vault.port import Missing

LIST, FOLDER = "blobs.jsonl", "blobs"
_PAGE = 1000
Progress = Callable[[str], None]


@dataclass(slots=True)
class Tally:
    """How many files and bytes, how many of them were linked to an earlier backup, and how many are missing."""

    files: int = 0
    size_bytes: int = 0
    linked: int = 0
    missing: int = 0

    def plain(self) -> dict[str, int]:
        """For a manifest."""
        return {"files": self.files, "bytes": self.size_bytes, "missing": self.missing}


def copy(conn: Connection, vault: Vault, target: Path, since: Path | None, progress: Progress) -> Tally:
    """Every blob that a row of this view names, into `target`, with their list. `since`: an earlier, verified backup.

    Raises TryLater when the vault is not there, OSError.
    """
    total = int(conn.execute(select(func.count()).select_from(objects)).scalar() or 0)
    tally = Tally()
    earlier = _Earlier(since)
    (target / FOLDER).mkdir(mode=0o700)
    with closing(earlier), open(target / LIST, "x", encoding="ascii") as list_:
        for blob, size in _named(conn):
            part = _linked(earlier.find(blob), since, target, blob)
            if part is not None:
                tally.linked += 1
            else:
                part = _written(vault, target, blob)
            if part is None:
                tally.missing += 1
                list_.write(json.dumps({"blob": blob, "bytes": size, "missing": True}) + "\n")
                continue
            tally.files, tally.size_bytes = tally.files + 1, tally.size_bytes + part.size_bytes
            list_.write(json.dumps({"blob": blob, "bytes": part.size_bytes, "sha256": part.sha256}) + "\n")
            progress(f"files: {tally.files} of {total}, {tally.size_bytes // 1_000_000} MB")
    return tally


def bring_back(source: Path, manifest: Manifest, vault: Vault, progress: Progress) -> Tally:
    """Every blob of a backup into an empty vault. The list itself was checked. Raises Changed, TryLater."""
    tally, total = Tally(), int(manifest.about["blobs"]["files"])
    for one in listed(source):
        if one.get("missing"):
            tally.missing += 1
            continue
        part = Part(_path(one["blob"]), int(one["bytes"]), str(one["sha256"]))
        try:
            with open(source / part.name, "rb", opener=plain_file) as file:
                vault.put_back(one["blob"], hashed(file.read, part))
        except (OSError, ValueError) as error:
            raise Changed(part.name) from error
        tally.files, tally.size_bytes = tally.files + 1, tally.size_bytes + part.size_bytes
        progress(f"files: {tally.files} of {total}, {tally.size_bytes // 1_000_000} MB")
    if tally.plain() != manifest.about["blobs"]:
        raise Changed(LIST)
    return tally


def listed(source: Path) -> Iterator[dict[str, Any]]:
    """The lines of a backup's list, in the order of the names."""
    with open(source / LIST, "rb", opener=plain_file) as file:
        for line in file:
            yield json.loads(line)


class _Earlier:
    """Looks names up in an earlier list, which is in the same order: one pass beside ours."""

    def __init__(self, since: Path | None) -> None:
        self._lines = listed(since) if since is not None else iter(())
        self._held: dict[str, Any] | None = next(self._lines, None)

    def find(self, blob: str) -> dict[str, Any] | None:
        while self._held is not None and self._held["blob"] < blob:
            self._held = next(self._lines, None)
        held = self._held
        return held if held is not None and held["blob"] == blob and not held.get("missing") else None

    def close(self) -> None:
        """Let go of the file."""
        if hasattr(self._lines, "close"):
            self._lines.close()


def _named(conn: Connection) -> Iterator[tuple[str, int]]:
    last = ""
    statement = select(objects.c.blob, func.max(objects.c.sealed_bytes)).group_by(objects.c.blob)
    while True:
        page = conn.execute(statement.where(objects.c.blob > last).order_by(objects.c.blob).limit(_PAGE)).all()
        yield from ((str(blob), int(size)) for blob, size in page)
        if len(page) < _PAGE:
            return
        last = str(page[-1][0])


def _linked(one: dict[str, Any] | None, since: Path | None, target: Path, blob: str) -> Part | None:
    """The earlier backup's file under our name, if it is what its list says; read whole: rot is not passed on."""
    if one is None or since is None:
        return None
    part = Part(_path(blob), int(one["bytes"]), str(one["sha256"]))
    try:
        with open(since / part.name, "rb", opener=plain_file) as file:
            for _ in hashed(file.read, part):
                pass
        (target / part.name).parent.mkdir(mode=0o700, exist_ok=True)
        os.link(since / part.name, target / part.name)
    except (OSError, Changed):
        return None  # another file system, or damaged there: it is written from the vault
    return part


def _written(vault: Vault, target: Path, blob: str) -> Part | None:
    try:
        reader = vault.sealed(blob)
    except Missing:
        return None
    name = _path(blob)
    (target / name).parent.mkdir(mode=0o700, exist_ok=True)
    running, at = hashlib.sha256(), 0
    with closing(reader), open(target / name, "xb", opener=_private) as file:
        while chunk := reader.read(at, CHUNK_BYTES):
            running.update(chunk)
            file.write(chunk)
            at += len(chunk)
    return Part(name, at, running.hexdigest())


def _path(blob: str) -> str:
    if not (blob.isascii() and blob.isalnum()):  # from a changed row or list: it must not lead out of the folder
        raise Changed(LIST)
    return "/".join((FOLDER, blob[:2], blob))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
