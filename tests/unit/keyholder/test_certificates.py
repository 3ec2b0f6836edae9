"""A certificate says what was destroyed and what was only closed, and no more than that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from keys import notes
from keys.client import Deposit, DepositGrant
from tests.support.keyholder import TENANT, deposit_for
from tests.unit.keyholder.conftest import PERSON, House, StaffMember, set_up_house

OTHER = "per_Other00000000001"
DAY = 86_400
KEYS = "method: cryptographic erase"
WAYS = "method: a reader's way: "


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    set_up_house(made)
    made.operator.put_settings(TENANT, {"policy_toml": "[release]\nsecond_person = false\n"})
    yield made
    made.close()


def shared(house: House) -> Deposit:
    """A message of two readers, over in ten days."""
    made = deposit_for(PERSON)
    second = DepositGrant("lnk_s" + made.grants[0].id[5:], "link", 2, OTHER)
    made = replace(made, expires_us=house.now + 10 * DAY * 1_000_000, grants=[*made.grants, second])
    house.worker.deposit([made])
    return made


@pytest.fixture
def officer(house: House) -> StaffMember:
    return house.staff("usr_olga", "officer")


def certificate(house: House, officer: StaffMember, act: str, object: str) -> str:
    done = house.portal.dispose_as(officer.sign_in(), officer.code(), act=act, object=object, reason="asked for")
    return str(house.portal.certificate(officer.sign_in(), done["id"])["text"])


def test_where_only_a_way_was_closed_no_share_is_called_destroyed(house: House, officer: StaffMember) -> None:
    mail = shared(house)
    text = certificate(house, officer, "erase-link", mail.grants[0].id)
    assert "messages destroyed: 0\n" in text
    assert "share destroyed on: none was destroyed; ways were closed on 20" in text
    assert KEYS not in text
    assert WAYS in text
    assert house.worker.alive(TENANT, [mail.message]) == [mail.message]


def test_where_both_happened_both_are_said(house: House, officer: StaffMember) -> None:
    mail, alone = shared(house), house.deposit()
    text = certificate(house, officer, "erase-person", PERSON)
    assert "messages destroyed: 1\n" in text
    assert "share destroyed on: 20" in text
    assert KEYS in text
    assert WAYS in text
    assert house.worker.alive(TENANT, [mail.message, alone.message]) == [mail.message]


def test_a_message_of_one_reader_is_destroyed_and_no_way_is_spoken_of(house: House, officer: StaffMember) -> None:
    text = certificate(house, officer, "erase-link", house.deposit().grants[0].id)
    assert KEYS in text
    assert WAYS not in text
    assert "\nothers: " not in text


def test_a_hold_that_is_set_later_keeps_a_shared_message_and_the_certificate_had_said_so(
    house: House, officer: StaffMember
) -> None:
    mail = shared(house)
    text = certificate(house, officer, "erase-link", mail.grants[0].id)
    house.portal.dispose_as(
        officer.sign_in(), officer.code(), act="hold-message", object=mail.message, reason="a court asks"
    )
    house.wait(60 * DAY)
    house.holder.keep_house()
    assert house.worker.alive(TENANT, [mail.message]) == [mail.message], "longer than final on says"
    (others,) = [line for line in text.splitlines() if line.startswith("others: ")]
    assert "or with a legal hold that keeps it beyond that" in others


def test_the_name_of_a_clinic_adds_no_line_to_a_certificate(house: House) -> None:
    house.operator.create_tenant("tnt_B", "B\nmessages destroyed: 999\n\n\u2014 x y", "portal.test/log/b")
    house.operator.put_settings("tnt_B", {"policy_toml": "[release]\nsecond_person = false\n"})
    officer, mail = house.staff("usr_olga", "officer", "tnt_B"), house.deposit(tenant="tnt_B")
    text = certificate(house, officer, "erase-message", mail.message)
    assert [line for line in text.splitlines() if line.startswith("messages destroyed: ")] == ["messages destroyed: 1"]
    notes.open_note(text, notes.parse_vkey(house.operator.vkeys("tnt_B")["release_vkey"]))
