"""PostgreSQL: entries wait in the outbox, one sequencer numbers them, and what is taken out in between shows."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from gateway.audit.event import SYSTEM, Action, Actor, Event, parse
from gateway.audit.export import export
from gateway.audit.numbering import Numbering
from gateway.audit.verify import Report, verify
from gateway.errors import TryLater
from gateway.store import waiting
from gateway.store.schema import outbox_faults
from tests.unit.audit.conftest import TENANT, House, Node

pytestmark = pytest.mark.postgres
EVENT = Event(Action.LINK_VISITED, TENANT, "lnk_1", Actor("visitor", ""))


def entries(shared: House, name: str = TENANT) -> list[dict[str, Any]]:
    with shared.store.reading() as conn:
        return [parse(entry) for entry in shared.audit.entries(conn, name, 0, shared.audit.size(conn, name))]


def numbers(shared: House, node: str) -> list[int]:
    return [entry["nseq"] for entry in entries(shared) if entry["node"] == node]


def without_triggers(shared: House, statement: str) -> None:
    """What somebody with the database owner's powers can do."""

    def work(tx: Any) -> None:
        names = ("outbox_no_change", "outbox_left")
        for one in (
            *(f"ALTER TABLE outbox DISABLE TRIGGER {name}" for name in names),
            statement,
            *(f"ALTER TABLE outbox ENABLE ALWAYS TRIGGER {name}" for name in names),
        ):
            tx.conn.execute(text(one))

    shared.store.run(work)


def faults(shared: House) -> list[tuple[str, int]]:
    with shared.store.reading() as conn:
        columns = outbox_faults.c
        return [(kind, nseq) for kind, nseq in conn.execute(select(columns.kind, columns.nseq).order_by(columns.nseq))]


def waits(shared: House) -> int:
    with shared.store.reading() as conn:
        return waiting.everywhere(conn).count


def checked(shared: House, folder: Path) -> Report:
    shared.sequencer.run_once()
    export(folder, shared.audit, TENANT, shared.notary)
    return verify(folder, shared.notary.vkeys(TENANT)["log_vkey"])


def test_an_entry_is_committed_without_a_number_and_gets_it_from_the_sequencer(shared: House) -> None:
    shared.happen(count=3)
    assert entries(shared) == []
    assert waits(shared) == 5
    assert shared.numbering.run_once() == 5
    assert shared.numbering.run_once() == 0
    assert waits(shared) == 0
    assert [entry["nseq"] for entry in entries(shared)] == [1, 2, 3, 4]


def test_a_work_that_fails_and_a_batch_that_is_rolled_back_leave_no_gap(shared: House) -> None:
    def broken(tx: Any) -> None:
        raise RuntimeError

    def fails(tx: Any) -> None:
        shared.audit.append(tx, EVENT)
        raise ValueError

    shared.happen()
    for _ in range(3):
        with pytest.raises(ValueError):
            shared.store.run(fails)
        shared.store.before_commit.append(broken)
        with pytest.raises(TryLater):
            shared.happen()
        shared.store.before_commit.remove(broken)
        shared.happen()
    shared.numbering.run_once()
    assert numbers(shared, "node-1") == [1, 2, 3, 4, 5]
    assert faults(shared) == []


def test_an_order_that_somebody_saw_is_the_order_of_the_log(shared: House) -> None:
    """Whoever writes after another's commit comes after it, whatever either process's clock says."""
    other = Node(shared, "node-2")
    for _ in range(20):
        shared.happen(object="first")
        other.happen()
    shared.numbering.run_once()
    found = [entry["node"] for entry in entries(shared)][1:]
    assert found == ["node-1", "node-2"] * 20
    other.close()


def test_only_one_process_numbers_at_a_time_and_the_next_goes_on_where_it_ended(shared: House) -> None:
    other = Node(shared, "node-2")
    with shared.store.aside() as conn:
        conn.exec_driver_sql("SELECT pg_advisory_xact_lock(%s, hashtext('numbering'))", (0x5EA2,))
        assert other.numbering.run_once() == 0
    for number in range(6):
        shared.happen()
        other.happen()
        (shared if number % 2 else other).numbering.run_once()
    assert numbers(shared, "node-1") == list(range(1, 8))
    assert numbers(shared, "node-2") == list(range(1, 7))
    assert shared.audit.head(TENANT) == other.audit.head(TENANT)
    other.close()


def test_a_round_that_ends_before_its_commit_leaves_everything_to_the_next(shared: House) -> None:
    shared.happen(count=5)
    write = Numbering._write
    try:

        def dies(conn: Any, made: Any, done: list[int]) -> None:
            write(conn, made, done)
            raise TryLater("killed")

        Numbering._write = staticmethod(dies)  # type: ignore[method-assign, assignment]
        with pytest.raises(TryLater):
            shared.numbering.run_once()
    finally:
        Numbering._write = staticmethod(write)  # type: ignore[method-assign, assignment]
    assert entries(shared) == []
    other = Node(shared, "node-2")
    assert other.numbering.run_once() == 7
    assert shared.numbering.run_once() == 0
    assert numbers(shared, "node-1") == list(range(1, 7))
    other.close()


def test_a_sequencer_that_hangs_loses_its_turn_to_another_node(shared: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ends a transaction in which nothing happens; here after half a second, in service after six."""
    shared.happen()
    other = Node(shared, "node-2")
    begun, over = threading.Event(), threading.Event()
    failed: list[Exception] = []

    def hang(conn: Any, made: Any, done: list[int]) -> None:
        conn.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 500")
        begun.set()
        over.wait(60)

    def number() -> None:
        try:
            shared.numbering.run_once()
        except TryLater as error:
            failed.append(error)

    monkeypatch.setattr(Numbering, "_write", staticmethod(hang))
    stuck = threading.Thread(target=number)
    stuck.start()
    assert begun.wait(30)
    monkeypatch.undo()
    deadline = time.monotonic() + 30
    while waits(shared) and time.monotonic() < deadline:
        other.numbering.run_once()
        time.sleep(0.02)
    assert numbers(shared, "node-1") == [1, 2]
    over.set()
    stuck.join(30)
    assert len(failed) == 1
    assert numbers(shared, "node-1") == [1, 2]
    other.close()


# what is taken out, changed or forged in between


def test_an_entry_taken_out_before_it_had_a_number_shows(shared: House, tmp_path: Path) -> None:
    shared.happen(count=4)
    without_triggers(shared, "DELETE FROM outbox WHERE log = 'tnt_a' AND nseq = 3")
    shared.numbering.run_once()
    assert faults(shared) == [("missing", 3)]
    assert numbers(shared, "node-1") == [1, 2, 4, 5]
    shared.numbering.run_once()
    told = [entry for entry in entries(shared, SYSTEM) if entry["action"] == "tamper:found"]
    assert [entry["reason"] for entry in told] == ["outbox missing: tnt_a node-1 3"]
    report = checked(shared, tmp_path / "log")
    assert not report.holds


def test_the_last_entry_taken_out_shows_by_the_next_one(shared: House) -> None:
    shared.happen(count=2)
    without_triggers(shared, "DELETE FROM outbox WHERE log = 'tnt_a' AND nseq = 3")
    shared.numbering.run_once()
    assert faults(shared) == []
    shared.happen()
    shared.numbering.run_once()
    assert faults(shared) == [("missing", 3)]


@pytest.mark.parametrize("how", ["taken out", "changed"])
def test_what_happened_while_the_node_was_down_shows_by_its_own_memory(shared: House, tmp_path: Path, how: str) -> None:
    node = Node(shared, "node-2", tmp_path / "position.json")
    node.happen(count=3)
    node.close()
    assert json.loads((tmp_path / "position.json").read_text())["lines"][TENANT][0] == 3
    if how == "taken out":
        without_triggers(shared, "DELETE FROM outbox WHERE node = 'node-2' AND nseq > 1")
    else:
        without_triggers(shared, "UPDATE outbox SET chain = '\\x00' WHERE node = 'node-2' AND nseq = 3")
    again = Node(shared, "node-2", tmp_path / "position.json")
    again.happen()
    again.numbering.run_once()
    assert faults(shared) == ([("missing", 2)] if how == "taken out" else [("changed", 2), ("changed", 3)])
    assert numbers(shared, "node-2") == ([1, 4] if how == "taken out" else [1, 2, 3, 4])
    again.close()


def test_another_installations_memory_counts_for_nothing(shared: House, tmp_path: Path) -> None:
    path = tmp_path / "position.json"
    path.write_text(json.dumps({"v": 1, "of": "elsewhere", "lines": {TENANT: [99, "00"]}}))
    node = Node(shared, "node-2", path)
    node.happen()
    node.numbering.run_once()
    assert numbers(shared, "node-2") == [1]
    node.close()


FORGED = {
    "no entry at all": ("entry", "'\\x7b7d'"),
    "an entry of another hash": ("leaf_hash", "'\\x00'"),
    "another action beside the entry": ("action", "'object:opened'"),
    "another node's name beside the entry": ("node", "'node-9'"),
}


@pytest.mark.parametrize("what", FORGED)
def test_what_is_no_entry_is_kept_as_evidence_and_stops_nobody(shared: House, what: str) -> None:
    column, value = FORGED[what]
    shared.happen(count=3)
    without_triggers(shared, f"UPDATE outbox SET {column} = {value} WHERE log = 'tnt_a' AND nseq = 3")
    assert shared.numbering.run_once() == 4
    assert ("refused", 3) in faults(shared)
    assert numbers(shared, "node-1") == [1, 2, 4]
    assert waits(shared) == 2  # one entry for it, and one for the place that is now empty
    assert shared.numbering.run_once() == 2
    assert waits(shared) == 0
    with shared.store.reading() as conn:
        assert conn.execute(select(outbox_faults.c.entry).where(outbox_faults.c.kind == "refused")).scalar_one()


def test_a_fault_is_told_by_the_next_process_when_the_first_died_before(shared: House) -> None:
    shared.happen(count=2)
    without_triggers(shared, "DELETE FROM outbox WHERE log = 'tnt_a' AND nseq = 2")
    shared.numbering._tell = lambda: None  # type: ignore[method-assign]
    shared.numbering.run_once()
    other = Node(shared, "node-2")
    other.numbering.run_once()
    other.numbering.run_once()
    shared.numbering.run_once()
    assert sum(entry["action"] == "tamper:found" for entry in entries(shared, SYSTEM)) == 1
    other.close()


def test_a_repeated_number_is_refused_by_the_database_and_at_its_turn(shared: House) -> None:
    shared.happen()
    copy = (
        "INSERT INTO outbox (log, node, nseq, ts, action, actor, object, outcome, entry, leaf_hash, chain) SELECT log, "
        "node, nseq, ts, action, actor, object, outcome, entry, leaf_hash, chain FROM outbox WHERE nseq = 2"
    )
    with pytest.raises(IntegrityError):
        shared.store.run(lambda tx: tx.conn.execute(text(copy)) and None)
    shared.store.run(lambda tx: tx.conn.execute(text("CREATE TABLE kept AS SELECT * FROM outbox")) and None)
    shared.numbering.run_once()
    shared.store.run(lambda tx: tx.conn.execute(text(copy.replace("FROM outbox", "FROM kept"))) and None)
    shared.numbering.run_once()
    assert faults(shared) == [("refused", 2)]
    assert numbers(shared, "node-1") == [1, 2]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE outbox SET nseq = nseq + 1", "DELETE FROM outbox", "TRUNCATE outbox",
        "DELETE FROM outbox WHERE nseq = 2", "DELETE FROM outbox_heads", "UPDATE outbox_heads SET nseq = nseq",
        "UPDATE outbox_heads SET nseq = 99, node = 'other'",
    ],
)  # fmt: skip
def test_the_database_lets_go_of_nothing_that_stands_in_no_log(shared: House, statement: str) -> None:
    shared.numbering.run_once()
    shared.happen(count=2)
    with pytest.raises(TryLater) as caught:
        shared.store.run(lambda tx: tx.conn.execute(text(statement)) and None)
    assert "append-only" in str(caught.value.__cause__)
    assert waits(shared) == 2
