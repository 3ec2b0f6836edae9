"""Postfix in front: it takes the clinic's mail, hands it to Sealgate by content_filter, and gets it back to deliver.

The lines of its configuration are those of `deploy/mail/postfix.md`, with other ports.
"""

from __future__ import annotations

import re
import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.demo import documents, mails
from gateway.demo.clinic import Clinic
from gateway.demo.ports import free_port
from tests.house.tree import ROOT
from tests.support.faulty import eventually
from tests.support.postfix import Mail, Postfix

pytestmark = [pytest.mark.full, pytest.mark.postfix, pytest.mark.root]
PAGE = ROOT / "deploy/mail/postfix.md"


def services(front: int, sealgate: int, back: int) -> str:
    """The lines of the page, at these ports."""
    found = "\n".join(re.findall(r"```master\.cf\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    for stands, wanted in (
        ("587 inet", f"127.0.0.1:{front} inet"),
        ("[127.0.0.1]:2525", f"[127.0.0.1]:{sealgate}"),
        ("127.0.0.1:10026", f"127.0.0.1:{back}"),
    ):
        assert stands in found
        found = found.replace(stands, wanted)
    return found


class Both:
    """Postfix and a clinic, each the other's neighbour."""

    def __init__(self, folder: Path) -> None:
        self.front, back = free_port(), free_port()
        self.clinic = Clinic(folder / "c", smarthost=f"127.0.0.1:{back}")
        lines = services(self.front, self.clinic.smtp_port, back)
        self.postfix = Postfix(services=lines, more="minimal_backoff_time = 1s\nmaximal_backoff_time = 2s\n")

    def submit(self, data: bytes, sender: str, *recipients: str) -> None:
        with smtplib.SMTP("127.0.0.1", self.front, timeout=60) as client:
            client.sendmail(sender, list(recipients), data)

    def arrived(self, recipient: str, count: int = 1) -> list[Mail]:
        """Mails for that address, once there are so many."""

        def found() -> list[Mail]:
            return [one for one in self.postfix.mails() if one.recipient == recipient]

        try:
            eventually(lambda: len(found()) >= count)
        except AssertionError:
            raise AssertionError(self.postfix.log()) from None
        return found()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    made = Both(tmp_path_factory.mktemp("filter"))
    with made.postfix:
        try:
            made.clinic.start()
            yield made
        finally:
            made.clinic.stop()


def letter(mark: str, more: bytes = b"") -> bytes:
    head = f"From: amy@riverside.test\r\nTo: x@friend.test\r\nSubject: lunch\r\nMessage-ID: <{mark}@riverside.test>\r\n"
    return head.encode() + b"\r\nOn the terrace, caf\xc3\xa9 at noon " + mark.encode() + b"\r\n" + more


def test_clean_mail_comes_back_as_it_was(both: Both) -> None:
    long_lines = b"y" * 3000 + b"\r\n.dot\r\n"
    data = letter("clean", long_lines)
    both.submit(data, "amy@riverside.test", "clean@friend.test")
    (mail,) = both.arrived("clean@friend.test")
    assert mail.stored.replace(b"\n", b"\r\n").endswith(data)
    assert b"Sealgate-Trace: " in mail.stored
    assert both.clinic.search("action:message:passed")


def test_mail_with_phi_comes_back_sealed(both: Both) -> None:
    both.submit(mails.lab_report("phi@patient.test").as_bytes(), "amy@riverside.test", "phi@patient.test")
    (mail,) = both.arrived("phi@patient.test")
    assert re.search(rb"https?://\S+/m/[0-9A-Za-z]{34}", mail.stored)
    assert documents.lab_report()[:30] not in mail.stored
    assert b"Oyelaran" not in mail.stored


def test_what_sealgate_refuses_postfix_returns(both: Both) -> None:
    both.submit(letter("foreign"), "someone@other.test", "foreign@friend.test")
    (returned,) = both.arrived("someone@other.test")
    assert b"550" in returned.stored
    assert not [one for one in both.postfix.mails() if one.recipient == "foreign@friend.test"]


def test_mail_waits_in_postfix_while_sealgate_is_down_and_comes_once(both: Both) -> None:
    both.clinic.stop_gateway()
    both.submit(letter("waits"), "amy@riverside.test", "waits@friend.test")
    eventually(lambda: "status=deferred" in both.postfix.log())
    assert not [one for one in both.postfix.mails() if one.recipient == "waits@friend.test"]
    both.clinic.serve()
    both.postfix.flush()
    assert len(both.arrived("waits@friend.test")) == 1
    both.submit(letter("after"), "amy@riverside.test", "after@friend.test")
    both.arrived("after@friend.test")
    assert len(both.arrived("waits@friend.test")) == 1
