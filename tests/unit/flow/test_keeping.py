"""Once a day the log leaves by itself; what failed is said once and tried again; who was set back is not served."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.audit import growing
from gateway.audit.event import Action, parse
from gateway.audit.keeper import FolderKeeper
from gateway.audit.log import octets
from gateway.errors import Misconfigured, TryLater
from gateway.flow.keeping import EVERY_SECONDS, Keeping
from gateway.section_audit import Audit
from gateway.store.schema import log_leaves
from tests.support import databases
from tests.unit.audit.conftest import TENANT, House

HOUR_US = 3_600_000_000


@pytest.fixture
def house(tmp_path: Path) -> Any:
    made = House(databases.sqlite(tmp_path))
    yield made
    made.store.close()


def keeping(house: House, url: str, after_us: int = 0) -> Keeping:
    clock = SimpleNamespace(now_us=lambda: house.clock.now_us() + after_us)
    return Keeping(
        Audit(export_url=url), house.store, house.audit, house.notary, lambda: [TENANT],  # type: ignore[arg-type]
        house.sequencer.run_once, clock,  # type: ignore[arg-type]
    )  # fmt: skip


def told(house: House, action: Action = Action.LOG_KEPT) -> list[tuple[str, str]]:
    table = log_leaves
    with house.store.reading() as conn:
        rows = conn.execute(
            table.select().where(table.c.log == TENANT, table.c.action == action).order_by(table.c.idx)
        ).mappings()
        return [(row["outcome"], parse(octets(row["entry"]))["reason"]) for row in rows]


def test_it_leaves_at_once_and_then_each_day(house: House, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/kept"
    assert keeping(house, url)() == 1
    assert told(house) == [("ok", "head 0 size 1 unlocked hidden 0")]
    assert keeping(house, url)() == 0, "a start on the same day exports nothing anew"
    assert keeping(house, url, 23 * HOUR_US)() == 0
    assert keeping(house, url, 24 * HOUR_US - int(EVERY_SECONDS * 1e6))() == 1
    assert [reason.split()[1] for _, reason in told(house)] == ["0", "1"]


def test_without_a_place_nothing_leaves_and_nothing_is_said(house: House) -> None:
    keeping(house, "").guard()
    assert keeping(house, "")() == 0
    assert told(house) == []


def test_a_place_that_is_away_is_said_once_and_tried_until_it_is_back(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: FolderKeeper, name: str, data: bytes) -> None:
        raise TryLater("away")

    url = f"file://{tmp_path}/kept"
    with monkeypatch.context() as patch:
        patch.setattr(FolderKeeper, "put", away)
        for _ in range(3):
            with pytest.raises(TryLater):
                keeping(house, url)()
    assert told(house) == [("failed", "away")]
    assert keeping(house, url)() == 1
    assert [outcome for outcome, _ in told(house)] == ["failed", "ok"]
    assert growing.compare(FolderKeeper(tmp_path / "kept" / TENANT), house.audit, TENANT) == 0


def test_a_log_that_does_not_go_on_from_what_is_there_is_an_alarm_and_is_not_served(
    house: House, tmp_path: Path
) -> None:
    other_folder = tmp_path / "other"
    other_folder.mkdir()
    other = House(databases.sqlite(other_folder))
    try:
        other.happen(count=9)
        url = f"file://{tmp_path}/kept"
        keeping(other, url)()
        with pytest.raises(Misconfigured, match="set back to an earlier day"):
            keeping(house, url).guard()
        for _ in range(2):
            with pytest.raises(Exception, match="set back"):
                keeping(house, url)()
        assert told(house) == [("failed", "tampered")]
        assert told(house, Action.TAMPER_FOUND) == [("refused", "export")]
        keeping(other, url).guard()
    finally:
        other.store.close()


def test_a_place_that_cannot_be_asked_keeps_nobody_from_serving(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: FolderKeeper) -> frozenset[str]:
        raise TryLater("away")

    monkeypatch.setattr(FolderKeeper, "names", away)
    keeping(house, f"file://{tmp_path}/kept").guard()
