"""Phone numbers as factors: who registers them, with which proof, and that a change is told."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import pyotp
import pytest

from tests.support.keyholder import PHONE, TENANT
from tests.unit.keyholder.conftest import PERSON, SECOND, House, refusal

OTHER = "+15005550199"
ROWS: Sequence[tuple[str, str | None]] = [(PERSON, OTHER), ("per_new", "+15005550188"), ("per_none", None)]


def test_the_office_registers_numbers_with_a_fresh_code(house: House) -> None:
    office = house.staff("usr_olive", "office")
    handle = office.sign_in()
    code = office.code()
    made = house.portal.register_people(handle, code, ROWS)
    assert (made["changed"], made["first"]) == ([PERSON], [])
    grant = house.deposit().grants[0].id
    house.portal.ask_text(grant, OTHER[-4:], "vis_1", "net_1")
    assert [text["number"] for text in house.worker.take_texts(10)] == [OTHER]
    entry = next(one for one in house.entries() if one["action"] == "people:registered")
    assert (entry["object"], entry["actor"]) == (made["digest"], {"kind": "user", "id": "usr_olive"})
    with refusal("used"):
        house.portal.register_people(handle, code, ROWS)


def test_whose_number_changed_is_told_until_the_worker_did_it(house: House) -> None:
    office = house.staff("usr_olive", "office")
    house.portal.register_people(office.sign_in(), office.code(), ROWS)
    house.reopen()
    (change,) = house.worker.take_changes(10)
    assert (change["tenant"], change["person"]) == (TENANT, PERSON)
    assert house.worker.take_changes(10) == [change]
    house.worker.change_done(change["id"])
    assert house.worker.take_changes(10) == []


def test_the_operators_import_is_told_as_well(house: House) -> None:
    house.operator.register_person(TENANT, "per_nobody_wrote_to", OTHER)
    house.operator.register_person(TENANT, PERSON, PHONE)
    assert house.worker.take_changes(10) == []
    house.operator.register_person(TENANT, PERSON, "")
    assert [one["person"] for one in house.worker.take_changes(10)] == [PERSON]


@pytest.mark.parametrize("role", ["staff", "auditor"])
def test_others_register_nothing(house: House, role: str) -> None:
    member = house.staff("usr_x", role)
    with refusal("role"):
        house.portal.register_people(member.sign_in(), member.code(), ROWS)
    assert house.worker.take_changes(10) == []


def test_a_recipient_registers_nothing(house: House) -> None:
    handle = house.enter(house.deposit().grants[0].id)
    with refusal("not-staff"):
        house.portal.register_people(handle, "000000", ROWS)


def test_without_the_code_of_this_moment_nothing_is_registered(house: House) -> None:
    office = house.staff("usr_olive", "office")
    handle = office.sign_in()
    with refusal("wrong") as no:
        house.portal.register_people(handle, "000000", ROWS)
    assert no.data["tries_left"] == 4
    grant = house.deposit().grants[0].id
    house.portal.ask_text(grant, PHONE[-4:], "vis_1", "net_1")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([(PERSON, "555")], "phone"),
        ([(PERSON, OTHER), (PERSON, PHONE)], "bad-list"),
        ([], "bad-list"),
        ([(f"per_{n}", None) for n in range(501)], "bad-list"),
        ([("per with space", None)], "bad-list"),
    ],
    ids=["number", "twice", "empty", "many", "id"],
)
def test_a_list_that_is_not_sound_is_refused_whole(
    house: House, rows: list[tuple[str, str | None]], reason: str
) -> None:
    office = house.staff("usr_olive", "office")
    handle = office.sign_in()
    code = office.code()
    with refusal(reason):
        house.portal.register_people(handle, code, rows)
    assert house.portal.register_people(handle, code, ROWS)["changed"] == [PERSON]  # the code was not spent on it


@pytest.mark.parametrize("role", ["office", "officer", "admin", "operator"])
def test_a_first_number_of_somebody_with_live_messages_is_told(house: House, role: str) -> None:
    house.deposit("per_waiting")
    over = house.deposit("per_over")
    house.worker.narrow(TENANT, over.message, None, {"revoke": True}, "sender", "req_1")
    numbers: Sequence[tuple[str, str | None]] = [("per_waiting", OTHER), ("per_over", OTHER), ("per_nobody", OTHER)]
    if role == "operator":
        for person, phone in numbers:
            house.operator.register_person(TENANT, person, phone)
    else:
        member = house.staff("usr_olive", role)
        made = house.portal.register_people(member.sign_in(), member.code(), numbers)
        assert (made["changed"], made["first"]) == ([], ["per_waiting"])
    (news,) = house.worker.take_changes(10)
    assert (news["person"], news["kind"], news["about"]) == ("per_waiting", "phone-first", "")


@pytest.mark.parametrize("role", ["admin", "operator"])
def test_a_number_from_who_may_let_nobody_in_opens_only_later_messages(house: House, role: str) -> None:
    earlier = house.deposit("per_waiting").grants[0].id
    house.wait(60)
    admin = house.staff("usr_adam", "admin")
    if role == "operator":
        house.operator.register_person(TENANT, "per_waiting", OTHER)
    else:
        house.portal.register_people(admin.sign_in(), admin.code(), [("per_waiting", OTHER)])
    later = house.deposit("per_waiting").grants[0].id
    assert "text" not in house.portal.grant_info(earlier)["doors"]
    assert "text" in house.portal.grant_info(later)["doors"]
    with refusal("no-phone"):
        house.portal.ask_text(earlier, OTHER[-4:], "vis_1", "net_1")
    house.portal.ask_text(later, OTHER[-4:], "vis_1", "net_1")
    (text,) = house.worker.take_texts(10)
    handle = house.portal.verify(later, text["code"], "vis_1", "net_1")["handle"]
    device = house.portal.remember(handle)["device"]
    totp = pyotp.TOTP(house.portal.totp_begin(handle)["secret"])
    house.portal.totp_confirm(handle, totp.at(house.now // SECOND))
    house.wait(60)
    assert house.portal.grant_info(earlier)["doors"] == ["staff"]
    with refusal("too-new"):
        house.portal.verify(earlier, totp.at(house.now // SECOND), "vis_1", "net_1")
    with refusal("too-new"):
        house.portal.use_device(earlier, base64.b64decode(device), "vis_1")
    office = house.staff("usr_olive", "office")  # who may make codes for anybody may say the same number for all
    made = house.portal.register_people(office.sign_in(), office.code(), [("per_waiting", OTHER)])
    assert made["first"] == ["per_waiting"]
    house.portal.ask_text(earlier, OTHER[-4:], "vis_1", "net_1")


def test_a_number_from_the_office_opens_what_waits(house: House) -> None:
    earlier = house.deposit("per_waiting").grants[0].id
    office = house.staff("usr_olive", "office")
    house.portal.register_people(office.sign_in(), office.code(), [("per_waiting", OTHER)])
    house.portal.ask_text(earlier, OTHER[-4:], "vis_1", "net_1")
    assert [text["number"] for text in house.worker.take_texts(10)] == [OTHER]
