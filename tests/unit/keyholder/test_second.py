"""Two officers where the policy says so, the sender's own cancel, and who may take the release log away."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.keyholder import TENANT
from tests.unit.keyholder.conftest import House, refusal

TWO = "[release]\nsecond_person = true\n"


def two(house: House, text: str = TWO) -> None:
    """Settings whose policy asks for a second person."""
    house.operator.put_settings(TENANT, {"domains": ["clinic.test"], "policy_toml": text})


def test_with_two_persons_nothing_is_released_before_another_officer_proved_the_same(house: House) -> None:
    two(house)
    olga, pete = house.staff("usr_olga", "officer"), house.staff("usr_pete", "officer")
    held = house.deposit(held=True).message
    desk = olga.sign_in()
    first = house.portal.officer_act(desk, olga.code(), "release", TENANT, held, "asked for by phone")
    assert first["complete"] is False
    for _ in range(2):
        with refusal("needs-second"):
            house.worker.release_held(TENANT, held, first["act"])
        with refusal("needs-second"):
            house.worker.act_of(TENANT, held, first["act"])
        with refusal("same-person"):
            house.portal.officer_act(desk, olga.code(), "release", TENANT, held, "myself again")
    other = house.portal.officer_act(pete.sign_in(), pete.code(), "release-as-is", TENANT, held, "another decision")
    assert other["complete"] is False
    second = house.portal.officer_act(pete.sign_in(), pete.code(), "release", TENANT, held, "seen")
    assert (second["act"], second["complete"]) == (first["act"], True)
    assert house.worker.act_of(TENANT, held, first["act"]) == {
        "act": "release", "user": "usr_olga", "second": "usr_pete",
    }  # fmt: skip
    assert house.worker.release_held(TENANT, held, first["act"])["act"] == "release"
    assert [one for one in house.actions() if one[0] in ("act:recorded", "act:confirmed")] == [
        ("act:recorded", "release"), ("act:recorded", "release-as-is"), ("act:confirmed", "release"),
    ]  # fmt: skip


def test_one_person_is_enough_to_drop_and_where_the_policy_does_not_ask(house: House) -> None:
    olga, first, other = house.staff("usr_olga", "officer"), house.deposit(held=True), house.deposit(held=True)
    desk = olga.sign_in()
    done = house.portal.officer_act(desk, olga.code(), "release", TENANT, first.message, "")
    assert done["complete"] is True
    assert house.worker.act_of(TENANT, first.message, done["act"])["second"] is None
    assert house.portal.officer_act(desk, olga.code(), "drop", TENANT, other.message, "")["complete"] is True


def test_who_was_disabled_meanwhile_is_no_first_person(house: House) -> None:
    two(house)
    olga, pete, rosa = (house.staff(f"usr_{name}", "officer") for name in ("olga", "pete", "rosa"))
    held, sealed = house.deposit(held=True).message, house.deposit().message
    house.portal.officer_act(olga.sign_in(), olga.code(), "release", TENANT, held, "asked for")
    erase = {"act": "erase-message", "object": sealed, "reason": "asked for"}
    house.portal.dispose_as(olga.sign_in(), olga.code(), **erase)
    assert len(house.portal.retention(pete.sign_in(), TENANT)["waiting"]) == 1
    house.operator.disable_user(TENANT, "usr_olga")
    assert house.portal.retention(pete.sign_in(), TENANT)["waiting"] == []
    again = house.portal.officer_act(pete.sign_in(), pete.code(), "release", TENANT, held, "seen")
    assert again["complete"] is False
    assert house.portal.dispose_as(pete.sign_in(), pete.code(), **erase)["complete"] is False
    assert house.worker.alive(TENANT, [sealed]) == [sealed]
    assert house.portal.officer_act(rosa.sign_in(), rosa.code(), "release", TENANT, held, "seen")["complete"] is True
    assert house.portal.dispose_as(rosa.sign_in(), rosa.code(), **erase)["complete"] is True
    assert house.worker.alive(TENANT, [sealed]) == []


@pytest.mark.parametrize("text", ["[release", "release = 3\n", '[release]\nsecond_person = "perhaps"\n'])
def test_a_policy_that_cannot_be_read_asks_for_two(house: House, text: str) -> None:
    two(house, text)
    olga, held = house.staff("usr_olga", "officer"), house.deposit(held=True).message
    assert house.portal.officer_act(olga.sign_in(), olga.code(), "release", TENANT, held, "")["complete"] is False


def test_the_sender_may_drop_their_own_held_mail_and_nothing_else(house: House) -> None:
    amy, bea = house.staff("usr_amy", "staff"), house.staff("usr_bea", "staff")
    held = house.deposit(held=True, sender="usr_amy").message
    desk, other = amy.sign_in(), bea.sign_in()
    for act in ("release", "release-as-is"):
        with refusal("not-an-officer"):
            house.portal.officer_act(desk, amy.code(), act, TENANT, held, "")
    with refusal("not-an-officer"):
        house.portal.officer_act(other, bea.code(), "drop", TENANT, held, "")
    with refusal("wrong"):
        house.portal.officer_act(desk, "000000", "drop", TENANT, held, "")
    act = house.portal.officer_act(desk, amy.code(), "drop", TENANT, held, "wrong recipient")["act"]
    assert house.worker.act_of(TENANT, held, act) == {"act": "drop", "user": "usr_amy", "second": None}
    with refusal("another-act"):
        house.worker.release_held(TENANT, held, act)
    nobodys = house.deposit(held=True).message
    with refusal("not-an-officer"):
        house.portal.officer_act(desk, amy.code(), "drop", TENANT, nobodys, "")


def test_the_worker_carries_out_only_what_was_recorded_for_that_message(house: House) -> None:
    olga = house.staff("usr_olga", "officer")
    held, other = house.deposit(held=True).message, house.deposit(held=True).message
    act = house.portal.officer_act(olga.sign_in(), olga.code(), "drop", TENANT, held, "")["act"]
    with refusal("no-act"):
        house.worker.act_of(TENANT, other, act)
    with refusal("no-act"):
        house.worker.act_of(TENANT, held, "act_invented")
    house.wait(90_000)
    with refusal("expired"):
        house.worker.act_of(TENANT, held, act)


@pytest.mark.parametrize(("role", "may"), [("officer", True), ("auditor", True), ("office", False), ("staff", False)])
def test_officers_and_auditors_take_the_release_log_away(house: House, role: str, may: bool) -> None:
    member = house.staff("usr_one", role)
    desk = member.sign_in()
    if may:
        page: dict[str, Any] = house.portal.release_log(desk, TENANT)
        assert len(page["entries"]) == page["size"]
        assert house.actions()[-1] == ("log:read", "")
    else:
        with refusal("role"):
            house.portal.release_log(desk, TENANT)
    with refusal("no-session"):
        house.portal.release_log("nobody", TENANT)
    with refusal("another-tenant"):
        house.portal.release_log(desk, "tnt_other")
