"""Story 26: a forwarded link, tried by another person, is refused with a neutral page and the sender is told once."""

from __future__ import annotations

import pytest

from gateway.demo import mails
from gateway.demo.clinic import PEOPLE, PHONE, Clinic
from gateway.demo.visitor import Visitor
from tests.support.patient import FILES, Patient
from tests.support.spool import eventually

pytestmark = pytest.mark.full
TOMAS = PEOPLE[1][0]


def knocked(clinic: Clinic) -> list[str]:
    """The notices about it that Amy has, as text."""
    return [
        one.text for one in clinic.sink.mails
        if clinic.amy.address in one.recipients and "could not open" in str(one.parsed["Subject"])
    ]  # fmt: skip


def wrong(clinic: Clinic, link: str, *digits: str) -> None:
    """Somebody with the link and without the phone tries."""
    other = Visitor("Mozilla/5.0 (a friend)")
    for four in digits:
        page = other.submit(other.get(link), "/code", last4=four)
        assert not FILES.search(page.text)
        assert PHONE in page.text
        assert not [name for _, name, *_ in PEOPLE if name in page.text]


def sealed(clinic: Clinic, to: str = mails.MARGUERITE) -> str:
    """The link of a fresh lab report."""
    before = len(clinic.sink.wait_for(to, 0))
    mails.submit(clinic, mails.lab_report(to), implicit_tls=False)
    link = clinic.sink.wait_for(to, before + 1)[-1].link
    assert link is not None
    return link


def test_another_person_with_the_link_is_refused_and_the_sender_told_once_a_day(clinic: Clinic) -> None:
    link = sealed(clinic)
    patient = Patient(clinic, link, PEOPLE[0][2])
    wrong(clinic, link, "1111", "2222", "3333", "4444")
    notice = clinic.sink.wait_for(clinic.amy.address)[-1]
    (told,) = knocked(clinic)
    assert mails.MARGUERITE in told
    assert notice.mail_from == ""
    assert notice.parsed["Auto-Submitted"] == "auto-generated"
    assert mails.LAB_FILE not in notice.everything().decode("latin-1")
    entries = clinic.search(f"object:{patient.grant} action:code:refused")
    assert {one["outcome"] for one in entries} == {"refused"}
    assert {one["reason"] for one in entries} == {"last-four"}
    opened = patient.open()  # the right person is not kept out: the fifth try was left
    assert opened.status == 200
    assert FILES.search(opened.text)


def test_nobody_is_told_of_two_wrong_tries_or_of_a_link_that_is_none(clinic: Clinic) -> None:
    """Tellings go in the order of what they are about: when that of the last link has come, any other would have."""
    twice, thrice = sealed(clinic, TOMAS), sealed(clinic, TOMAS)
    before = len(knocked(clinic))
    page = Visitor().get(f"{clinic.portal}/m/{'0' * 12}{'1' * 22}")
    assert page.status == 404
    assert PHONE in page.text
    wrong(clinic, twice, "1111", "2222")
    wrong(clinic, thrice, "1111", "2222", "3333")
    eventually(lambda: len(knocked(clinic)) > before)
    assert len(knocked(clinic)) == before + 1
