"""A row of the keyholder's store that was changed or damaged: it is an alarm, and holds up nothing but its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.keyholder import TENANT
from tests.unit.keyholder.conftest import House, set_up_house

OTHER = "tnt_Other00000000001"
DAY = 86_400


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    set_up_house(made)
    made.operator.put_settings(TENANT, {"policy_toml": "[release]\nsecond_person = false\n"})
    made.operator.create_tenant(OTHER, "other", "portal.test/log/other")
    yield made
    made.close()


def alive(house: House, *messages: Any) -> list[bool]:
    return [house.worker.alive(one.tenant, [one.message]) == [one.message] for one in messages]


def alarms(house: House, tenant: str = TENANT) -> list[tuple[str, str]]:
    entries = [one for one in house.entries(tenant) if one["action"] == "tamper:found"]
    assert {one["outcome"] for one in entries} <= {"failed"}
    return [(one["object"], one["reason"]) for one in entries]


def test_a_changed_hold_stops_the_ends_of_its_own_clinic_alone_and_the_keyholder_still_starts(house: House) -> None:
    officer = house.staff("usr_olga", "officer")
    kept, ours, theirs = house.deposit(days=1), house.deposit(days=1), house.deposit(days=1, tenant=OTHER)
    house.portal.dispose_as(
        officer.sign_in(), officer.code(), act="hold-message", object=kept.message, reason="a court asks"
    )
    house.change("UPDATE holds SET object = 'msg_x'")
    house.wait(20 * DAY)
    house.reopen()
    assert house.holder.keep_house()["broken"] == 1
    assert alive(house, kept, ours, theirs) == [True, True, False]
    assert alarms(house) == [(TENANT, "hold")]
    assert alarms(house, OTHER) == []


@pytest.mark.parametrize(
    "damage", ["sender_user = 'usr_x'", "expires_us = expires_us + 1", "owed_us = 1"], ids=["sender", "end", "owed"]
)
def test_a_changed_message_keeps_the_key_of_its_day_and_everything_else_ends(house: House, damage: str) -> None:
    changed, beside, later, theirs = (
        house.deposit(days=1), house.deposit(days=1), house.deposit(days=3), house.deposit(days=1, tenant=OTHER)
    )  # fmt: skip
    house.change(f"UPDATE messages SET {damage} WHERE id = ?", changed.message)
    house.wait(20 * DAY)
    first = house.holder.keep_house()
    assert (first["broken"], first["shares"]) == (1, 3)
    gone = house.rows("SELECT share IS NULL FROM messages WHERE id IN (?, ?, ?)",
                      beside.message, later.message, theirs.message)  # fmt: skip
    assert gone == [(1,)] * 3
    assert house.rows("SELECT share IS NULL FROM messages WHERE id = ?", changed.message) == [(0,)]
    assert alarms(house) == [(changed.message, "row")]


def test_such_an_alarm_is_told_once_a_day_and_followed_by_the_gateway(house: House) -> None:
    changed = house.deposit(days=1)
    house.change("UPDATE messages SET sender_user = 'usr_x' WHERE id = ?", changed.message)
    house.wait(20 * DAY)
    for _ in range(3):
        house.holder.keep_house()
    assert len(alarms(house)) == 1
    house.wait(DAY)
    house.holder.keep_house()
    assert len(alarms(house)) == 2
    told = [one for one in house.worker.ended(TENANT, 0)["entries"] if one["action"] == "tamper:found"]
    assert [one["object"] for one in told] == [changed.message] * 2
    assert len({one["request"] for one in told}) == 2, "the gateway writes each of them down once"


@pytest.mark.parametrize("damage", ["share = zeroblob(length(share))", "sender_user = 'usr_x'"], ids=["share", "row"])
def test_one_message_that_does_not_hold_keeps_no_other_of_a_list_from_being_shown(house: House, damage: str) -> None:
    officer = house.staff("usr_olga", "officer")
    broken, sound = house.deposit(), house.deposit()
    house.change(f"UPDATE messages SET {damage} WHERE id = ?", broken.message)
    found = house.portal.release_metas(officer.sign_in(), [broken.message, sound.message, "msg_none"])
    assert found[broken.message] == {"tampered": True}
    assert found[sound.message]["key"]
    assert "msg_none" not in found
    assert ("meta:refused", "tampered") in house.actions()
