"""Workforce sign-in: password and TOTP, always both; the same answer for whatever was wrong."""

from __future__ import annotations

import threading

import pytest

from keys.errors import Denied
from keys.keyholder import staff
from tests.support.keyholder import PASSWORD, TENANT
from tests.unit.keyholder.conftest import House, refusal


def test_password_and_totp_make_a_staff_session(house: House) -> None:
    member = house.staff("usr_amy", "staff")
    session = house.portal.staff_login(TENANT, "usr_amy", PASSWORD, member.code(), "net_1")
    assert (session["scope"], session["role"], session["user"], session["person"]) == (
        "staff",
        "staff",
        "usr_amy",
        None,
    )
    assert (session["proof"], session["method"]) == (2, "password+totp")
    house.reopen()
    assert house.portal.session(session["handle"])["user"] == "usr_amy"
    house.portal.end_session(session["handle"])
    with refusal("no-session"):
        house.portal.session(session["handle"])


def test_whatever_is_wrong_gets_the_same_answer_after_the_same_work(house: House, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    member = house.staff("usr_amy", "staff")
    hashed: list[str] = []
    real = staff.Hasher.holds
    monkeypatch.setattr(
        staff.Hasher, "holds", lambda self, kept, pepper: hashed.append(kept) or real(self, kept, pepper)
    )
    answers = []
    for user, password, code in (
        ("usr_nobody", PASSWORD, "123456"),
        ("usr_amy", "not the password", member.code()),
        ("usr_amy", PASSWORD, "000000"),
    ):
        with pytest.raises(Denied) as denied:
            house.portal.staff_login(TENANT, user, password, code, f"net_{password}".replace(" ", ""))
        answers.append(denied.value.reason)
    assert answers == ["wrong"] * 3
    assert len(hashed) == 3
    assert all(kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$") for kept in hashed)


def test_a_spent_totp_code_signs_nobody_in_twice(house: House) -> None:
    member = house.staff("usr_amy", "staff")
    code = member.code()
    house.portal.staff_login(TENANT, "usr_amy", PASSWORD, code, "net_1")
    with refusal("used"):
        house.portal.staff_login(TENANT, "usr_amy", PASSWORD, code, "net_1")
    house.reopen()
    with refusal("used"):
        house.portal.staff_login(TENANT, "usr_amy", PASSWORD, code, "net_1")


def test_five_failures_lock_a_user_before_any_hashing_and_unknown_users_alike(house: House, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    member = house.staff("usr_amy", "staff")
    for user in ("usr_amy", "usr_nobody"):
        for left in (4, 3, 2, 1, 0):
            with refusal("wrong") as no:
                house.portal.staff_login(TENANT, user, "wrong", "000000", "net_1")
            assert no.data["tries_left"] == left
    monkeypatch.setattr(staff.Hasher, "holds", lambda *_: pytest.fail("hashed although locked"))
    for user in ("usr_amy", "usr_nobody"):
        with refusal("too-many"):
            house.portal.staff_login(TENANT, user, PASSWORD, member.code(), "net_1")
    monkeypatch.undo()
    house.wait(900)
    house.portal.staff_login(TENANT, "usr_amy", PASSWORD, member.code(), "net_1")


def test_failures_from_one_network_lock_nobody_out_from_another(house: House) -> None:
    """Addresses of staff are no secret: five bad tries from anywhere must not keep an officer from the desk."""
    member = house.staff("usr_amy", "staff")
    for _ in range(5):
        with refusal("wrong"):
            house.portal.staff_login(TENANT, "usr_amy", "wrong", "000000", "net_bad")
    with refusal("too-many"):
        house.portal.staff_login(TENANT, "usr_amy", PASSWORD, member.code(), "net_bad")
    house.portal.staff_login(TENANT, "usr_amy", PASSWORD, member.code(), "net_office")
    with refusal("too-many"):  # a sign-in elsewhere gives the guesser no new tries
        house.portal.staff_login(TENANT, "usr_amy", "wrong", "000000", "net_bad")


def test_fifty_failures_from_many_networks_lock_one_user_everywhere(house: House) -> None:
    amy, bea = house.staff("usr_amy", "staff"), house.staff("usr_bea", "staff")
    for number in range(50):
        with refusal("wrong"):
            house.portal.staff_login(TENANT, "usr_amy", "wrong", "000000", f"net_{number}")
    with refusal("too-many"):
        house.portal.staff_login(TENANT, "usr_amy", PASSWORD, amy.code(), "net_office")
    house.portal.staff_login(TENANT, "usr_bea", PASSWORD, bea.code(), "net_office")
    house.wait(900)
    house.portal.staff_login(TENANT, "usr_amy", PASSWORD, amy.code(), "net_office")


def test_strangers_at_the_staff_door_stop_no_officer_from_deciding(house: House) -> None:
    officer, held = house.staff("usr_officer", "officer"), house.deposit(held=True).message
    desk = officer.sign_in()
    for _ in range(5):
        with refusal("wrong"):
            house.portal.staff_login(TENANT, "usr_officer", "wrong", "000000", "net_bad")
    assert house.portal.officer_act(desk, officer.code(), "drop", TENANT, held, "")["act"]

    def decide(password: str) -> None:
        house.portal.officer_decision(TENANT, "usr_officer", password, officer.code(), "local", "release", held, "")

    decide(PASSWORD)
    for _ in range(5):
        with refusal("wrong"):
            decide("wrong")
    with refusal("too-many"):
        decide(PASSWORD)


def test_five_wrong_codes_end_an_officers_acts_and_a_right_one_clears_them(house: House) -> None:
    officer, held = house.staff("usr_officer", "officer"), house.deposit(held=True).message
    desk = officer.sign_in()

    def act(code: str) -> None:
        house.portal.officer_act(desk, code, "drop", TENANT, held, "")

    for _ in range(2):
        for _ in range(4):
            with refusal("wrong"):
                act("000000")
        act(officer.code())
    for _ in range(5):
        with refusal("wrong"):
            act("000000")
    with refusal("too-many"):
        act(officer.code())


def test_one_network_guessing_at_many_users_is_stopped(house: House) -> None:
    member = house.staff("usr_amy", "staff")
    for number in range(30):
        with refusal("wrong"):
            house.portal.staff_login(TENANT, f"usr_{number}", "wrong", "000000", "net_bad")
    with refusal("too-many"):
        house.portal.staff_login(TENANT, "usr_amy", PASSWORD, member.code(), "net_bad")
    house.portal.staff_login(TENANT, "usr_amy", PASSWORD, member.code(), "net_good")


def test_a_waiting_rooms_guesses_keep_nobody_out_who_signed_in_from_there_and_others_for_a_minute(house: House) -> None:
    amy, bea = house.staff("usr_amy", "staff"), house.staff("usr_bea", "staff")
    house.portal.staff_login(TENANT, "usr_amy", PASSWORD, amy.code(), "net_clinic")
    for number in range(30):
        with refusal("wrong"):
            house.portal.staff_login(TENANT, f"usr_{number}", "wrong", "000000", "net_clinic")
    house.portal.staff_login(TENANT, "usr_amy", PASSWORD, amy.code(), "net_clinic")
    for number in range(30):
        with refusal("wrong"):
            house.portal.staff_login(TENANT, f"usr_{number + 30}", "wrong", "000000", "net_clinic")
    with refusal("too-many"):
        house.portal.staff_login(TENANT, "usr_bea", PASSWORD, bea.code(), "net_clinic")
    for _ in range(5):  # her own tries from there are counted as ever
        with refusal("wrong"):
            house.portal.staff_login(TENANT, "usr_amy", "wrong", "000000", "net_clinic")
    with refusal("too-many"):
        house.portal.staff_login(TENANT, "usr_amy", PASSWORD, amy.code(), "net_clinic")
    house.wait(61)
    house.portal.staff_login(TENANT, "usr_bea", PASSWORD, bea.code(), "net_clinic")


def test_parallel_tries_gain_nothing(house: House) -> None:
    house.staff("usr_amy", "staff")
    reasons: list[str] = []

    def guess() -> None:
        try:
            house.portal.staff_login(TENANT, "usr_amy", "wrong", "000000", "net_1")
        except Denied as denial:
            reasons.append(denial.reason)

    threads = [threading.Thread(target=guess) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reasons.count("wrong") + reasons.count("busy") == 5
    assert reasons.count("too-many") == 7


def test_hashing_is_bounded(house: House) -> None:
    hasher = house.holder.hasher
    slots = [hasher._admitted for _ in range(10)]
    for slot in slots:
        assert slot.acquire(blocking=False)
    try:
        with refusal("busy"):
            hasher.hash(b"x")
    finally:
        for slot in slots:
            slot.release()
    assert hasher.holds(hasher.hash(b"x"), b"x")


def test_a_disabled_user_loses_session_sign_in_and_app_passwords_at_once(house: House) -> None:
    member = house.staff("usr_amy", "staff")
    handle = member.sign_in()
    house.operator.app_password(TENANT, "usr_amy", "amy@clinic.test")
    house.operator.disable_user(TENANT, "usr_amy")
    with refusal("no-session"):
        house.portal.session(handle)
    with refusal("wrong"):
        member.sign_in()
    with refusal("no-user"):
        house.operator.app_password(TENANT, "usr_amy", "amy@clinic.test")
    house.operator.disable_user(TENANT, "usr_amy")


def test_a_new_password_ends_sessions_and_the_old_password(house: House) -> None:
    member = house.staff("usr_amy", "staff")
    handle = member.sign_in()
    with refusal("password"):
        house.operator.set_password(TENANT, "usr_amy", "short")
    house.operator.set_password(TENANT, "usr_amy", "another long password")
    with refusal("no-session"):
        house.portal.session(handle)
    with refusal("wrong"):
        member.sign_in()
    house.portal.staff_login(TENANT, "usr_amy", "another long password", member.code(), "net_1")


def test_what_an_operator_does_to_an_account_is_told_once_an_officer_has_signed_in(house: House) -> None:
    officer = house.staff("usr_officer", "officer")
    house.staff("usr_amy", "staff")
    house.operator.set_password(TENANT, "usr_amy", "another long password")
    house.operator.app_password(TENANT, "usr_amy", "amy@clinic.test")
    assert house.worker.take_changes(50) == [], "the set-up is nobody's news"
    officer.sign_in()
    house.operator.set_password(TENANT, "usr_amy", "a third long password")
    house.operator.app_password(TENANT, "usr_amy", "amy@clinic.test")
    told = {(one["kind"], one["about"]) for one in house.worker.take_changes(50)}
    assert told == {("password", "usr_amy"), ("app-password", "usr_amy")}


def test_after_the_first_officer_signed_in_no_operator_adds_another(house: House) -> None:
    officer = house.staff("usr_officer", "officer")
    house.staff("usr_second", "officer")
    officer.sign_in()
    for role in ("officer", "admin"):
        planted = house.staff(f"usr_planted_{role}", role)
        with refusal("wrong"):
            planted.sign_in()
    house.staff("usr_front", "staff").sign_in()
    assert house.actions().count(("user:waiting", "")) == 2


def test_roles_and_names_are_checked(house: House) -> None:
    house.staff("usr_amy", "staff")
    with refusal("taken"):
        house.staff("usr_amy", "office")
    with refusal("role"):
        house.staff("usr_bob", "operator")
    with refusal("no-tenant"):
        house.staff("usr_bob", "staff", tenant="tnt_unknown")


def test_the_authenticator_shows_the_clinics_name(house: House) -> None:
    house.operator.put_settings(TENANT, {"display_name": "Elm Street Family Clinic"})
    uri = house.operator.add_user(TENANT, "usr_amy", "staff", PASSWORD, name="amy@clinic.test")["totp_uri"]
    assert "issuer=Elm%20Street%20Family%20Clinic" in uri
    assert uri.startswith("otpauth://totp/Elm%20Street%20Family%20Clinic:amy%40clinic.test")


def test_a_recipients_session_is_no_staff_session_and_the_other_way_round(house: House) -> None:
    grant = house.deposit().grants[0].id
    recipient = house.enter(grant)
    with refusal("not-staff"):
        house.portal.staff_code(recipient, grant, "called")
    with refusal("not-a-recipient"):
        house.portal.totp_begin(house.staff("usr_amy", "staff").sign_in())
