"""Which parameters travel on, and what is bounced because it cannot."""

from __future__ import annotations

import pytest

from gateway.courier import Bounced, Recipient
from gateway.courier.plan import plan
from tests.unit.courier.conftest import outbound

ALL = {"SIZE": "1000000", "8BITMIME": "", "SMTPUTF8": "", "DSN": "", "AUTH": "PLAIN", "PIPELINING": ""}
DSN = (("RET", "HDRS"), ("ENVID", "QQ314159"))
NOTIFY = (("NOTIFY", "SUCCESS,DELAY"), ("ORCPT", "rfc822;a@b.example"))


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in ALL.items() if name not in names}


def test_everything_travels_on_to_a_server_that_has_it() -> None:
    mail = outbound(Recipient("a@b.example", NOTIFY), mail_params=(*DSN, ("BODY", "8BITMIME"), ("SIZE", "9999")))
    found = plan(mail, ALL)
    assert found.mail == f"MAIL FROM:<sender@clinic.example> SIZE={mail.size} RET=HDRS ENVID=QQ314159 BODY=8BITMIME"
    assert found.rcpt == ((0, "RCPT TO:<a@b.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b.example"),)


def test_dsn_parameters_stay_behind_without_dsn() -> None:
    found = plan(outbound(Recipient("a@b.example", NOTIFY), mail_params=DSN), without("DSN", "SIZE"))
    assert found.mail == "MAIL FROM:<sender@clinic.example>"
    assert found.rcpt == ((0, "RCPT TO:<a@b.example>"),)


def test_null_sender_is_written_as_empty_path() -> None:
    assert plan(outbound("a@b.example", mail_from=""), {}).mail == "MAIL FROM:<>"


def test_eight_bits_without_8bitmime_are_bounced() -> None:
    found = plan(
        outbound("a@b.example", content="ü\r\n".encode(), mail_params=(("BODY", "8BITMIME"),)), without("8BITMIME")
    )
    assert found.settled == {0: Bounced("5.6.3", "content")}
    assert found.rcpt == ()


def test_label_without_eight_bits_is_dropped_without_8bitmime() -> None:
    found = plan(outbound("a@b.example", mail_params=(("BODY", "8BITMIME"),)), without("8BITMIME"))
    assert "BODY" not in found.mail
    assert len(found.rcpt) == 1


def test_recipient_with_letters_beyond_ascii_is_bounced_alone_without_smtputf8() -> None:
    found = plan(outbound("a@b.example", "jürgen@b.example"), without("SMTPUTF8"))
    assert found.settled == {1: Bounced("5.6.7", "content")}
    assert [index for index, _ in found.rcpt] == [0]
    assert "SMTPUTF8" not in found.mail


def test_sender_with_letters_beyond_ascii_bounces_all_without_smtputf8() -> None:
    found = plan(outbound("a@b.example", mail_from="jürgen@b.example"), without("SMTPUTF8"))
    assert found.settled == {0: Bounced("5.6.7", "content")}


def test_header_beyond_ascii_bounces_without_smtputf8_and_label_alone_does_not() -> None:
    label = (("SMTPUTF8", ""),)
    utf8 = outbound("a@b.example", content="Subject: ü\r\n\r\nx\r\n".encode(), mail_params=label)
    assert plan(utf8, without("SMTPUTF8")).settled == {0: Bounced("5.6.9", "content")}
    body_only = outbound("a@b.example", content="Subject: u\r\n\r\nü\r\n".encode(), mail_params=label)
    assert len(plan(body_only, without("SMTPUTF8")).rcpt) == 1


def test_smtputf8_is_stated_where_an_address_needs_it() -> None:
    found = plan(outbound("jürgen@b.example"), ALL)
    assert found.mail.endswith(" SMTPUTF8")
    assert found.encoding == "utf-8"


def test_too_large_for_the_server_is_bounced_before_anything_is_sent() -> None:
    assert plan(outbound("a@b.example"), {"SIZE": "10"}).settled == {0: Bounced("5.3.4", "system")}
    assert plan(outbound("a@b.example"), {"SIZE": "0"}).settled == {}


@pytest.mark.parametrize(
    ("mail_from", "params"),
    [
        ("a@b.example\r\nRCPT TO:<x@y.example>", ()),
        ("a\x00@b.example", ()),
        ("a@b.example", (("SIZE ", "1"),)),
        ("a@b.example", (("MT-PRIORITY", "3"),)),
    ],
)
def test_what_cannot_be_said_is_bounced(mail_from: str, params: tuple[tuple[str, str], ...]) -> None:
    assert plan(outbound("x@y.example", mail_from=mail_from, mail_params=params), ALL).settled == {
        0: Bounced("5.5.4", "protocol")
    }


def test_requiretls_goes_over_a_verified_line_to_a_server_that_has_it_or_nowhere() -> None:
    asking = outbound("x@y.example", mail_params=(("REQUIRETLS", ""),))
    able = dict(ALL) | {"REQUIRETLS": ""}
    assert plan(asking, able, verified=True).mail.endswith(" REQUIRETLS")
    for features, verified in ((able, False), (ALL, True)):
        assert plan(asking, features, verified=verified).settled == {0: Bounced("5.7.30", "policy")}


@pytest.mark.parametrize(
    "recipient",
    [
        Recipient("a@b.example>\r\nDATA"),
        Recipient(""),
        Recipient("a@b.example", (("NOTIFY", "NEVER\r\nDATA"),)),
        Recipient("a@b.example", (("NOTIFY", "NEVER SIZE=1"),)),
        Recipient("a@b.example", (("X-OTHER", "1"),)),
    ],
)
def test_recipient_that_cannot_be_said_is_bounced_alone(recipient: Recipient) -> None:
    found = plan(outbound(recipient, "fine@b.example"), ALL)
    assert found.settled == {0: Bounced("5.5.4", "protocol")}
    assert [index for index, _ in found.rcpt] == [1]


def test_auth_parameter_travels_only_on_a_proven_connection() -> None:
    mail = outbound("a@b.example", mail_params=(("AUTH", "<>"),))
    assert "AUTH=<>" in plan(mail, ALL, authenticated=True).mail
    assert "AUTH" not in plan(mail, ALL).mail
