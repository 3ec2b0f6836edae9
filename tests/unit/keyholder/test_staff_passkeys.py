"""Passkeys of staff: beside the password, in place of the code app; set up and taken away with a fresh code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keys.client import unb64
from tests.support.authenticator import PRESENT, Authenticator
from tests.support.keyholder import PASSWORD, TENANT
from tests.unit.keyholder.conftest import House, StaffMember, refusal, set_up_house
from tests.unit.keyholder.test_passkeys import SITE, settings


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    set_up_house(made)
    settings(made)
    yield made
    made.close()


def add(member: StaffMember, session: str) -> Authenticator:
    device = Authenticator(SITE, counter=1)
    portal = member.house.portal
    asked = portal.staff_passkey_begin(session)
    made, ticket = device.make(asked["challenge"]), unb64(asked["ticket"])
    portal.staff_passkey_enrol(session, member.code(), ticket, made, "Desk")
    return device


def login(house: House, user: str, device: Authenticator, password: str = PASSWORD, visitor: str = "vis_1") -> Any:
    asked = house.portal.staff_passkey_ask(TENANT, "vis_1")
    answer, ticket = device.use(asked["challenge"]), unb64(asked["ticket"])
    return house.portal.staff_passkey_login(TENANT, user, password, "net_1", visitor, ticket, answer)


def test_password_and_passkey_sign_in_and_neither_alone_does(house: House) -> None:
    amy = house.staff("usr_amy", "officer")
    session = amy.sign_in()
    device = add(amy, session)
    made = login(house, amy.user, device)
    assert (made["proof"], made["method"], made["role"], made["scope"]) == (3, "password+passkey", "officer", "staff")
    with refusal("wrong"):
        login(house, amy.user, device, password="not the password")
    with refusal("wrong"):
        login(house, amy.user, Authenticator(SITE, id=device.id))
    device.flags = PRESENT
    with refusal("wrong"):
        login(house, amy.user, device)
    with refusal("wrong"):
        login(house, "usr_nobody", Authenticator(SITE))
    device.flags |= 4
    with refusal("wrong"):  # another browser's challenge
        login(house, amy.user, device, visitor="vis_2")
    house.operator.disable_user(TENANT, amy.user)
    with refusal("wrong"):
        login(house, amy.user, device)


def test_asking_tells_nothing_of_accounts(house: House) -> None:
    asked = house.portal.staff_passkey_ask(TENANT, "vis_1")
    assert (asked["credentials"], asked["user"]) == ([], "")


def test_setting_up_and_removing_cost_a_code_each_and_the_owner_is_told(house: House) -> None:
    amy, ben = house.staff("usr_amy", "staff"), house.staff("usr_ben", "staff")
    session = amy.sign_in()
    asked = house.portal.staff_passkey_begin(session)
    device = Authenticator(SITE)
    with refusal("wrong"):
        house.portal.staff_passkey_enrol(session, "000000", unb64(asked["ticket"]), device.make(asked["challenge"]), "")
    add(amy, session)
    (news,) = house.worker.take_changes(10)
    assert (news["kind"], news["person"]) == ("staff-passkey", amy.user)
    (one,) = house.portal.passkeys(session)["passkeys"]
    with refusal("unknown"):
        house.portal.staff_passkey_remove(ben.sign_in(), ben.code(), one["id"])
    with refusal("wrong"):
        house.portal.staff_passkey_remove(session, "000000", one["id"])
    house.portal.staff_passkey_remove(session, amy.code(), one["id"])
    assert house.portal.passkeys(session)["passkeys"] == []


def test_a_recipient_and_a_member_of_one_name_share_no_passkey(house: House) -> None:
    amy = house.staff("per_Maria00000000001", "staff")
    device = add(amy, amy.sign_in())
    grant = house.deposit().grants[0].id
    with refusal("no-passkey"):
        house.portal.passkey_ask(grant, "vis_1")
    session = house.enter(grant)
    with refusal("not-staff"):
        house.portal.staff_passkey_begin(session)
    with refusal("not-a-recipient"):
        house.portal.passkey_begin(amy.sign_in())
    assert login(house, amy.user, device)["proof"] == 3
