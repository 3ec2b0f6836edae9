"""Staff passkeys on the portal: added with a fresh code, used beside the password, taken away with a fresh code."""

from __future__ import annotations

import json
import re

from gateway.portal.headers import PAGE_CSP, PASSKEY_CSP
from tests.support.authenticator import Authenticator
from tests.support.keyholder import PASSWORD
from tests.unit.portal.test_passkeys import asked, ticket
from tests.unit.portal.world import World


def test_added_with_a_code_used_with_the_password_and_removed_with_a_code(world: World) -> None:
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
    assert fresh.post(found[1], confirm, code="000000").status_code == 422
    assert world.staff_browser().get(found[1]).status_code == 404, "somebody else's is none of theirs"
    removed = fresh.post(found[1], confirm, code=world.staff["pia@clinic.test"].code())
    assert "You have no passkey yet." in removed.text
    reasons = [(one["action"], one["reason"]) for one in world.events(about=user)]
    assert ("factor:enrolled", "passkey") in reasons
    assert ("factor:removed", "passkey") in reasons
