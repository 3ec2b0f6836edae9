"""`sealgate bench audit`: entries by 1, 16 and 256 callers next to plain inserts as durable; checking; searching."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from sqlalchemy import insert

from gateway.audit.event import SYSTEM, Action, Actor, Event
from gateway.audit.export import write_log
from gateway.audit.log import AuditLog
from gateway.audit.query import parse_query
from gateway.audit.search import page
from gateway.audit.tiledlog import check_log
from gateway.bench import outbox
from gateway.bench.load import throwaway
from gateway.bench.measure import Area, Figure, Spread, say
from gateway.clock import SystemClock
from gateway.errors import TryLater
from gateway.store.database import Store, Tx
from gateway.store.schema import tenants
from keys import notes
from keys.signing import SigningKey

OURS, PLAIN = "Sealgate", "plain SQLite inserts"
TENANT, ORIGIN = "tnt_bench", "bench.test/log"
CALLERS = (1, 16, 256)
BATCH = 500


def run(*, quick: bool) -> Area:
    """All figures of this subcommand."""
    folder = throwaway()
    area = Area()
    try:
        for number, part in enumerate((_Bench.appended, _Bench.read)):
            place = folder / str(number)
            place.mkdir()
            store = Store.open(f"sqlite:///{place / 'log.db'}", create=True)
            try:
                area.figures += part(_Bench(place, store, quick))
            finally:
                store.close()
        shared = outbox.figures(folder, quick=quick)
        area.figures += shared.figures
        area.notes += shared.notes
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return area


class _Bench:
    def __init__(self, folder: Path, store: Store, quick: bool) -> None:
        self.folder = folder
        self.store = store
        self.quick = quick
        self.signer = SigningKey(os.urandom(32))
        self.vkey = notes.vkey(ORIGIN, self.signer.public)
        self.log = AuditLog(store, "bench", SystemClock())
        self.log.attach()
        store.run(self._set_up)

    def _set_up(self, tx: Tx) -> None:
        tx.conn.execute(insert(tenants).values(id=TENANT, name="bench", origin=ORIGIN, created_at=1))
        for name in (TENANT, SYSTEM):
            self.log.open_log(tx, name, origin=ORIGIN, release_vkey=self.vkey, system_vkey=self.vkey)

    def appended(self) -> list[Figure]:
        """Entries a second, beside the plain inserts."""
        figures = []
        rounds, seconds = (1, 0.5) if self.quick else (3, 2.0)
        plain = _Plain(self.folder / "plain.db")
        try:
            for callers in CALLERS:
                taken: dict[str, list[float]] = {OURS: [], PLAIN: []}
                for _ in range(rounds):
                    taken[OURS].append(_rate(self._append_one, callers, seconds))
                    taken[PLAIN].append(_rate(plain.insert, callers, seconds))
                say(f"audit, {callers} callers: {taken[OURS][-1]:.0f} entries/s, plain {taken[PLAIN][-1]:.0f}")
                values = {name: Spread.of(found) for name, found in taken.items()}
                figures.append(Figure(f"durable entries, {callers} callers", "entries/s", values))
        finally:
            plain.close()
        return figures

    def read(self) -> list[Figure]:
        """Checking and looking up in a log that was filled before."""
        entries = 2000 if self.quick else 100_000
        self._fill(entries)
        return [self._verify(), *self._search(entries, 5 if self.quick else 50)]

    def _append_one(self) -> None:
        self.store.run(lambda tx: self.log.append(tx, _event(0)))

    def _fill(self, wanted: int) -> None:
        size = self.log.head(TENANT)[0]
        say(f"audit: filling a log with {wanted} entries")
        while size < wanted:
            numbers = range(size, min(wanted, size + BATCH))
            self.store.run(partial(self._append, numbers))
            size = numbers.stop

    def _append(self, numbers: range, tx: Tx) -> None:
        for at in numbers:
            self.log.append(tx, _event(at))

    def _verify(self) -> Figure:
        size, root = self.log.head(TENANT)
        note = notes.sign_note(notes.Checkpoint(ORIGIN, size, root).text(), ORIGIN, self.signer)
        directory = self.folder / "export"
        directory.mkdir()
        with self.store.reading() as conn:
            write_log(directory, note, self.log.entries(conn, TENANT, 0, size), self.vkey)
        started = time.perf_counter()
        checked = check_log(directory, "", notes.parse_vkey(self.vkey), self.vkey, frozenset())
        seconds = time.perf_counter() - started
        if checked.problems:
            raise TryLater("the log of the benchmark does not verify")
        say(f"audit: verified {size / seconds:.0f} entries/s")
        return Figure(
            "entries verified from an export, every hash anew", "entries/s", {OURS: Spread.of([size / seconds])}
        )

    def _search(self, entries: int, rounds: int) -> list[Figure]:
        shown = f"{entries // 1000},000"
        figures = []
        for what, query in (
            ("one object's entries", "object:obj_77"),
            ("an action's latest 50", "action:link:visited"),
        ):
            terms, taken = parse_query(query), []
            for _ in range(rounds):
                started = time.perf_counter()
                with self.store.reading() as conn:
                    if not page(conn, TENANT, terms).found:
                        raise TryLater("the log of the benchmark has lost entries")
                taken.append((time.perf_counter() - started) * 1000)
            name = f"search among {shown} entries: {what}"
            figures.append(Figure(name, "ms", {OURS: Spread.of(taken)}, more_is_better=False))
        return figures


class _Plain:
    """The same columns written by sqlite3 alone: WAL, synchronous=FULL, one commit an insert, one connection."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._conn = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._conn.execute("PRAGMA journal_mode=WAL")
        self._conn.execute("PRAGMA synchronous=FULL")
        self._conn.execute(
            "CREATE TABLE entries (idx INTEGER PRIMARY KEY, ts INTEGER, action TEXT, object TEXT, entry BLOB)"
        )

    def insert(self) -> None:
        entry = _event(0).entry(1, "bench", 1)
        with self._lock:
            self._conn.execute(
                "INSERT INTO entries (ts, action, object, entry) VALUES (?, ?, ?, ?)",
                (1, "link:visited", "obj_1", entry),
            )

    def close(self) -> None:
        self._conn.close()


def _event(number: int) -> Event:
    return Event(Action.LINK_VISITED, TENANT, f"obj_{number % 1000}", Actor("person", f"per_{number % 300}"))


def _rate(one: Callable[[], None], callers: int, seconds: float) -> float:
    """Calls a second by that many threads at once, each waiting for its own to be durable."""
    until = time.perf_counter() + seconds

    def call(_: int) -> int:
        done = 0
        while time.perf_counter() < until:
            one()
            done += 1
        return done

    started = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        total = sum(pool.map(call, range(callers)))
    return total / (time.perf_counter() - started)
