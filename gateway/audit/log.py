"""The append-only logs: events become numbered, hashed entries in the transaction of the change they record.

Promises: an entry is durable when and only when its change is; when an entry cannot be written the whole transaction
fails. Entries of one node carry consecutive numbers per log (`nseq`, from 1), so an entry left out shows. The first
entry of a log is `log:opened`. On SQLite, which has one writer, an entry gets its place in the log with its change. On
PostgreSQL several processes write: their entries go into the outbox (`audit.outbox`) and get their place within a
fraction of a second from the one sequencer (`audit.numbering`).
Clauses: RFC 6962 2.1; 45 CFR 164.312(b), 164.312(c)(1); DESIGN §5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select

from gateway.audit.event import GATEWAY, SYSTEM, Action, Event, check
from gateway.audit.outbox import Memory, Outbox
from gateway.clock import Clock
from gateway.errors import Misconfigured, Tampered
from gateway.store import scope
from gateway.store.database import Store, Tx
from gateway.store.schema import log_leaves, log_nodes, tenants
from gateway.store.statement import Statement
from keys.merkle import Frontier, Get, leaf_hash, root

_LEAF = "INSERT INTO log_leaves (log, idx, ts, action, actor, object, outcome, entry, leaf_hash) VALUES ({})"
_NODE = "INSERT INTO log_nodes (log, level, idx, hash) VALUES ({})"
_LAST = Statement(select(func.max(log_leaves.c.idx)).where(log_leaves.c.log == bindparam("of")))
_LEAF_HASH = Statement(
    select(log_leaves.c.leaf_hash).where(log_leaves.c.log == bindparam("of"), log_leaves.c.idx == bindparam("at"))
)
_NODE_HASH = Statement(
    select(log_nodes.c.hash).where(
        log_nodes.c.log == bindparam("of"), log_nodes.c.level == bindparam("height"), log_nodes.c.idx == bindparam("at")
    )
)
_SINCE = (
    select(log_leaves.c.leaf_hash)
    .where(log_leaves.c.log == bindparam("of"), log_leaves.c.idx >= bindparam("index"))
    .order_by(log_leaves.c.idx)
)
_PAGE = 1000


@dataclass(slots=True)
class _Head:
    """Where a log ends: its tree, and the last number of this node's entries in it."""

    tree: Frontier
    nseq: int


class AuditLog:
    """Appends to every tenant's log and the system log. `node` is this process's name in them.

    `memory` is where it remembers on PostgreSQL how far its entries have come; on SQLite the log itself says so.
    """

    def __init__(self, store: Store, node: str, clock: Clock, memory: Memory | None = None) -> None:
        self.store = store
        self.node = node
        self.clock = clock
        self._heads: dict[str, _Head] = {}
        self._opened: set[str] = set()
        self._in_doubt = False
        self._outbox = Outbox(store, node, memory or Memory()) if store.dialect == "postgresql" else None

    def attach(self) -> None:
        """From now on every batch of the store writes its events before it commits, or fails."""
        self.store.before_commit.append(self._write)
        self.store.probes.append(self._probe if self._outbox is None else self._outbox.probe)

    def remember(self) -> None:
        """The last words of a process that ends: how far its entries have come."""
        if self._outbox is not None:
            self._outbox.remember()

    def append(self, tx: Tx, event: Event) -> None:
        """Record an event with this transaction. Raises ValueError for an event that no entry may hold,
        Misconfigured for a log that was never opened.
        """
        check(event)
        if tx.tenant and event.tenant not in (tx.tenant, SYSTEM):
            raise ValueError("this work acts for another tenant")
        if event.tenant not in self._opened and event.action is not Action.LOG_OPENED:
            opened = any(e.tenant == event.tenant and e.action is Action.LOG_OPENED for e in tx.events)
            if not opened:
                if not self._is_open_in(tx, event.tenant):
                    raise Misconfigured(f"the log of '{event.tenant}' was never opened")
                self._opened.add(event.tenant)
        tx.events.append(event)

    def open_log(self, tx: Tx, name: str, *, origin: str, release_vkey: str, system_vkey: str) -> bool:
        """Write a log's first entry: its origin and the vkeys of its release log and of the system log.

        Safe to repeat; False when the log is open already.
        """
        if self._is_open(tx.conn, name):
            return False
        vkeys = f"{release_vkey} {system_vkey}"
        self.append(tx, Event(Action.LOG_OPENED, name, origin, GATEWAY, reason=vkeys))
        return True

    def names(self, conn: Connection) -> list[str]:
        """Every log: the tenants' and the system's."""
        return [*conn.execute(select(tenants.c.id).order_by(tenants.c.id)).scalars(), SYSTEM]

    def size(self, conn: Connection, name: str) -> int:
        """How many entries of a log have their number."""
        return _size(conn, name)

    def head(self, name: str) -> tuple[int, bytes]:
        """Size and root of a log as committed. Raises TryLater, Tampered when a hash is missing."""
        with self.store.reading() as conn:
            size = _size(conn, name)
            return size, root(size, hashes(conn, name))

    def entries(self, conn: Connection, name: str, start: int, stop: int) -> Iterator[bytes]:
        """The entries from `start` up to `stop`, in order. Raises Tampered when one is missing."""
        while start < stop:
            statement = (
                select(log_leaves.c.idx, log_leaves.c.entry)
                .where(log_leaves.c.log == name, log_leaves.c.idx >= start, log_leaves.c.idx < stop)
                .order_by(log_leaves.c.idx)
                .limit(_PAGE)
            )
            page = conn.execute(statement).all()
            if not page or [index for index, _ in page] != list(range(start, start + len(page))):
                raise Tampered(f"log {name}: entries {start} to {min(stop, start + _PAGE) - 1} are not all there")
            for _, entry in page:
                yield octets(entry)
            start += len(page)

    # in the writer thread

    def _write(self, tx: Tx) -> None:
        if not tx.events:
            return
        by_log: dict[str, list[Event]] = {}
        for event in tx.events:
            by_log.setdefault(event.tenant, []).append(event)
        tx.after_commit.append(lambda: self._opened.update(by_log))
        if self._outbox is not None:
            self._outbox.write(tx, by_log)
        else:
            self._number(tx, by_log)

    def _number(self, tx: Tx, by_log: dict[str, list[Event]]) -> None:
        """The one writer of an SQLite file gives each entry its place at once."""
        conn = tx.conn
        if self._in_doubt:  # how the last batch ended is not known: the database says what there is
            self._heads.clear()
        self._in_doubt = True
        after: dict[str, _Head] = {}
        leaves: list[tuple[Any, ...]] = []
        nodes: list[tuple[Any, ...]] = []
        for name, events in by_log.items():
            head = self._head(conn, name)
            tree, nseq = head.tree.copy(), head.nseq
            if tree.size == 0 and events[0].action is not Action.LOG_OPENED:
                raise Misconfigured(f"the log of '{name}' was never opened")
            for event in events:
                nseq += 1
                entry = event.entry(tx.now_us, self.node, nseq)
                made = tree.append(leaf_hash(entry))
                _, index, hashed = made[0]
                actor = event.actor.id or event.actor.kind
                leaves.append((name, index, tx.now_us, event.action, actor, event.object, event.outcome, entry, hashed))
                nodes += [(name, *node) for node in made[1:]]
            after[name] = _Head(tree, nseq)
        _insert(conn, _LEAF, leaves)
        if nodes:
            _insert(conn, _NODE, nodes)
        tx.after_commit.append(lambda: self._committed(after))

    def _committed(self, after: dict[str, _Head]) -> None:
        self._heads.update(after)
        self._in_doubt = False

    def _head(self, conn: Connection, name: str) -> _Head:
        """What is remembered, and what other processes have written since.

        This node's own number is known as long as no batch of ours ended in doubt: a name is one process's at a time.
        """
        head = self._heads.get(name)
        tree = grown(conn, name, None if head is None else head.tree)
        if head is None or head.tree.size > tree.size:
            return _Head(tree, self._last_nseq(conn, name, tree.size))
        return _Head(tree, head.nseq)

    def _is_open(self, conn: Connection, name: str) -> bool:
        return _size(conn, name) > 0 if self._outbox is None else self._outbox.opened(conn, name)

    def _is_open_in(self, tx: Tx, name: str) -> bool:
        """Seen from a work: the system log is nobody's but everybody's last entry goes there."""
        if tx.tenant and name != tx.tenant:
            tx.conn.exec_driver_sql(scope.SET, (name,))
            try:
                return self._is_open(tx.conn, name)
            finally:
                tx.conn.exec_driver_sql(scope.SET, (tx.tenant,))
        return self._is_open(tx.conn, name)

    def _last_nseq(self, conn: Connection, name: str, size: int) -> int:
        """The number of this node's latest entry, found from the end: nearly always within a page."""
        mine = f'"node":"{self.node}","nseq":'.encode()
        for stop in range(size, 0, -_PAGE):
            statement = (
                select(log_leaves.c.entry)
                .where(log_leaves.c.log == name, log_leaves.c.idx >= stop - _PAGE, log_leaves.c.idx < stop)
                .order_by(log_leaves.c.idx.desc())
            )
            for entry in conn.execute(statement).scalars():
                found = octets(entry).partition(mine)[2]
                if found:
                    return int(found.partition(b",")[0])
        return 0

    def _probe(self, conn: Connection) -> None:
        """An insert that the store rolls back: a log that cannot be written turns an idle store red."""
        _insert(conn, _LEAF, [("~probe", 0, 0, "", "", "", "", b"", b"")])
        conn.execute(insert(log_nodes).values(log="~probe", level=1, idx=0, hash=b""))


def grown(conn: Connection, name: str, known: Frontier | None) -> Frontier:
    """A log's tree as this transaction sees it, from what was known of it and what has been added since.

    `known` is not changed. Raises Tampered where entries are missing.
    """
    size = _size(conn, name)
    if known is None or known.size > size or size - known.size > _PAGE:
        return Frontier.load(size, hashes(conn, name))
    tree = known.copy()
    if tree.size < size:
        for hashed in conn.execute(_SINCE, {"of": name, "index": tree.size}).scalars():
            tree.append(octets(hashed))
    if tree.size != size:
        raise Tampered(f"log {name}: entries before {size} are not all there")
    return tree


def _insert(conn: Connection, into: str, rows: list[tuple[Any, ...]]) -> None:
    conn.exec_driver_sql(into.format(", ".join("?" * len(rows[0]))), rows)


def hashes(conn: Connection, name: str) -> Get:
    """A log's stored hashes, as the arithmetic asks for them. Raises Tampered for one that is missing."""

    def get(level: int, index: int) -> bytes:
        if level == 0:
            found = _LEAF_HASH.first(conn, {"of": name, "at": index})
        else:
            found = _NODE_HASH.first(conn, {"of": name, "height": level, "at": index})
        if found is None:
            raise Tampered(f"log {name}: hash {index} of level {level} is missing")
        return octets(found[0])

    return get


def octets(value: object) -> bytes:
    """A column's bytes; nothing for what is of another type, as SQLite lets a forger store: no hash of it will hold."""
    return bytes(value) if isinstance(value, bytes | memoryview) else b""


def _size(conn: Connection, name: str) -> int:
    last = _LAST.first(conn, {"of": name})
    return 0 if last is None or last[0] is None else int(last[0]) + 1
