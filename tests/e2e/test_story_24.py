"""Story 24: a first-time patient opens with a text code, a code from staff or a card, and is offered an app after."""

from __future__ import annotations

import html
import re

import pytest

from gateway.demo import mails
from gateway.demo.clinic import DOMAIN, PEOPLE, Clinic
from gateway.demo.visitor import Page, Visitor
from tests.support.patient import FILES, Patient

pytestmark = pytest.mark.full
CODE = re.compile(r'data-part="staff-code">(\d{4} \d{4})<')
CARD = re.compile(r'data-part="card-code">([A-Z ]{14})<')


@pytest.fixture(scope="module")
def staff(clinic: Clinic) -> Visitor:
    """Amy at her browser."""
    found = Visitor("Mozilla/5.0 (Amy)")
    form = found.get(f"{clinic.portal}/staff/sign-in")
    amy = clinic.amy
    page = found.submit(form, "/sign-in", address=amy.address, password=amy.password, code=amy.code())
    assert page.status == 200
    return found


def sent(clinic: Clinic, recipient: str) -> Patient:
    """A lab report to somebody who never opened one; nobody knows a number of theirs unless it was imported."""
    before = len([one for one in clinic.sink.mails if recipient in one.recipients])
    mails.submit(clinic, mails.lab_report(recipient), implicit_tls=False)
    link = clinic.sink.wait_for(recipient, before + 1)[-1].link
    assert link is not None
    return Patient(clinic, link, PEOPLE[0][2])


def typed(patient: Patient, code: str) -> Page:
    """Follow the link, choose to type a code, type it."""
    patient.knock()
    return patient.browser.submit(patient.browser.get(f"{patient.link}/code?card=1"), "/verify", code=code)


def reads(page: Page) -> None:
    """The message is open, and only now an app is offered."""
    assert page.status == 200
    assert FILES.search(page.text)
    assert 'data-action="start-app"' in page.text or "/app" in page.text


def shown(clinic: Clinic, staff: Visitor, patient: Patient, way: str) -> str:
    """The code or the card that staff give to that person."""
    page = staff.get(f"{clinic.portal}/staff/help/{patient.grant}")
    hidden = page.form(f"/help/{patient.grant}")
    path = f"{clinic.portal}/staff/help/{patient.grant}{'/card' if way == 'card' else ''}"
    answer = staff.post(path, {"csrf": hidden["csrf"], "sure": "here" if way == "card" else "called"})
    found = (CARD if way == "card" else CODE).search(answer.text)
    assert found is not None, html.unescape(answer.text)[:600]
    return found[1]


def test_a_text_code_to_the_number_the_clinic_had(clinic: Clinic) -> None:
    patient = sent(clinic, mails.MARGUERITE)
    assert "/app" not in patient.knock().text  # never offered before reading
    reads(patient.open())
    assert clinic.search(f"object:{patient.grant} action:session:started")[0]["reason"] == "text"


@pytest.mark.parametrize("way", ["staff", "card"])
def test_without_a_number_staff_let_the_person_in_once(clinic: Clinic, staff: Visitor, way: str) -> None:
    patient = sent(clinic, f"{way}@patient.test")
    assert 'name="last4"' not in patient.knock().text
    code = shown(clinic, staff, patient, way)
    assert code not in "".join(mail.data.decode("latin-1") for mail in clinic.sink.mails)  # on a page, never in a mail
    reads(typed(patient, code.lower()))
    assert clinic.search(f"object:{patient.grant} action:session:started")[0]["reason"] == way
    heard = len([one for one in clinic.sink.mails if clinic.amy.address in one.recipients])
    thief = Patient(clinic, patient.link, patient.phone)
    assert typed(thief, code).status == 409  # a second redeemer: refused, told so, and the message is on hold
    assert patient.browser.get(patient.plain).status in (410, 423)
    (told,) = [
        one for one in clinic.sink.wait_for(clinic.amy.address, heard + 1) if "on hold" in str(one.parsed["Subject"])
        and f"{way}@patient.test" in one.text
    ]  # fmt: skip
    assert told.parsed["Message-ID"].startswith("<ntc.")


def test_what_the_mail_holds_releases_no_file(clinic: Clinic) -> None:
    """The link, the reference and the printed code are all in the mail; together they open nothing."""
    patient = sent(clinic, "mailonly@patient.test")
    mail = clinic.sink.wait_for("mailonly@patient.test")[-1]
    reference = re.search(r"reference number is (\d{3} \d{3})", mail.text)
    printed = re.search(r"this code: ([0-9A-Z-]{34})", " ".join(mail.text.split()))
    assert reference is not None
    assert printed is not None
    browser = Visitor()
    page = browser.submit(browser.get(f"{clinic.portal}/m"), "/m", reference=reference[1], printed=printed[1])
    assert page.status == 200
    assert not FILES.search(page.text)
    for code in (reference[1], printed[1], patient.link[-34:], "00000000"):
        answer = browser.submit(browser.get(f"{page.url.split('?')[0]}/code"), "/verify", code=code)
        assert answer.status != 200
        assert not FILES.search(answer.text)
    assert clinic.search(f"object:{patient.grant} action:session:started") == []
    assert [
        one
        for one in clinic.sink.mails
        if DOMAIN not in one.mail_from and re.search(r"\b\d{6,8}\b is your code", one.text)
    ] == []
