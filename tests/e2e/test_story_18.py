"""Story 18: rewritten mail and our own notices pass DKIM at the sink, aligned with From for DMARC; the keys come from
`sealgate dkim make`, their records from what it prints, and what passes as it is keeps its own signature and gets none.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.demo import mails
from gateway.demo.clinic import DOMAIN
from gateway.demo.sink import Received
from gateway.errors import Misconfigured
from gateway.mail.dkim import STALE
from tests.support.routed import Routed

pytestmark = pytest.mark.full
SELECTORS = {"sealgate-r1": "rsa", "sealgate-e1": "ed25519"}
NOBODY = "nobody18@outside.test"
Zone = dict[str, str]


async def refuse_nobody(server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
    """The sink's answer to RCPT."""
    if address == NOBODY:
        return "550 5.1.1 no such user"
    envelope.rcpt_tos.append(address)
    return "250 2.1.5 OK"


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Routed, Zone]]:
    """A clinic that signs with two keys, its portal at a host below its domain; and the zone with their records."""
    clinic = Routed(tmp_path_factory.mktemp("sign") / "c")
    clinic.swap = {f'public_url = "{clinic.portal}"': f'public_url = "https://mail.{DOMAIN}"'}
    clinic.sink.handle_RCPT = refuse_nobody  # type: ignore[attr-defined]
    try:
        clinic.start()
        zone: Zone = {}
        for selector, algorithm in SELECTORS.items():
            made = json.loads(clinic.command("dkim", "make", selector, "--algorithm", algorithm, "--json"))
            zone |= {one["name"]: one["value"] for one in made["records"]}
            assert made["signs"] is False
        clinic.more = f"[dkim]\nselectors = {json.dumps(list(SELECTORS))}\n"
        clinic.again()
        yield clinic, zone
    finally:
        clinic.stop()


def verified(mail: Received, zone: Zone) -> list[tuple[str, str]]:
    """(domain, algorithm) of every signature in it, each found true by another program than the one that signed."""

    def dns(name: bytes, timeout: int = 5) -> bytes | None:
        return zone.get(name.decode().rstrip("."), "").encode() or None

    found = []
    for index in range(len(mail.parsed.get_all("DKIM-Signature", []))):
        checked = dkim.DKIM(mail.data)
        assert checked.verify(index, dnsfunc=dns)
        found.append((checked.signature_fields[b"d"].decode(), checked.signature_fields[b"a"].decode()))
    return found


def clinics_own() -> tuple[bytes, Zone]:
    """A private key of the clinic's own mail server, and its record."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return private, {f"own._domainkey.{DOMAIN}": "v=DKIM1; k=rsa; p=" + base64.b64encode(public).decode()}


BOTH = [(DOMAIN, "rsa-sha256"), (DOMAIN, "ed25519-sha256")]


def test_a_rewritten_mail_and_a_notice_to_a_recipient_pass_aligned(signing: tuple[Routed, Zone]) -> None:
    clinic, zone = signing
    assert set(zone) == {f"{selector}._domainkey.{DOMAIN}" for selector in SELECTORS}
    private, own = clinics_own()
    stale = None
    for recipient, subject in (("sealed18@outside.test", "Your results"), ("secure18@outside.test", "Hello [secure]")):
        mail = mails.lab_report(recipient)
        mail.replace_header("Subject", subject)
        data = mail.as_bytes(policy=mail.policy.clone(linesep="\r\n"))
        stale = dkim.sign(data, b"own", DOMAIN.encode(), private, include_headers=[b"from", b"subject"])
        with clinic.door() as server:
            server.sendmail(clinic.amy.address, [recipient], stale + data)
        copy = clinic.sink.wait_for(recipient)[0]
        assert copy.link is not None
        assert verified(copy, zone | own) == BOTH, "only ours: the clinic's own would be false by now"
        assert copy.parsed["From"].addresses[0].domain == DOMAIN, "d= is the very domain of From"
        tampered = Received(
            copy.mail_from, copy.recipients, copy.data.replace(b"mail." + DOMAIN.encode(), b"evil.test")
        )
        with pytest.raises(dkim.ValidationError):
            verified(tampered, zone)
    sealed = clinic.sink.wait_for("sealed18@outside.test")[0]
    assert stale is not None
    assert sealed.data.count(STALE.encode() + b": v=1") == 1, "the clinic's own signature is kept where none looks"


def test_as_it_is_stays_as_it_is_with_its_own_signature(signing: tuple[Routed, Zone]) -> None:
    clinic, zone = signing
    private, own = clinics_own()
    mail = mails.newsletter()
    mail.replace_header("To", "plain18@outside.test")
    data = mail.as_bytes(policy=mail.policy.clone(linesep="\r\n"))
    data = dkim.sign(data, b"own", DOMAIN.encode(), private, include_headers=[b"from", b"subject"]) + data
    with clinic.door() as server:
        server.sendmail(clinic.amy.address, ["plain18@outside.test"], data)
    copy = clinic.sink.wait_for("plain18@outside.test")[0]
    assert copy.data.endswith(data)
    assert verified(copy, zone | own) == [(DOMAIN, "rsa-sha256")]


def test_mail_of_our_own_to_the_sender_is_signed_for_a_parent_of_its_from(signing: tuple[Routed, Zone]) -> None:
    """A DSN comes from the portal's host, a name below the clinic's domain: aligned as DMARC is by default."""
    clinic, zone = signing
    mail = mails.newsletter()
    with clinic.door() as server:
        server.sendmail(clinic.amy.address, [NOBODY], mail.as_bytes(policy=mail.policy.clone(linesep="\r\n")))
    dsn = clinic.sink.wait_for(clinic.amy.address)[0]
    assert dsn.mail_from == ""
    assert dsn.parsed["From"].addresses[0].domain == f"mail.{DOMAIN}"
    assert verified(dsn, zone) == BOTH


def test_keys_are_made_once_listed_and_removed_only_when_they_sign_no_more(signing: tuple[Routed, Zone]) -> None:
    clinic, zone = signing
    found = json.loads(clinic.command("dkim", "list", "--json"))
    assert {one["selector"]: one["signs"] for one in found} == dict.fromkeys(SELECTORS, True)
    assert {record["name"]: record["value"] for one in found for record in one["records"]} == zone
    for words in (("make", "sealgate-r1"), ("remove", "sealgate-r1"), ("remove", "never-made")):
        with pytest.raises(Misconfigured, match="ended with 78"):
            clinic.command("dkim", *words)
    said = clinic.command("dkim", "make", "spare")
    assert f"spare._domainkey.{DOMAIN}. IN TXT" in said
    assert max(len(one) for one in said.split('"')[1::2]) <= 255
    assert "PRIVATE" not in said
    clinic.command("dkim", "remove", "spare")
    assert "spare" not in clinic.command("dkim", "list")
