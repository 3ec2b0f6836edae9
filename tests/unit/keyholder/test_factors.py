"""Lasting factors: authenticator apps and remembered devices, and every way they are refused."""

from __future__ import annotations

import pyotp
import pytest

from keys.client import unb64
from tests.support.keyholder import PHONE, TENANT
from tests.unit.keyholder.conftest import SECOND, House, refusal
from tests.unit.keyholder.test_doors import staff_code, wrong

DAY = 86_400


def enrol(house: House, session: str) -> pyotp.TOTP:
    begun = house.portal.totp_begin(session)
    totp = pyotp.TOTP(begun["secret"])
    assert "issuer=Elm%20Street%20Clinic" in begun["uri"]
    house.portal.totp_confirm(session, totp.at(house.now // SECOND))
    return totp


def test_totp_enrolled_after_reading_opens_the_next_message_and_a_replay_is_refused(house: House) -> None:
    first, second = house.deposit().grants[0].id, house.deposit().grants[0].id
    totp = enrol(house, house.enter(first))
    with refusal("used"):  # the code that confirmed it is spent
        house.portal.verify(first, totp.at(house.now // SECOND), "vis_1", "net_1")
    house.wait(60)
    assert house.portal.grant_info(second)["doors"] == ["text", "staff"]
    with refusal("too-new"):
        house.portal.verify(second, totp.at(house.now // SECOND), "vis_1", "net_1")
    house.wait(DAY)
    assert house.portal.grant_info(second)["doors"] == ["text", "staff", "totp"]
    code = totp.at(house.now // SECOND)
    assert house.portal.verify(second, code, "vis_9", "net_1")["method"] == "totp"
    with refusal("used"):
        house.portal.verify(second, code, "vis_9", "net_1")
    house.reopen()
    with refusal("used"):
        house.portal.verify(first, code, "vis_9", "net_1")


def test_totp_is_taken_one_step_early_or_late_and_not_two(house: House) -> None:
    grant = house.deposit().grants[0].id
    totp = enrol(house, house.enter(grant))
    house.wait(300)
    for drift in (-60, 60):
        with refusal("wrong"):
            house.portal.verify(grant, totp.at(house.now // SECOND + drift), "vis_1", "net_1")
    assert house.portal.verify(grant, totp.at(house.now // SECOND - 30), "vis_1", "net_1")["method"] == "totp"
    assert house.portal.verify(grant, totp.at(house.now // SECOND + 30), "vis_1", "net_1")["method"] == "totp"
    with refusal("used"):  # an older step than the last accepted one
        house.portal.verify(grant, totp.at(house.now // SECOND), "vis_1", "net_1")


def test_totp_confirm_needs_the_session_that_began_it_and_a_right_code(house: House) -> None:
    grant = house.deposit().grants[0].id
    session = house.enter(grant)
    begun = house.portal.totp_begin(session)
    right = pyotp.TOTP(begun["secret"]).at(house.now // SECOND)
    with refusal("wrong"):
        house.portal.totp_confirm(session, wrong(right))
    house.wait(31)
    other = house.enter(house.deposit().grants[0].id)
    with refusal("none-begun"):
        house.portal.totp_confirm(other, right)
    with refusal("no-session"):
        house.portal.totp_begin("made-up-handle")
    assert "totp" not in house.portal.grant_info(grant)["doors"]


def test_a_lasting_factor_needs_a_fresh_proof_of_another_one(house: House) -> None:
    grant = house.deposit().grants[0].id
    session = house.enter(grant)
    device = unb64(house.portal.remember(session)["device"])
    by_device = house.portal.use_device(grant, device, "vis_1")["handle"]
    with refusal("stale"):
        house.portal.totp_begin(by_device)
    for _ in range(4):
        house.wait(600)
        house.portal.session(session)
    with refusal("stale"):
        house.portal.totp_begin(session)


def test_what_a_staff_code_enrolled_opens_other_messages_only_after_a_day(house: House) -> None:
    first, second = house.deposit("per_nobody").grants[0].id, house.deposit("per_nobody").grants[0].id
    session = house.portal.verify(first, staff_code(house, first), "vis_1", "net_1")["handle"]
    totp = enrol(house, session)
    device = unb64(house.portal.remember(session)["device"])
    house.wait(60)
    assert house.portal.grant_info(second)["doors"] == ["staff"]
    with refusal("too-new"):
        house.portal.verify(second, totp.at(house.now // SECOND), "vis_1", "net_1")
    with refusal("too-new"):
        house.portal.use_device(second, device, "vis_1")
    assert house.portal.use_device(first, device, "vis_1")["method"] == "device"
    assert house.portal.verify(first, totp.at(house.now // SECOND), "vis_1", "net_1")["method"] == "totp"
    house.wait(DAY)
    assert house.portal.verify(second, totp.at(house.now // SECOND), "vis_1", "net_1")["method"] == "totp"
    assert house.portal.use_device(second, device, "vis_1")["method"] == "device"


def test_a_young_factor_cannot_enrol_an_older_looking_one(house: House) -> None:
    first, second = house.deposit("per_nobody").grants[0].id, house.deposit("per_nobody").grants[0].id
    session = house.portal.verify(first, staff_code(house, first), "vis_1", "net_1")["handle"]
    totp = enrol(house, session)
    house.wait(60)
    again = house.portal.verify(first, totp.at(house.now // SECOND), "vis_1", "net_1")["handle"]
    laundered = enrol(house, again)
    house.wait(60)
    with refusal("too-new"):
        house.portal.verify(second, laundered.at(house.now // SECOND), "vis_1", "net_1")


def test_a_remembered_device_says_how_the_person_first_proved_themself(house: House) -> None:
    grant = house.deposit().grants[0].id
    session = house.enter(grant)
    proved = house.now
    device = unb64(house.portal.remember(session)["device"])
    house.wait(80 * DAY)
    second = house.deposit().grants[0].id
    opened = house.portal.use_device(second, device, "vis_2")
    assert (opened["method"], opened["proof"], opened["first_proof_us"]) == ("device", 2, proved)
    with refusal("unknown-device"):
        house.portal.use_device(second, bytes(32), "vis_2")
    house.wait(10 * DAY)
    with refusal("unknown-device"):
        house.portal.use_device(second, device, "vis_2")


def test_a_remembered_device_is_useless_for_another_person_and_after_being_forgotten(house: House) -> None:
    grant = house.deposit().grants[0].id
    session = house.enter(grant)
    device = unb64(house.portal.remember(session)["device"])
    with refusal("unknown-device"):
        house.portal.use_device(house.deposit("per_other").grants[0].id, device, "vis_1")
    assert house.portal.forget_devices(session) == 1
    with refusal("unknown-device"):
        house.portal.use_device(grant, device, "vis_1")


def test_a_tenant_can_switch_remembering_off(house: House) -> None:
    grant = house.deposit().grants[0].id
    session = house.enter(grant)
    device = unb64(house.portal.remember(session)["device"])
    for off in ({"remembered_device": False}, {"policy": "strict"}, {"remembered_device": "yes"}):
        house.operator.put_settings(TENANT, off)
        with refusal("not-allowed"):
            house.portal.remember(session)
        with refusal("unknown-device"):
            house.portal.use_device(grant, device, "vis_1")
    house.operator.put_settings(TENANT, {"policy": "clinic"})
    assert house.portal.use_device(grant, device, "vis_1")["method"] == "device"


@pytest.mark.parametrize("code", ["", "1", "12345", "1234567", "١٢٣٤٥٦", "abc", "9" * 2000])
def test_whatever_is_no_code_is_wrong_and_counted(house: House, code: str) -> None:
    grant = house.deposit().grants[0].id
    with refusal("wrong") as no:
        house.portal.verify(grant, code, "vis_1", "net_1")
    assert no.data["tries_left"] == 4


def test_an_unknown_grant_is_only_unknown(house: House) -> None:
    info = house.portal.grant_info("lnk_000000000000")
    assert (info["state"], info["tenant"], info["doors"]) == ("unknown", None, [])
    with refusal("unknown"):
        house.portal.verify("lnk_000000000000", "123456", "vis_1", "net_1")
    with refusal("unknown"):
        house.portal.ask_text("lnk_000000000000", "0123", "vis_1", "net_1")


def test_codes_numbers_secrets_and_handles_rest_neither_in_clear_nor_as_plain_hash(house: House) -> None:
    import hashlib

    grant = house.deposit().grants[0].id
    house.portal.ask_text(grant, PHONE[-4:], "vis_1", "net_1")
    (text,) = house.worker.take_texts(10)
    session = house.portal.verify(grant, text["code"], "vis_1", "net_1")["handle"]
    secret = house.portal.totp_begin(session)["secret"]
    device = unb64(house.portal.remember(session)["device"])
    house.close()
    stored = b"".join(path.read_bytes() for path in house.config.directory.iterdir())
    house.holder = type(house.holder).open(house.config, now_us=lambda: house.now)
    for value in (PHONE.encode(), PHONE[1:].encode(), session.encode(), secret.encode(), device):
        assert value not in stored
        assert hashlib.sha256(value).digest() not in stored
