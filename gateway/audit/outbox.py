"""A node's side of the log on PostgreSQL: entries go into the outbox in the transaction of their change.

Promises: an entry is committed when and only when its change is; a node's entries in one log carry consecutive numbers
from 1 and a running hash over them all, both kept by the process that writes under the node's name and never read back
from what the database happens to hold while it lives; across a restart a small file of the node's own remembers how far
they had come, so that entries taken out of the database meanwhile leave a gap that the sequencer reports. Numbers and
hash are given in the writer thread, last before COMMIT, and counted on only when COMMIT came back: a work that fails
has no number, and a batch that is rolled back gives its numbers back. Clauses: DESIGN §5; 45 CFR 164.312(c)(1).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from gateway.audit.event import Event
from gateway.logs import Log
from gateway.store import scope
from gateway.store.database import Store, Tx
from keys.merkle import leaf_hash

REMEMBER_SECONDS = 1.0
_SEED = b"sealgate/outbox/v1"
_COLUMNS = "log, node, nseq, ts, action, actor, object, outcome, entry, leaf_hash, chain"
_TYPES = ("text", "text", "bigint", "bigint", "text", "text", "text", "text", "bytea", "bytea", "bytea")
# One statement is one moment: an entry on its way from the outbox into the log is seen in one of the two places.
_LAST = (
    "SELECT nseq, chain FROM (SELECT nseq, chain FROM outbox WHERE log = %(log)s AND node = %(node)s "
    "UNION ALL SELECT nseq, chain FROM outbox_heads WHERE log = %(log)s AND node = %(node)s) AS kept "
    "ORDER BY nseq DESC LIMIT 1"
)
_OPENED = (
    "SELECT EXISTS (SELECT 1 FROM log_leaves WHERE log = %(log)s) OR EXISTS (SELECT 1 FROM outbox WHERE log = %(log)s)"
)

log = Log("sealgate.audit")


@dataclass(frozen=True, slots=True)
class Line:
    """How far a node's entries in one log have come: its last number, and the running hash up to there."""

    nseq: int
    chain: bytes


def begin(name: str, node: str) -> Line:
    """Before a node's first entry in a log."""
    return Line(0, hashlib.sha256(_SEED + b"\0" + name.encode() + b"\0" + node.encode()).digest())


def after(line: Line, leaf: bytes) -> Line:
    """With one more entry of that leaf hash."""
    return Line(line.nseq + 1, hashlib.sha256(line.chain + leaf).digest())


def insert_rows(conn: Connection, into: str, columns: str, types: Iterable[str], rows: list[tuple[Any, ...]]) -> None:
    """All rows in order, as one statement over arrays. The names are constants of ours."""
    arrays = ", ".join(f"%s::{kind}[]" for kind in types)
    values = tuple(list(column) for column in zip(*rows, strict=True))
    conn.exec_driver_sql(f"INSERT INTO {into} ({columns}) SELECT * FROM unnest({arrays})", values)  # noqa: S608


class Outbox:
    """Writes for one node."""

    def __init__(self, store: Store, node: str, memory: Memory) -> None:
        self._store = store
        self._node = node
        self._lines: dict[str, Line] = {}
        self._memory = memory
        self._in_doubt = False

    def opened(self, conn: Connection, name: str) -> bool:
        """Whether that log has an entry, numbered or waiting."""
        return bool(conn.exec_driver_sql(_OPENED, {"log": name}).scalar())

    def write(self, tx: Tx, by_log: Mapping[str, list[Event]]) -> None:
        """Add the events of a batch; in the writer thread, last before COMMIT."""
        conn = tx.conn
        if self._in_doubt:  # how the last batch ended is not known: the database says what there is
            self._memory.lines.update(self._lines)
            self._lines.clear()
        self._in_doubt = True
        written: dict[str, Line] = {}
        rows: list[tuple[Any, ...]] = []
        for name, events in by_log.items():
            if self._store.one_tenant:
                conn.exec_driver_sql(scope.SET, (name,))
            line = self._lines.get(name) or self._load(conn, name)
            for event in events:
                entry = event.entry(tx.now_us, self._node, line.nseq + 1)
                leaf = leaf_hash(entry)
                line = after(line, leaf)
                actor = event.actor.id or event.actor.kind
                rows.append((
                    name, self._node, line.nseq, tx.now_us, event.action, actor, event.object, event.outcome, entry,
                    leaf, line.chain,
                ))  # fmt: skip
            written[name] = line
            if self._store.one_tenant:
                insert_rows(conn, "outbox", _COLUMNS, _TYPES, rows)
                rows = []
        if rows:
            insert_rows(conn, "outbox", _COLUMNS, _TYPES, rows)
        tx.after_commit.append(self._kept(written))

    def probe(self, conn: Connection) -> None:
        """An insert that the store rolls back."""
        if self._store.one_tenant:
            conn.exec_driver_sql(scope.SET, ("~probe",))
        row = ("~probe", self._node, 0, 0, "", "", "", "", b"", b"", b"")
        insert_rows(conn, "outbox", _COLUMNS, _TYPES, [row])

    def remember(self) -> None:
        """Write down how far it has come; at the end of the process."""
        self._memory.write(self._lines)

    def _kept(self, written: dict[str, Line]) -> Callable[[], None]:
        def done() -> None:
            self._lines.update(written)
            self._in_doubt = False
            self._memory.write_now_and_then(self._lines)

        return done

    def _load(self, conn: Connection, name: str) -> Line:
        """Where this node's entries end. Its name is one process's, so nothing of it is still to be committed.

        Where the database has lost entries that the node remembers, the node goes on from its memory: the gap is the
        truth. At the same number its own hash counts, so that an entry that was changed shows too.
        """
        row = conn.exec_driver_sql(_LAST, {"log": name, "node": self._node}).one_or_none()
        found = begin(name, self._node) if row is None else Line(int(row[0]), bytes(row[1]))
        kept = self._memory.lines.get(name)
        if kept is not None and kept.nseq >= found.nseq:
            if kept != found:
                log.error("audit:entries-missing", tenant=name, count=kept.nseq - found.nseq)
            return kept
        return found


class Memory:
    """The node's own file of how far its entries have come: a floor, at most a second old. Writing never fails.

    `of` names the installation, so that another one's file counts for nothing. Without a path it lasts as long as the
    process, and after a restart the node knows what the database says.
    """

    def __init__(self, path: Path | None = None, of: str = "") -> None:
        self._path = path
        self._of = of
        self._written = 0.0
        self.lines: dict[str, Line] = self._read()

    def write_now_and_then(self, lines: Mapping[str, Line]) -> None:
        """Unless it was written in the last second: an entry must not wait for a file of its own."""
        if self._path is not None and time.monotonic() - self._written >= REMEMBER_SECONDS:
            self.write(lines)

    def write(self, lines: Mapping[str, Line]) -> None:
        """A whole new file in the place of the old one. What is lost here is a check and no entry."""
        self.lines.update(lines)
        if self._path is None:
            return
        self._written = time.monotonic()
        said = {name: [line.nseq, line.chain.hex()] for name, line in sorted(self.lines.items())}
        text = json.dumps({"v": 1, "of": self._of, "lines": said})
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
            os.replace(fresh, self._path)
        except OSError as error:
            log.warning("audit:memory-not-written", error=type(error).__name__)

    def _read(self) -> dict[str, Line]:
        if self._path is None:
            return {}
        try:
            kept = json.loads(self._path.read_text())
            if kept["of"] != self._of:
                return {}
            return {str(name): Line(int(nseq), bytes.fromhex(chain)) for name, (nseq, chain) in kept["lines"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, TypeError, KeyError) as error:
            log.warning("audit:memory-unreadable", error=type(error).__name__)
            return {}
