"""Entries that two processes append on PostgreSQL at once, beside plain inserts; how long they wait for a number."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import insert

from gateway.audit.event import SYSTEM, Action, Actor, Event
from gateway.audit.log import AuditLog
from gateway.audit.numbering import Numbering
from gateway.bench import server
from gateway.bench.measure import Area, Figure, Spread, percentile, say
from gateway.clock import SystemClock
from gateway.errors import TryLater
from gateway.store import migrations, waiting
from gateway.store.database import Store
from gateway.store.schema import tenants

OURS, PLAIN = "Sealgate", "plain PostgreSQL inserts"
TENANT = "tnt_bench"
PROCESSES = 2
CALLERS = (1, 16, 64)
ANSWER_SECONDS = 120.0
NAME = f"{PROCESSES} processes with"


def figures(folder: Path, *, quick: bool, memory: bool = False) -> Area:
    """Entries/s, the 99th percentile of a commit, and the longest wait for a number; a note where there is no server.

    `memory` as for `server.running`.
    """
    if server.programs() is None:
        return Area(notes=["PostgreSQL is not installed here: its entries were not measured."])
    area = Area()
    with server.running(folder, connections=40 + PROCESSES * max(CALLERS), memory=memory) as url:
        migrations.create(url)
        _open(url)
        for callers in (4,) if quick else CALLERS:
            taken: dict[str, list[_Taking]] = {OURS: [], PLAIN: []}
            for _ in range(1 if quick else 3):
                taken[OURS].append(_taking(url, _append, callers, 0.5 if quick else 4.0))
                taken[PLAIN].append(_taking(url, _insert, callers, 0.5 if quick else 4.0))
            say(f"audit on PostgreSQL, {NAME} {callers} callers: {taken[OURS][-1].rate:.0f} entries/s")
            area.figures += _lines(callers, taken)
    return area


class _Taking:
    """One taking: entries a second of all processes, the commits' 99th percentile in ms, the longest wait in s."""

    def __init__(self, rate: float, p99_ms: float, waited: float) -> None:
        self.rate = rate
        self.p99_ms = p99_ms
        self.waited = waited


def _lines(callers: int, taken: dict[str, list[_Taking]]) -> list[Figure]:
    what = f"PostgreSQL, {NAME} {callers} callers"
    rates = {name: Spread.of(one.rate for one in found) for name, found in taken.items()}
    commits = {name: Spread.of(one.p99_ms for one in found) for name, found in taken.items()}
    waits = {OURS: Spread.of(one.waited for one in taken[OURS])}
    return [
        Figure(f"durable entries, {what}", "entries/s", rates),
        Figure(f"99th percentile of a commit, {what}", "ms", commits, more_is_better=False),
        Figure(f"longest wait of an entry for its number, {what}", "s", waits, more_is_better=False),
    ]


def _open(url: str) -> None:
    store = Store.open(url)
    log = AuditLog(store, "bench", SystemClock())
    log.attach()

    def work(tx: Any) -> None:
        tx.conn.execute(insert(tenants).values(id=TENANT, name="bench", origin="bench.test/log", created_at=1))
        for name in (TENANT, SYSTEM):
            log.open_log(tx, name, origin="bench.test/log", release_vkey="r", system_vkey="s")
        tx.conn.exec_driver_sql("CREATE TABLE plain (ts bigint, action text, object text, entry bytea)")

    try:
        store.run(work)
        Numbering(log).run_once()
    finally:
        store.close()


def _taking(url: str, kind: Callable[..., None], callers: int, seconds: float) -> _Taking:
    context = multiprocessing.get_context("spawn")
    ready, answers = context.Barrier(PROCESSES + 1), context.Queue()
    writers = [
        context.Process(target=kind, args=(url, f"node-{number}", callers, seconds, ready, answers))
        for number in range(PROCESSES)
    ]
    for one in writers:
        one.start()
    store = Store.open(url, lease="sequencer")
    numbering = Numbering(AuditLog(store, "sequencer", SystemClock()))
    over, waited = threading.Event(), [0.0]
    watch = threading.Thread(target=_watch, args=(store, over, waited))
    try:
        numbering.start()
        watch.start()
        ready.wait(ANSWER_SECONDS)
        found = [answers.get(timeout=ANSWER_SECONDS) for _ in writers]
        for one in writers:
            one.join(ANSWER_SECONDS)
        numbering.drain()
    finally:
        over.set()
        watch.join(10)
        numbering.stop()
        store.close()
    times = [time for _, taken in found for time in taken]
    return _Taking(sum(count for count, _ in found) / seconds, percentile(times, 0.99) * 1000, waited[0])


def _watch(store: Store, over: threading.Event, waited: list[float]) -> None:
    while not over.wait(0.02):
        with store.reading() as conn:
            since = waiting.everywhere(conn).since_us
        if since is not None:
            waited[0] = max(waited[0], time.time() - since / 1e6)


def _append(url: str, node: str, callers: int, seconds: float, ready: Any, answers: Any) -> None:
    """In a process of its own: each caller appends an entry and waits until it is durable."""
    store = Store.open(url, lease=node)
    log = AuditLog(store, node, SystemClock())
    log.attach()
    event = Event(Action.LINK_VISITED, TENANT, "obj_1", Actor("person", "per_1"))
    store.run(lambda tx: log.append(tx, event))
    try:
        answers.put(_calls(lambda: store.run(lambda tx: log.append(tx, event)), callers, seconds, ready))
    finally:
        store.close()


def _insert(url: str, node: str, callers: int, seconds: float, ready: Any, answers: Any) -> None:
    """The same with one connection a caller and one commit an entry, with no order, hash or number."""
    entry = Event(Action.LINK_VISITED, TENANT, "obj_1", Actor("person", "per_1")).entry(1, node, 1)
    place = threading.local()
    plain = url.replace("+psycopg", "")

    def one() -> None:
        if not hasattr(place, "conn"):
            place.conn = psycopg.connect(plain, autocommit=True)
        place.conn.execute("INSERT INTO plain VALUES (1, 'link:visited', 'obj_1', %s)", (entry,))

    answers.put(_calls(one, callers, seconds, ready))


def _calls(one: Callable[[], None], callers: int, seconds: float, ready: Any) -> tuple[int, list[float]]:
    """How many calls ended within the time, and how long each took."""
    ready.wait(ANSWER_SECONDS)
    until = time.perf_counter() + seconds

    def call(_: int) -> list[float]:
        taken = []
        while (began := time.perf_counter()) < until:
            one()
            taken.append(time.perf_counter() - began)
        return taken

    with ThreadPoolExecutor(callers) as pool:
        times = [time for found in pool.map(call, range(callers)) for time in found]
    if not times:
        raise TryLater("no entry was written in the time of a taking")
    return len(times), times
