"""Story 22: fifty visits of mail filters, a Chromium that presses every button among them, open nothing."""

from __future__ import annotations

import re

import pytest

from gateway.demo import browser, mails
from gateway.demo.clinic import PEOPLE, Clinic
from gateway.demo.visitor import Visitor
from tests.support import needs
from tests.support.patient import Patient

pytestmark = [pytest.mark.full, pytest.mark.browser]
AGENTS = (
    "Mozilla/5.0 (compatible; SafeLinks preview)", "Barracuda Sentinel", "curl/8.5", "proofpoint-urldefense/2",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0 Safari/537.36",
)  # fmt: skip


def test_fifty_scanner_visits_open_nothing_and_are_listed_as_automated(clinic: Clinic) -> None:
    if needs.chromium() is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    mails.submit(clinic, mails.lab_report(), implicit_tls=False)
    link = clinic.sink.wait_for(mails.MARGUERITE)[0].link
    assert link is not None
    patient = Patient(clinic, link, PEOPLE[0][2])
    texts, visits = len(clinic.texts()), 0
    for number in range(40):  # within seconds of delivery, as filters come
        robot = Visitor(AGENTS[number % len(AGENTS)])
        if number % 4 == 0:
            assert robot.get(link, method="HEAD").status == 200
        elif number % 4 == 1:
            assert robot.get(link).status == 200
        elif number % 4 == 2:
            page = robot.get(link)
            answer = robot.submit(page, "/code", last4="")  # the form as it stands, without what only the person knows
            assert answer.status in (200, 422)
        else:
            page = robot.get(f"{link}/code")
            answer = robot.submit(page, "/verify", code="")
            assert answer.status in (200, 422)
        visits += 1
    pressed, pages = browser.press_everything(str(needs.chromium()), link)
    visits += pressed
    assert visits >= 50
    assert pages > 1  # it went beyond the first page, by pressing
    assert len(clinic.texts()) == texts  # no text message was caused
    about = clinic.search(f"object:{patient.grant}")
    kinds = [one["reason"] for one in about if one["action"] == "link:visited"]
    assert len(kinds) >= 50
    assert kinds.count("scanner-likely") >= 40
    assert not {one["action"] for one in about} & {"session:started", "code:asked", "code:refused"}
    assert clinic.search("action:object:opened") == []
    staff = Visitor("Mozilla/5.0 (Amy)")
    form = staff.get(f"{clinic.portal}/staff/sign-in")
    amy = clinic.amy
    sent = staff.submit(form, "/sign-in", address=amy.address, password=amy.password, code=amy.code())
    assert re.search(r'data-state="(?:scanned|visited)"', sent.text), "a visit is not an opening"
    assert "Opened" not in sent.text
    message = re.search(r'href="/staff/messages/(msg_\w+)"', sent.text)
    assert message is not None
    assert "looks like a mail filter" in staff.get(f"{clinic.portal}/staff/messages/{message[1]}").text
    opened = patient.open()  # the link is as good as before: all five tries, all texts
    assert opened.status == 200
    assert patient.files(opened)
