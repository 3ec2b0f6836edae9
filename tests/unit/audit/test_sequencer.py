"""Heads are signed only as extensions of what was signed; an old database is refused."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import insert, select

from gateway.audit import sequencer as module
from gateway.audit.event import SYSTEM, Action
from gateway.audit.log import AuditLog
from gateway.audit.outside import header_value
from gateway.audit.sequencer import Sequencer, guard, latest_note, signed_size
from gateway.clock import SystemClock
from gateway.errors import Misconfigured, Tampered, TryLater
from gateway.store.database import Store
from gateway.store.schema import log_checkpoints, outside_checkpoints
from keys import notes
from keys.errors import Unavailable
from tests.support import databases
from tests.unit.audit.conftest import TENANT, House


def test_new_entries_are_signed_once(house: House) -> None:
    house.happen(count=3)
    assert house.sequencer.run_once() == 2  # the tenant's and the system's
    assert house.sequencer.run_once() == 0
    house.happen()
    assert house.sequencer.run_once() == 1
    with house.store.reading() as conn:
        note = latest_note(conn, TENANT)
        assert signed_size(conn, TENANT) == 5
    assert note is not None
    verifier = notes.parse_vkey(house.notary.vkeys(TENANT)["log_vkey"])
    checkpoint = notes.parse_checkpoint(notes.open_note(note, verifier))
    assert (checkpoint.size, checkpoint.root) == house.audit.head(TENANT)


def test_many_heads_of_growing_sizes_all_extend_one_another(house: House) -> None:
    for count in (1, 2, 3, 5, 8, 13, 21):
        house.happen(count=count)
        house.sequencer.run_once()  # the notary checks each proof
    assert house.notary.last[TENANT]["size"] == 54


def test_a_signature_lost_in_a_crash_is_made_up_for(house: House) -> None:
    house.happen()
    house.sequencer.run_once()
    house.happen()
    keep = Sequencer._keep
    try:
        Sequencer._keep = lambda *_: None  # type: ignore[method-assign, assignment]
        house.sequencer.run_once()  # signed by the keyholder, never written here
    finally:
        Sequencer._keep = keep  # type: ignore[method-assign]
    house.happen()
    house.sequencer.run_once()
    with house.store.reading() as conn:
        assert signed_size(conn, TENANT) == house.notary.last[TENANT]["size"] == 4


def test_a_database_that_went_back_is_not_signed_on(house: House) -> None:
    house.happen(count=3)
    house.sequencer.run_once()
    house.notary.last[TENANT] = {"size": 99, "root": base64.b64encode(b"x" * 32).decode()}
    house.happen()
    with pytest.raises(Tampered, match="refuses to sign"):
        house.sequencer.run_once()


def test_a_keyholder_that_is_away_is_try_later(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.happen()

    def away(*_: Any) -> str:
        raise Unavailable("away")

    monkeypatch.setattr(house.notary, "sign_checkpoint", away)
    with pytest.raises(TryLater):
        house.sequencer.run_once()
    monkeypatch.undo()
    assert house.sequencer.run_once() == 2


def test_another_sequencer_being_quicker_is_no_harm(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.happen()
    real = house.notary.sign_checkpoint

    def slow(log: str, size: int, root: bytes, old: int, proof: Sequence[bytes]) -> str:
        note = real(log, size, root, old, proof)
        house.store.run(
            lambda tx: (
                tx.conn.execute(insert(log_checkpoints).values(log=log, size=size, note=note, signed_at=1)) and None
            )
        )
        return note

    monkeypatch.setattr(house.notary, "sign_checkpoint", slow)
    assert house.sequencer.run_once() == 2


def test_the_system_log_records_each_tenants_head_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEADS_EVERY", module.timedelta(0))
    house.happen()
    for _ in range(4):
        house.sequencer.run_once()
    again = Sequencer(house.audit, house.notary)  # after a restart
    again.run_once()
    with house.store.reading() as conn:
        size = house.audit.size(conn, SYSTEM)
        found = [entry for entry in house.audit.entries(conn, SYSTEM, 0, size) if b"log:checkpoint" in entry]
    assert len(found) == 1
    head = house.notary.last[TENANT]
    assert f'"reason":"{head["size"]} {head["root"]}"'.encode() in found[0]


# notices


def test_a_deposit_carries_no_size_and_is_proved_by_its_salt(house: House) -> None:
    house.happen(count=7)
    with pytest.raises(TryLater):
        house.sequencer.deposit(TENANT)
    house.sequencer.run_once()
    header = house.sequencer.deposit(TENANT)
    version, origin, moment, digest, _signature = header.split("; ")
    with house.store.reading() as conn:
        row = conn.execute(select(outside_checkpoints)).mappings().one()
    assert (version, origin, row["header"]) == ("v1", "mail.example/log/tnt_a", header)
    assert moment.endswith("Z")
    assert base64.b64decode(digest) == hashlib.sha256(row["salt"] + row["checkpoint"].encode()).digest()
    assert header_value(row["checkpoint"], row["salt"], row["at"]) == header
    assert house.sequencer.deposit(TENANT).split("; ")[3] != digest  # a fresh salt each time


def test_a_deposit_in_a_transaction_shares_its_fate(house: House) -> None:
    house.sequencer.run_once()

    def work(tx: Any) -> None:
        house.sequencer.deposit(TENANT, tx)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        house.store.run(work)
    with house.store.reading() as conn:
        assert conn.execute(select(outside_checkpoints)).first() is None


# restore guard


def test_the_guard_lets_a_whole_database_serve(house: House) -> None:
    guard(house.audit, TENANT, None)
    house.happen(count=4)
    house.sequencer.run_once()
    house.happen(count=4)  # newer than the last checkpoint is as it should be
    guard(house.audit, TENANT, house.notary.last_checkpoint(TENANT))


def test_the_guard_refuses_an_older_database(house: House, tmp_path: Any) -> None:
    house.happen(count=4)
    house.sequencer.run_once()
    older = tmp_path / "older"
    older.mkdir()
    store = Store.open(databases.sqlite(older))
    audit = AuditLog(store, "node-1", SystemClock())
    with pytest.raises(Misconfigured, match="older than its log"):
        guard(audit, TENANT, house.notary.last_checkpoint(TENANT))
    store.close()


def test_the_guard_refuses_another_history(house: House) -> None:
    house.happen(count=4)
    house.sequencer.run_once()
    last = dict(house.notary.last[TENANT], root=base64.b64encode(b"y" * 32).decode())
    with pytest.raises(Misconfigured, match="not those the keyholder has signed"):
        guard(house.audit, TENANT, last)
    last["size"] = 3
    last["root"] = house.notary.last[TENANT]["root"]
    with pytest.raises(Misconfigured):
        guard(house.audit, TENANT, last)


def test_actions_of_the_sequencer_are_events() -> None:
    assert Action.LOG_CHECKPOINT in Action
