"""A log as a directory that anyone can check: C2SP tlog-tiles, with what an auditor reads beside it.

Layout: `checkpoint`, `tile/…`, `tile/entries/…`, `vkey`, `entries.jsonl` (the same entries, one a line), `outside.json`
(checkpoints left in notices, with their salts); `keyholder/` the release log and `system/` the system log in the same
form. Promises: what is exported is one moment of the database, up to its latest signed checkpoint; every hash is
computed from the entries again, and a directory is given its name when it is complete. Byte form: FORMAT.md.
"""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import RowMapping, select

from gateway.audit.event import SYSTEM
from gateway.audit.log import AuditLog
from gateway.audit.sequencer import latest_note
from gateway.audit.tiling import write_tiles
from gateway.errors import Misconfigured, Tampered, TryLater
from gateway.store import waiting
from gateway.store.schema import outside_checkpoints
from keys.encoding import canonical
from keys.errors import Tampered as Broken
from keys.merkle import Frontier
from keys.notes import open_note, parse_checkpoint, parse_vkey

KEYHOLDER_DIR = "keyholder"
SYSTEM_DIR = "system"
CHECKPOINT, VKEY, ENTRIES, OUTSIDE = "checkpoint", "vkey", "entries.jsonl", "outside.json"


class ReleaseLogs(Protocol):
    """Where the release log and the keys come from: `keys.client.OperatorClient` or `WorkerClient`."""

    def release_log(self, tenant: str, start: int = 0) -> Mapping[str, Any]:
        """``entries`` (base64, from `start`), ``size``, ``checkpoint``."""

    def vkeys(self, tenant: str) -> Mapping[str, str]:
        """``log_vkey``, ``release_vkey``, ``system_vkey``."""


@dataclass(frozen=True, slots=True)
class Exported:
    """How much was written; `waiting`: entries of the tenant's log that were committed before and had no number yet."""

    entries: int
    releases: int
    system: int
    waiting: int = 0


def export(directory: Path, audit: AuditLog, tenant: str, keyholder: ReleaseLogs) -> Exported:
    """Write a tenant's log, its release log and the system log to a new directory.

    The tenant's log is taken first: a release made meanwhile shows as one without an opening, never an opening as one
    without a release. Raises Misconfigured when there is something at `directory`, TryLater while the log has no signed
    checkpoint or the keyholder does not answer, Tampered when entries and checkpoint do not agree.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise Misconfigured(f"{directory} is not empty; name a new directory for the export")
    vkeys = keyholder.vkeys(tenant)
    building = directory.with_name(directory.name + ".partial")
    shutil.rmtree(building, ignore_errors=True)
    try:
        building.mkdir(parents=True, mode=0o700)
        with audit.store.reading(log=tenant) as conn:
            unnumbered = waiting.count(conn, tenant)
            size = _copy(building, audit, conn, tenant, vkeys["log_vkey"])
            statement = select(outside_checkpoints).where(outside_checkpoints.c.log == tenant)
            rows = conn.execute(statement.order_by(outside_checkpoints.c.at, outside_checkpoints.c.id)).mappings()
            _put(building / OUTSIDE, canonical([outside_item(row) for row in rows]) + b"\n")
            (building / SYSTEM_DIR).mkdir(mode=0o700)
            system = _copy(building / SYSTEM_DIR, audit, conn, SYSTEM, vkeys["system_vkey"])
        (building / KEYHOLDER_DIR).mkdir(mode=0o700)
        note, entries = releases(keyholder, tenant)
        released = write_log(building / KEYHOLDER_DIR, note, entries, vkeys["release_vkey"])
        if directory.exists():
            directory.rmdir()
        building.rename(directory)
    except OSError as error:
        raise Misconfigured(f"cannot write {directory}: {error.strerror}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Exported(size, released, system, unnumbered)


def write_log(directory: Path, note: str, entries: Iterable[bytes], vkey: str) -> int:
    """Write one log: hashes computed from the entries, compared with the signed checkpoint. How many entries.

    Raises Tampered when the note is not signed by `vkey` or is of other entries.
    """
    try:
        checkpoint = parse_checkpoint(open_note(note, parse_vkey(vkey)))
    except (Broken, ValueError) as error:
        raise Tampered("a log's checkpoint is not signed by its key") from error
    tree = Frontier(0, [])
    with open(directory / ENTRIES, "wb", opener=_private) as readable:

        def read() -> Iterator[bytes]:
            for entry in entries:
                readable.write(entry + b"\n")
                yield entry

        write_tiles(lambda path, data: _tile(directory / path, data), tree, [], read())
    if (checkpoint.size, checkpoint.root) != (tree.size, tree.root()):
        raise Tampered("a log's entries are not those of its signed checkpoint")
    _put(directory / CHECKPOINT, note.encode())
    _put(directory / VKEY, vkey.encode() + b"\n")
    return tree.size


def _copy(directory: Path, audit: AuditLog, conn: Any, name: str, vkey: str) -> int:
    note = latest_note(conn, name)
    if note is None:
        raise TryLater(f"log {name} has no signed checkpoint yet")
    size = int(note.split("\n")[1])
    return write_log(directory, note, audit.entries(conn, name, 0, size), vkey)


def releases(keyholder: ReleaseLogs, tenant: str, start: int = 0) -> tuple[str, list[bytes]]:
    """The release log from `start` as it stood at one checkpoint, and that. Asked again when it grew between pages."""
    entries: list[bytes] = []
    while True:
        page = keyholder.release_log(tenant, start + len(entries))
        entries += [base64.b64decode(entry) for entry in page["entries"]]
        if start + len(entries) >= int(page["size"]):
            return str(page["checkpoint"]), entries[: int(page["size"]) - start]
        if not page["entries"]:
            raise TryLater("the keyholder gave no entries where there should be some")


def outside_item(row: RowMapping) -> dict[str, Any]:
    """A head left in a notice, as exports list it."""
    return {
        "at": row["at"], "checkpoint": row["checkpoint"], "header": row["header"], "id": row["id"],
        "salt": base64.b64encode(row["salt"]).decode(),
    }  # fmt: skip


def _tile(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _put(path, data)


def _put(path: Path, data: bytes) -> None:
    with open(path, "wb", opener=_private) as file:
        file.write(data)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
