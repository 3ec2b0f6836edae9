"""Story 1: a lab report submitted over authenticated STARTTLS leaves as its text and a personal link, without a byte of
the file.
"""

from __future__ import annotations

import re
import smtplib

import pytest

from gateway.demo import documents, leaks, mails
from gateway.demo.clinic import Clinic
from gateway.demo.sink import Received
from gateway.demo.visitor import Visitor

pytestmark = pytest.mark.full
WORDS = (documents.PATIENT, documents.BORN, documents.MRN, mails.LAB_FILE)
"""Name, date of birth, record number, and the file's own name."""


def test_a_lab_report_leaves_as_its_text_and_a_personal_link(shared: Clinic) -> None:
    sent = {
        one: mails.submit(shared, mails.lab_report(one), implicit_tls=False)
        for one in ("story1@outside.test", "story1b@outside.test")
    }
    copy, other = (shared.sink.wait_for(one)[0] for one in sent)
    assert "please find the results attached" in copy.text
    assert copy.attachments == 0
    assert copy.link is not None
    assert re.fullmatch(rf"{re.escape(shared.portal)}/m/[0-9A-Za-z]{{34}}", copy.link)
    assert other.link is not None
    assert other.link[-34:-22] != copy.link[-34:-22], "another person's link names another grant"
    assert leaks.words_in(copy, WORDS) == []
    assert leaks.bytes_in(copy, documents.lab_report()) == 0
    whole = Received(shared.amy.address, ("story1@outside.test",), sent["story1@outside.test"])
    assert leaks.words_in(whole, [mails.LAB_FILE]) == [mails.LAB_FILE], "the twin: the same search finds it"
    assert leaks.bytes_in(whole, documents.lab_report()) > 500
    page = Visitor("Mozilla/5.0 (story 1)").get(copy.link)
    assert page.status == 200
    assert "Riverside Clinic" in page.text
    assert not [word for word in WORDS if word in page.text]


def test_without_starttls_there_is_no_sign_in_and_without_sign_in_no_mail(shared: Clinic) -> None:
    with smtplib.SMTP("localhost", shared.submission_port, timeout=60) as server:
        server.ehlo()
        assert not server.has_extn("auth")
        code, _ = server.docmd("MAIL", f"FROM:<{shared.amy.address}>")
        assert code == 530
