"""What officers see of changes that wait, and how they decide on a page: a session, a fresh code and a reason."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.keyholder import PASSWORD, TENANT
from tests.unit.keyholder.conftest import House, StaffMember, refusal
from tests.unit.keyholder.test_changes import BODY, CHANGES, DAY


@pytest.fixture
def officer(house: House) -> StaffMember:
    house.operator.put_settings(TENANT, BODY)
    member = house.staff("usr_officer", "officer")
    for role in ("staff", "office", "admin", "auditor"):
        house.staff(f"usr_{role}", role)
    member.sign_in()
    return member


def asked(house: House, **changes: Any) -> str:
    return str(house.operator.put_settings(TENANT, BODY | changes)["proposal"]["id"])


def test_the_old_and_the_new_value_are_shown_to_those_who_decide_or_watch(house: House, officer: StaffMember) -> None:
    change = asked(house, smarthost=CHANGES["smarthost"], networks=CHANGES["networks"])
    session = officer.sign_in()
    (one,) = house.portal.changes(session, TENANT)["waiting"]
    assert one["differs"] == [
        {"key": "networks", "before": BODY["networks"], "after": CHANGES["networks"]},
        {"key": "smarthost", "before": BODY["smarthost"], "after": CHANGES["smarthost"]},
    ]
    assert (one["id"], one["maker"], one["approvals"], one["mine"]) == (change, "operator", [], False)
    assert one["due_us"] == one["made_us"] + DAY * 1_000_000
    assert house.portal.changes_waiting(session, TENANT) == {"waiting": 1, "accounts": 0}


@pytest.mark.parametrize("role", ["staff", "office"])
def test_nobody_else_sees_them(house: House, officer: StaffMember, role: str) -> None:
    member = house.staff(f"usr_late_{role}", role)
    asked(house, message_days=91)
    session = member.sign_in()
    with refusal("role"):
        house.portal.changes(session, TENANT)
    with refusal("role"):
        house.portal.changes_waiting(session, TENANT)
    with refusal("another-tenant"):
        house.portal.changes(officer.sign_in(), "tnt_Other")
    assert ("settings:refused", "role") in house.actions()


def test_an_approval_on_a_page_spends_a_code_and_keeps_the_reason(house: House, officer: StaffMember) -> None:
    change, session = asked(house, message_days=91), officer.sign_in()
    code = officer.code()
    done = house.portal.decide_change_as(session, code, "approve", change, "Our counsel asked for it")
    assert done["approved"]
    assert done["receipt"]
    (one,) = house.portal.changes(session, TENANT)["waiting"]
    assert (one["approvals"][0]["reason"], one["mine"]) == ("Our counsel asked for it", True)
    with refusal("same-person"):
        house.portal.decide_change_as(session, officer.code(), "approve", change, "again")
    with refusal("used"):
        house.portal.decide_change_as(session, code, "withdraw", change, "no more")
    stored = house.rows("SELECT reason FROM approvals")[0][0]
    assert b"counsel" not in stored
    assert not [entry for entry in house.entries() if "counsel" in str(entry)]


def test_an_officer_ends_a_change_and_what_became_of_it_stays_on_the_page(house: House, officer: StaffMember) -> None:
    change, session = asked(house, message_days=91), officer.sign_in()
    house.portal.decide_change_as(session, officer.code(), "withdraw", change, "Nobody here asked for it")
    told = house.portal.changes(session, TENANT)
    assert told["waiting"] == []
    (one,) = told["ended"]
    assert (one["id"], one["outcome"], one["ended_by"]) == (change, "withdrawn", officer.user)
    assert (one["ended_reason"], one["differs"]) == ("Nobody here asked for it", [])


def test_who_may_decide_is_the_same_on_a_page_as_at_the_command_line(house: House, officer: StaffMember) -> None:
    change = asked(house, message_days=91)
    for role, act, why in (
        ("staff", "approve", "role"),
        ("auditor", "approve", "role"),
        ("admin", "withdraw", "not-an-officer"),
    ):
        member = house.staff(f"usr_{role}_2", role) if role != "admin" else None
        if member is None:
            made = house.operator.add_user(TENANT, "usr_admin_2", "admin", PASSWORD)
            house.portal.decide_change_as(officer.sign_in(), officer.code(), "approve", made["waiting"]["id"], "known")
            house.wait(DAY)
            secret = made["totp_uri"].split("secret=")[1].split("&")[0]
            member = StaffMember(house, TENANT, "usr_admin_2", secret)
        session = member.sign_in()
        with refusal(why):
            house.portal.decide_change_as(session, member.code(), act, change, "x")
    with refusal("wrong"):
        house.portal.decide_change_as(officer.sign_in(), "000000", "approve", change, "x")
    with refusal("not-open"):
        house.portal.decide_change_as(officer.sign_in(), officer.code(), "approve", "prp_" + "0" * 40, "x")
    with refusal("no-session"):
        house.portal.decide_change_as("nothing", officer.code(), "approve", change, "x")


@pytest.mark.parametrize("role", ["staff", "office", "auditor"])
def test_an_account_that_an_operator_makes_after_the_officer_is_told_and_shown(
    house: House, officer: StaffMember, role: str
) -> None:
    assert not [one for one in house.worker.take_changes(100) if one["kind"] == "account"]  # those of the set-up
    house.wait(1)
    house.operator.add_user(TENANT, "usr_planted", role, PASSWORD)
    (news,) = [one for one in house.worker.take_changes(100) if one["kind"] == "account"]
    assert (news["tenant"], news["about"]) == (TENANT, "usr_planted")
    (one,) = house.portal.changes(officer.sign_in(), TENANT)["accounts"]
    assert (one["user"], one["role"], one["state"]) == ("usr_planted", role, "active")
    house.operator.disable_user(TENANT, "usr_planted")
    assert house.portal.changes(officer.sign_in(), TENANT)["accounts"][0]["state"] == "disabled"
    house.wait(31 * DAY)
    assert house.portal.changes(officer.sign_in(), TENANT)["accounts"] == []
