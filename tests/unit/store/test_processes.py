"""Several processes on one PostgreSQL: a name is one writer's, a duty one process's, and both pass on at its death."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from sqlalchemy import select, text

from gateway.audit.event import GATEWAY, SYSTEM, Action, Event, parse
from gateway.audit.log import AuditLog
from gateway.audit.numbering import Numbering
from gateway.clock import SystemClock
from gateway.errors import TryLater
from gateway.store.database import Store
from gateway.store.engines import NameTaken
from gateway.store.schema import log_leaves
from keys.merkle import Frontier, leaf_hash
from tests.support import databases
from tests.support.load import PATIENCE
from tests.support.postgres import Postgres


@pytest.fixture
def shared(server: Postgres) -> str:
    return databases.postgres(server)


def end_backends(url: str) -> None:
    """What the server does when a process is killed: its connections end."""
    other = Store.open(url, writing=False)
    with other.reading() as conn:
        conn.execute(text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ))  # fmt: skip
    other.close()


def taken_over(store: Store, between: Callable[[], None] = lambda: None) -> bool:
    """Whether it gets its name once the server has noticed that the other's connection ended."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            store.run(lambda tx: None)
            return True
        except TryLater:
            between()
    return False


def again(write: Callable[[str], None], name: str) -> None:
    """Write until the server has noticed that the connection before this one ended; until then nothing was written."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return write(name)
        except TryLater as error:
            if not isinstance(error.__cause__, NameTaken) or time.monotonic() > deadline:
                raise


@pytest.mark.postgres
def test_a_writers_name_is_one_processs_until_it_ends(shared: str) -> None:
    first, second, other = (Store.open(shared, lease=name) for name in ("a", "a", "a.portal"))
    first.run(lambda tx: None)
    with pytest.raises(TryLater) as caught:
        second.run(lambda tx: None)
    assert isinstance(caught.value.__cause__, NameTaken)
    other.run(lambda tx: None)
    first.close()
    assert taken_over(second)
    with pytest.raises(TryLater):
        Store.open(shared, lease="a").run(lambda tx: None)
    second.close()
    other.close()


@pytest.mark.postgres
def test_a_killed_writers_name_is_free_at_once(shared: str) -> None:
    first = Store.open(shared, lease="a")
    first.run(lambda tx: None)
    end_backends(shared)
    second = Store.open(shared, lease="a")
    assert taken_over(second, first.close)  # the first may take it again
    second.close()


@pytest.mark.postgres
def test_a_duty_is_one_processs_at_a_time_and_another_takes_over_when_it_dies(shared: str) -> None:
    first, second = Store.open(shared, lease="a"), Store.open(shared, lease="b")
    with first.turn("checkpoints") as mine:
        assert mine
        with second.turn("checkpoints") as theirs, second.turn("holds") as another:
            assert not theirs
            assert another
    with second.turn("checkpoints") as theirs:
        assert theirs
    with pytest.raises(TryLater), first.turn("checkpoints"):
        end_backends(shared)
        with second.turn("checkpoints") as theirs:
            assert theirs
        raise TryLater("the holder's connection has ended")
    first.close()
    second.close()


def test_the_one_writer_of_an_sqlite_file_has_every_turn(tmp_path: object) -> None:
    store = Store.open(databases.sqlite(tmp_path))  # type: ignore[arg-type]
    with store.turn("checkpoints") as mine, store.turn("checkpoints") as again:
        assert mine
        assert again
    store.close()


@pytest.mark.postgres
def test_each_nodes_numbers_are_gapless_in_one_log_whoever_writes_between(shared: str) -> None:
    stores = {name: Store.open(shared, lease=name) for name in ("a", "b")}
    logs = {name: AuditLog(store, name, SystemClock()) for name, store in stores.items()}
    for audit in logs.values():
        audit.attach()
    stores["a"].run(lambda tx: logs["a"].open_log(tx, SYSTEM, origin="o", release_vkey="r", system_vkey="s"))

    def write(name: str, fail: bool = False) -> None:
        def work(tx: object) -> None:
            logs[name].append(tx, Event(Action.NODE_STARTED, SYSTEM, name, GATEWAY))  # type: ignore[arg-type]

        store = stores[name]
        if not fail:
            store.run(work)
            return

        def broken(tx: object) -> None:
            raise RuntimeError("after the entries, before COMMIT")

        store.before_commit.append(broken)
        with pytest.raises(TryLater):
            store.run(work)
        store.before_commit.remove(broken)

    for name in "aabbbabaab":
        write(name)
    write("a", fail=True)
    for name in "baab":
        again(write, name)
    Numbering(logs["b"]).run_once()
    with stores["a"].reading() as conn:
        raw = [bytes(entry) for entry in conn.execute(select(log_leaves.c.entry).order_by(log_leaves.c.idx)).scalars()]
    entries = [parse(entry) for entry in raw]
    for name in stores:
        mine = [entry["nseq"] for entry in entries if entry["node"] == name]
        assert mine == list(range(1, len(mine) + 1))
    assert len(entries) == 15
    tree = Frontier(0, [])
    for entry in raw:
        tree.append(leaf_hash(entry))
    assert logs["a"].head(SYSTEM) == logs["b"].head(SYSTEM) == (15, tree.root())
    for store in stores.values():
        store.close()
