"""The recipient's doors: text code, staff code, TOTP, remembered device; and every way they are refused."""

from __future__ import annotations

from tests.support.keyholder import PHONE, TENANT
from tests.unit.keyholder.conftest import PERSON, SECOND, House, refusal

DAY = 86_400


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"


def test_a_text_code_opens_the_message_once(house: House) -> None:
    grant = house.deposit().grants[0].id
    code = house.texted(grant)
    session = house.portal.verify(grant, f" {code[:3]} {code[3:]}\n", "vis_1", "net_1")
    assert (session["method"], session["proof"], session["person"]) == ("text", 2, PERSON)
    assert session["scope"] == {"message": house.portal.grant_info(grant)["message"]}
    with refusal("used") as no:
        house.portal.verify(grant, code, "vis_1", "net_1")
    assert no.data["tries_left"] == 4
    assert ("session:refused", "used") in house.actions()


def test_a_wrong_code_is_counted_and_the_sixth_try_is_refused_even_when_right(house: House) -> None:
    grant = house.deposit().grants[0].id
    code = house.texted(grant)
    for left in (4, 3, 2, 1, 0):
        with refusal("wrong") as no:
            house.portal.verify(grant, wrong(code), "vis_1", "net_1")
        assert no.data["tries_left"] == left
    with refusal("too-many") as no:
        house.portal.verify(grant, code, "vis_1", "net_1")
    assert no.data["locked_until_us"] == house.now + 900 * SECOND
    house.reopen()
    with refusal("too-many"):
        house.portal.verify(grant, code, "vis_1", "net_1")
    house.wait(901)
    with refusal("expired"):
        house.portal.verify(grant, code, "vis_1", "net_1")


def test_five_wrong_codes_lock_this_person_over_all_messages_and_nobody_else(house: House) -> None:
    first, second = house.deposit().grants[0].id, house.deposit().grants[0].id
    house.operator.register_person(TENANT, "per_other", "+15005550199")
    other = house.deposit("per_other").grants[0].id
    for _ in range(5):
        with refusal("wrong"):
            house.portal.verify(first, "000000", "vis_1", "net_1")
    with refusal("too-many"):
        house.portal.verify(second, "000000", "vis_1", "net_1")
    with refusal("too-many"):
        house.portal.ask_text(second, PHONE[-4:], "vis_1", "net_1")
    assert house.portal.grant_info(other)["tries_left"] == 5
    house.portal.ask_text(other, "0199", "vis_1", "net_1")


def test_an_expired_text_code_is_refused(house: House) -> None:
    grant = house.deposit().grants[0].id
    code = house.texted(grant)
    house.wait(600)
    with refusal("expired"):
        house.portal.verify(grant, code, "vis_1", "net_1")


def test_a_text_code_works_only_in_the_browser_that_asked(house: House) -> None:
    grant = house.deposit().grants[0].id
    code = house.texted(grant, "vis_1")
    with refusal("wrong"):
        house.portal.verify(grant, code, "vis_2", "net_1")
    assert house.portal.verify(grant, code, "vis_1", "net_1")["method"] == "text"


def test_a_text_code_works_only_for_its_grant(house: House) -> None:
    grant, other = house.deposit().grants[0].id, house.deposit().grants[0].id
    code = house.texted(grant)
    with refusal("wrong"):
        house.portal.verify(other, code, "vis_1", "net_1")


def test_a_new_text_code_replaces_the_old_one(house: House) -> None:
    grant = house.deposit().grants[0].id
    old = house.texted(grant)
    with refusal("too-soon") as no:
        house.portal.ask_text(grant, PHONE[-4:], "vis_1", "net_1")
    assert no.data["resend_after_us"] == house.now + 30 * SECOND
    house.wait(31)
    new = house.texted(grant)
    if old != new:
        with refusal("expired"):
            house.portal.verify(grant, old, "vis_1", "net_1")
    assert house.portal.verify(grant, new, "vis_1", "net_1")["method"] == "text"


def test_no_text_is_queued_without_the_last_four_digits(house: House) -> None:
    grant = house.deposit().grants[0].id
    for guess in ("", "0000", PHONE, "0123x9"):
        with refusal("last-four"):
            house.portal.ask_text(grant, guess, "vis_1", "net_1")
    assert house.worker.take_texts(10) == []
    assert house.portal.grant_info(grant)["tries_left"] == 1


def test_at_most_five_texts_an_hour(house: House) -> None:
    grant = house.deposit().grants[0].id
    for _ in range(5):
        house.texted(grant)
        house.wait(31)
    with refusal("too-many"):
        house.portal.ask_text(grant, PHONE[-4:], "vis_1", "net_1")


def test_a_person_without_a_number_gets_no_text_and_has_the_staff_door(house: House) -> None:
    grant = house.deposit("per_nobody").grants[0].id
    assert house.portal.grant_info(grant)["doors"] == ["staff"]
    with refusal("no-phone"):
        house.portal.ask_text(grant, "0123", "vis_1", "net_1")


def test_a_hundred_wrong_codes_in_a_row_kill_the_phone_as_a_factor(house: House) -> None:
    grant = house.deposit().grants[0].id
    for _ in range(20):
        code = house.texted(grant)
        for _ in range(5):
            with refusal("wrong"):
                house.portal.verify(grant, wrong(code), "vis_1", "net_1")
        house.wait(1000)
    assert house.portal.grant_info(grant)["doors"] == ["staff"]
    assert ("factor:killed", "failures") in house.actions()


def test_asking_for_no_texts_takes_none(house: House) -> None:
    grant = house.deposit().grants[0].id
    house.portal.ask_text(grant, PHONE[-4:], "vis_1", "net_1")
    assert house.worker.take_texts(0) == []
    assert len(house.worker.take_texts(1)) == 1


def test_a_text_not_reported_sent_is_handed_out_again_and_given_up_after_three_times(house: House) -> None:
    grant = house.deposit().grants[0].id
    house.portal.ask_text(grant, PHONE[-4:], "vis_1", "net_1")
    (first,) = house.worker.take_texts(10)
    assert first["number"] == PHONE
    assert house.worker.take_texts(10) == []
    house.worker.text_done(first["id"], False)
    assert house.worker.take_texts(10) == [first]
    house.wait(61)
    assert house.worker.take_texts(10) == [first]
    house.wait(61)
    assert house.worker.take_texts(10) == []


def staff_code(house: House, grant: str, user: str = "usr_front") -> str:
    member = house.staff(user, "staff")
    return str(house.portal.staff_code(member.sign_in(), grant, "called")["code"])


def test_a_staff_code_opens_once_and_its_second_redeemer_freezes_the_grant(house: House) -> None:
    grant = house.deposit("per_nobody").grants[0].id
    code = staff_code(house, grant)
    assert len(code) == 8
    first = house.portal.verify(grant, code, "vis_1", "net_1")
    assert first["method"] == "staff"
    with refusal("used"):
        house.portal.verify(grant, code, "vis_1", "net_1")  # the same browser again: refused, nothing frozen
    assert house.portal.grant_info(grant)["state"] == "live"
    with refusal("used"):
        house.portal.verify(grant, code, "vis_2", "net_2")
    assert house.portal.grant_info(grant)["state"] == "frozen"
    with refusal("frozen"):
        house.portal.verify(grant, code, "vis_1", "net_1")
    assert ("grant:frozen", "second-redeemer") in house.actions()


def test_a_frozen_grant_releases_nothing_until_staff_thaw_it(house: House) -> None:
    deposit = house.deposit("per_nobody")
    grant, thing = deposit.grants[0].id, deposit.objects[0].id
    member = house.staff("usr_front", "staff")
    desk = member.sign_in()
    code = house.portal.staff_code(desk, grant, "present")["code"]
    session = house.portal.verify(grant, code, "vis_1", "net_1")["handle"]
    house.portal.release(session, grant, thing, "download", "req_1")
    with refusal("used"):
        house.portal.verify(grant, code, "vis_2", "net_2")
    with refusal("no-session"):
        house.portal.release(session, grant, thing, "download", "req_2")
    house.portal.unfreeze(desk, grant)
    assert house.portal.grant_info(grant)["state"] == "live"
    with refusal("no-session"):  # it stood on the code that was used twice
        house.portal.release(session, grant, thing, "download", "req_3")
    with refusal("used"):
        house.portal.verify(grant, code, "vis_1", "net_1")
    fresh = house.portal.staff_code(desk, grant, "present")["code"]
    session = house.portal.verify(grant, fresh, "vis_1", "net_1")["handle"]
    house.portal.release(session, grant, thing, "download", "req_4")


def test_the_second_redeemer_after_the_codes_day_freezes_nothing(house: House) -> None:
    grant = house.deposit("per_nobody").grants[0].id
    code = staff_code(house, grant)
    house.portal.verify(grant, code, "vis_1", "net_1")
    house.wait(DAY)
    with refusal("used"):
        house.portal.verify(grant, code, "vis_2", "net_2")
    assert house.portal.grant_info(grant)["state"] == "live"


def test_a_staff_code_dies_of_five_wrong_tries_in_its_life(house: House) -> None:
    grant = house.deposit("per_nobody").grants[0].id
    code = staff_code(house, grant)
    for _ in range(5):
        with refusal("wrong"):
            house.portal.verify(grant, wrong(code), "vis_1", "net_1")
        house.wait(1000)
    with refusal("expired"):
        house.portal.verify(grant, code, "vis_1", "net_1")


def test_a_staff_code_expires_after_a_day_and_a_new_one_voids_it(house: House) -> None:
    grant = house.deposit("per_nobody").grants[0].id
    member = house.staff("usr_front", "staff")
    old = house.portal.staff_code(member.sign_in(), grant, "called")["code"]
    new = house.portal.staff_code(member.sign_in(), grant, "called")["code"]
    with refusal("expired"):
        house.portal.verify(grant, old, "vis_1", "net_1")
    house.wait(DAY)
    with refusal("expired"):
        house.portal.verify(grant, new, "vis_1", "net_1")


def test_how_sure_is_a_word_and_never_free_text(house: House) -> None:
    grant = house.deposit("per_nobody").grants[0].id
    desk = house.staff("usr_front", "staff").sign_in()
    with refusal("how-sure"):
        house.portal.staff_code(desk, grant, "She-is-Maria-Gomez")
