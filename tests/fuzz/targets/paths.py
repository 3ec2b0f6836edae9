"""The arguments of MAIL and RCPT: what is read says what was written, and nothing of it is a line end or a control."""

from __future__ import annotations

from gateway.mail.address import EXTENSIONS, GrammarError, check_address, parse_mail, parse_rcpt, xtext_decode
from tests.fuzz.common import split

ROOMS = ("gateway.mail.address",)
WORDS = [
    *(b"FROM:", b"TO:", b"<", b">", b"@", b'"', b"\\", b"[", b"]", b"IPv6:::1", b"192.0.2.1", b"Postmaster"),
    *(b" SIZE=1", b" BODY=8BITMIME", b" SMTPUTF8", b" RET=FULL", b" ENVID=+0D+0A", b" AUTH=<>", b" NOTIFY=NEVER"),
    *(b" ORCPT=rfc822;", b"utf-8;", b"\xe2\x80\xa8", b"\xc2\x85", b".", b"-", b"\xed\xa0\x80", b"\xc3\xbc"),
]  # fmt: skip
SEEDS = [
    b"FROM:<a@clinic.test> SIZE=10 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+20b AUTH=x+40y\0",
    b'FROM: <"a \\" > b"@clinic.test>\0',
    b"FROM:<>\0",
    b"FROM:<@a,@b:c@d.test>\0",
    "FROM:<jürgen@bücher.test> SMTPUTF8\0".encode(),
    b"TO:<b@[IPv6:2001:db8::1]> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b+40x\1",
    b"TO:<Postmaster>\1",
    "TO:<ü@x.test> ORCPT=utf-8;ü@x\3".encode(),
    b"TO:<a@b..c>\1",
    b"TO:<" + b"a" * 65 + b"@b.test>\1",
]


def check(data: bytes) -> None:
    """Read a line as the door reads it."""
    body, choice = split(data, 1)
    text = body.decode("utf-8", "surrogateescape")
    read = (
        parse_rcpt(text, smtputf8=bool(choice[0] & 2))
        if choice[0] & 1
        else parse_mail(text, EXTENSIONS if choice[0] & 4 == 0 else frozenset({"SIZE"}))
    )
    if isinstance(read, GrammarError):
        assert 500 <= read.code < 600
        assert read.enhanced.startswith("5.")
        assert read.text.isascii()
        assert read.text.isprintable()
        return
    assert f"<{read.address}>" in text
    if text.isprintable():  # the door takes no other line
        assert read.address.isprintable()
        assert all(value.isprintable() for _, value in read.params)
    if read.address and read.address.lower() != "postmaster":
        assert check_address(read.address, smtputf8=True) == ""
        assert read.address.isascii() or (choice[0] & 2 if choice[0] & 1 else read.smtputf8)  # type: ignore[union-attr]
    again = f"{'TO' if choice[0] & 1 else 'FROM'}:<{read.address}>" + "".join(
        f" {name}={value}" if value else f" {name}" for name, value in read.params
    )
    reread = parse_rcpt(again, smtputf8=bool(choice[0] & 2)) if choice[0] & 1 else parse_mail(again)
    assert reread == read
    for _, value in read.params:
        xtext_decode(value)
