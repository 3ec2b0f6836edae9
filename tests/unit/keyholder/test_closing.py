"""A closed clinic: it takes two people; then nobody signs in or hands in mail, and what was sent can be opened."""

from __future__ import annotations

import json

import pytest

from tests.support.keyholder import NODE, PASSWORD, TENANT
from tests.unit.keyholder.conftest import House, StaffMember, refusal
from tests.unit.keyholder.test_changes import BODY, DAY, decide


@pytest.fixture
def officer(house: House) -> StaffMember:
    house.operator.put_settings(TENANT, BODY)
    member = house.staff("usr_officer", "officer")
    member.sign_in()
    return member


def served(house: House) -> list[str]:
    """The tenants whose mail the door takes."""
    return [one["id"] for one in json.loads(house.worker.snapshot(NODE, {})["payload"])["tenants"]]


def told(house: House) -> list[str]:
    return [one["kind"] for one in house.worker.take_changes(100)]


def test_an_operator_alone_closes_nothing_once_an_officer_signed_in(house: House, officer: StaffMember) -> None:
    asked = house.operator.propose_state(TENANT, "closed")
    assert (asked["closed"], asked["waiting"]) == (False, True)
    house.wait(400 * DAY)
    house.operator.put_settings(TENANT, BODY)
    assert house.operator.propose_state(TENANT, "closed")["proposal"]["id"] == asked["proposal"]["id"]
    assert served(house) == [TENANT]
    officer.sign_in()
    assert not house.operator.propose_state(TENANT, "open")["waiting"]  # taken back
    assert house.operator.waiting(TENANT) == []


def test_closing_ends_sessions_submission_and_new_accounts_at_once(house: House, officer: StaffMember) -> None:
    front = house.staff("usr_front", "staff")
    deposit = house.deposit()
    patient, session = house.enter(deposit.grants[0].id), front.sign_in()
    change = house.operator.propose_state(TENANT, "closed")["proposal"]["id"]
    assert served(house) == [TENANT]
    decide(officer, change)
    assert house.operator.status()["tenants"][TENANT]["closed_us"] == house.now
    assert served(house) == []
    with refusal("no-session"):
        house.portal.session(session)
    for member in (front, officer):
        with refusal("closed"):
            member.sign_in()
    with refusal("closed"):
        house.operator.add_user(TENANT, "usr_new", "staff", PASSWORD)
    with refusal("closed"):
        house.operator.app_password(TENANT, "usr_front", "front@clinic.test")
    held = house.deposit(held=True)
    with refusal("closed"):
        house.portal.officer_decision(
            TENANT, officer.user, PASSWORD, officer.code(), "n", "release", held.message, "because"
        )
    assert house.portal.session(patient)["person"]  # a promise to the patient, with its date
    house.portal.release(patient, deposit.grants[0].id, deposit.objects[0].id, "download", "req_1")
    assert told(house)[-1] == "closed"
    assert ("tenant:closed", "") in house.actions()


def test_wrong_passwords_at_a_closed_clinic_are_counted_as_anywhere(house: House, officer: StaffMember) -> None:
    decide(officer, house.operator.propose_state(TENANT, "closed")["proposal"]["id"])
    limit = house.config.limits.tries
    for _ in range(limit):
        with refusal("closed"):
            house.portal.staff_login(TENANT, officer.user, "not it", "000000", "net_1")
    with refusal("too-many"):
        house.portal.staff_login(TENANT, officer.user, "not it", "000000", "net_1")


def test_it_opens_again_with_an_officer_and_a_day_at_the_next_start(house: House, officer: StaffMember) -> None:
    decide(officer, house.operator.propose_state(TENANT, "closed")["proposal"]["id"])
    change = house.operator.propose_state(TENANT, "open")["proposal"]["id"]
    house.operator.put_settings(TENANT, BODY)
    assert served(house) == []
    decide(officer, change)  # with password and code, though nobody signs in
    house.operator.put_settings(TENANT, BODY)
    assert served(house) == []
    house.wait(DAY)
    house.operator.put_settings(TENANT, BODY, begin=False)
    assert served(house) == []
    house.operator.put_settings(TENANT, BODY)
    assert served(house) == [TENANT]
    officer.sign_in()
    assert told(house)[-1] == "reopened"


def test_where_no_officer_signed_in_the_operator_closes_and_opens(house: House) -> None:
    assert house.operator.propose_state(TENANT, "closed") == {"closed": True, "waiting": False}
    assert served(house) == []
    assert house.operator.propose_state(TENANT, "open") == {"closed": False, "waiting": False}
    assert served(house) == [TENANT]
    with refusal("bad-state"):
        house.operator.propose_state(TENANT, "gone")
    with refusal("no-tenant"):
        house.operator.propose_state("tnt_Nobody", "closed")


def test_one_clinic_closes_and_its_neighbour_goes_on(house: House, officer: StaffMember) -> None:
    house.operator.create_tenant("tnt_Second", "Second", "second.test/log/tnt_Second")
    house.operator.put_settings("tnt_Second", {"domains": ["second.test"]})
    other = house.staff("usr_other", "officer", "tnt_Second")
    session = other.sign_in()
    decide(officer, house.operator.propose_state(TENANT, "closed")["proposal"]["id"])
    assert served(house) == ["tnt_Second"]
    assert house.portal.session(session)["role"] == "officer"
