"""The grammar of MAIL and RCPT: what is accepted comes back as written, what is not has a code and a sentence."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mail.address import (
    GrammarError,
    MailCommand,
    RcptCommand,
    check_address,
    domain_of,
    parse_mail,
    parse_rcpt,
    routed,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM:<a@b.example>", MailCommand("a@b.example")),
        ("from:<>", MailCommand("")),
        ("FROM: <a@b.example>", MailCommand("a@b.example")),
        ("FROM:<> AUTH=<>", MailCommand("", (("AUTH", "<>"),), auth="")),
        (
            "FROM:<A.b+c@B.example> SIZE=123 BODY=8bitmime",
            MailCommand("A.b+c@B.example", (("SIZE", "123"), ("BODY", "8bitmime")), size=123, body="8BITMIME"),
        ),
        (
            "FROM:<a@b.example> RET=hdrs ENVID=Ab+2Bc",
            MailCommand("a@b.example", (("RET", "hdrs"), ("ENVID", "Ab+2Bc")), ret="HDRS", envid="Ab+2Bc"),
        ),
        (
            "FROM:<a@b.example> AUTH=e+3Dmc2@example.com",
            MailCommand("a@b.example", (("AUTH", "e+3Dmc2@example.com"),), auth="e=mc2@example.com"),
        ),
        ("FROM:<jörg@müller.example> SMTPUTF8", MailCommand("jörg@müller.example", (("SMTPUTF8", ""),), smtputf8=True)),
        ('FROM:<"a b>\\"c"@d.example>', MailCommand('"a b>\\"c"@d.example')),
        ("FROM:<a@[192.0.2.1]>", MailCommand("a@[192.0.2.1]")),
        ("FROM:<a@[IPv6:2001:db8::1]>", MailCommand("a@[IPv6:2001:db8::1]")),
        ("FROM:<bounces+x=y.example@lists.example>", MailCommand("bounces+x=y.example@lists.example")),
        ("FROM:<SRS0=HHH=TT=b.example=a@c.example>", MailCommand("SRS0=HHH=TT=b.example=a@c.example")),
    ],
)
def test_a_sender_is_read_and_never_changed(text: str, expected: MailCommand) -> None:
    assert parse_mail(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TO:<a@b.example>", RcptCommand("a@b.example")),
        ("to:<PostMaster>", RcptCommand("PostMaster")),
        (
            "TO:<a@b.example> NOTIFY=success,FAILURE ORCPT=rfc822;a+2Bb@c.example",
            RcptCommand(
                "a@b.example",
                (("NOTIFY", "success,FAILURE"), ("ORCPT", "rfc822;a+2Bb@c.example")),
                frozenset({"SUCCESS", "FAILURE"}),
                "rfc822;a+2Bb@c.example",
            ),
        ),
        ("TO:<a@b.example> NOTIFY=never", RcptCommand("a@b.example", (("NOTIFY", "never"),), frozenset({"NEVER"}))),
    ],
)
def test_a_recipient_is_read_and_never_changed(text: str, expected: RcptCommand) -> None:
    assert parse_rcpt(text) == expected


@pytest.mark.parametrize(
    ("text", "code", "enhanced"),
    [
        ("", 501, "5.5.4"),
        ("a@b.example", 501, "5.5.4"),
        ("FROM:a@b.example", 501, "5.5.4"),
        ("FROM:<a@b.example", 501, "5.5.4"),
        ("FROM:  <a@b.example>", 501, "5.5.4"),
        ("FROM :<a@b.example>", 501, "5.5.4"),
        ("TO:<a@b.example>", 501, "5.5.4"),
        ("FROM:<a@b.example>SIZE=1", 501, "5.5.4"),
        ("FROM:<a>", 553, "5.1.7"),
        ("FROM:<a b@c.example>", 553, "5.1.7"),
        ("FROM:<.a@c.example>", 553, "5.1.7"),
        ("FROM:<a..b@c.example>", 553, "5.1.7"),
        ("FROM:<a@-c.example>", 553, "5.1.7"),
        ("FROM:<a@c_d.example>", 553, "5.1.7"),
        ("FROM:<a@c..example>", 553, "5.1.7"),
        ("FROM:<a@[300.0.0.1]>", 553, "5.1.7"),
        ("FROM:<a@[IPv6:zz]>", 553, "5.1.7"),
        ("FROM:<@r.example:a@c.example>", 553, "5.1.7"),
        ("FROM:<a@b.example\r\nRCPT TO:<c@d.example>", 553, "5.1.7"),
        (f"FROM:<{'a' * 65}@c.example>", 553, "5.1.7"),
        (f"FROM:<a@{'b' * 63}.{'b' * 63}.{'b' * 63}.{'b' * 63}.example>", 553, "5.1.7"),
        ("FROM:<jörg@c.example>", 553, "5.6.7"),
        ("FROM:<\udcff@c.example> SMTPUTF8", 553, "5.1.7"),
        ("FROM:<a@b.example> SIZE=x", 501, "5.5.4"),
        ("FROM:<a@b.example> SIZE", 501, "5.5.4"),
        ("FROM:<a@b.example> SIZE=1 size=2", 501, "5.5.4"),
        ("FROM:<a@b.example> BODY=9BIT", 501, "5.5.4"),
        ("FROM:<a@b.example> RET=SOME", 501, "5.5.4"),
        ("FROM:<a@b.example> ENVID=+zz", 501, "5.5.4"),
        ("FROM:<a@b.example> SMTPUTF8=1", 501, "5.5.4"),
        ("FROM:<a@b.example> X=\u0001", 501, "5.5.4"),
        ("FROM:<a@b.example> FOO=BAR", 555, "5.5.4"),
    ],
)
def test_a_bad_sender_gets_a_permanent_answer_in_words(text: str, code: int, enhanced: str) -> None:
    found = parse_mail(text)
    assert isinstance(found, GrammarError)
    assert (found.code, found.enhanced) == (code, enhanced)
    assert re.fullmatch(r"[A-Z][ -~]+", found.text)


@pytest.mark.parametrize(
    ("text", "code", "enhanced"),
    [
        ("TO:<>", 553, "5.1.3"),
        ("TO:<a>", 553, "5.1.3"),
        ("TO:<@r.example:a@c.example>", 553, "5.1.3"),
        ("TO:<jörg@c.example>", 553, "5.6.7"),
        ("FROM:<a@b.example>", 501, "5.5.4"),
        ("TO:<a@b.example> NOTIFY=NEVER,FAILURE", 501, "5.5.4"),
        ("TO:<a@b.example> NOTIFY=", 501, "5.5.4"),
        ("TO:<a@b.example> ORCPT=a@b.example", 501, "5.5.4"),
        ("TO:<a@b.example> SIZE=1", 555, "5.5.4"),
    ],
)
def test_a_bad_recipient_gets_a_permanent_answer_in_words(text: str, code: int, enhanced: str) -> None:
    found = parse_rcpt(text)
    assert isinstance(found, GrammarError)
    assert (found.code, found.enhanced) == (code, enhanced)


def test_a_parameter_of_an_extension_not_offered_is_unknown() -> None:
    for text in ("FROM:<a@b.example> RET=FULL", "FROM:<a@b.example> SMTPUTF8", "FROM:<a@b.example> BODY=8BITMIME"):
        found = parse_mail(text, frozenset({"SIZE"}))
        assert isinstance(found, GrammarError)
        assert found.code == 555
    assert isinstance(parse_mail("FROM:<a@b.example> BODY=BINARYMIME", frozenset({"8BITMIME"})), GrammarError)


@pytest.mark.parametrize(
    ("address", "domain"),
    [
        ("a@B.Example.", "b.example"),
        ("", ""),
        ("a@büro.example", "xn--bro-hoa.example"),
        ("a@BÜRO.example", "xn--bro-hoa.example"),
        ("a@bu\u0308ro.example", "xn--bro-hoa.example"),
        ("a@straße.example", "straße.example"),  # no strasse.example
        ("a@\uff42.example", "\uff42.example"),  # a full-width b
        ("a@" + "ü" * 80 + ".example", "ü" * 80 + ".example"),
    ],
)
def test_a_domain_is_compared_by_its_a_labels_and_taken_for_no_other(address: str, domain: str) -> None:
    assert domain_of(address) == domain


@pytest.mark.parametrize("local", ["pat%other.example", "other.example!pat", '"pat@other.example"'])
def test_a_further_way_is_seen_in_the_local_part(local: str) -> None:
    assert routed(f"{local}@b.example")
    assert not routed("prvs=1234-pat+list=other.example@b.example")


@given(st.text(max_size=80))
def test_any_text_is_answered_and_never_echoed(text: str) -> None:
    for found in (parse_mail("FROM:<" + text), parse_mail(text), parse_rcpt("TO:<" + text), parse_rcpt(text)):
        if isinstance(found, GrammarError):
            assert found.text.isascii()
            assert found.text.isprintable()
            assert 500 <= found.code <= 555
        else:
            assert "\r" not in found.address
            assert "\n" not in found.address


@given(
    st.from_regex(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}(\.[a-z0-9]{1,5}){0,3}", fullmatch=True),
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z]{2,8}){1,3}", fullmatch=True),
)
def test_every_ordinary_address_is_accepted(local: str, domain: str) -> None:
    assert check_address(f"{local}@{domain}") == ""
    assert parse_rcpt(f"TO:<{local}@{domain}>") == RcptCommand(f"{local}@{domain}")
