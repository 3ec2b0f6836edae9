"""Front-desk cards on the pages: printed once by staff, typed by the person they were handed to."""

from __future__ import annotations

import re

from tests.unit.portal.test_staff import address, member
from tests.unit.portal.world import CLINIC_PHONE, Browser, Mail, World, plain

CODE = re.compile(r'data-part="card-code">([A-Z ]{14})<')


def printed(world: World, staff: Browser, mail: Mail, who: str) -> str:
    """The letters of a card that staff print for the recipient of a message."""
    grant = mail.grant(who)
    page = staff.get(f"/staff/help/{grant}").text
    answer = staff.post(f"/staff/help/{grant}/card", page, sure="here")
    found = CODE.search(answer.text)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert found is not None
    assert CLINIC_PHONE in answer.text
    assert "<svg" in answer.text
    assert who not in answer.text  # the paper may be lost: it names nobody in full
    return found[1]


def test_a_card_from_the_front_desk_opens_the_message_once(world: World) -> None:
    sender, who = member(world), address()
    mail = world.send(who, sender=sender)
    letters = printed(world, world.staff_browser(sender), mail, who)
    maria = world.browser()
    page = maria.get(f"/m/{mail.token(who)}/code?card=1").text
    assert 'inputmode="numeric"' not in page
    answer = maria.post(f"/m/{mail.token(who)}/verify", page, code=letters.lower())
    assert answer.headers["location"] == plain(mail, who)
    assert "Dear Maria" in maria.get(plain(mail, who)).text
    person = mail.links[who].person
    assert [one["reason"] for one in world.events("card:printed", person)] == ["here"]
    assert [one["reason"] for one in world.events("session:started", mail.grant(who))] == ["card"]
    assert [one["reason"] for one in world.events("object:opened") if one["actor"]["id"] == person][:1] == ["card read"]
    again = world.browser()
    page = again.get(f"/m/{mail.token(who)}/code").text
    assert again.post(f"/m/{mail.token(who)}/verify", page, code=letters).status_code == 409


def test_wrong_letters_lead_back_to_the_page_for_letters(world: World) -> None:
    who = address()
    mail = world.send(who)
    maria = world.browser()
    page = maria.get(f"/m/{mail.token(who)}/code?card=1").text
    answer = maria.post(f"/m/{mail.token(who)}/verify", page, code="BCDF GHJK MNPQ")
    assert answer.headers["location"] == f"{plain(mail, who)}/code?note=wrong&card=1"
    page = maria.get(answer.headers["location"])
    assert page.status_code == 422
    assert 'inputmode="numeric"' not in page.text


def test_a_card_is_printed_only_by_who_says_how_sure_they_are_and_may(world: World) -> None:
    sender, auditor, who = member(world), member(world, "auditor"), address()
    mail = world.send(who, sender=sender)
    staff, other = world.staff_browser(sender), world.staff_browser(auditor)
    path = f"/staff/help/{mail.grant(who)}"
    page = staff.get(path).text
    assert staff.post(f"{path}/card", page).status_code == 400
    assert other.post(f"{path}/card", other.get("/staff").text, sure="here").status_code == 403
    assert staff.post("/staff/help/lnk_000000000000/card", page, sure="here").status_code == 404
    assert world.events("card:printed", mail.links[who].person) == []


def test_the_square_on_the_card_leads_to_a_page_that_opens_nothing(world: World) -> None:
    who = address()
    mail = world.send(who)
    maria = world.browser()
    page = maria.get("/card")
    assert page.status_code == 200
    assert CLINIC_PHONE in page.text
    assert "/code?card=1" not in page.text
    maria.post(f"/m/{mail.token(who)}/code", maria.get(f"/m/{mail.token(who)}").text, last4="0000")
    assert f"{plain(mail, who)}/code?card=1" in maria.get("/card").text
