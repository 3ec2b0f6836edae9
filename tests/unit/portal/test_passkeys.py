"""Own ways in on the portal: passkeys, recovery codes, what was lost, and those of staff; without a script."""

from __future__ import annotations

import base64
import html
import json
import re
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.portal.call import Call
from gateway.portal.headers import PAGE_CSP, PASSKEY_CSP
from gateway.portal.pages.passkeys import prf_of
from tests.support.authenticator import Authenticator
from tests.support.keyholder import PASSWORD
from tests.unit.portal.world import Browser, World, plain

PRF = base64.urlsafe_b64encode(b"\x07secret output of the extension "[:32]).rstrip(b"=").decode()


def asked(page: str) -> dict[str, str]:
    """What the page hands to the device."""
    found = re.search(r"<form [^>]*data-passkey=[^>]*>", page)
    assert found is not None, page
    return {name: html.unescape(value) for name, value in re.findall(r'data-([a-z]+)="([^"]*)"', found[0])}


def ticket(page: str) -> str:
    found = re.search(r'name="ticket" value="([^"]*)"', page)
    assert found is not None
    return html.unescape(found[1])


def add(world: World, browser: Browser, base: str) -> Authenticator:
    """A passkey that this browser's session set up."""
    page = browser.get(f"{base}/passkeys/new").text
    device = Authenticator(world.base)
    answer = json.dumps(device.make(asked(page)["challenge"]))
    done = browser.post(f"{base}/passkeys/new", page, ticket=ticket(page), answer=answer, prf=PRF, called="My phone")
    assert done.status_code == 200
    return device


def opens(browser: Browser, path: str, device: Authenticator) -> Any:
    page = browser.get(f"{path}/passkey").text
    answer = json.dumps(device.use(asked(page)["challenge"]))
    return browser.post(f"{path}/passkey", page, ticket=ticket(page), answer=answer, prf=PRF)


def codes(page: str) -> list[str]:
    return re.findall(r'<li class="letters">([A-Z ]{19})</li>', page)


def test_offered_after_reading_set_up_and_used_with_nothing_of_it_in_a_url_log_or_other_page(world: World) -> None:
    mail = world.send()
    browser, base = world.sign_in(mail), plain(mail)
    fresh = world.browser()
    assert "use-passkey" not in fresh.get(f"/m/{mail.token()}").text
    read = browser.get(base)
    assert 'data-action="offer-passkey"' in read.text
    assert read.headers["content-security-policy"] == PAGE_CSP
    new = browser.get(f"{base}/passkeys/new")
    assert new.headers["content-security-policy"] == PASSKEY_CSP
    said = asked(new.text)
    assert (said["host"], said["name"]) == ("localhost", "m***@mail.example")
    assert len(said["prf"]) == 43
    device = add(world, browser, base)
    assert 'data-action="offer-passkey"' not in browser.get(base).text
    assert 'data-action="use-passkey"' in fresh.get(f"/m/{mail.token()}").text
    answer = opens(fresh, f"/m/{mail.token()}", device)
    assert (answer.status_code, answer.headers["location"]) == (303, base)
    assert fresh.get(base).status_code == 200
    started = world.events("session:started", mail.grant())
    assert [(one["reason"], one["proof"]) for one in started] == [("text", 2), ("passkey", 3)]
    (enrolled,) = [one for one in world.events("factor:enrolled") if one["reason"] == "passkey"]
    assert enrolled["actor"] == {"kind": "person", "id": mail.links["maria@mail.example"].person}
    listed = fresh.get(f"{base}/passkeys").text
    assert "My phone" in listed
    assert "Last used" in listed
    assert PRF not in json.dumps(world.events())


def test_a_wrong_answer_is_told_on_the_same_page_and_a_replay_opens_nothing(world: World) -> None:
    mail = world.send("per1@mail.example")
    address = "per1@mail.example"
    browser, base = world.sign_in(mail, address), plain(mail, address)
    device = add(world, browser, base)
    fresh, path = world.browser(), f"/m/{mail.token(address)}"
    page = fresh.get(f"{path}/passkey").text
    form = {"ticket": ticket(page), "answer": json.dumps(device.use(asked(page)["challenge"]))}
    wrong = fresh.post(f"{path}/passkey", page, ticket=form["ticket"], answer=form["answer"].replace("response", "r"))
    assert (wrong.status_code, wrong.headers["location"]) == (303, f"{base}/passkey")
    device.flags = 1
    unverified = json.dumps(device.use(asked(page)["challenge"]))
    no = fresh.post(f"{path}/passkey", page, ticket=form["ticket"], answer=unverified)
    assert (no.status_code, "That did not work" in no.text) == (422, True)
    assert "data-now" not in no.text  # it asks again at a press, not by itself
    late = fresh.post(f"{path}/passkey", page, **form)
    assert late.status_code == 422, "its challenge was spent by the wrong answer"
    assert world.browser().post(f"{path}/passkey", page, **form).status_code == 422
    assert fresh.get(base).status_code == 200
    assert 'data-part="body"' not in fresh.get(base).text


def test_removing_asks_first_and_the_empty_list_teaches(world: World) -> None:
    mail = world.send("per2@mail.example")
    browser, base = world.sign_in(mail, "per2@mail.example"), plain(mail, "per2@mail.example")
    page = browser.get(f"{base}/passkeys").text
    assert "You have not set up a phone or computer yet." in page
    assert browser.post(f"{base}/recovery-codes", browser.get(base).text).status_code == 409
    add(world, browser, base)
    page = browser.get(f"{base}/passkeys").text
    found = re.search(rf'href="({base}/passkeys/pky_[0-9a-f]+)"', page)
    assert found is not None
    confirm = browser.get(found[1])
    assert "My phone" in confirm.text
    assert browser.get(f"{base}/passkeys/pky_0").status_code == 404
    removed = browser.post(found[1], confirm.text)
    assert "It was removed." in removed.text
    assert found[1] not in removed.text
    assert [one["reason"] for one in world.events("factor:removed")][-1] == "passkey"


def test_a_recovery_code_opens_and_sets_up_anew_and_ends_what_was_lost(world: World) -> None:
    mail = world.send("per3@mail.example")
    address = "per3@mail.example"
    browser, base = world.sign_in(mail, address), plain(mail, address)
    device = add(world, browser, base)
    shown = browser.post(f"{base}/recovery-codes", browser.get(f"{base}/passkeys").text)
    made = codes(shown.text)
    assert len(set(made)) == 10
    assert browser.get(f"{base}/lost").status_code == 200
    assert browser.post(f"{base}/lost", browser.get(f"{base}/lost").text).status_code == 409
    finder, path = world.browser(), f"/m/{mail.token(address)}"
    page = finder.get(f"{path}/code?card=1").text
    answer = finder.post(f"{path}/verify", page, code=made[0].lower())
    assert (answer.status_code, answer.headers["location"]) == (303, base)
    assert 'data-action="recover"' in finder.get(base).text
    fresh = add(world, finder, base)
    done = finder.post(f"{base}/lost", finder.get(f"{base}/lost").text)
    assert "The old ones have ended" in done.text
    assert browser.get(f"{base}/passkeys").status_code == 401
    assert opens(world.browser(), path, device).status_code == 422
    assert opens(world.browser(), path, fresh).status_code == 303
    assert [one["reason"] for one in world.events("factor:removed")][-1] == "lost"
    again = world.browser()
    page = again.get(f"{path}/code?card=1").text
    assert "note=used" in again.post(f"{path}/verify", page, code=made[0]).headers["location"]


@pytest.mark.parametrize("prf", ["", "short", "!" * 43])
def test_what_the_extension_gave_is_32_bytes_or_nothing(world: World, prf: str) -> None:
    assert prf_of(cast("Call", SimpleNamespace(form={"prf": prf}))) is None
    assert len(prf_of(cast("Call", SimpleNamespace(form={"prf": PRF}))) or b"") == 32


def test_added_with_a_code_used_with_the_password_and_kept_without_one(world: World) -> None:
    world.member("pia@clinic.test", "staff")
    browser = world.staff_browser("pia@clinic.test")
    assert "You have no passkey yet." in browser.get("/staff/passkeys").text
    page = browser.get("/staff/passkeys/new")
    assert page.headers["content-security-policy"] == PASSKEY_CSP
    device = Authenticator(world.base)
    made = json.dumps(device.make(asked(page.text)["challenge"]))
    form = {"ticket": ticket(page.text), "answer": made, "called": "Front desk"}
    refused = browser.post("/staff/passkeys/new", page.text, code="", **form)
    assert (refused.status_code, "is not right" in refused.text) == (422, True)
    added = browser.post("/staff/passkeys/new", page.text, code=world.staff["pia@clinic.test"].code(), **form)
    assert (added.status_code, "Front desk" in added.text) == (200, True)
    assert added.headers["content-security-policy"] == PAGE_CSP

    fresh = world.browser()
    page = fresh.get("/staff/sign-in/passkey")
    said = asked(page.text)
    assert (said["credentials"], said["user"], said["prf"]) == ("", "", "")
    answer = {"ticket": ticket(page.text), "answer": json.dumps(device.use(said["challenge"]))}
    wrong = fresh.post("/staff/sign-in/passkey", page.text, address="pia@clinic.test", password="wrong one", **answer)
    assert (wrong.status_code, "is not right" in wrong.text) == (403, True)
    answer = {"ticket": ticket(wrong.text), "answer": json.dumps(device.use(asked(wrong.text)["challenge"]))}
    signed = fresh.post("/staff/sign-in/passkey", wrong.text, address="pia@clinic.test", password=PASSWORD, **answer)
    assert (signed.status_code, signed.headers.get("location")) == (303, "/staff")
    assert fresh.get("/staff").status_code == 200
    user = world.staff["pia@clinic.test"].user
    (started,) = [one for one in world.events("session:started", user) if one["reason"] == "password+passkey"]
    assert started["proof"] == 3

    listed = fresh.get("/staff/passkeys").text
    assert "Last used" in listed
    found = re.search(r'href="(/staff/passkeys/pky_[0-9a-f]+)"', listed)
    assert found is not None
    confirm = fresh.get(found[1]).text
    assert fresh.post(found[1], confirm, code="000000").status_code == 422  # a right one: in the keyholder's tests
    assert world.staff_browser().get(found[1]).status_code == 404, "somebody else's is none of theirs"
    reasons = [(one["action"], one["reason"]) for one in world.events(about=user)]
    assert ("factor:enrolled", "passkey") in reasons
    assert ("code:refused", "wrong") in reasons
