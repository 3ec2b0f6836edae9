"""The store underneath: batches, what a refusal keeps, what an error undoes, and answers only after the sync."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from keys.errors import Unavailable
from keys.keyholder import database, schema
from keys.keyholder.database import NoStore, Recorded, Tx, open_store
from keys.keyholder.releaselog import record
from tests.support.keyholder import TENANT, deposit_for
from tests.unit.keyholder.conftest import PERSON, House


def test_a_batch_of_deposits_and_all_calls_that_wait_are_one_commit(house: House, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    batches: list[int] = []
    real = database.Database._transaction

    def counted(self, works, outcomes):  # type: ignore[no-untyped-def]
        batches.append(len(works))
        return real(self, works, outcomes)

    monkeypatch.setattr(database.Database, "_transaction", counted)
    house.now = 1_800_000_000_000_000
    house.worker.deposit([deposit_for(PERSON) for _ in range(40)])
    assert batches == [1]
    gate = threading.Event()
    first = threading.Thread(target=lambda: house.holder.database.run(lambda tx: gate.wait(10)))
    first.start()
    while house.holder.database._queue.qsize() or len(batches) < 2:
        pass
    rest = [threading.Thread(target=house.operator.status) for _ in range(10)]
    for thread in rest:
        thread.start()
    while house.holder.database._queue.qsize() < 10:
        pass
    gate.set()
    for thread in [first, *rest]:
        thread.join()
    assert batches == [1, 1, 10]


def test_a_recorded_refusal_keeps_its_entry_and_an_error_undoes_only_its_own_call(house: House) -> None:
    size = len(house.entries())

    def refuse(tx: Tx) -> None:
        record(tx, TENANT, "share:refused", outcome="refused", reason="test")
        raise Recorded("test")

    def fail(tx: Tx) -> None:
        record(tx, TENANT, "share:released")
        raise ZeroDivisionError

    with pytest.raises(Recorded):
        house.holder.database.run(refuse)
    with pytest.raises(ZeroDivisionError):
        house.holder.database.run(fail)
    assert len(house.entries()) == size + 1


def test_nothing_is_answered_when_the_store_cannot_be_written(house: House) -> None:
    deposit = house.deposit()
    session = house.enter(deposit.grants[0].id)
    pages = house.holder.database.run(lambda tx: tx.number("PRAGMA page_count"))
    house.holder.database.run(lambda tx: tx.number(f"PRAGMA max_page_count={pages}"))
    size = house.worker.release_log(TENANT)["size"]
    refused = 0
    for number in range(400):
        try:
            house.portal.release(session, deposit.grants[0].id, deposit.objects[0].id, "download", f"req_{number}")
        except Unavailable:
            refused += 1
    assert refused > 100
    house.holder.database.run(lambda tx: tx.number("PRAGMA max_page_count=1000000"))
    answered = 400 - refused
    assert house.worker.release_log(TENANT)["size"] == size + answered
    house.portal.release(session, deposit.grants[0].id, deposit.objects[0].id, "download", "req_after")


def test_a_destruction_is_not_answered_while_the_write_ahead_log_keeps_a_copy(house: House) -> None:
    deposit = house.deposit()
    reader = sqlite3.connect(house.config.database, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT COUNT(*) FROM messages").fetchone()
    with pytest.raises(Unavailable):
        house.worker.destroy_message(TENANT, deposit.message)
    with pytest.raises(Unavailable):  # nor is the repeated call, while the copy is still there
        house.worker.destroy_message(TENANT, deposit.message)
    house.operator.status()  # other calls go on
    reader.execute("ROLLBACK")
    reader.close()
    assert house.worker.destroy_message(TENANT, deposit.message)["destroyed_us"] == house.now
    wal = house.config.database.with_name("keyholder.db-wal")
    other = house.deposit()
    assert wal.stat().st_size > 0
    house.worker.destroy_message(TENANT, other.message)
    assert wal.stat().st_size == 0


@pytest.mark.parametrize("sql", ["UPDATE log_entries SET entry = x'00'", "DELETE FROM log_nodes"])
def test_the_release_log_is_append_only_in_the_database_itself(house: House, sql: str) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        house.change(sql)


def test_the_stores_safeties_are_asserted_at_start(house: House, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    pragmas = house.holder.database.run(
        lambda tx: [tx.number(f"PRAGMA {name}") for name in ("synchronous", "secure_delete")]
    )
    assert pragmas == [2, 1]
    monkeypatch.setattr(database, "_assert", lambda conn, change, question, wanted: real(conn, "", question, wanted))

    def real(conn, change, question, wanted):  # type: ignore[no-untyped-def]
        found = conn.execute(question).fetchone()[0]
        if found != wanted:
            raise NoStore(f"the store's {question.split()[-1]} is {found}, must be {wanted}")

    with pytest.raises(NoStore, match="journal_mode"):
        open_store(tmp_path / "other.db", create=True)


def test_a_store_of_another_format_is_refused_by_number(house: House) -> None:
    house.close()
    conn = sqlite3.connect(house.config.database)
    conn.execute("PRAGMA user_version=99")
    conn.close()
    with pytest.raises(NoStore, match=f"format 99, and this program knows up to {schema.VERSION}: a later Sealgate"):
        house.reopen()
    conn = sqlite3.connect(house.config.database)
    conn.execute(f"PRAGMA user_version={schema.VERSION}")
    conn.close()
    house.holder = type(house.holder).open(house.config, now_us=lambda: house.now)


def test_a_half_made_store_is_made_anew_and_a_whole_one_kept(house: House, tmp_path: Path) -> None:
    fresh = House(tmp_path / "fresh")
    fresh.close()
    fresh.config.database.rename(fresh.config.directory / "keyholder.db.making")
    fresh.reopen()
    keys = fresh.operator.status()["public_key"]
    fresh.reopen()
    assert fresh.operator.status()["public_key"] == keys
    fresh.close()
