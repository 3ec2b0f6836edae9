"""What passes is not touched: forty mails of twenty kinds through the real relay, to the last byte (DESIGN §1.6).

Under `observe` every one, under `clinic` each that was read and is clean, is an exact suffix of what the next hop got,
and a DKIM signature that held before still holds.
"""

from __future__ import annotations

import json
import re
import smtplib
from pathlib import Path

import dkim
import pytest

from gateway.demo.clinic import Clinic
from gateway.demo.sink import Received

pytestmark = pytest.mark.full
MAILS = sorted((Path(__file__).parents[1] / "data" / "mail").glob("*.eml"))
RECORDS: dict[str, str] = json.loads((MAILS[0].parent / "dkim.json").read_text())
# Kinds of which every part can be read, so that a harmless one passes under `clinic` as well.
READABLE = {"plain", "quoted-printable", "base64", "eight-bit", "html", "alternative", "nested", "digest", "list",
            "flowed", "long-lines", "pgp-signed", "smime-signed", "dsn"}  # fmt: skip
# An opaque S/MIME signature hides its text; in the other the detector sees a person's name beside a health word.
PROTECTED_ALL_THE_SAME = {"smime-signed-2", "eight-bit-2"}


@pytest.fixture(scope="module")
def clinic(shared: Clinic) -> Clinic:
    return shared


def kind_of(path: Path) -> str:
    return path.stem.rpartition("-")[0]


def dns(name: bytes, timeout: int = 5) -> bytes | None:
    found = RECORDS.get(name.decode().rstrip(".") + ".")
    return found.encode() if found else None


def through(clinic: Clinic, path: Path) -> Received:
    recipient = f"{path.stem}@outside.test"
    with smtplib.SMTP("127.0.0.1", clinic.smtp_port, timeout=60) as server:
        server.ehlo()
        server.mail(clinic.amy.address, ["BODY=8BITMIME"] if server.has_extn("8bitmime") else [])
        server.rcpt(recipient)
        code, _ = server.docmd("DATA")
        assert code == 354
        data = path.read_bytes()
        server.send(re.sub(rb"(?m)^\.", b"..", data) + (b"" if data.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        code, answer = server.getreply()
    assert code == 250, answer
    return clinic.sink.wait_for(recipient)[0]


def assert_untouched(sent: bytes, got: bytes) -> None:
    whole = sent if sent.endswith(b"\r\n") else sent + b"\r\n"
    assert got.endswith(whole)
    top = got[: -len(whole)]
    assert top.startswith(b"Received: ")
    assert b"Sealgate-Trace: " in top
    if b"\nDKIM-Signature:" in b"\n" + whole and dkim.verify(whole, dnsfunc=dns):
        assert dkim.verify(got, dnsfunc=dns)


@pytest.mark.parametrize("path", MAILS, ids=lambda path: path.stem)
def test_observed_mail_is_an_exact_suffix(observing: Clinic, path: Path) -> None:
    assert_untouched(path.read_bytes(), through(observing, path).data)


@pytest.mark.parametrize("path", MAILS, ids=lambda path: path.stem)
def test_clean_mail_is_an_exact_suffix(clinic: Clinic, path: Path) -> None:
    sent, got = path.read_bytes(), through(clinic, path)
    if got.link is None:
        assert_untouched(sent, got.data)
    else:
        assert kind_of(path) not in READABLE or path.stem in PROTECTED_ALL_THE_SAME, (
            "a harmless mail that can be read was protected"
        )


def test_enough_signatures_hold_beforehand_to_prove_something() -> None:
    holding = [
        path for path in MAILS if b"DKIM-Signature" in path.read_bytes() and dkim.verify(path.read_bytes(), dnsfunc=dns)
    ]
    assert len(holding) >= 10
    assert len({kind_of(path) for path in MAILS}) == 20
    assert all(sum(kind_of(path) == kind for path in MAILS) == 2 for kind in {kind_of(path) for path in MAILS})
