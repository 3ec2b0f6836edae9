"""The courier against Debian's Postfix: what a real smarthost takes, and how it stores it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from gateway.courier import Bounced, Deferred, Delivered, Recipient, SmtpCourier
from tests.support.ends import BARE, CLEAN
from tests.support.postfix import Postfix
from tests.support.wire import Wire
from tests.unit.courier.conftest import outbound

pytestmark = [pytest.mark.full, pytest.mark.postfix, pytest.mark.root]
CONTENT = b"Subject: hello\r\nFrom: a@clinic.example\r\n\r\n.first\r\n\r\n" + b"x" * 900 + b"\r\n..\r\nlast\r\n"


def test_postfix_takes_the_message_over_verified_tls_and_stores_it_unchanged(
    courier_to: Callable[..., SmtpCourier], authority: trustme.CA, ca_file: Path, tmp_path: Path
) -> None:
    own = authority.issue_cert("127.0.0.1")
    own.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    with Postfix(certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem") as postfix:
        courier = courier_to(postfix, tls="verified", ca_file=ca_file)
        assert {"PIPELINING", "DSN", "SMTPUTF8", "8BITMIME", "CHUNKING"} <= courier.extensions()
        people = (
            Recipient("a@b.example", (("NOTIFY", "NEVER"), ("ORCPT", "rfc822;a@b.example"))),
            Recipient("550@b.example"),
            Recipient("temperror@b.example"),
        )
        for _ in range(2):  # the second goes over the same connection
            found = courier.deliver(outbound(*people, content=CONTENT, mail_params=(("RET", "HDRS"), ("ENVID", "x1"))))
            assert isinstance(found[0].outcome, Delivered)
            assert found[0].outcome.evidence.verified
            assert found[1].outcome == Bounced("5.1.1", "address", 550)
            assert found[2].outcome == Deferred("4.3.0", "system", 451)
        mails = postfix.wait(2)
        assert [mail.content for mail in mails] == [CONTENT, CONTENT]
        assert [mail.recipient for mail in mails] == ["a@b.example"] * 2
        assert postfix.log().count(": connect from") - 1 == 1  # one was the harness looking for the greeting


def test_of_every_way_to_write_an_end_postfix_stores_one_mail(courier_to: Callable[..., SmtpCourier]) -> None:
    """What the door makes of them (`bare_newlines = "normalize"`), to a Postfix that takes bare line feeds for ends."""
    door, variants = Wire(normalize=True), {**BARE, **CLEAN}
    hello = b"EHLO a.test\r\nMAIL FROM:<a@clinic.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\nSubject: one\r\n\r\nx"
    second = b"MAIL FROM:<c@clinic.test>\r\nRCPT TO:<d@b.example>\r\nDATA\r\nSubject: two\r\n\r\ny\r\n.\r\nQUIT\r\n"
    with Postfix(more="smtpd_forbid_bare_newline = no\n") as postfix:
        courier = courier_to(postfix)
        for number, end in enumerate(variants.values()):
            _, (content,) = door.talk([hello + end + second])
            (found,) = courier.deliver(outbound(f"r{number}@b.example", content=content))
            assert isinstance(found.outcome, Delivered)
        mails = postfix.wait(len(variants))
        assert sorted(mail.recipient for mail in mails) == sorted(f"r{n}@b.example" for n in range(len(variants)))
        assert all(mail.stored.count(b"Subject: one") == mail.stored.count(b"Subject: two") == 1 for mail in mails)
    door.close()
