"""What could open future content: an operator alone changes nothing, two people and a day do, one person twice not."""

from __future__ import annotations

from typing import Any

import pytest

from keys.client import unb64
from keys.encoding import canonical
from keys.signing import verify_signature
from tests.support.keyholder import PASSWORD, TENANT
from tests.unit.keyholder.conftest import House, StaffMember, refusal

DAY = 86_400
BODY: dict[str, Any] = {
    "domains": ["clinic.test"], "networks": ["192.0.2.0/28"], "public_url": "https://mail.clinic.test",
    "smarthost": "smarthost.test:25", "smarthost_tls": "verified", "policy": "clinic", "policy_toml": "about = ''\n",
    "message_days": 90, "hold_days": 7, "floor": 2,
}  # fmt: skip
CHANGES: dict[str, Any] = {
    "smarthost": "evil.test:25", "smarthost_tls": "none", "public_url": "https://mail.evil.test",
    "domains": ["clinic.test", "evil.test"], "networks": ["0.0.0.0/0"], "policy_toml": "about = 'all as it is'\n",
    "message_days": 3650, "floor": 1,
}  # fmt: skip


@pytest.fixture
def officer(house: House) -> StaffMember:
    """A clinic whose officer has signed in."""
    house.operator.put_settings(TENANT, BODY)
    member = house.staff("usr_officer", "officer")
    house.staff("usr_admin", "admin")
    member.sign_in()
    return member


def decide(member: StaffMember, change: str, act: str = "approve") -> dict[str, Any]:
    return member.house.portal.decide_change(TENANT, member.user, PASSWORD, member.code(), "net_1", act, change)


def in_force(house: House) -> dict[str, Any]:
    return dict(house.worker.settings(TENANT)["body"])


def test_an_operator_alone_changes_nothing_however_long_and_often(house: House, officer: StaffMember) -> None:
    for key, value in CHANGES.items():
        changed = BODY | {key: value}
        answer = house.operator.put_settings(TENANT, changed)
        assert (answer["waiting"], answer["proposal"]["keys"], answer["proposal"]["approved"]) == (True, [key], False)
        house.wait(400 * DAY)
        assert house.operator.put_settings(TENANT, changed)["waiting"], key
        house.reopen()
        assert house.operator.put_settings(TENANT, changed)["proposal"]["id"] == answer["proposal"]["id"]
        assert in_force(house) == BODY, key


def test_with_an_officer_and_a_day_it_counts_at_the_next_start(house: House, officer: StaffMember) -> None:
    changed = BODY | CHANGES
    change = house.operator.put_settings(TENANT, changed)["proposal"]["id"]
    assert decide(officer, change)["approved"]
    assert house.operator.put_settings(TENANT, changed)["waiting"]  # a day has not passed
    house.wait(DAY)
    assert house.operator.put_settings(TENANT, changed, begin=False)["waiting"]  # nothing changes under a running one
    assert in_force(house) == BODY
    done = house.operator.put_settings(TENANT, changed)
    assert not done["waiting"]
    assert in_force(house) == changed
    public = unb64(house.portal.keys()["public_key"])
    verify_signature(
        public, unb64(done["signature"]), "sealgate/settings/v1", TENANT, done["serial"], canonical(changed)
    )
    assert house.operator.waiting(TENANT) == []
    (signed,) = [one for one in house.entries() if one["request"] == change and one["action"] == "settings:signed"]
    assert signed["object"] == TENANT


def test_an_approval_is_for_these_words_and_no_others(house: House, officer: StaffMember) -> None:
    first = house.operator.put_settings(TENANT, BODY | {"message_days": 91})["proposal"]["id"]
    decide(officer, first)
    house.wait(DAY)
    other = house.operator.put_settings(TENANT, BODY | {"smarthost": "evil.test:25"})
    assert other["waiting"]
    assert other["proposal"]["id"] != first
    assert not other["proposal"]["approved"]
    with refusal("not-open"):
        decide(officer, first)
    again = house.operator.put_settings(TENANT, BODY | {"message_days": 91})["proposal"]
    assert (again["id"] == first, again["approved"]) == (False, False)


def test_one_person_counts_once(house: House, officer: StaffMember) -> None:
    strict = BODY | {"policy_toml": "[release]\nsecond_person = true\n"}
    change = house.operator.put_settings(TENANT, strict)["proposal"]["id"]
    decide(officer, change)
    with refusal("same-person"):
        decide(officer, change)
    house.wait(DAY)
    assert not house.operator.put_settings(TENANT, strict)["waiting"]
    # From here the policy in force asks for two of the clinic's own, and whoever asked counts no more.
    weaker = house.operator.put_settings(TENANT, BODY)["proposal"]["id"]
    assert not decide(officer, weaker)["approved"]
    with refusal("same-person"):
        decide(officer, weaker)
    house.wait(DAY)
    assert house.operator.put_settings(TENANT, BODY)["waiting"]
    assert in_force(house) == strict


def test_two_of_the_clinics_own_are_enough_when_one_is_an_officer(house: House, officer: StaffMember) -> None:
    member = house.staff("usr_front", "staff")
    change = house.operator.put_settings(TENANT, BODY | {"message_days": 91})["proposal"]["id"]
    with refusal("role"):
        decide(member, change)
    with refusal("wrong"):
        house.portal.decide_change(TENANT, officer.user, "not the password", officer.code(), "n", "approve", change)
    with refusal("not-an-officer"):
        decide(member, change, "withdraw")
    (one,) = house.operator.waiting(TENANT)
    assert (one["approvals"], one["maker"], one["keys"]) == ([], "operator", ["message_days"])
    assert ("settings:refused", "role") in house.actions()


def test_who_was_disabled_meanwhile_does_not_count(house: House, officer: StaffMember) -> None:
    changed = BODY | {"message_days": 91}
    decide(officer, house.operator.put_settings(TENANT, changed)["proposal"]["id"])
    house.operator.disable_user(TENANT, officer.user)
    house.wait(DAY)
    assert house.operator.put_settings(TENANT, changed)["waiting"]


def test_any_officer_ends_it_and_every_officer_is_told(house: House, officer: StaffMember) -> None:
    change = house.operator.put_settings(TENANT, BODY | {"message_days": 91})["proposal"]["id"]
    (news,) = [one for one in house.worker.take_changes(10) if one["kind"] == "proposal"]
    assert (news["about"], news["tenant"]) == (change, TENANT)
    decide(officer, change)
    decide(officer, change, "withdraw")
    assert house.operator.waiting(TENANT) == []
    house.wait(DAY)
    assert house.operator.put_settings(TENANT, BODY | {"message_days": 91})["proposal"]["id"] != change
    assert not house.operator.put_settings(TENANT, BODY)["waiting"]  # the file was set back
    assert house.operator.waiting(TENANT) == []


@pytest.mark.parametrize("role", ["officer", "admin"])
def test_a_new_officer_or_administrator_waits_in_the_same_way(house: House, officer: StaffMember, role: str) -> None:
    made = house.operator.add_user(TENANT, "usr_planted", role, PASSWORD)
    planted = StaffMember(house, TENANT, "usr_planted", made["totp_uri"].split("secret=")[1].split("&")[0])
    assert made["waiting"]["kind"] == "user"
    house.wait(DAY)
    with refusal("wrong"):  # nobody says that there is such an account
        planted.sign_in()
    with refusal("wrong"):
        decide(planted, made["waiting"]["id"])
    with refusal("no-user"):
        house.operator.app_password(TENANT, "usr_planted", "planted@clinic.test")
    assert house.operator.waiting(TENANT)[0]["keys"] == [role]
    decide(officer, made["waiting"]["id"])
    assert house.portal.session(planted.sign_in())["role"] == role
    assert house.operator.waiting(TENANT) == []


def test_a_withdrawn_account_never_signs_in(house: House, officer: StaffMember) -> None:
    made = house.operator.add_user(TENANT, "usr_planted", "officer", PASSWORD)
    decide(officer, made["waiting"]["id"])
    decide(officer, made["waiting"]["id"], "withdraw")
    house.wait(DAY)
    planted = StaffMember(house, TENANT, "usr_planted", made["totp_uri"].split("secret=")[1].split("&")[0])
    with refusal("wrong"):
        planted.sign_in()


def test_another_tenants_officer_decides_nothing_here(house: House, officer: StaffMember) -> None:
    house.operator.create_tenant("tnt_Second", "Second", "second.test/log/tnt_Second")
    house.operator.put_settings("tnt_Second", {"domains": ["second.test"]})
    other = house.staff("usr_other", "officer", "tnt_Second")
    change = house.operator.put_settings(TENANT, BODY | {"message_days": 91})["proposal"]["id"]
    with refusal("not-open"):
        house.portal.decide_change("tnt_Second", other.user, PASSWORD, other.code(), "n", "approve", change)
    with refusal("wrong"):
        house.portal.decide_change(TENANT, other.user, PASSWORD, other.code(), "n", "approve", change)
    assert house.operator.waiting(TENANT)[0]["approvals"] == []
