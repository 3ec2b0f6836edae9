"""Story 16: a line end that some server might take for one never makes a second message, refused or made right."""

from __future__ import annotations

import itertools
import re
import socket
from collections.abc import Iterator

import pytest

from gateway.demo.clinic import Clinic
from tests.e2e.conftest import running

pytestmark = pytest.mark.full
CRLF, LF, CR = b"\r\n", b"\n", b"\r"
ENDS = [one + b"." + two for one, two in itertools.product((CRLF, LF, CR), repeat=2) if one + two != CRLF + CRLF]
"""Every line end before and after the dot but the one that RFC 5321 4.1.1.4 names."""

NAMES = {CRLF: "crlf", LF: "lf", CR: "cr"}


def name(end: bytes) -> str:
    before, _, after = end.partition(b".")
    return f"{NAMES[before]}-dot-{NAMES[after]}"


@pytest.fixture(scope="module")
def normalizing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A clinic that makes bare line ends right instead of refusing them."""
    yield from running(tmp_path_factory.mktemp("normal"), environ={"SEALGATE_SMTP__BARE_NEWLINES": "normalize"})


def answers(clinic: Clinic, recipient: str, end: bytes, within: str) -> list[int]:
    """Send one mail in whose text, behind `end`, stands a whole second one; all codes up to that of the last QUIT."""
    smuggled = CRLF.join(
        [f"MAIL FROM:<{clinic.olga.address}>".encode(), f"RCPT TO:<{within}>".encode(), b"DATA",
         b"Subject: second", b"", b"Lunch at noon?", b".", b""]
    )  # fmt: skip
    mail = f"From: {clinic.amy.address}\r\nTo: {recipient}\r\nSubject: first\r\n\r\nLunch at one?".encode()
    with socket.create_connection(("127.0.0.1", clinic.smtp_port), timeout=60) as line, line.makefile("rb") as said:

        def code() -> int:
            while (text := said.readline())[3:4] == b"-":
                pass
            return int(text[:3] or b"0")

        found = [code()]
        for command in ("EHLO ward.test", f"MAIL FROM:<{clinic.amy.address}>", f"RCPT TO:<{recipient}>", "DATA"):
            line.sendall(command.encode() + CRLF)
            found.append(code())
        assert found == [220, 250, 250, 250, 354]
        line.sendall(mail + end + smuggled + b"QUIT" + CRLF)
        return list(iter(code, 0))


@pytest.mark.parametrize("end", ENDS, ids=name)
def test_bare_line_ends_are_refused_and_nothing_is_sent(shared: Clinic, end: bytes) -> None:
    recipient, within = f"first-{name(end)}@outside.test", f"second-{name(end)}@outside.test"
    assert answers(shared, recipient, end, within) == [554, 221]
    after(shared, f"after-{name(end)}@outside.test")
    there = {one for mail in shared.sink.mails for one in mail.recipients}
    assert there.isdisjoint({recipient, within})


def test_normalized_line_ends_make_one_message_and_never_two(normalizing: Clinic) -> None:
    for end in ENDS:
        recipient, within = f"first-{name(end)}@outside.test", f"second-{name(end)}@outside.test"
        assert answers(normalizing, recipient, end, within) == [250, 221], name(end)
    for end in ENDS:
        (one,) = normalizing.sink.wait_for(f"first-{name(end)}@outside.test")
        text = one.data
        assert b"Subject: second" in text, name(end)
        assert re.search(rb"\r(?!\n)|(?<!\r)\n", text) is None, name(end)
        assert re.search(rb"Lunch at one\?\r\n\.?\r\nMAIL FROM:", text), name(
            end
        )  # text; a dot that led a line is undone
    after(normalizing, "after@outside.test")
    assert not [mail for mail in normalizing.sink.mails for one in mail.recipients if one.startswith("second-")]


def test_twin_the_right_end_does_make_two(shared: Clinic) -> None:
    recipient, within = "first-right@outside.test", "second-right@outside.test"
    assert answers(shared, recipient, CRLF + b"." + CRLF, within) == [250, 250, 250, 354, 250, 221]
    assert len(shared.sink.wait_for(recipient)) == len(shared.sink.wait_for(within)) == 1


def after(clinic: Clinic, recipient: str) -> None:
    """One more mail, sent and arrived: what was to follow from those before it has followed."""
    assert answers(clinic, recipient, CRLF + b"." + CRLF, f"beside-{recipient}")[-2:] == [250, 221]
    clinic.sink.wait_for(recipient)
    clinic.sink.wait_for(f"beside-{recipient}")
