"""A release without an entry of ours becomes one at start, whatever was quoted wrongly, on logs of many pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from gateway.audit.event import Action, parse
from gateway.flow import settle
from gateway.flow.settle import Openings, finish_narrowings
from gateway.store import schema
from gateway.store.rows import Rows
from keys.datakey import ValueKey
from tests.support import databases
from tests.support.flow import PHI, World
from tests.unit.audit.conftest import TENANT, House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(databases.sqlite(tmp_path))
    yield made
    made.store.close()


KEY = ValueKey.random()


def openings(house: House) -> Openings:
    """As a start makes it."""
    return Openings(house.store, Rows(lambda tenant: KEY), house.audit, house.notary)  # type: ignore[arg-type]


def confirmed(house: House) -> int:
    """What a start finds."""
    return openings(house).confirm([TENANT])


def pages(house: House) -> list[int]:
    """Where each page of the release log begins that a start asks for, but the first call for its size."""
    asked: list[int] = []
    real = house.notary.release_log

    def counted(tenant: str, start: int = 0) -> dict[str, Any]:
        asked.append(start)
        return real(tenant, start)

    house.notary.release_log = counted  # type: ignore[method-assign]
    confirmed(house)
    house.notary.release_log = real  # type: ignore[method-assign]
    return asked[1:]


def unconfirmed(house: House) -> list[str]:
    with house.store.reading() as conn:
        entries = [parse(bytes(row.entry)) for row in conn.execute(schema.log_leaves.select())]
    return [one["object"] for one in entries if one["action"] == Action.OPENING_UNCONFIRMED]


def test_releases_without_an_opening_are_written_down_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "PAGE", 7)
    for number in range(230):  # three pages of the release log
        house.open_object(f"obj_{number}", log=number not in (0, 113, 229))
    assert confirmed(house) == 3
    assert unconfirmed(house) == ["obj_0", "obj_113", "obj_229"]
    assert confirmed(house) == 0


def test_a_receipt_that_fits_no_release_confirms_none(house: House) -> None:
    receipt = house.open_object("obj_1", log=False)
    other_leaf = receipt.replace(receipt[-20:-10], "A" * 10)
    for wrong in ("", "nonsense", "x" + receipt, other_leaf, receipt.replace("#1:", "#999999999:")):
        assert wrong != receipt
        house.happen(Action.OBJECT_OPENED, object="obj_1", receipt=wrong)
    assert confirmed(house) == 1
    assert unconfirmed(house) == ["obj_1"]
    assert confirmed(house) == 0


def test_what_was_refused_or_is_no_release_is_no_opening(house: House) -> None:
    house.notary.record("share:refused", object="obj_1", outcome="refused")
    house.notary.record("share:released", object="obj_1", outcome="refused")
    assert confirmed(house) == 0


def test_a_start_reads_what_came_since_the_last_one_and_no_more(house: House) -> None:
    for number in range(230):
        house.open_object(f"obj_{number}", log=number != 7)
    assert pages(house) == [0, 100, 200]
    assert unconfirmed(house) == ["obj_7"]
    assert pages(house) == []
    for number in range(230, 233):
        house.open_object(f"obj_{number}", log=number != 231)
    assert pages(house) == [231]  # the log's first entry is none of a release
    assert unconfirmed(house) == ["obj_7", "obj_231"]
    assert pages(house) == []


def test_what_may_be_under_way_is_looked_at_again_until_it_is_settled(house: House) -> None:
    look, now = openings(house), 1_700_000_000_000_000  # the moment of every release here
    receipt = house.open_object("obj_1", log=False)
    assert look.confirm([TENANT], now) == 0
    house.open_object("obj_2")
    assert look.confirm([TENANT], now) == 0
    house.happen(Action.OBJECT_OPENED, object="obj_1", receipt=receipt)
    assert look.confirm([TENANT], now) == 0
    assert unconfirmed(house) == []
    house.open_object("obj_3", log=False)
    assert look.confirm([TENANT], now) == 0
    assert look.confirm([TENANT], now + 1) == 1
    assert unconfirmed(house) == ["obj_3"]
    assert pages(house) == []


def test_a_mark_that_somebody_moved_hides_no_release(house: House) -> None:
    house.open_object("obj_1")
    confirmed(house)
    house.open_object("obj_2", log=False)
    table = schema.notice_marks
    house.store.run(lambda tx: tx.conn.execute(update(table).values(at=3)) and None)
    assert confirmed(house) == 1
    assert unconfirmed(house) == ["obj_2"]


def test_a_mark_beyond_the_logs_counts_as_none(house: House) -> None:
    for number in range(3):
        house.open_object(f"obj_{number}")
    confirmed(house)
    del house.notary.releases[2:]  # a keyholder that was restored
    house.open_object("obj_9", log=False)
    assert confirmed(house) == 1


class Revoked:
    """A keyholder that has revoked every link."""

    def grant_state(self, tenant: str, grants: list[str]) -> dict[str, Any]:
        return {one: {"state": "revoked", "revoked_us": 5, "receipt": None} for one in grants}


def test_a_changed_row_keeps_no_other_recall_from_being_finished(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.flow.process(world.spool(PHI, "b@example.test", "c@example.test"))
    with world.store.reading() as conn:
        changed, sound = sorted(conn.execute(select(schema.grants.c.id)).scalars())
    statement = update(schema.grants).where(schema.grants.c.id == changed)
    world.store.run(lambda tx: tx.conn.execute(statement.values(expires_at=schema.grants.c.expires_at + 1)) and None)

    def finished() -> int:
        given: Any = Revoked()
        return finish_narrowings(world.store, world.rows, world.audit, given, [world.view.id], world.clock)

    assert finished() == 1
    assert [one.msg for one in caplog.records if one.name == "gateway.settle"] == ["settle:row-tampered"]
    assert world.actions().count("link:revoked") == 1
    assert finished() == 0
    with world.store.reading() as conn:
        rows = conn.execute(select(schema.grants.c.id, schema.grants.c.revoked_at))
        times = {row.id: row.revoked_at for row in rows}
    assert times == {changed: None, sound: 5}
