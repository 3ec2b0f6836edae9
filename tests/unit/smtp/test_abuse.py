"""Clients that mean no mail: injected commands, web requests, endless lines, a thousand recipients, and the slow.

What is refused must leave nothing in the spool and nobody waiting. RFC 5321 4.5.3, RFC 3207 4.2, RFC 2920 3.1.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.smtp.config import Limits
from tests.support.load import PATIENCE
from tests.support.smtpd import Smtpd, smtpd, trusting
from tests.support.wire import Wire

HELLO = b"EHLO a.test\r\n"
SENDER = b"MAIL FROM:<a@clinic.test>\r\n"
ENVELOPE = SENDER + b"RCPT TO:<b@example.test>\r\n"
WHOLE = ENVELOPE + b"DATA\r\nSubject: x\r\n\r\ny\r\n.\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Smtpd]:
    """A door with its own limits; what a test leaves in the spool stays there."""
    with smtpd(tmp_path_factory.mktemp("abuse") / "node", tls=True, max_message_bytes=16 << 20) as running:
        yield running


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.close()


def all_of(line: socket.socket) -> bytes:
    """Everything until the other side closes."""
    found = b""
    try:
        while more := line.recv(65_536):
            found += more
    except ConnectionResetError:
        pass
    return found


def codes(said: bytes) -> list[int]:
    return [int(line[:3]) for line in said.split(b"\r\n") if line[3:4] == b" "]


def told(server: Smtpd, sent: bytes) -> tuple[list[int], int]:
    """Send all of it at once and nothing more; the codes of the answers, and by how much the spool has grown."""
    before = len(server.messages())
    with server.connect() as line:
        line.sendall(sent)
        with contextlib.suppress(OSError):  # the server may have ended it by now
            line.shutdown(socket.SHUT_WR)
        return codes(all_of(line)), len(server.messages()) - before


# -- what stands behind STARTTLS in the same packet

INJECTED = {
    "a-command": SENDER,
    "a-whole-mail": HELLO + WHOLE,
    "half-a-command": b"MAIL FROM:<ce",
    "end-of-input-commands": b"RSET\r\nQUIT\r\n",
    "no-line": b"\0" * 100,
    "another-starttls": b"STARTTLS\r\n" + SENDER,
    "a-large-one": b"NOOP\r\n" * 20_000,
}


@pytest.mark.parametrize("injected", INJECTED.values(), ids=INJECTED.keys())
def test_nothing_said_in_clear_behind_starttls_is_heard(server: Smtpd, injected: bytes) -> None:
    before = len(server.messages())
    with server.connect() as plain:
        plain.sendall(HELLO)
        said = b""
        while b"250 STARTTLS" not in said:
            said += plain.recv(4096)
        # What is still on its way when the handshake begins is taken for a broken one: then there is no TLS at all.
        try:
            plain.sendall(b"STARTTLS\r\n" + injected)
            ready = plain.recv(30, socket.MSG_WAITALL)
            assert ready == b"220 2.0.0 Ready to start TLS\r\n" or len(injected) > 1000
            secured = trusting(server.directory).wrap_socket(plain, server_hostname="127.0.0.1")
        except OSError:
            assert len(injected) > 1000
            return
        with secured:
            secured.sendall(b"OUT:<x>\r\nMAIL FROM:<a@clinic.test>\r\nNOOP\r\nQUIT\r\n")
            assert codes(all_of(secured)) == [500, 503, 250, 221]
    assert len(server.messages()) == before


def test_starttls_with_a_bare_line_feed_or_within_a_message_starts_none(server: Smtpd) -> None:
    assert told(server, HELLO + b"STARTTLS\n" + WHOLE) == ([220, 250, 500], 0)
    assert told(server, HELLO + ENVELOPE + b"STARTTLS\r\nRSET\r\nQUIT\r\n") == ([220, 250, 250, 250, 503, 250, 221], 0)
    assert told(server, HELLO + b"STARTTLS now\r\nQUIT\r\n") == ([220, 250, 501, 221], 0)


# -- web requests

REQUESTS = [
    *(f"{method} / HTTP/1.1" for method in ("GET", "POST", "HEAD", "PUT", "OPTIONS", "PROPFIND", "QUERY", "x-own")),
    "get / http/1.0", "CONNECT mail.clinic.test:25 HTTP/1.1", "POST http://mail.clinic.test:25/ HTTP/1.1",
    "PRI * HTTP/2.0", "GET /", "Host: mail.clinic.test", "User-Agent: x", "FETCH HTTP/1.1",
]  # fmt: skip


@pytest.mark.parametrize("request_line", REQUESTS, ids=lambda line: re.sub(r"[^A-Za-z0-9]+", "-", line))
def test_a_web_request_is_answered_with_nothing_and_its_body_is_not_read(wire: Wire, request_line: str) -> None:
    body = b"Content-Type: text/plain\r\nContent-Length: 999\r\n\r\n" + HELLO + WHOLE
    for packets in ([request_line.encode() + b"\r\n" + body], [request_line.encode() + b"\r\n", body]):
        assert wire.talk(packets) == ([220], [])


def test_a_web_request_to_the_real_door_ends_the_connection(server: Smtpd) -> None:
    said = told(server, b"PROPFIND / HTTP/1.1\r\nHost: x\r\n\r\n" + HELLO + WHOLE)
    assert said in (([], 0), ([220], 0))  # the greeting leaves or is dropped, as the request comes after it or before


# -- lines without end


@pytest.mark.parametrize("length", [2_049, 10_000, 100_000])
def test_a_command_that_is_too_long_is_refused_as_one_line(wire: Wire, length: int) -> None:
    for filler in (b"x", b" ", b"\0", b"\xc3"):
        sent = HELLO + b"NOOP " + filler * (length - 7) + b"\r\n"
        assert wire.talk([sent + WHOLE + b"QUIT\r\n"])[0] == [220, 250, 500, 250, 250, 354, 250, 221]


def test_a_command_without_end_ends_the_connection(server: Smtpd) -> None:
    for endless in (b"x" * 400_000, b"NOOP " + b"x" * 400_000 + b"\r\n" + HELLO + WHOLE):
        assert told(server, endless) in (([220, 500], 0), ([220], 0), ([], 0))  # the rest may reset what was said


def test_long_lines_of_header_and_body_are_kept_as_they_are(server: Smtpd) -> None:
    for text in (b"Subject: " + b"s" * 900_000 + b"\r\n\r\nx\r\n", b"Subject: x\r\n\r\n" + b".y" * 2_000_000 + b"\r\n"):
        before = len(server.messages())
        stuffed = text.replace(b"\r\n.", b"\r\n..")
        assert told(server, HELLO + ENVELOPE + b"DATA\r\n" + stuffed + b".\r\nQUIT\r\n")[0][-2:] == [250, 221]
        assert server.messages()[before:] == [text]


# -- many, nested, odd


def test_of_a_thousand_recipients_a_hundred_are_taken_and_each_other_one_is_refused(server: Smtpd) -> None:
    many = b"".join(b"RCPT TO:<r%d@example.test>\r\n" % number for number in range(1000))
    said, grown = told(server, HELLO + SENDER + many + b"DATA\r\nx\r\n.\r\nQUIT\r\n")
    assert said == [220, 250, 250] + [250] * 100 + [550] * 900 + [354, 250, 221]
    assert grown == 1
    assert [one.address for one in server.envelopes()[-1].recipients] == [f"r{n}@example.test" for n in range(100)]


def test_a_second_mail_command_changes_nothing_of_the_first(server: Smtpd) -> None:
    second = b"MAIL FROM:<boss@clinic.test> RET=FULL\r\n"
    sent = HELLO + SENDER + second + b"RCPT TO:<b@example.test>\r\n" + second + b"DATA\r\nx\r\n.\r\nQUIT\r\n"
    assert told(server, sent) == ([220, 250, 250, 503, 250, 503, 354, 250, 221], 1)
    envelope = server.envelopes()[-1]
    assert (envelope.mail_from, envelope.mail_params) == ("a@clinic.test", ())


ODD_SENDERS = {
    b"<a@clinic.test": 501, b"a@clinic.test>": 501, b"<<a@clinic.test>>": 501, b"<a@clinic.test>>": 501,
    b"<a@clinic.test>x": 501, b"<a@clinic.test>\tSIZE=1": 500, b"< a@clinic.test>": 553, b"<a@clinic.test >": 553,
    b"<@relay.test:a@clinic.test>": 553, b"<a%clinic.test@other.test>": 550, b"<a@clinic.test.other.test>": 550,
    b"<a@other.test@clinic.test>": 553, b'<"a@other.test"@clinic.test>': 250, b"<a@clinic.test.>": 553,
    b"<a@[127.0.0.1]>": 550, b"<clinic.test>": 553, b"<@>": 553, b"<\xc3\xbc@clinic.test>": 553,
    b"<a\0@clinic.test>": 500,
    b'<"a\r"@clinic.test>': 500, b"<a@clinic.test> SIZE=-1": 501, b"<a@clinic.test> SIZE=99999999999999999999": 552,
    b"<a@clinic.test> SIZE=\xd9\xa1": 501, b"<a@clinic.test> SIZE=1 SIZE=1": 501, b"<a@clinic.test> size=1 SIZE=2": 501,
    b"<a@clinic.test> ENVID=a\xc2\x85b": 500, b"<a@clinic.test> ENVID=a b": 555, b"<a@clinic.test> AUTH=x=y": 501,
    b"<a@clinic.test> XCLIENT=1": 555, b"<a@clinic.test> BODY=BINARYMIME": 501, b"<a@clinic.test> =": 501,
    b"<a@clinic.test> ENVID=" + b"x" * 101: 501, b"<" + b"a" * 65 + b"@clinic.test>": 553, b"": 501, b"<>": 250,
}  # fmt: skip
ODD_RECIPIENTS = {
    b"<>": 553, b"<b@example.test>,<c@example.test>": 501, b"<b@example.test> <c@example.test>": 501, b"<b@>": 553,
    b"<|program@example.test>": 250, b'<"|program x"@example.test>': 250, b"</etc/passwd@example.test>": 250,
    b"<-oQ@example.test>": 250, b"<b@-example.test>": 553, b"<b@exa mple.test>": 553,
    b"<b@example.test\xe2\x80\xa8>": 500,
    b"<b@example..test>": 553, b"<b@[IPv6:::1%eth0]>": 553, b"<postmaster>": 250, b"<root>": 553,
    b"<b@example.test> NOTIFY=NEVER,DELAY": 501, b"<b@example.test> NOTIFY=FAILURE,FAILURE": 501,
    b"<b@example.test> ORCPT=rfc822;a+0D+0ABcc:x": 250, b"<b@example.test> ORCPT=rfc822;a+0d": 501,
    b"<b@example.test> ORCPT=rfc822;a=b": 501, b"<b@example.test> ORCPT=;x": 501, b"<b@example.test> SIZE=1": 555,
    b"<b!c@example.test>": 250, b"<b%c@example.test>": 250,
}  # fmt: skip


def test_odd_paths_and_parameters_are_refused_or_kept_as_written(wire: Wire) -> None:
    found = {odd: wire.talk([HELLO + b"MAIL FROM:" + odd + b"\r\n"])[0][2] for odd in ODD_SENDERS}
    assert found == ODD_SENDERS
    found = {odd: wire.talk([HELLO + SENDER + b"RCPT TO:" + odd + b"\r\n"])[0][3] for odd in ODD_RECIPIENTS}
    assert found == ODD_RECIPIENTS
    assert not re.search(rb"passwd|program|XCLIENT|Bcc", wire.said)


# -- the slow


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Smtpd]:
    limits = Limits(command_seconds=1.0, message_seconds=2.0, handshake_seconds=1.0, connections_per_host=50)
    with smtpd(tmp_path_factory.mktemp("slow") / "node", tls=True, limits=limits) as running:
        yield running


def drip(line: socket.socket, text: bytes) -> None:
    """A byte every so often, until the other side has had enough or it is over."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        line.sendall(text)
        threading.Event().wait(0.05)
    raise AssertionError("never cut off")


def stall(line: socket.socket, text: bytes) -> None:
    line.sendall(text)
    line.settimeout(PATIENCE)
    all_of(line)
    raise ConnectionAbortedError


def deaf(line: socket.socket, _: bytes) -> None:
    """Says much and reads nothing."""
    line.settimeout(PATIENCE)
    while True:
        line.sendall(b"HELP\r\n" * 10_000)


SLOW: dict[str, tuple[Callable[[socket.socket, bytes], None], bytes, bytes]] = {
    "stalls-before-a-command": (stall, b"", b""),
    "stalls-in-a-command": (stall, HELLO, b"MAIL FR"),
    "drips-a-command": (drip, HELLO, b"x"),
    "stalls-before-the-message": (stall, HELLO + ENVELOPE + b"DATA\r\n", b""),
    "stalls-in-a-line-of-the-message": (stall, HELLO + ENVELOPE + b"DATA\r\n", b"Subject: x\r\n\r\nhalf a li"),
    "stalls-before-the-last-line-feed": (stall, HELLO + ENVELOPE + b"DATA\r\n", b"Subject: x\r\n\r\ny\r\n.\r"),
    "drips-a-message": (drip, HELLO + ENVELOPE + b"DATA\r\n", b"x"),
    "stalls-in-a-chunk": (stall, HELLO + ENVELOPE, b"BDAT 100 LAST\r\nx"),
    "drips-a-chunk": (drip, HELLO + ENVELOPE + b"BDAT 100000 LAST\r\n", b"x"),
    "stalls-between-chunks": (stall, HELLO + ENVELOPE, b"BDAT 3\r\nabc"),
    "stalls-in-the-handshake": (stall, HELLO + b"STARTTLS\r\n", b""),
    "drips-a-handshake": (drip, HELLO + b"STARTTLS\r\n", b"\x16"),
    "does-not-read": (deaf, HELLO, b""),
}


def test_whoever_is_slow_is_cut_off_wherever_it_is_and_nothing_is_kept(impatient: Smtpd) -> None:
    left: dict[str, BaseException | None] = dict.fromkeys(SLOW)

    def act(name: str) -> None:
        deed, first, then = SLOW[name]
        try:
            with impatient.connect() as line:
                line.sendall(first)
                deed(line, then)
        except BaseException as error:
            left[name] = error

    threads = [threading.Thread(target=act, args=(name,), daemon=True) for name in SLOW]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * PATIENCE)
    # Each was ended by the door: a reset, an end, a broken pipe; never by this test's own patience.
    wrong = {name: repr(error) for name, error in left.items() if not isinstance(error, ConnectionError)}
    assert wrong == {}
    assert impatient.messages() == []
    assert list((impatient.spool / "large").iterdir()) == []


def test_twin_whoever_is_slow_within_the_limits_is_heard(server: Smtpd, tmp_path: Path) -> None:
    before = len(server.messages())
    with server.connect() as line:
        for byte in HELLO + WHOLE + b"QUIT\r\n":
            line.sendall(bytes((byte,)))
        assert codes(all_of(line)) == [220, 250, 250, 250, 354, 250, 221]
    assert server.messages()[before:] == [b"Subject: x\r\n\r\ny\r\n"]
