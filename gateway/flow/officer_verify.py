"""Proving that nothing was removed: the log's head, what lies outside, an export to take away, an old notice compared.

Promises: the export is the same directory that the command writes, one moment of the log up to a signed checkpoint; an
old notice is held against this log by arithmetic, not by what a row says of it; each export and each check is an entry.
Clauses: C2SP tlog-tiles, tlog-checkpoint; RFC 6962 2.1.2; DESIGN §5; 45 CFR 164.312(c)(2).
"""

from __future__ import annotations

import base64
import io
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Connection, select

from gateway.audit.event import Action
from gateway.audit.export import export
from gateway.audit.log import AuditLog, hashes
from gateway.audit.origins import open_any
from gateway.audit.outside import header_value, notice_header
from gateway.audit.sequencer import latest_note, signed_size
from gateway.clock import from_us
from gateway.errors import TryLater
from gateway.flow.kept import Busy, Kept
from gateway.flow.sent import user_of
from gateway.flow.trail import Happened, Origin, Trail
from gateway.share import answering
from gateway.share.portal import PortalClient, Session
from gateway.store import waiting
from gateway.store.schema import log_checkpoints, outside_checkpoints
from keys.errors import Tampered as Broken
from keys.merkle import consistency_proof, root, verify_consistency
from keys.notes import Checkpoint

SIGNED_WITHIN_SECONDS = 15.0
PIECE_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class Outside:
    """The last checkpoint that left in a notice: how much it covered, and whether the log now extends it."""

    size: int
    at: datetime
    extended: bool


@dataclass(frozen=True, slots=True)
class Head:
    """A log as it stands; hashes in base64. `waiting`: entries that are committed and have no number yet."""

    origin: str
    size: int
    root: str
    note: str
    signed_at: datetime | None
    signed_size: int
    vkey: str
    outside: Outside | None
    waiting: int


@dataclass(frozen=True, slots=True)
class Checked:
    """An old notice against the log: `result` is fits, changed, unknown or none; `size` what it covered."""

    result: str
    size: int = 0
    at: datetime | None = None


class Proofs:
    """Behind the verify page. Thread-safe; one export is made at a time, and few lie ready for slow readers."""

    def __init__(self, audit: AuditLog, keys: PortalClient, trail: Trail) -> None:
        self._audit = audit
        self._keys = keys
        self._trail = trail
        self._turn = threading.Lock()
        self._kept = Kept()

    def head(self, tenant: str) -> Head:
        """The log's head, and how it stands to what lies outside."""
        with answering():
            vkeys = self._keys.vkeys(tenant)
        with self._audit.store.reading(log=tenant) as conn:
            size, unnumbered = self._audit.size(conn, tenant), waiting.count(conn, tenant)
            now = root(size, hashes(conn, tenant))
            note = latest_note(conn, tenant) or ""
            signed = signed_size(conn, tenant)
            at = conn.execute(
                select(log_checkpoints.c.signed_at).where(
                    log_checkpoints.c.log == tenant, log_checkpoints.c.size == signed
                )
            ).scalar()
            outside = self._outside(conn, tenant, vkeys["log_vkey"], size, now)
        return Head(
            vkeys["origin"], size, base64.b64encode(now).decode(), note, from_us(at) if at else None, signed,
            vkeys["log_vkey"], outside, unnumbered,
        )  # fmt: skip

    def check_notice(self, origin: Origin, session: Session, mail: bytes) -> Checked:
        """An old notice as it was received, with all its header fields."""
        checked = self._checked(origin.tenant, mail)
        outcome = {"fits": "ok", "changed": "failed"}.get(checked.result, "partial")
        self._trail.record(
            origin,
            Happened(
                Action.LOG_SEARCHED, origin.tenant, user_of(session), outcome=outcome,
                reason=f"notice {checked.result}", proof=session["proof"],
            ),
        )  # fmt: skip
        return checked

    def export(self, origin: Origin, session: Session) -> Iterator[bytes]:
        """The export as a ZIP, in pieces. It is whole on this machine before the first piece is given.

        Raises Busy, TryLater when the log's latest entries were not signed in time.
        """
        try:
            return self._export(origin, session)
        except Busy:
            self._exported(origin, session, "refused", "busy")
            raise

    def _exported(self, origin: Origin, session: Session, outcome: str, reason: str) -> None:
        what = Happened(
            Action.LOG_EXPORTED, origin.tenant, user_of(session), outcome=outcome, reason=reason, proof=session["proof"]
        )
        self._trail.record(origin, what)

    def _export(self, origin: Origin, session: Session) -> Iterator[bytes]:
        self._kept.need_room(origin.tenant)
        if not self._turn.acquire(blocking=False):
            raise Busy("an export is being made")
        folder = TemporaryDirectory(prefix="sealgate-export-", ignore_cleanup_errors=True)
        try:
            self._exported(origin, session, "ok", "zip")  # before it is made: it stands in what is taken away
            self._signed(origin.tenant)
            made = Path(folder.name) / "log"
            with answering():
                export(made, self._audit, origin.tenant, _Releases(self._keys, session["handle"]))
            size = sum(one.stat().st_size for one in made.rglob("*") if one.is_file())
            return self._kept.keep(origin.tenant, folder, size, _zipped(made))
        except BaseException:
            folder.cleanup()
            raise
        finally:
            self._turn.release()

    def _signed(self, tenant: str) -> None:
        """Wait until what was committed up to now is numbered and signed: the worker signs every second."""
        with self._audit.store.reading(log=tenant) as conn:
            size = self._audit.size(conn, tenant)
            if waiting.count(conn, tenant):
                raise TryLater("the log's latest entries have no number yet")
        end = time.monotonic() + SIGNED_WITHIN_SECONDS
        while time.monotonic() < end:
            with self._audit.store.reading() as conn:
                if signed_size(conn, tenant) >= size:
                    return
            time.sleep(0.05)
        raise TryLater("the log's latest entries are not signed yet")

    def _outside(self, conn: Connection, tenant: str, vkey: str, size: int, now: bytes) -> Outside | None:
        row = conn.execute(
            select(outside_checkpoints.c.checkpoint, outside_checkpoints.c.at)
            .where(outside_checkpoints.c.log == tenant)
            .order_by(outside_checkpoints.c.at.desc())
            .limit(1)
        ).one_or_none()
        if row is None:
            return None
        try:
            old = open_any(row[0], vkey)
        except (Broken, ValueError):
            return Outside(0, from_us(row[1]), False)
        return Outside(old.size, from_us(row[1]), self._extends(conn, tenant, old, size, now))

    def _extends(self, conn: Connection, tenant: str, old: Checkpoint, size: int, now: bytes) -> bool:
        if old.size > size:
            return False
        try:
            proof = consistency_proof(old.size, size, hashes(conn, tenant))
            verify_consistency(old.size, old.root, size, now, proof)
        except (Broken, ValueError):
            return False
        return True

    def _checked(self, tenant: str, mail: bytes) -> Checked:
        header = notice_header(mail)
        if header is None:
            return Checked("none")
        with answering():
            vkey = self._keys.vkeys(tenant)["log_vkey"]
        with self._audit.store.reading() as conn:
            columns = outside_checkpoints.c
            row = conn.execute(
                select(columns.salt, columns.checkpoint, columns.at).where(
                    columns.log == tenant, columns.header == header
                )
            ).first()
            if row is None:
                return Checked("unknown")
            salt, note, at = bytes(row[0]), str(row[1]), int(row[2])
            size = self._audit.size(conn, tenant)
            try:
                old = open_any(note, vkey)
                proved = header_value(note, salt, at) == header
            except (Broken, ValueError):
                return Checked("changed", 0, from_us(at))
            now = root(size, hashes(conn, tenant))
            fits = proved and self._extends(conn, tenant, old, size, now)
        return Checked("fits" if fits else "changed", old.size, from_us(at))


@dataclass(frozen=True, slots=True)
class _Releases:
    """The keyholder's log as this session may read it; `gateway.audit.export.ReleaseLogs`."""

    keys: PortalClient
    session: str

    def release_log(self, tenant: str, start: int = 0) -> Mapping[str, Any]:
        return self.keys.release_log(self.session, tenant, start)

    def vkeys(self, tenant: str) -> Mapping[str, str]:
        return self.keys.vkeys(tenant)


class _Pipe(io.RawIOBase):
    """What a ZIP writer wrote since the last look. It cannot be sought in, so lengths follow each file."""

    def __init__(self) -> None:
        self._data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._data += data
        return len(data)

    def taken(self) -> bytes:
        """And forget it."""
        data, self._data = bytes(self._data), bytearray()
        return data


def _zipped(made: Path) -> Iterator[bytes]:
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(one for one in made.rglob("*") if one.is_file()):
            name = str(Path("log") / path.relative_to(made))
            large = path.stat().st_size > 2**31
            with archive.open(name, "w", force_zip64=large) as out, open(path, "rb") as file:
                while piece := file.read(PIECE_BYTES):
                    out.write(piece)
                    yield pipe.taken()
    yield pipe.taken()
