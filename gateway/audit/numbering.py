"""The one sequencer: entries that wait in the outbox get their number and their place in the tree (PostgreSQL).

Promises: one process does it at a time, under an advisory lock of the very transaction that moves the entries: whoever
dies or hangs in it loses the lock with the transaction (a hang after six seconds), nothing is lost and nothing numbered
twice; entries keep the order in which they arrived, and those of a node the order of its own numbers. What is missing
from a node's numbers, does not fit its running hash, or is no entry, is kept as a fault in the same transaction and
told in the system log; the others go on. On SQLite there is nothing to do.

Order: an entry's `seq` is drawn when it is inserted, so one whose writer had seen another's commit comes after it. A
node inserts only after its last COMMIT came back, so a number that is not there when a later one is was taken out.
Clauses: DESIGN §5; RFC 6962 2.1; 45 CFR 164.312(c)(1).
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from gateway.audit.event import GATEWAY, SYSTEM, Action, Actor, Event, check
from gateway.audit.log import AuditLog, grown
from gateway.audit.outbox import Line, after, begin, insert_rows
from gateway.errors import GatewayError, TryLater
from gateway.logs import Log
from gateway.store.database import Tx
from gateway.store.engines import TURNS
from keys.merkle import Frontier, leaf_hash

EVERY = timedelta(milliseconds=200)
ROUND = 2000
"""Entries of one transaction: well within the server's limit for a statement."""
START_FOR = timedelta(seconds=30)
LATE_FOR, WHOLE_EVERY = timedelta(seconds=10), timedelta(seconds=5)
"""Rows below those seen so long ago are looked for every few seconds only: what was let go lies there in thousands
until the table is swept, and a row that comes so late waited in its COMMIT, as with a standby that does not answer.
"""

_ROWS = "SELECT seq, log, node, nseq, ts, action, actor, object, outcome, entry, leaf_hash, chain FROM outbox"
_LEAF = (
    "INSERT INTO log_leaves (log, idx, ts, action, actor, object, outcome, entry, leaf_hash) "
    "SELECT log, place.idx, ts, action, actor, object, outcome, entry, leaf_hash "
    "FROM unnest(%s::bigint[], %s::bigint[]) AS place (seq, idx) JOIN outbox USING (seq) ORDER BY seq"
)
_NODE, _NODE_TYPES = "log, level, idx, hash", ("text", "int", "bigint", "bytea")
_FAULT, _FAULT_TYPES = "id, log, node, nseq, kind, entry, found_at", (
    "text", "text", "text", "bigint", "text", "bytea", "bigint",
)  # fmt: skip
_HEADS = "SELECT log, node, nseq, chain FROM outbox_heads WHERE log = ANY(%s)"
_HEAD = (
    "INSERT INTO outbox_heads (log, node, nseq, chain) SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[], "
    "%s::bytea[]) ON CONFLICT (log, node) DO UPDATE SET nseq = EXCLUDED.nseq, chain = EXCLUDED.chain"
)
_UNTOLD = (
    "SELECT id, log, node, nseq, kind FROM outbox_faults AS f WHERE NOT EXISTS "
    "(SELECT 1 FROM log_leaves WHERE log = 'system' AND object = f.id) AND NOT EXISTS "
    "(SELECT 1 FROM outbox WHERE log = 'system' AND object = f.id) ORDER BY found_at LIMIT 100"
)

log = Log("sealgate.audit")


@dataclass(slots=True)
class _Round:
    """What one transaction makes of the rows it found."""

    trees: dict[str, Frontier]
    lines: dict[tuple[str, str], Line]
    moved: set[tuple[str, str]] = field(default_factory=set)
    places: list[tuple[int, int]] = field(default_factory=list)
    nodes: list[tuple[Any, ...]] = field(default_factory=list)
    faults: list[tuple[Any, ...]] = field(default_factory=list)


class Numbering:
    """Numbers what waits. Each worker has one; who finds the lock taken looks again at its next turn. Thread-safe."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit
        self._store = audit.store
        self._trees: dict[str, Frontier] = {}
        self._late, self._whole_at = 0, 0.0
        self._seen = (0.0, 0)
        self._untold = True  # an earlier process may have ended between a fault and its entry
        self._turn = threading.Lock()
        self._wanted = threading.Event()
        self._stopping = False
        self._failing = False
        self._thread = threading.Thread(target=self._serve, name="log-numbering", daemon=True)
        self.active = self._store.dialect == "postgresql"
        if self.active:
            self._store.awaited = self._wanted.set

    def run_once(self) -> int:
        """Number what waits; how many entries. 0 where another process is at it. Raises TryLater, Tampered."""
        if not self.active:
            return 0
        total = 0
        with self._turn:
            while True:
                found, numbered = self._round()
                total += numbered
                if found < ROUND:
                    break
        self._tell()
        return total

    def drain(self, limit: timedelta = START_FOR) -> None:
        """Until everything that waits now has its number, by whichever worker. Raises TryLater after `limit`."""
        if not self.active:
            return
        until = time.monotonic() + limit.total_seconds()
        with self._store.reading() as conn:
            upto = int(conn.exec_driver_sql("SELECT COALESCE(max(seq), 0) FROM outbox").scalar() or 0)
        while True:
            self.run_once()
            with self._store.reading() as conn:
                left = conn.exec_driver_sql("SELECT count(*) FROM outbox WHERE seq <= %s", (upto,)).scalar()
            if not left:
                return
            if time.monotonic() > until:
                raise TryLater("entries of the log wait for their number, and another worker does not give it to them")
            time.sleep(0.05)

    def start(self) -> None:
        """Number every 200 ms, sooner when a reader of this process waits."""
        if self.active:
            self._thread.start()

    def stop(self) -> None:
        """End after the round under way."""
        self._stopping = True
        self._wanted.set()
        if self._thread.ident is not None:
            self._thread.join(10)

    def _serve(self) -> None:
        while not self._stopping:
            try:
                self.run_once()
            except GatewayError as error:
                if not self._failing:
                    log.error("audit:numbering-failed", error=type(error).__name__)
                self._failing = True
            except Exception:
                log.exception("audit:numbering-failed")
                self._failing = True
            else:
                if self._failing:
                    log.info("audit:numbering-recovered")
                self._failing = False
            self._wanted.wait(EVERY.total_seconds())
            self._wanted.clear()

    # one transaction

    def _round(self) -> tuple[int, int]:
        """How many rows were found, and how many of them became leaves."""
        with self._store.aside() as conn:
            mine = conn.exec_driver_sql("SELECT pg_try_advisory_xact_lock(%s, hashtext('numbering'))", (TURNS,))
            if not mine.scalar():
                return 0, 0
            rows = conn.exec_driver_sql(f"{_ROWS} WHERE seq > %s ORDER BY seq LIMIT {ROUND}", (self._floor(),)).all()
            if not rows:
                return 0, 0
            made = self._made(conn, rows)
            self._write(conn, made, [int(row.seq) for row in rows])
        # Only now are they there: before, another process's round may have made others of them.
        self._trees.update(made.trees)
        self._looked(int(rows[-1].seq))
        self._untold = self._untold or bool(made.faults)
        return len(rows), len(made.places)

    def _made(self, conn: Connection, rows: Any) -> _Round:
        names = sorted({str(row.log) for row in rows})
        heads = conn.exec_driver_sql(_HEADS, (names,)).all()
        made = _Round(
            {name: grown(conn, name, self._trees.get(name)) for name in names},
            {(str(head.log), str(head.node)): Line(int(head.nseq), bytes(head.chain)) for head in heads},
        )
        for row in rows:
            self._one(made, row)
        return made

    def _one(self, made: _Round, row: Any) -> None:
        """Give one row its number, or keep it as a fault; note what is missing before it."""
        key = (str(row.log), str(row.node))
        line = made.lines.get(key) or begin(*key)
        tree = made.trees[row.log]
        if row.nseq <= line.nseq or _wrong(row) or (tree.size == 0 and row.action != Action.LOG_OPENED):
            made.faults.append(self._fault(row, row.nseq, "refused", bytes(row.entry)))
            return
        if row.nseq > line.nseq + 1:
            made.faults.append(self._fault(row, line.nseq + 1, "missing"))
        elif after(line, bytes(row.leaf_hash)).chain != bytes(row.chain):
            made.faults.append(self._fault(row, line.nseq, "changed"))
        grew = tree.append(bytes(row.leaf_hash))
        made.places.append((int(row.seq), grew[0][1]))
        made.nodes += [(row.log, *node) for node in grew[1:]]
        made.lines[key] = Line(int(row.nseq), bytes(row.chain))
        made.moved.add(key)

    def _fault(self, row: Any, nseq: int, kind: str, entry: bytes = b"") -> tuple[Any, ...]:
        log.error("audit:outbox-fault", tenant=row.log, node=row.node, serial=nseq, kind=kind)
        return (self._audit.clock.new_id("flt"), row.log, row.node, nseq, kind, entry, self._audit.clock.now_us())

    @staticmethod
    def _write(conn: Connection, made: _Round, done: list[int]) -> None:
        if made.places:
            conn.exec_driver_sql(_LEAF, ([seq for seq, _ in made.places], [index for _, index in made.places]))
        for into, columns, types, rows in (
            ("log_nodes", _NODE, _NODE_TYPES, made.nodes),
            ("outbox_faults", _FAULT, _FAULT_TYPES, made.faults),
        ):
            if rows:
                insert_rows(conn, into, columns, types, rows)
        if made.moved:
            lines = [(*key, made.lines[key].nseq, made.lines[key].chain) for key in sorted(made.moved)]
            conn.exec_driver_sql(_HEAD, tuple(list(column) for column in zip(*lines, strict=True)))
        conn.exec_driver_sql("DELETE FROM outbox WHERE seq = ANY(%s)", (done,))

    # where to look

    def _floor(self) -> int:
        """The `seq` above which to look this time."""
        now = time.monotonic()
        if now - self._whole_at > WHOLE_EVERY.total_seconds():
            self._whole_at = now
            return 0
        return self._late

    def _looked(self, upto: int) -> None:
        now = time.monotonic()
        if now - self._seen[0] > LATE_FOR.total_seconds():
            self._late = self._seen[1]
            self._seen = (now, max(upto, self._seen[1]))

    # faults

    def _tell(self) -> None:
        """Put faults into the system log. Told twice after a crash at worst, never not at all."""
        if not self._untold:
            return
        with self._store.reading() as conn:
            found = conn.exec_driver_sql(_UNTOLD).all()
        events = [
            Event(Action.TAMPER_FOUND, SYSTEM, fault.id, GATEWAY, outcome="refused", reason=_said(fault))
            for fault in found
        ]

        def work(tx: Tx) -> None:
            for event in events:
                self._audit.append(tx, event)

        if events:
            self._store.run(work)
        self._untold = len(found) == 100


def _wrong(row: Any) -> bool:
    """Whether a row is no entry of its log and node, or says something else beside it.

    Written out again from its fields it must be the same bytes: there is one spelling, and this is the cheapest proof.
    """
    entry = bytes(row.entry)
    if leaf_hash(entry) != bytes(row.leaf_hash):
        return True
    try:
        fields = json.loads(entry)
        actor = Actor(fields["actor"]["kind"], fields["actor"]["id"])
        event = Event(
            Action(row.action), row.log, row.object, actor, row.outcome, fields["reason"], fields["proof"],
            fields["request"], fields["ip_ref"], fields["agent_ref"], fields["bytes"], fields["policy"],
            fields["receipt"],
        )  # fmt: skip
        check(event)
        return row.actor != (actor.id or actor.kind) or event.entry(row.ts, row.node, row.nseq) != entry
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return True


def _said(fault: Any) -> str:
    """The reason of a fault's entry, in machine words; a node's name that no entry may hold is left out."""
    node = fault.node if fault.node.isascii() and fault.node.isprintable() and len(fault.node) <= 200 else "?"
    return f"outbox {fault.kind}: {fault.log} {node} {fault.nseq}"


__all__ = ["EVERY", "ROUND", "Numbering"]
