"""A release without an entry of ours becomes one at start, whatever was quoted wrongly, on logs of many pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.audit.event import Action, parse
from gateway.flow import settle
from gateway.flow.settle import confirm_openings
from gateway.store import schema
from tests.support import databases
from tests.unit.audit.conftest import TENANT, House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(databases.sqlite(tmp_path))
    yield made
    made.store.close()


def confirmed(house: House) -> int:
    return confirm_openings(house.store, house.audit, house.notary, [TENANT])  # type: ignore[arg-type]


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
