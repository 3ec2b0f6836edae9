"""Story 26: a forwarded link, tried by another person, is refused with a neutral page and the sender is told once."""

from __future__ import annotations

import pytest

from gateway.demo import mails
from gateway.demo.clinic import PEOPLE, PHONE, Clinic
from gateway.demo.visitor import Visitor
from tests.support.patient import FILES, Patient

pytestmark = pytest.mark.full


def knocked(clinic: Clinic) -> list[str]:
    """The notices about it that Amy has, as text."""
    return [
        one.text for one in clinic.sink.mails
        if clinic.amy.address in one.recipients and "could not open" in str(one.parsed["Subject"])
    ]  # fmt: skip


def test_another_person_with_the_link_is_refused_and_the_sender_told_once_a_day(clinic: Clinic) -> None:
    mails.submit(clinic, mails.lab_report(), implicit_tls=False)
    link = clinic.sink.wait_for(mails.MARGUERITE)[0].link
    assert link is not None
    patient, other = Patient(clinic, link, PEOPLE[0][2]), Visitor("Mozilla/5.0 (a friend)")
    for number, wrong in enumerate(("1111", "2222", "3333", "4444")):
        page = other.submit(other.get(link), "/code", last4=wrong)
        assert not FILES.search(page.text)
        assert PHONE in page.text
        assert PEOPLE[0][1] not in page.text
        if number < 2:
            assert knocked(clinic) == []
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
    assert len(knocked(clinic)) == 1


def test_a_link_that_is_none_gets_one_page_and_nobody_is_told(clinic: Clinic) -> None:
    before = len(knocked(clinic))
    page = Visitor().get(f"{clinic.portal}/m/{'0' * 12}{'1' * 22}")
    assert page.status == 404
    assert PHONE in page.text
    assert len(knocked(clinic)) == before
