"""Story 15: an automatic answer and a bounce to a notice make no loop; the bounce reaches the sender and the log.

What comes from the recipient's side comes from another address of this machine, which is no network of the clinic.
"""

from __future__ import annotations

import json
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import pytest

from gateway.control import ask
from gateway.demo import mails
from gateway.demo.clinic import DOMAIN
from gateway.demo.sink import Received
from gateway.settings import load
from tests.support.faulty import Faulty, eventually
from tests.support.load import PATIENCE

pytestmark = pytest.mark.full
PATIENT = "Gone.Away@patient.test"
OUTSIDE = ("127.0.0.2", 0)
PHI = (
    "Patient Marguerite Oyelaran, MRN 00482915, DOB 03/04/1961. Diagnosis: hypertension. Start lisinopril 10 mg daily."
)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    environ = {
        "SEALGATE_PORTAL__RETURN_PATH": "true",
        "SEALGATE_PORTAL__POSTMASTER": f"max@{DOMAIN}",
        "SEALGATE_SMTP__TRUSTED_NETWORKS": "127.0.0.1",
    }
    found = Faulty(tmp_path_factory.mktemp("returns") / "c", environ=environ)
    try:
        found.start()
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="module")
def notice(clinic: Faulty) -> Received:
    """What the recipient's mail system gets of a letter to somebody who is not there any more."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = f"Amy <amy@{DOMAIN}>", PATIENT, "a word"
    mail["Message-ID"] = f"<story.15@{DOMAIN}>"
    mail.set_content(PHI)
    mails.send(clinic, mail)
    (found,) = clinic.sink.wait_for(PATIENT, seconds=PATIENCE)
    assert found.link is not None
    return found


def outside(clinic: Faulty, sender: str, recipient: str, data: bytes = b"") -> int:
    """Hand in a mail from outside; the code of the last answer."""
    with smtplib.SMTP("127.0.0.1", clinic.smtp_port, timeout=PATIENCE, source_address=OUTSIDE) as client:
        client.ehlo("mx.patient.test")
        for word in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>"):
            code, _ = client.docmd(word)
            if code != 250:
                return code
        return client.data(data)[0]


def answer(more: str = "Auto-Submitted: auto-replied\r\n") -> bytes:
    return f"From: {PATIENT}\r\nSubject: I am away\r\n{more}\r\nI am away until Monday.\r\n".encode()


def report(action: str = "failed", status: str = "5.1.1") -> bytes:
    """A report as the recipient's mail system makes one, with more of its own words than anybody needs."""
    return (
        "From: MAILER-DAEMON@patient.test\r\nSubject: Undelivered\r\nAuto-Submitted: auto-replied\r\n"
        "MIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nmarked-foreign-words\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.patient.test\r\n\r\n"
        f"Final-Recipient: rfc822; {PATIENT}\r\nAction: {action}\r\nStatus: {status}\r\n"
        "Diagnostic-Code: smtp; 550 marked-foreign-words\r\n\r\n--b--\r\n"
    ).encode()


def logged(clinic: Faulty, action: str) -> list[dict[str, Any]]:
    """The entries of that action, oldest first."""
    with clinic.sql() as conn:
        rows = conn.execute("SELECT entry FROM log_leaves WHERE action = ? ORDER BY idx", (action,)).fetchall()
    return [json.loads(entry) for (entry,) in rows]


def received(clinic: Faulty, count: int) -> list[str]:
    """What the log says of mail that came back, once there is so much of it."""
    eventually(lambda: len(logged(clinic, "bounce:received")) >= count)
    return sorted(one["reason"] for one in logged(clinic, "bounce:received"))


def test_a_notice_has_a_return_path_of_its_own_and_what_passes_keeps_its_senders(
    clinic: Faulty, notice: Received
) -> None:
    local, _, host = notice.mail_from.partition("@")
    assert (local[:2], host) == ("r.", "localhost")
    assert len(local) <= 64
    mails.send(clinic, mails.newsletter())
    assert clinic.sink.wait_for("neighbour@village.test", seconds=PATIENCE)[0].mail_from == clinic.amy.address


def test_answers_and_bounces_make_no_loop_and_the_bounce_reaches_the_sender_and_the_log(
    clinic: Faulty, notice: Received
) -> None:
    path = notice.mail_from
    before = len(clinic.sink.mails)
    assert outside(clinic, "", path, answer()) == 250
    assert outside(clinic, "", path, answer("")) == 250  # a program that does not say that it is one
    assert outside(clinic, "", path, report("delayed", "4.4.1")) == 250
    assert received(clinic, 3) == ["auto-reply", "delayed 4.4.1", "unreadable"]
    (odd,) = clinic.sink.wait_for(clinic.amy.address, seconds=PATIENCE)
    assert odd.header("Subject") == "Your message may not have arrived"
    assert "I am away" not in odd.text
    assert len(clinic.sink.mails) == before + 1, "nobody is answered, and nothing is forwarded"
    assert outside(clinic, "", path.upper(), report()) == 250  # some mail systems change the case
    told = clinic.sink.wait_for(clinic.amy.address, 2, seconds=PATIENCE)[1]
    assert told.mail_from == ""
    assert f"Final-Recipient: rfc822; {PATIENT}" in told.data.decode()
    assert "Status: 5.1.1" in told.data.decode()
    assert b"marked-foreign-words" not in told.data
    (bounced,) = logged(clinic, "message:bounced")
    assert bounced["reason"] == "5.1.1 late"
    assert outside(clinic, "", path, report()) == 250  # the same again, as from a second server
    assert received(clinic, 5).count("failed 5.1.1") == 2
    socket = load(clinic.config, {}).worker_directory / "control.sock"
    eventually(lambda: ask(socket, "queue.list", {}) == [], PATIENCE)
    assert len(clinic.sink.mails) == before + 2
    entries = logged(clinic, "message:secured")
    (shown,) = [
        one
        for one in ask(socket, "queue.show", {"id": entries[-1]["object"]})["deliveries"]
        if one["treatment"] == "secure"
    ]
    assert (shown["state"], shown["status"], shown["why"]) == ("bounced", "5.1.1", "late")


def test_from_outside_nothing_but_a_report_to_a_return_path_is_taken(clinic: Faulty, notice: Received) -> None:
    path = notice.mail_from
    before = len(clinic.sink.mails)
    assert outside(clinic, PATIENT, path, answer()) == 550
    assert outside(clinic, f"amy@{DOMAIN}", "friend@friend.test") == 550
    for other in (f"postmaster@{DOMAIN}", f"amy@{DOMAIN}", "friend@friend.test", path.replace("localhost", DOMAIN)):
        assert outside(clinic, "", other) == 550, other
    made_up = path[:5] + ("a" if path[5] != "a" else "b") + path[6:]
    known = len(logged(clinic, "bounce:received"))
    assert outside(clinic, "", made_up, report()) == 250
    assert "unknown" in received(clinic, known + 1)
    assert len(clinic.sink.mails) == before
    assert len(logged(clinic, "message:bounced")) == 1


def test_anybody_may_write_to_postmaster_and_nothing_is_sent_back(clinic: Faulty) -> None:
    """RFC 5321 4.5.1. What it says orders nothing, and its envelope sender is not believed."""
    letter = b"From: x@else.test\r\nSubject: [secure] your mail\r\nMessage-ID: <p%d@else.test>\r\n\r\nYou bounce.\r\n"
    before = len(clinic.sink.mails)
    for number, address in enumerate(("Postmaster@LocalHost", "postmaster")):
        assert outside(clinic, "x@else.test", address, letter % number) == 250
    found = clinic.sink.wait_for(f"max@{DOMAIN}", 2, seconds=PATIENCE)
    assert {(mail.mail_from, mail.header("Subject")) for mail in found} == {("", "[secure] your mail")}
    assert all(mail.text.strip() == "You bounce." for mail in found)
    forged = f"From: The director <amy@{DOMAIN}>\r\nMessage-ID: <f@else.test>\r\n\r\nPay this.\r\n"
    assert outside(clinic, "x@else.test", "postmaster@localhost", forged.encode()) == 250
    eventually(lambda: "own-name" in {one["reason"] for one in logged(clinic, "message:returned")})
    phi = f"From: x@else.test\r\nMessage-ID: <q@else.test>\r\n\r\n{PHI}"
    assert outside(clinic, "x@else.test", "postmaster@localhost", phi.encode()) == 250
    clinic.sink.wait_for(f"max@{DOMAIN}", 3, seconds=PATIENCE)
    assert len(clinic.sink.mails) == before + 3


def test_no_word_of_what_came_back_is_kept_anywhere(clinic: Faulty, notice: Received) -> None:
    files = [path for path in clinic.data.rglob("*") if path.is_file()]
    assert not [path.name for path in files if b"marked-foreign-words" in path.read_bytes()]
    assert PATIENT not in (clinic.data / "gateway.log").read_text()
