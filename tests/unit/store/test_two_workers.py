"""Two workers on one PostgreSQL look at the same row in the same moment: one of them does what it asks for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import text

from gateway.clock import SystemClock
from gateway.flow.officer_acts import HeldActs
from gateway.flow.records import Records
from gateway.flow.reminders import Marks, Raced
from gateway.flow.tellings import Tellings
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Row, Rows
from keys.datakey import ValueKey
from tests.support import databases
from tests.support.postgres import Postgres

pytestmark = pytest.mark.postgres
TENANT = "tnt_a"
PATIENCE = 30.0


@dataclass
class Two:
    """Two workers' stores on one database, and a look into it from outside."""

    first: Store
    second: Store
    watcher: Store
    rows: Rows

    def both(self, deed: Callable[[Store], Any]) -> list[Any]:
        """What the deed came to for each. The second begins while the first has not committed, and has to wait."""
        written, go = threading.Event(), threading.Event()
        answers: list[Any] = []

        def pause(tx: Tx) -> None:
            written.set()
            go.wait(PATIENCE)

        def run(store: Store) -> None:
            try:
                answers.append(deed(store))
            except Raced as error:
                answers.append(error)

        self.first.before_commit.append(pause)
        threads = [threading.Thread(target=run, args=(store,)) for store in (self.first, self.second)]
        threads[0].start()
        assert written.wait(PATIENCE)
        threads[1].start()
        try:
            self._until_somebody_waits()
        finally:
            go.set()
            for thread in threads:
                thread.join(PATIENCE)
        self.first.before_commit.remove(pause)
        return answers

    def _until_somebody_waits(self) -> None:
        deadline = time.monotonic() + PATIENCE
        statement = text(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) "
            "WHERE NOT granted AND datname = current_database()"
        )
        while time.monotonic() < deadline:
            with self.watcher.reading() as conn:
                if conn.execute(statement).scalar():
                    return
            time.sleep(0.01)
        raise AssertionError("the second worker never came to the row")

    def hold(self) -> None:
        self.insert(
            schema.messages, id="msg_1", node="n", queue="q", sender=b"", sender_index=b"", identity="device",
            retry_key=b"", state="held", rule="unread", policy="p@1", findings="{}", urgent=0, size_bytes=1,
            received_at=0, created_at=0,
        )  # fmt: skip

    def insert(self, table: Any, **values: Any) -> Row:
        return self.first.run(lambda tx: self.rows.insert(tx, table, tenant=TENANT, **values))


@pytest.fixture
def two(server: Postgres) -> Iterator[Two]:
    url, key = databases.postgres(server), ValueKey(b"a" * 32)
    stores = [Store.open(url, lease="a"), Store.open(url, lease="b"), Store.open(url, writing=False)]
    yield Two(*stores, rows=Rows(lambda tenant: key))
    for store in stores:
        store.close()


def test_a_decision_is_claimed_by_one(two: Two) -> None:
    two.hold()
    row = two.insert(
        schema.held_acts, id="act_1", message="msg_1", kind="drop", user="usr_o", state="ready", reason=b"",
        created_at=1, changed_at=1,
    )  # fmt: skip
    clock: Any = SystemClock()
    nobody: Any = None
    answers = two.both(lambda store: HeldActs(store, two.rows, nobody, nobody, nobody, clock).claimed(row))
    assert sorted(answer is None for answer in answers) == [False, True]


def test_a_hold_is_ended_by_one_of_two_decisions(two: Two) -> None:
    two.hold()
    nobody: Any = None
    records, states = Records(two.rows, nobody, nobody, "n"), {two.first: "released", two.second: "dropped"}
    answers = two.both(lambda store: store.run(lambda tx: records.end_hold(tx, "msg_1", states[store])))
    assert sorted(answers) == [False, True]
    with two.watcher.reading() as conn:
        row = two.rows.get(conn, schema.messages, "msg_1")
    assert row is not None
    assert row["state"] == "released"


@pytest.mark.parametrize("before", [None, 5])
def test_a_kind_of_notice_is_moved_on_by_one(two: Two, before: int | None) -> None:
    if before is not None:
        two.insert(schema.notice_marks, id=f"digest:{TENANT}", at=before)
    nobody: Any = None
    marks = Marks(Records(two.rows, nobody, nobody, "n"))
    answers = two.both(lambda store: store.run(lambda tx: marks.move(tx, TENANT, "digest", before, 9)))
    assert sorted(type(answer).__name__ for answer in answers) == ["NoneType", "Raced"]


def test_a_telling_is_told_by_one(two: Two) -> None:
    two.insert(schema.tellings, id="knocked:lnk_1", kind="knocked", about="lnk_1", state="ready", created_at=1)
    clock: Any = SystemClock()
    nobody: Any = None

    def settled(store: Store) -> bool:
        tellings = Tellings(
            store, Records(two.rows, nobody, nobody, "n"), nobody, nobody, nobody, nobody, clock, nobody
        )
        return store.run(lambda tx: tellings.settled(tx, "knocked:lnk_1", "done"))

    assert sorted(two.both(settled)) == [False, True]
