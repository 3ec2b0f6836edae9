"""Events and their change share one fate; the log only grows, in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from gateway.audit.event import SYSTEM, Action, Actor, Event, parse
from gateway.audit.log import AuditLog, hashes
from gateway.errors import Misconfigured, Tampered, TryLater
from gateway.store.database import Store, Tx
from gateway.store.schema import log_leaves, sealed_values
from keys.merkle import Frontier, inclusion_proof, leaf_hash, verify_inclusion
from tests.support import databases
from tests.support.load import stretched
from tests.unit.audit.conftest import ORIGIN, TENANT, House


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    if request.param == "sqlite":
        url = databases.sqlite(tmp_path)
    else:
        url = databases.postgres(request.getfixturevalue("server"))
    made = House(url)
    yield made
    made.store.close()


def entries(house: House, name: str = TENANT) -> list[dict[str, Any]]:
    house.numbering.run_once()
    with house.store.reading() as conn:
        return [parse(entry) for entry in house.audit.entries(conn, name, 0, house.audit.size(conn, name))]


def value(tx: Tx) -> None:
    tx.conn.execute(insert(sealed_values).values(id="val_1", tenant=TENANT, kind="ip", sealed=b"x", created_at=1))


def values(house: House) -> int:
    with house.store.reading() as conn:
        return len(conn.execute(select(sealed_values.c.id)).all())


EVENT = Event(Action.LINK_VISITED, TENANT, "lnk_1", Actor("visitor", ""))


def test_the_first_entry_states_origin_and_keys(house: House) -> None:
    first = entries(house)[0]
    vkeys = house.notary.vkeys(TENANT)
    assert (first["action"], first["object"]) == ("log:opened", ORIGIN)
    assert first["reason"] == f"{vkeys['release_vkey']} {vkeys['system_vkey']}"
    again = house.store.run(lambda tx: house.audit.open_log(tx, TENANT, origin="x", release_vkey="y", system_vkey="z"))
    assert again is False
    assert len(entries(house)) == 1


def test_an_event_and_its_change_are_committed_together(house: House) -> None:
    def work(tx: Tx) -> None:
        value(tx)
        house.audit.append(tx, EVENT)

    house.store.run(work)
    assert values(house) == 1
    assert entries(house)[1]["action"] == "link:visited"


def test_a_change_that_fails_leaves_no_entry(house: House) -> None:
    def work(tx: Tx) -> None:
        house.audit.append(tx, EVENT)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        house.store.run(work)
    house.happen()
    assert [entry["nseq"] for entry in entries(house)] == [1, 2]


@pytest.mark.parametrize("how", ["leaves", "nodes"])
def test_a_log_that_cannot_be_written_fails_the_change_and_turns_red(house: House, how: str) -> None:
    table = f"log_{how}" if house.store.dialect == "sqlite" else "outbox"
    break_it, mend = f"ALTER TABLE {table} RENAME TO gone", f"ALTER TABLE gone RENAME TO {table}"
    house.store.run(lambda tx: tx.conn.execute(text(break_it)) and None)

    def work(tx: Tx) -> None:
        value(tx)
        house.audit.append(tx, EVENT)
        house.audit.append(tx, EVENT)

    for _ in range(3):
        with pytest.raises(TryLater):
            house.store.run(work)
    assert not house.store.health
    assert values(house) == 0
    house.store.run(lambda tx: tx.conn.execute(text(mend)) and None)
    house.store.run(work)
    assert values(house) == 1
    assert len(entries(house)) == 3


def test_an_idle_log_that_cannot_be_written_turns_red_within_a_second(house: House) -> None:
    assert house.store.health
    if house.store.dialect == "sqlite":
        break_it = "CREATE TRIGGER stop BEFORE INSERT ON log_leaves BEGIN SELECT RAISE(ABORT, 'no'); END"
    else:
        break_it = "ALTER TABLE outbox ADD CONSTRAINT stop CHECK (nseq < 0) NOT VALID"
    house.store.run(lambda tx: tx.conn.execute(text(break_it)) and None)
    assert _until(lambda: not house.store.health, stretched(1.5))
    with pytest.raises(TryLater):
        house.happen()


def test_the_probe_leaves_nothing(house: House) -> None:
    # Two probes' time: the idle store has written and rolled back its trial entries.
    deadline = time.monotonic() + 1.6
    while time.monotonic() < deadline:
        assert house.store.health
        time.sleep(0.05)
    house.numbering.run_once()
    with house.store.reading() as conn:
        assert set(conn.execute(select(log_leaves.c.log)).scalars()) == {TENANT, SYSTEM}


def test_a_log_that_was_never_opened_takes_nothing(house: House) -> None:
    with pytest.raises(Misconfigured, match="never opened"):
        house.happen(tenant="tnt_other")
    house.happen()
    assert len(entries(house)) == 2


def test_a_bad_event_loses_only_itself(house: House) -> None:
    with pytest.raises(ValueError):
        house.happen(reason="line\nbreak")
    house.happen()
    assert len(entries(house)) == 2


def test_numbers_and_tree_are_whole_under_many_callers(house: House) -> None:
    def many() -> None:
        for _ in range(10):
            house.happen()

    threads = [threading.Thread(target=many) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = entries(house)
    assert [entry["nseq"] for entry in found] == list(range(1, 162))
    size, root = house.audit.head(TENANT)
    tree = Frontier(0, [])
    with house.store.reading() as conn:
        leaves = [leaf_hash(entry) for entry in house.audit.entries(conn, TENANT, 0, size)]
        for leaf in leaves:
            tree.append(leaf)
        assert (tree.size, tree.root()) == (size, root) == (161, tree.root())
        for index in (0, 1, 100, 160):
            verify_inclusion(leaves[index], index, size, inclusion_proof(index, size, hashes(conn, TENANT)), root)


def test_a_restart_goes_on_where_the_log_ends(house: House) -> None:
    house.happen(count=5)
    house.store.close()
    again = House(house.url, create=False)
    again.happen()
    found = entries(again)
    assert [entry["nseq"] for entry in found] == list(range(1, 8))
    again.store.close()


def test_two_processes_of_one_database_keep_one_order(house: House) -> None:
    """Two stores stand for two processes: each finds what the other wrote."""
    other = Store.open(house.url)
    audit = AuditLog(other, "node-2", house.clock)
    audit.attach()

    def writes(store: Store, log: AuditLog) -> None:
        for _ in range(15):
            try:
                store.run(lambda tx: log.append(tx, EVENT))
            except TryLater:  # SQLite says so when the other holds the lock; the entry is not written then
                continue

    threads = [threading.Thread(target=writes, args=pair) for pair in ((house.store, house.audit), (other, audit))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    found = entries(house)
    for node in ("node-1", "node-2"):
        numbers = [entry["nseq"] for entry in found if entry["node"] == node]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) > 5


def test_a_missing_entry_is_named(house: House) -> None:
    house.happen(count=3)
    house.numbering.run_once()
    with house.store.reading() as conn, pytest.raises(Tampered, match="entries 4"):
        list(house.audit.entries(conn, TENANT, 0, 5))
    with house.store.reading() as conn, pytest.raises(Tampered, match="hash 9"):
        hashes(conn, TENANT)(0, 9)


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
