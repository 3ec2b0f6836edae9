"""What a refused client leaves for its clinic's log: a note without an address, a few a minute."""

from __future__ import annotations

from pathlib import Path

from gateway.smtp.engine import NOTED_REFUSALS
from gateway.smtp.limits import Few
from tests.support.smtpd import smtpd
from tests.support.spool import TENANT, eventually


def test_a_refused_sender_leaves_notes_without_addresses_and_never_more_than_a_few(tmp_path: Path) -> None:
    with smtpd(tmp_path / "s") as server:
        for _ in range(2):  # more refusals than one connection may collect
            with server.client() as client:
                client.ehlo("c.test")
                for _ in range(NOTED_REFUSALS):
                    assert client.mail("secret@elsewhere.test")[0] == 550
        eventually(lambda: len(server.envelopes()) == NOTED_REFUSALS)
        assert server.messages() == []
        for envelope in server.envelopes():
            assert (envelope.tenant, envelope.identity.kind, envelope.identity.name) == (
                TENANT, "refused", "sender-domain",
            )  # fmt: skip
            assert (envelope.mail_from, envelope.recipients, envelope.helo) == ("", (), "")


def test_a_minute_later_there_may_be_more() -> None:
    few = Few(2, 60.0)
    assert [few.take("a", 0.0) for _ in range(3)] == [True, True, False]
    assert few.take("b", 1.0)
    assert not few.take("a", 59.0)
    assert few.take("a", 60.0)
