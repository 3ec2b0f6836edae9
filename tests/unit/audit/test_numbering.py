"""PostgreSQL: entries wait in the outbox, one sequencer numbers them, and what is taken out in between shows."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from gateway.audit.event import SYSTEM, Action, Actor, Event, parse
from gateway.audit.export import export
from gateway.audit.log import AuditLog
from gateway.audit.numbering import Numbering
from gateway.audit.outbox import Memory
from gateway.audit.verify import Report, verify
from gateway.errors import TryLater
from gateway.store import waiting
from gateway.store.database import Store
from gateway.store.schema import log_leaves, outbox_faults
from tests.support import databases, postgres
from tests.unit.audit.conftest import TENANT, House

pytestmark = pytest.mark.postgres
EVENT = Event(Action.LINK_VISITED, TENANT, "lnk_1", Actor("visitor", ""))


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Postgres]:
    with postgres.running() as running:
        yield running


@pytest.fixture
def house(server: postgres.Postgres) -> Iterator[House]:
    made = House(databases.postgres(server))
    yield made
    made.store.close()


class Node:
    """Another process of the same database."""

    def __init__(self, house: House, name: str, memory: Path | None = None) -> None:
        self.store = Store.open(house.url, lease=name)
        self.audit = AuditLog(self.store, name, house.clock, Memory(memory, "here"))
        self.audit.attach()
        self.numbering = Numbering(self.audit)

    def happen(self, count: int = 1) -> None:
        for _ in range(count):
            self.store.run(lambda tx: self.audit.append(tx, EVENT))

    def close(self) -> None:
        self.audit.remember()
        self.store.close()


def entries(house: House, name: str = TENANT) -> list[dict[str, Any]]:
    with house.store.reading() as conn:
        return [parse(entry) for entry in house.audit.entries(conn, name, 0, house.audit.size(conn, name))]


def numbers(house: House, node: str) -> list[int]:
    return [entry["nseq"] for entry in entries(house) if entry["node"] == node]


def without_triggers(house: House, statement: str) -> None:
    """What somebody with the database owner's powers can do."""

    def work(tx: Any) -> None:
        names = ("outbox_no_change", "outbox_left")
        for one in (
            *(f"ALTER TABLE outbox DISABLE TRIGGER {name}" for name in names),
            statement,
            *(f"ALTER TABLE outbox ENABLE ALWAYS TRIGGER {name}" for name in names),
        ):
            tx.conn.execute(text(one))

    house.store.run(work)


def faults(house: House) -> list[tuple[str, int]]:
    with house.store.reading() as conn:
        columns = outbox_faults.c
        return [(kind, nseq) for kind, nseq in conn.execute(select(columns.kind, columns.nseq).order_by(columns.nseq))]


def waits(house: House) -> int:
    with house.store.reading() as conn:
        return waiting.everywhere(conn).count


def checked(house: House, folder: Path) -> Report:
    house.sequencer.run_once()
    export(folder, house.audit, TENANT, house.notary)
    return verify(folder, house.notary.vkeys(TENANT)["log_vkey"])


def test_an_entry_is_committed_without_a_number_and_gets_it_from_the_sequencer(house: House) -> None:
    house.happen(count=3)
    assert entries(house) == []
    assert waits(house) == 5
    assert house.numbering.run_once() == 5
    assert house.numbering.run_once() == 0
    assert waits(house) == 0
    assert [entry["nseq"] for entry in entries(house)] == [1, 2, 3, 4]


def test_a_work_that_fails_and_a_batch_that_is_rolled_back_leave_no_gap(house: House) -> None:
    def broken(tx: Any) -> None:
        raise RuntimeError

    def fails(tx: Any) -> None:
        house.audit.append(tx, EVENT)
        raise ValueError

    house.happen()
    for _ in range(3):
        with pytest.raises(ValueError):
            house.store.run(fails)
        house.store.before_commit.append(broken)
        with pytest.raises(TryLater):
            house.happen()
        house.store.before_commit.remove(broken)
        house.happen()
    house.numbering.run_once()
    assert numbers(house, "node-1") == [1, 2, 3, 4, 5]
    assert faults(house) == []


def test_an_order_that_somebody_saw_is_the_order_of_the_log(house: House) -> None:
    """Whoever writes after another's commit comes after it, whatever either process's clock says."""
    other = Node(house, "node-2")
    for _ in range(20):
        house.happen(object="first")
        other.happen()
    house.numbering.run_once()
    found = [entry["node"] for entry in entries(house)][1:]
    assert found == ["node-1", "node-2"] * 20
    other.close()


def test_only_one_process_numbers_at_a_time_and_the_next_goes_on_where_it_ended(house: House) -> None:
    other = Node(house, "node-2")
    with house.store.aside() as conn:
        conn.exec_driver_sql("SELECT pg_advisory_xact_lock(%s, hashtext('numbering'))", (0x5EA2,))
        assert other.numbering.run_once() == 0
    for number in range(6):
        house.happen()
        other.happen()
        (house if number % 2 else other).numbering.run_once()
    assert numbers(house, "node-1") == list(range(1, 8))
    assert numbers(house, "node-2") == list(range(1, 7))
    assert house.audit.head(TENANT) == other.audit.head(TENANT)
    other.close()


def test_a_round_that_ends_before_its_commit_leaves_everything_to_the_next(house: House) -> None:
    house.happen(count=5)
    write = Numbering._write
    try:

        def dies(conn: Any, made: Any, done: list[int]) -> None:
            write(conn, made, done)
            raise TryLater("killed")

        Numbering._write = staticmethod(dies)  # type: ignore[method-assign, assignment]
        with pytest.raises(TryLater):
            house.numbering.run_once()
    finally:
        Numbering._write = staticmethod(write)  # type: ignore[method-assign, assignment]
    assert entries(house) == []
    other = Node(house, "node-2")
    assert other.numbering.run_once() == 7
    assert house.numbering.run_once() == 0
    assert numbers(house, "node-1") == list(range(1, 7))
    other.close()


def test_a_sequencer_that_hangs_loses_its_turn_to_another_node(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ends a transaction in which nothing happens; here after half a second, in service after six."""
    house.happen()
    other = Node(house, "node-2")
    begun, over = threading.Event(), threading.Event()
    failed: list[Exception] = []

    def hang(conn: Any, made: Any, done: list[int]) -> None:
        conn.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 500")
        begun.set()
        over.wait(60)

    def number() -> None:
        try:
            house.numbering.run_once()
        except TryLater as error:
            failed.append(error)

    monkeypatch.setattr(Numbering, "_write", staticmethod(hang))
    stuck = threading.Thread(target=number)
    stuck.start()
    assert begun.wait(30)
    monkeypatch.undo()
    deadline = time.monotonic() + 30
    while waits(house) and time.monotonic() < deadline:
        other.numbering.run_once()
        time.sleep(0.02)
    assert numbers(house, "node-1") == [1, 2]
    over.set()
    stuck.join(30)
    assert len(failed) == 1
    assert numbers(house, "node-1") == [1, 2]
    other.close()


# what is taken out, changed or forged in between


def test_an_entry_taken_out_before_it_had_a_number_shows(house: House, tmp_path: Path) -> None:
    house.happen(count=4)
    without_triggers(house, "DELETE FROM outbox WHERE log = 'tnt_a' AND nseq = 3")
    house.numbering.run_once()
    assert faults(house) == [("missing", 3)]
    assert numbers(house, "node-1") == [1, 2, 4, 5]
    house.numbering.run_once()
    told = [entry for entry in entries(house, SYSTEM) if entry["action"] == "tamper:found"]
    assert [entry["reason"] for entry in told] == ["outbox missing: tnt_a node-1 3"]
    report = checked(house, tmp_path / "log")
    assert not report.holds


def test_the_last_entry_taken_out_shows_by_the_next_one(house: House) -> None:
    house.happen(count=2)
    without_triggers(house, "DELETE FROM outbox WHERE log = 'tnt_a' AND nseq = 3")
    house.numbering.run_once()
    assert faults(house) == []
    house.happen()
    house.numbering.run_once()
    assert faults(house) == [("missing", 3)]


@pytest.mark.parametrize("how", ["taken out", "changed"])
def test_what_happened_while_the_node_was_down_shows_by_its_own_memory(house: House, tmp_path: Path, how: str) -> None:
    node = Node(house, "node-2", tmp_path / "position.json")
    node.happen(count=3)
    node.close()
    assert json.loads((tmp_path / "position.json").read_text())["lines"][TENANT][0] == 3
    if how == "taken out":
        without_triggers(house, "DELETE FROM outbox WHERE node = 'node-2' AND nseq > 1")
    else:
        without_triggers(house, "UPDATE outbox SET chain = '\\x00' WHERE node = 'node-2' AND nseq = 3")
    again = Node(house, "node-2", tmp_path / "position.json")
    again.happen()
    again.numbering.run_once()
    assert faults(house) == ([("missing", 2)] if how == "taken out" else [("changed", 2), ("changed", 3)])
    assert numbers(house, "node-2") == ([1, 4] if how == "taken out" else [1, 2, 3, 4])
    again.close()


def test_another_installations_memory_counts_for_nothing(house: House, tmp_path: Path) -> None:
    path = tmp_path / "position.json"
    path.write_text(json.dumps({"v": 1, "of": "elsewhere", "lines": {TENANT: [99, "00"]}}))
    node = Node(house, "node-2", path)
    node.happen()
    node.numbering.run_once()
    assert numbers(house, "node-2") == [1]
    node.close()


FORGED = {
    "no entry at all": ("entry", "'\\x7b7d'"),
    "an entry of another hash": ("leaf_hash", "'\\x00'"),
    "another action beside the entry": ("action", "'object:opened'"),
    "another node's name beside the entry": ("node", "'node-9'"),
}


@pytest.mark.parametrize("what", FORGED)
def test_what_is_no_entry_is_kept_as_evidence_and_stops_nobody(house: House, what: str) -> None:
    column, value = FORGED[what]
    house.happen(count=3)
    without_triggers(house, f"UPDATE outbox SET {column} = {value} WHERE log = 'tnt_a' AND nseq = 3")
    assert house.numbering.run_once() == 4
    assert ("refused", 3) in faults(house)
    assert numbers(house, "node-1") == [1, 2, 4]
    assert waits(house) == 2  # one entry for it, and one for the place that is now empty
    assert house.numbering.run_once() == 2
    assert waits(house) == 0
    with house.store.reading() as conn:
        assert conn.execute(select(outbox_faults.c.entry).where(outbox_faults.c.kind == "refused")).scalar_one()


def test_a_fault_is_told_by_the_next_process_when_the_first_died_before(house: House) -> None:
    house.happen(count=2)
    without_triggers(house, "DELETE FROM outbox WHERE log = 'tnt_a' AND nseq = 2")
    house.numbering._tell = lambda: None  # type: ignore[method-assign]
    house.numbering.run_once()
    other = Node(house, "node-2")
    other.numbering.run_once()
    other.numbering.run_once()
    house.numbering.run_once()
    assert sum(entry["action"] == "tamper:found" for entry in entries(house, SYSTEM)) == 1
    other.close()


def test_a_repeated_number_is_refused_by_the_database_and_at_its_turn(house: House) -> None:
    house.happen()
    copy = (
        "INSERT INTO outbox (log, node, nseq, ts, action, actor, object, outcome, entry, leaf_hash, chain) SELECT log, "
        "node, nseq, ts, action, actor, object, outcome, entry, leaf_hash, chain FROM outbox WHERE nseq = 2"
    )
    with pytest.raises(IntegrityError):
        house.store.run(lambda tx: tx.conn.execute(text(copy)) and None)
    house.store.run(lambda tx: tx.conn.execute(text("CREATE TABLE kept AS SELECT * FROM outbox")) and None)
    house.numbering.run_once()
    house.store.run(lambda tx: tx.conn.execute(text(copy.replace("FROM outbox", "FROM kept"))) and None)
    house.numbering.run_once()
    assert faults(house) == [("refused", 2)]
    assert numbers(house, "node-1") == [1, 2]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE outbox SET nseq = nseq + 1", "DELETE FROM outbox", "TRUNCATE outbox",
        "DELETE FROM outbox WHERE nseq = 2", "DELETE FROM outbox_heads", "UPDATE outbox_heads SET nseq = nseq",
        "UPDATE outbox_heads SET nseq = 99, node = 'other'",
    ],
)  # fmt: skip
def test_the_database_lets_go_of_nothing_that_stands_in_no_log(house: House, statement: str) -> None:
    house.numbering.run_once()
    house.happen(count=2)
    with pytest.raises(TryLater) as caught:
        house.store.run(lambda tx: tx.conn.execute(text(statement)) and None)
    assert "append-only" in str(caught.value.__cause__)
    assert waits(house) == 2


# readers


def test_a_reader_waits_for_what_was_committed_before_it_began(house: House) -> None:
    house.numbering.start()
    try:
        for count in range(5):
            house.happen()
            with house.store.reading(log=TENANT) as conn:
                assert len(conn.execute(select(log_leaves.c.idx).where(log_leaves.c.log == TENANT)).all()) == count + 2
                assert waiting.count(conn, TENANT) == 0
    finally:
        house.numbering.stop()


def test_a_reader_is_told_what_still_waits(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "READERS_FOR", waiting.timedelta(milliseconds=50))
    house.happen(count=3)
    with house.store.reading(log=TENANT) as conn:
        assert waiting.count(conn, TENANT) == 4
        said = waiting.said(conn)
        assert len(conn.execute(select(said.c.entry).where(said.c.log == TENANT)).all()) == 4
    house.numbering.run_once()
    with house.store.reading(log=TENANT) as conn:
        assert waiting.count(conn, TENANT) == 0
        assert len(conn.execute(select(waiting.said(conn).c.entry).where(said.c.log == TENANT)).all()) == 4


def test_a_start_drains_what_an_earlier_life_left(house: House) -> None:
    house.happen(count=3)
    other = Node(house, "node-2")
    other.numbering.drain()
    assert waits(house) == 0
    other.close()


def test_an_export_made_under_load_verifies(house: House, tmp_path: Path) -> None:
    others = [Node(house, name) for name in ("node-2", "node-3")]
    stop = threading.Event()

    def load(node: Node) -> None:
        while not stop.is_set():
            node.happen()

    threads = [threading.Thread(target=load, args=(node,)) for node in others]
    for thread in threads:
        thread.start()
    house.numbering.start()
    try:
        house.happen(object="before")
        report = checked(house, tmp_path / "log")
        assert report.holds
        assert b'"object":"before"' in (tmp_path / "log" / "entries.jsonl").read_bytes()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        house.numbering.stop()
    house.numbering.run_once()
    report = checked(house, tmp_path / "again")
    assert report.holds
    for node in others:
        found = numbers(house, node.audit.node)
        assert found == list(range(1, len(found) + 1))
        node.close()
