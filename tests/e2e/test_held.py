"""Held mail from end to end: told to the sender, released or dropped by an officer at the command line, in the log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from gateway.demo import mails
from gateway.demo.clinic import DOMAIN, Clinic, Member
from tests.e2e.conftest import running
from tests.support.archives import locked_zip

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    yield from running(tmp_path_factory.mktemp("held"), "strict")


@pytest.fixture(scope="module")
def officers(strict: Clinic) -> Iterator[Member]:
    """One after the other: the third code of one person in a row would have to be waited for."""
    more = [Member(f"officer{number}@{DOMAIN}", "officer", f"Officer {number}") for number in range(3)]
    for member in more:
        strict._join(member)
    return iter([strict.olga, *more])


def held(clinic: Clinic, recipient: str) -> str:
    mail = mails.newsletter()
    mail.replace_header("To", recipient)
    mail.add_attachment(locked_zip(), maintype="application", subtype="zip", filename="secret-name.zip")
    before = len([one for one in clinic.sink.mails if clinic.amy.address in one.recipients])
    mails.submit(clinic, mail, implicit_tls=False)
    notice = clinic.sink.wait_for(clinic.amy.address, before + 1)[-1]
    assert notice.mail_from == ""
    assert notice.parsed["Auto-Submitted"] == "auto-generated"
    assert notice.parsed["Sealgate-Checkpoint"].startswith("v1; localhost/log/tnt_")
    assert "held" in notice.parsed["Subject"]
    assert recipient in notice.text
    assert "attachment 1" in notice.text
    assert b"secret-name" not in notice.everything()
    assert b"parking lot" not in notice.everything()
    rows = json.loads(clinic.command("queue", "list", "--json"))
    return next(str(row["id"]) for row in rows if row["state"] == "held")


def decide(clinic: Clinic, who: Member, act: str, message: str, *more: str, password: str = "", status: int = 0) -> str:
    return clinic.command(
        "queue", act, message, "--as", who.address, "--json", *more,
        stdin=f"{password or who.password}\n{who.code()}\n", status=status,
    )  # fmt: skip


def test_officer_releases_held_mail_as_a_secure_message(strict: Clinic, officers: Iterator[Member]) -> None:
    message = held(strict, "release@outside.test")
    olga = next(officers)
    answer = json.loads(decide(strict, olga, "release", message, "--reason", "asked for by phone"))
    copy = strict.sink.wait_for("release@outside.test", seconds=60)[0]
    assert copy.link is not None
    assert locked_zip()[:40] not in copy.everything()
    assert re.search(rb"parking lot", copy.everything()) is None
    (released,) = strict.search("action:message:released", f"object:{message}")
    (accepted,) = strict.search("action:message:accepted", f"object:{message}")
    assert released["actor"]["kind"] == accepted["actor"]["kind"] == "user"
    assert released["actor"]["id"] != accepted["actor"]["id"]
    assert answer["released_as"].startswith("msg_")
    decide(strict, olga, "release", message, status=65)  # it is held no more


def test_officer_releases_held_mail_as_it_came(strict: Clinic, officers: Iterator[Member]) -> None:
    message = held(strict, "asis@outside.test")
    decide(strict, next(officers), "release", message, "--as-is")
    copy = strict.sink.wait_for("asis@outside.test", seconds=60)[0]
    assert locked_zip() in copy.everything()
    assert copy.link is None


def test_dropped_mail_comes_back_as_a_dsn_and_never_leaves(strict: Clinic, officers: Iterator[Member]) -> None:
    message = held(strict, "drop@outside.test")
    before = len([one for one in strict.sink.mails if strict.amy.address in one.recipients])
    decide(strict, next(officers), "drop", message)
    dsn = strict.sink.wait_for(strict.amy.address, before + 1)[-1]
    assert dsn.parsed.get_content_type() == "multipart/report"
    assert b"Final-Recipient: rfc822; drop@outside.test" in dsn.everything()
    assert not [one for one in strict.sink.mails if "drop@outside.test" in one.recipients]
    assert strict.search("action:message:dropped", f"object:{message}")


def test_staff_and_wrong_proofs_release_nothing(strict: Clinic, officers: Iterator[Member]) -> None:
    message = held(strict, "refused@outside.test")
    olga = next(officers)
    decide(strict, strict.amy, "release", message, status=65)
    decide(strict, olga, "release", message, password=f"{olga.password}x", status=65)
    assert not [one for one in strict.sink.mails if "refused@outside.test" in one.recipients]
    assert len(strict.search("action:session:refused", f"object:{message}")) == 2


def test_changed_settings_wait_once_an_officer_signed_in(strict: Clinic) -> None:
    text = strict.config.read_text()
    strict.stop_gateway()
    changed = text.replace('file = "strict"', 'file = "observe"').replace("0100", "0999")
    changed, count = re.subn(r'smarthost = "[^"]*"', 'smarthost = "127.0.0.1:9"', changed)
    assert count == 1
    strict.config.write_text(changed)
    strict.serve()
    try:
        mail = mails.lab_report("after@patient.test")
        mails.submit(strict, mail, implicit_tls=True)
        assert strict.sink.wait_for("after@patient.test")[0].link is not None, (
            "the signed policy and the signed smarthost are in force"
        )
        assert "settings of 'riverside' changed" in (strict.data / "gateway.log").read_text()
    finally:
        strict.config.write_text(text)
