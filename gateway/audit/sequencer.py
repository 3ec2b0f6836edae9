"""Signing the heads of the logs, and leaving them where the operator cannot reach.

Promises: a head is signed only with a proof that it extends the last one the keyholder signed; the keyholder's word on
what that was is final. A checkpoint that a notice carries is kept with the salt that proves it. A log that is behind or
beside the keyholder's last checkpoint is never signed on, and `guard` refuses to serve it.
Clauses: C2SP tlog-checkpoint; RFC 6962 2.1.2; DESIGN §5 (first witness, outside checkpoints, restore guard).
"""

from __future__ import annotations

import base64
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from sqlalchemy import Connection, bindparam, desc, func, insert, literal_column, select

from gateway.audit.event import GATEWAY, SYSTEM, Action, Event, parse
from gateway.audit.log import AuditLog, hashes, octets
from gateway.audit.outside import SALT_BYTES, header_value
from gateway.errors import Misconfigured, Tampered, TryLater
from gateway.logs import Log
from gateway.store.database import Tx
from gateway.store.schema import log_checkpoints, log_leaves, outside_checkpoints
from gateway.store.statement import Statement
from keys.errors import Denied, Unavailable
from keys.merkle import consistency_proof, root
from keys.notes import parse_checkpoint

HEADS_EVERY = timedelta(minutes=1)

_SIGNED = Statement(select(func.max(log_checkpoints.c.size)).where(log_checkpoints.c.log == bindparam("of")))
_LATEST = Statement(
    select(log_checkpoints.c.note)
    .where(log_checkpoints.c.log == bindparam("of"))
    .order_by(desc(log_checkpoints.c.size))
    .limit(literal_column("1"))
)
_DEPOSIT = Statement(insert(outside_checkpoints))

log = Log("sealgate.audit")


class Witness(Protocol):
    """Who signs, and remembers what it signed: `keys.client.WorkerClient`."""

    def sign_checkpoint(self, log: str, size: int, root: bytes, old_size: int, proof: Sequence[bytes]) -> str:
        """The signed note. Raises Denied("inconsistent"), Unavailable."""

    def last_checkpoint(self, log: str) -> Mapping[str, Any] | None:
        """``size``, ``root`` (base64), ``note`` of the last one signed; None before the first."""


class Sequencer:
    """Signs what has its number. The worker of each node calls `run_once`; one at a time has the turn.

    `number` gives what waits its number first (`Numbering.run_once`); SQLite, where nothing waits, needs none.
    """

    def __init__(self, audit: AuditLog, witness: Witness, number: Callable[[], object] = lambda: None) -> None:
        self._audit = audit
        self._witness = witness
        self._number = number
        self._turn = threading.Lock()
        self._heads_at = 0.0
        self._recorded: dict[str, int] = {}
        self._begun: set[str] = set()

    def run_once(self) -> int:
        """Sign every log with new entries; once a minute put the tenants' heads into the system log. How many signed.

        Raises TryLater when the keyholder or the database cannot be had, Tampered when the keyholder refuses a head.
        """
        with self._turn, self._audit.store.turn("checkpoints") as mine:
            if not mine:  # another worker signs; when it dies, the next look is ours
                return 0
            if time.monotonic() - self._heads_at >= HEADS_EVERY.total_seconds():
                self._record_heads()
                self._heads_at = time.monotonic()
            self._number()
            with self._audit.store.reading() as conn:
                names = self._audit.names(conn)
                due = [name for name in names if self._audit.size(conn, name) > signed_size(conn, name)]
            for name in due:
                self._sign(name)
            return len(due)

    def deposit(self, name: str, tx: Tx | None = None) -> str:
        """The value of a notice's `Sealgate-Checkpoint` header, recorded with its salt; in `tx` when one is given.

        ``v1; origin; time; H(salt ‖ checkpoint); signature``, the last two base64, the signature that of the
        checkpoint's note. Raises TryLater while the log has no signed checkpoint.
        """
        if tx is None:
            return self._audit.store.run(lambda own: self.deposit(name, own))
        note = latest_note(tx.conn, name)
        if note is None:
            raise TryLater(f"log {name} has no checkpoint yet")
        salt = secrets.token_bytes(SALT_BYTES)
        header = header_value(note, salt, tx.now_us)
        row = {"id": self._audit.clock.new_id("chk"), "log": name, "at": tx.now_us, "salt": salt}
        _DEPOSIT.do(tx.conn, {**row, "checkpoint": note, "header": header})
        return header

    def _sign(self, name: str) -> None:
        with self._audit.store.reading() as conn:
            size, old = self._audit.size(conn, name), signed_size(conn, name)
            get = hashes(conn, name)
            head = root(size, get)
            if name not in self._begun and old and self._last(name) is None:
                old = 0  # the log goes on under a new origin, of which nothing was signed yet
            try:
                note = self._witness.sign_checkpoint(name, size, head, old, consistency_proof(old, size, get))
            except Denied as denied:
                # A crash between its signature and our row leaves the keyholder ahead of us: ask it and try from there.
                last = self._last(name)
                if last is None or not 0 < int(last["size"]) <= size or int(last["size"]) == old:
                    log.error("audit:checkpoint-refused", tenant=name, size=size, reason=denied.reason)
                    raise Tampered(f"the keyholder refuses to sign log {name} at {size}: {denied.reason}") from denied
                note = self._again(name, size, head, int(last["size"]), get)
            except Unavailable as error:
                raise TryLater("the keyholder does not sign") from error
        self._audit.store.run(lambda tx: self._keep(tx, name, size, note))
        self._begun.add(name)

    def _again(self, name: str, size: int, head: bytes, old: int, get: Any) -> str:
        try:
            return self._witness.sign_checkpoint(name, size, head, old, consistency_proof(old, size, get))
        except Denied as denied:
            log.error("audit:checkpoint-refused", tenant=name, size=size, reason=denied.reason)
            raise Tampered(f"the keyholder refuses to sign log {name} at {size}: {denied.reason}") from denied
        except Unavailable as error:
            raise TryLater("the keyholder does not sign") from error

    def _last(self, name: str) -> Mapping[str, Any] | None:
        try:
            return self._witness.last_checkpoint(name)
        except Unavailable as error:
            raise TryLater("the keyholder does not answer") from error

    def _keep(self, tx: Tx, name: str, size: int, note: str) -> None:
        if signed_size(tx.conn, name) < size:  # another sequencer may have been quicker
            tx.conn.execute(insert(log_checkpoints).values(log=name, size=size, note=note, signed_at=tx.now_us))

    def _record_heads(self) -> None:
        """The system tree holds each tenant's latest checkpoint, so that one outside witness covers all."""
        with self._audit.store.reading() as conn:
            if self._audit.size(conn, SYSTEM) == 0:
                return
            heads = []
            for name in self._audit.names(conn):
                note = latest_note(conn, name) if name != SYSTEM else None
                if note is None:
                    continue
                checkpoint = parse_checkpoint(note.rpartition("\n\n")[0] + "\n")
                known = self._recorded.get(name) if self._audit.store.dialect == "sqlite" else None
                if checkpoint.size > (_recorded(conn, name) if known is None else known):
                    heads.append((name, checkpoint.size, base64.b64encode(checkpoint.root).decode()))
        if heads:
            self._audit.store.run(lambda tx: self._append_heads(tx, heads))
            self._recorded.update({name: size for name, size, _ in heads})

    def _append_heads(self, tx: Tx, heads: list[tuple[str, int, str]]) -> None:
        for name, size, head in heads:
            self._audit.append(tx, Event(Action.LOG_CHECKPOINT, SYSTEM, name, GATEWAY, reason=f"{size} {head}"))


def guard(audit: AuditLog, name: str, last: Mapping[str, Any] | None) -> None:
    """Refuse to serve a database that is older than, or beside, what the keyholder last signed for this log.

    `last` is `WorkerClient.last_checkpoint(name)`. Raises Misconfigured, which names both sizes and what to do.
    """
    if last is None:
        return
    size, _ = audit.head(name)  # of what has its number, as what was signed had
    signed = int(last["size"])
    if size < signed:
        raise Misconfigured(
            f"log {name}: the database ends at entry {size - 1}, the keyholder has signed up to {signed - 1}. "
            "The database is older than its log: restore a newer backup; if what is missing is lost for good: "
            "sealgate audit reopen --reason WORD (deploy/BACKUP.md)"
        )
    with audit.store.reading() as conn:
        found = root(signed, hashes(conn, name))
    if found != base64.b64decode(last["root"]):
        raise Misconfigured(
            f"log {name}: the database's first {signed} entries are not those the keyholder has signed. "
            "Do not serve it; keep both and run 'sealgate audit verify' on the last export."
        )


def signed_size(conn: Connection, name: str) -> int:
    """Size of the latest signed checkpoint; 0 before the first."""
    found = _SIGNED.first(conn, {"of": name})
    return 0 if found is None else int(found[0] or 0)


def latest_note(conn: Connection, name: str) -> str | None:
    """The latest signed checkpoint."""
    found = _LATEST.first(conn, {"of": name})
    return None if found is None else str(found[0])


def _recorded(conn: Connection, name: str) -> int:
    """Size of the tenant's head that the system log recorded last."""
    statement = (
        select(log_leaves.c.entry)
        .where(log_leaves.c.log == SYSTEM, log_leaves.c.object == name, log_leaves.c.action == Action.LOG_CHECKPOINT)
        .order_by(desc(log_leaves.c.idx))
        .limit(1)
    )
    entry = conn.execute(statement).scalar_one_or_none()
    return 0 if entry is None else int(str(parse(octets(entry))["reason"]).partition(" ")[0])
