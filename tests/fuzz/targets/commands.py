"""A whole connection, commands and messages, beside a plain reading of the same bytes, in any packets."""

from __future__ import annotations

from functools import cache

from tests.fuzz.common import BARE_NEWLINE, pieces, split
from tests.support.ends import BARE, CLEAN, END, REAL, STRIPPED
from tests.support.plainsmtp import Reading
from tests.support.wire import Wire

ROOMS = ("gateway.smtp", "gateway.mail.address")
_MOST_BYTES = 8192
_ENVELOPE = b"MAIL FROM:<a@clinic.test>\r\nRCPT TO:<b@example.test>\r\n"
_FIRST = b"EHLO a.test\r\n" + _ENVELOPE + b"DATA\r\nSubject: x\r\n\r\ny"
WORDS = [
    *(b"EHLO a.test\r\n", b"HELO [127.0.0.1]\r\n", b"MAIL FROM:<a@clinic.test>", b"RCPT TO:<b@example.test>\r\n"),
    *(b"DATA\r\n", b"BDAT 3\r\n", b"BDAT 0 LAST\r\n", b" LAST", b"RSET\r\n", b"NOOP\r\n", b"QUIT\r\n", b"STARTTLS\r\n"),
    *(b"AUTH PLAIN AGEAYg==\r\n", b"VRFY x\r\n", b"EXPN x\r\n", b"HELP\r\n", b"GET / HTTP/1.1\r\n", b"Host: x\r\n"),
    *(b" SIZE=9000", b" BODY=8BITMIME", b" SMTPUTF8", b" RET=HDRS", b" ENVID=a+0D", b" NOTIFY=NEVER", b" AUTH=<>"),
    *(b" ORCPT=rfc822;a+40b", b"<>", b'"a b"', b"@", b"\xc3\xbc", END, b"\r\n", b"\n", b"\r", b"\0", b".", b"x" * 2048),
]
SEEDS = [
    _FIRST + one + _ENVELOPE + b"DATA\r\nz" + END + b"QUIT\r\n\0\2\0\0"
    for one in (BARE | CLEAN | STRIPPED | REAL).values()
] + [
    b"EHLO a.test\r\n" + _ENVELOPE + b"BDAT 4\r\nab\r\n"
    b"BDAT 5 LAST\r\n.\r\nxyRSET\r\n" + _ENVELOPE + b"NOOP\r\nVRFY x\r\n\1\0\0\0",
    b"HELO a.test\r\nMAIL FROM:<> SIZE=10\r\nMAIL FROM:<>\r\nMAIL FROM:<x@clinic.test>\r\nDATA\r\nQUIT\r\n\0\0\0\0",
    b"EHLO a\r\nMAIL FROM:<a@clinic.test> SIZE=9000\r\nMAIL FROM:<\"a b\"@clinic.test> BODY=8BITMIME SMTPUTF8"
    b" RET=FULL ENVID=x AUTH=<>\r\nRCPT TO:<\xc3\xbc@x.test> NOTIFY=SUCCESS,DELAY ORCPT=utf-8;\xc3\xbc@x\r\n"
    b"RCPT TO:<b@[192.0.2.1]>\r\nRCPT TO:<Postmaster>\r\nDATA\r\n.\r\n\3\0\0\0",
    b"POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\n\0\0\0\0",
    b"EHLO x\r\nSTARTTLS\r\nAUTH PLAIN\r\nSTARTTLS x\r\nHELP\r\nEXPN a\r\nTURN\r\n" + b"FROB\r\n" * 20 + b"\0\0\0\0",
]  # fmt: skip


@cache
def _wires() -> tuple[Wire, Wire]:
    return Wire(max_message_bytes=_MOST_BYTES), Wire(max_message_bytes=_MOST_BYTES, normalize=True)


def check(data: bytes) -> None:
    """The same answers and the same messages as plain reading, in one packet and in others."""
    stream, choice = split(data)
    normalize = bool(choice[1] & 1)
    expected = Reading(stream, normalize=normalize, max_bytes=_MOST_BYTES)
    wire = _wires()[normalize]
    for cut in {0, choice[0]}:
        codes, messages = wire.talk(pieces(stream, cut))
        # Of two things wrong with a message the one that comes first is said, and which does may hang on the packets.
        wanted = expected.codes[: len(codes)] if expected.cut_off else expected.codes
        assert [_kind(code) for code in codes] == [_kind(code) for code in wanted]
        assert messages == expected.messages
        assert not any(BARE_NEWLINE.search(message) for message in messages)


def _kind(code: int) -> int:
    return 554 if code == 552 else code
