"""What the store promises: batches, savepoints, failing closed, health."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import IntegrityError

from gateway.errors import Misconfigured, TryLater
from gateway.store import presence
from gateway.store.database import Store, Tx
from gateway.store.schema import log_leaves, tenants
from tests.support import databases
from tests.support.load import PATIENCE, stretched
from tests.support.postgres import Postgres


def add(name: str) -> Callable[[Tx], str]:
    def work(tx: Tx) -> str:
        tx.conn.execute(insert(tenants).values(id=name, name=name, origin=name, created_at=tx.now_us))
        return name

    return work


def names(store: Store) -> list[str]:
    with store.reading() as conn:
        return list(conn.execute(select(tenants.c.id).order_by(tenants.c.id)).scalars())


def held(store: Store) -> tuple[threading.Event, Future[None]]:
    """Keep the writer busy inside a work until the event is set, so that what follows shares one batch."""
    go, inside = threading.Event(), threading.Event()

    def work(_tx: Tx) -> None:
        inside.set()
        go.wait(PATIENCE)

    future = store.submit(work)
    assert inside.wait(PATIENCE)
    return go, future


def until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_what_run_returns_is_committed(store: Store) -> None:
    assert store.run(add("tnt_a")) == "tnt_a"
    assert names(store) == ["tnt_a"]


def test_a_work_that_raises_loses_only_itself(store: Store) -> None:
    go, _ = held(store)

    def broken(tx: Tx) -> None:
        add("tnt_lost")(tx)
        tx.events.append("never")
        raise RuntimeError("mine")

    seen: list[list[Any]] = []
    store.before_commit.append(lambda tx: seen.append(list(tx.events)))

    def good(tx: Tx) -> None:
        add("tnt_b")(tx)
        tx.events.append("kept")

    first, second, third = store.submit(good), store.submit(broken), store.submit(add("tnt_c"))
    go.set()
    first.result(5)
    third.result(5)
    with pytest.raises(RuntimeError, match="mine"):
        second.result(5)
    assert names(store) == ["tnt_b", "tnt_c"]
    assert [event for batch in seen for event in batch] == ["kept"]


def test_a_constraint_broken_by_one_work_leaves_its_neighbours_alone(store: Store) -> None:
    go, _ = held(store)
    first, second, third = store.submit(add("tnt_a")), store.submit(add("tnt_a")), store.submit(add("tnt_b"))
    go.set()
    first.result(5)
    with pytest.raises(IntegrityError):
        second.result(5)
    third.result(5)
    assert names(store) == ["tnt_a", "tnt_b"]


def test_a_failing_hook_fails_the_whole_batch_with_try_later(store: Store) -> None:
    def refuse(_tx: Tx) -> None:
        raise OSError("the log is full")

    go, _ = held(store)
    ran: list[int] = []

    def work(tx: Tx) -> None:
        add("tnt_a")(tx)
        tx.after_commit.append(lambda: ran.append(1))

    store.before_commit.append(refuse)
    futures: list[Future[Any]] = [store.submit(work), store.submit(add("tnt_b"))]
    go.set()
    for future in futures:
        with pytest.raises(TryLater):
            future.result(PATIENCE)
    assert not store.health
    assert names(store) == []
    assert ran == []
    store.before_commit.clear()
    store.run(add("tnt_c"))
    assert names(store) == ["tnt_c"]
    assert until(lambda: store.health, PATIENCE)


def test_many_queued_works_share_one_commit(store: Store) -> None:
    batches: list[int] = []
    store.before_commit.append(lambda tx: batches.append(len(tx.events)))
    go, _ = held(store)
    futures = [store.submit(lambda tx, n=n: tx.events.append(n)) for n in range(100)]  # type: ignore[misc]
    go.set()
    for future in futures:
        future.result(PATIENCE)
    # The work that held the writer took along what was queued when it was drained; the rest came together.
    assert sum(batches) == 100
    assert len([size for size in batches if size]) <= 2


def test_after_commit_runs_before_the_caller_hears(store: Store) -> None:
    ran: list[int] = []
    store.run(lambda tx: tx.after_commit.append(lambda: ran.append(1)))
    assert ran == [1]


def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises(TryLater), store.reading() as conn:
        conn.execute(insert(tenants).values(id="x", name="x", origin="x", created_at=1))
    assert names(store) == []


def test_a_reader_sees_one_moment(store: Store) -> None:
    store.run(add("tnt_a"))
    with store.reading() as conn:
        count = select(func.count()).select_from(tenants)
        before = conn.execute(count).scalar()
        store.run(add("tnt_b"))
        assert conn.execute(count).scalar() == before == 1


def test_a_work_may_not_wait_for_a_work(store: Store) -> None:
    with pytest.raises(RuntimeError):
        store.run(lambda _tx: store.run(lambda _inner: None))


def test_the_writer_keeps_running_after_a_work_that_exits(store: Store) -> None:
    def leave(_tx: Tx) -> None:
        raise SystemExit

    with pytest.raises(TryLater):
        store.run(leave)
    store.run(add("tnt_a"))
    assert names(store) == ["tnt_a"]


def test_a_closed_store_takes_no_work_and_is_red(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(TryLater):
        store.submit(lambda _tx: None)
    assert not store.health


def test_an_idle_store_turns_red_when_a_probe_fails_and_green_again(store: Store) -> None:
    broken = threading.Event()

    def probe(_conn: Connection) -> None:
        if broken.is_set():
            raise OSError

    store.probes.append(probe)
    broken.set()
    assert until(lambda: not store.health, stretched(1.2))
    broken.clear()
    assert until(lambda: store.health, PATIENCE)


def test_what_a_probe_writes_is_rolled_back(store: Store) -> None:
    ran = threading.Event()

    def probe(conn: Connection) -> None:
        conn.execute(insert(tenants).values(id="p", name="p", origin="p", created_at=1))
        ran.set()

    store.probes.append(probe)
    assert ran.wait(PATIENCE)
    assert until(lambda: store.health, PATIENCE)
    assert names(store) == []


@pytest.mark.full
def test_a_stuck_writer_is_red_within_two_seconds_and_nobody_waits_over_five(store: Store) -> None:
    go, future = held(store)
    try:
        assert until(lambda: not store.health, stretched(1.5))
        began = time.monotonic()
        with pytest.raises(TryLater):
            store.run(add("tnt_late"))
        assert time.monotonic() - began < stretched(5.5)
    finally:
        go.set()
    future.result(PATIENCE)
    # It was cancelled while queued, so it is not done behind the caller's back either.
    store.run(add("tnt_next"))
    assert names(store) == ["tnt_next"]


# opening


def test_a_missing_database_is_never_made_by_opening(url: str) -> None:
    assert presence.absent(url)
    with pytest.raises(Misconfigured, match=r"\[store\] url"):
        Store.open(url)
    assert presence.absent(url)


def test_an_existing_database_is_never_made_anew(store: Store, made_url: str) -> None:
    store.run(add("tnt_a"))
    assert not presence.absent(made_url)
    with pytest.raises(Misconfigured, match="already"):
        Store.open(made_url, create=True)
    assert names(store) == ["tnt_a"]


@pytest.mark.parametrize("wrong", ["sqlite://", "sqlite:///:memory:", "mysql://x/y", "postgresql://x/y", "not a url"])
def test_other_database_urls_are_refused_by_name(wrong: str) -> None:
    with pytest.raises(Misconfigured, match=r"\[store\] url"):
        Store.open(wrong, create=True)


def test_somebody_elses_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE theirs (id INTEGER)")
    other.close()
    with pytest.raises(Misconfigured, match="not Sealgate"):
        Store.open(f"sqlite:///{tmp_path}/other.db", create=True)


def test_a_store_opened_for_reading_reads_beside_the_writer_and_takes_no_work(store: Store, made_url: str) -> None:
    beside = Store.open(made_url, writing=False)
    store.run(add("tnt_a"))
    assert names(beside) == ["tnt_a"]
    with pytest.raises(TryLater):
        beside.run(add("tnt_b"))
    beside.close()
    assert names(store) == ["tnt_a"]


# SQLite


@pytest.fixture
def file_store(tmp_path: Path) -> Any:
    opened = Store.open(databases.sqlite(tmp_path))
    yield opened
    opened.close()


def test_the_sqlite_file_is_private(tmp_path: Path) -> None:
    file_store = Store.open(f"sqlite:///{tmp_path}/gateway.db", create=True)
    file_store.run(add("tnt_a"))
    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in os.scandir(tmp_path)}
    assert modes == dict.fromkeys(modes, 0o600)
    assert "gateway.db-wal" in modes
    file_store.close()


def test_a_locked_sqlite_fails_within_a_second_turns_red_and_recovers(file_store: Store, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    with pytest.raises(TryLater):
        file_store.run(add("tnt_a"))
    assert time.monotonic() - began < stretched(2)
    assert not file_store.health
    other.execute("ROLLBACK")
    other.close()
    assert until(lambda: file_store.health, PATIENCE)
    assert file_store.run(add("tnt_b")) == "tnt_b"


@pytest.mark.parametrize("how", ["rename", "unlink", "replace"])
def test_a_database_file_moved_away_is_noticed_before_anything_is_lost(
    file_store: Store, tmp_path: Path, how: str
) -> None:
    file_store.run(add("tnt_a"))
    path = tmp_path / "gateway.db"
    if how == "rename":
        path.rename(tmp_path / "gone.db")
    elif how == "unlink":
        path.unlink()
    else:
        path.rename(tmp_path / "gone.db")
        path.write_bytes((tmp_path / "gone.db").read_bytes())
    with pytest.raises(TryLater):
        file_store.run(add("tnt_b"))
    with pytest.raises(TryLater):
        names(file_store)
    assert not file_store.health
    assert path.exists() == (how == "replace")
    if how == "rename":
        (tmp_path / "gone.db").rename(path)
        assert until(lambda: file_store.health, PATIENCE)
        assert names(file_store) == ["tnt_a"]


# PostgreSQL


@pytest.mark.postgres
@pytest.mark.full
def test_a_stopped_server_turns_red_and_nobody_hangs(server: Postgres) -> None:
    store = Store.open(databases.postgres(server))
    try:
        store.run(add("tnt_a"))
        names(store)
        server.pause()
        try:
            assert until(lambda: not store.health, stretched(2.5))
            for call in (lambda: store.run(add("tnt_b")), lambda: names(store)):
                began = time.monotonic()
                with pytest.raises(TryLater):
                    call()
                assert time.monotonic() - began < stretched(5.6)
        finally:
            server.resume()
        assert until(lambda: store.health, PATIENCE)
        store.run(add("tnt_c"))
        assert "tnt_c" in names(store)
    finally:
        store.close()


def test_log_tables_are_seen_by_the_probe_of_a_room(store: Store) -> None:
    """The shape of the audit room's probe: an insert that is refused turns an idle store red."""
    store.probes.append(lambda conn: conn.execute(insert(log_leaves).values(log="probe", idx=7)) and None)
    assert until(lambda: not store.health, stretched(1.5))
