"""Story 12 as the sender meets it: the report on the page, and RECALL in answer to a notice, over SMTP."""

from __future__ import annotations

import re
import smtplib
from email.message import EmailMessage

import pytest

from gateway.demo import mails
from gateway.demo.clinic import DOMAIN, PEOPLE, Clinic
from gateway.demo.visitor import Visitor
from tests.support.patient import Patient

pytestmark = pytest.mark.full


def sent(clinic: Clinic) -> tuple[Patient, str]:
    """A lab report to Marguerite, and the id of its message."""
    before = len([one for one in clinic.sink.mails if mails.MARGUERITE in one.recipients])
    mails.submit(clinic, mails.lab_report(), implicit_tls=False)
    link = clinic.sink.wait_for(mails.MARGUERITE, before + 1)[-1].link
    assert link is not None
    return Patient(clinic, link, PEOPLE[0][2]), str(clinic.search("action:message:secured")[-1]["object"])


def answer(clinic: Clinic, notice: EmailMessage, sender: str) -> None:
    """A reply with RECALL in its first line, from the clinic's own network, quoting and copied to somebody."""
    mail = EmailMessage()
    mail["From"], mail["To"] = sender, f"postmaster@{DOMAIN}, boss@elsewhere.test"
    mail["Subject"] = f"Re: {notice['Subject']}"
    mail["In-Reply-To"] = mail["References"] = notice["Message-ID"]
    mail["Message-ID"] = f"<{id(mail)}@{DOMAIN}>"
    mail.set_content("RECALL\n\nThat was the wrong Marguerite Oyelaran, born 03/14/1948!\n")
    data = mail.as_bytes(policy=mail.policy.clone(linesep="\r\n"))
    with smtplib.SMTP("127.0.0.1", clinic.smtp_port, timeout=60) as server:
        server.sendmail(sender, ["postmaster@localhost", "boss@elsewhere.test"], data)


def test_recall_by_answer_takes_it_back_and_reports(clinic: Clinic) -> None:
    patient, message = sent(clinic)
    page = patient.open()
    address = next(iter(patient.files(page).values()))
    assert patient.browser.get(address, headers={"Range": "bytes=0-499"}).status == 206
    friend = Visitor("Mozilla/5.0 (a friend)")
    for wrong in ("1111", "2222", "3333"):
        friend.submit(friend.get(patient.link), "/code", last4=wrong)
    notice = clinic.sink.wait_for(clinic.amy.address)[-1].parsed
    answer(clinic, notice, f"mallory@{DOMAIN}")  # who did not send it takes nothing back
    refused = clinic.sink.wait_for(f"mallory@{DOMAIN}")[-1]
    assert refused.parsed["Subject"] == "No message was taken back"
    assert mails.MARGUERITE not in refused.text
    assert patient.browser.get(patient.plain).status == 200
    answer(clinic, notice, clinic.amy.address)
    report = clinic.sink.wait_for(clinic.amy.address, 2)[-1]
    assert report.parsed["Subject"] == "Your message was taken back"
    said = " ".join(report.text.split())
    assert "Links that stopped: 1." in said
    assert mails.MARGUERITE in said
    assert "after a text-message code" in said
    assert mails.LAB_FILE not in report.everything().decode("latin-1")
    assert patient.browser.get(patient.plain).status == 410
    assert Visitor().get(patient.link).status == 410
    assert [one for one in clinic.sink.mails if "boss@elsewhere.test" in one.recipients] == []
    assert all(b"the wrong Marguerite" not in one.everything() for one in clinic.sink.mails)
    recalled = [
        (one["outcome"], one["reason"], one["object"] == message) for one in clinic.search("action:message:recalled")
    ]
    assert recalled == [("refused", "another-notice", False), ("ok", "by-answer", True)]
    staff = Visitor("Mozilla/5.0 (Amy)")
    amy = clinic.amy
    form = staff.get(f"{clinic.portal}/staff/sign-in")
    staff.submit(form, "/sign-in", address=amy.address, password=amy.password, code=amy.code())
    shown = staff.get(f"{clinic.portal}/staff/messages/{message}/recalled").text
    rows = re.findall(r'<tr data-left="(\w+)">(.*?)</tr>', shown, re.DOTALL)
    assert [end for end, _ in rows] == ["part"], shown
    ((_, file),) = rows
    assert "attachment-1.pdf" in file  # the true name holds a name, and is the recipient's alone
    assert "500 bytes, a part" in file
    assert "a text-message code" in file
    assert mails.MARGUERITE in file
