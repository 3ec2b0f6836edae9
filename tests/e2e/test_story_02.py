"""Story 2: mail without PHI arrives byte for byte, its DKIM signature valid, with one entry that says so in the log."""

from __future__ import annotations

import base64
import smtplib

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.demo import mails
from gateway.demo.clinic import DOMAIN, Clinic

pytestmark = pytest.mark.full
RECIPIENT = "story2@outside.test"
HOURS = "".join(f"{day},08:00,17:00\r\n" for day in ("Monday", "Tuesday", "Thursday", "Friday")).encode()


def test_harmless_mail_arrives_byte_for_byte_with_its_signature(shared: Clinic) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )

    def dns(name: bytes, timeout: int = 5) -> bytes | None:
        asked = name.rstrip(b".") == b"story2._domainkey." + DOMAIN.encode()
        return b"v=DKIM1; k=rsa; p=" + base64.b64encode(public) if asked else None

    mail = mails.newsletter()
    mail.replace_header("To", RECIPIENT)
    mail.add_attachment(HOURS, maintype="text", subtype="csv", filename="hours.csv")
    data = mail.as_bytes(policy=mail.policy.clone(linesep="\r\n"))
    signed = dkim.sign(
        data, b"story2", DOMAIN.encode(), private, include_headers=[b"from", b"to", b"subject", b"date"]
    ) + data  # fmt: skip
    before = passed(shared)
    with smtplib.SMTP("127.0.0.1", shared.smtp_port, timeout=60) as server:
        server.sendmail(shared.amy.address, [RECIPIENT], signed)
    got = shared.sink.wait_for(RECIPIENT)[0].data
    assert got.endswith(signed)
    top = got[: -len(signed)]
    assert top.startswith(b"Received: ")
    assert b"Sealgate-Trace: " in top
    assert dkim.verify(got, dnsfunc=dns)
    assert not dkim.verify(got.replace(b"parking lot", b"parking Lot"), dnsfunc=dns), "the twin: one letter changed"
    (entry,) = set(passed(shared)) - set(before)
    about = [one["action"] for one in shared.search(f"object:{entry}")]
    assert about.count("message:passed") == 1
    assert {"message:secured", "message:held", "object:sealed"}.isdisjoint(about)


def passed(clinic: Clinic) -> list[str]:
    """Messages of which the log says that nothing was done to them, once for each entry."""
    return [str(one["object"]) for one in clinic.search("action:message:passed")]
