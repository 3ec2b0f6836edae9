"""Devices and shared networks from end to end: a scanner's files are sealed and its owner hears of them; mail of a
provider's network is taken with the clinic's proof alone, leaves without it and marked as having been here.
"""

from __future__ import annotations

import json
import smtplib
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.demo import mails
from gateway.demo.clinic import DOMAIN
from gateway.senders import LOOP, loop_value, verifier
from tests.support.routed import Routed
from tests.support.spool import eventually

pytestmark = pytest.mark.full
SCANNER, PROVIDER = "127.0.0.20", "127.0.0.40"
SECRET = "0123456789abcdef" * 4
OWNER, NOBODY = f"office@{DOMAIN}", "gone@outside.test"


async def refuse_nobody(server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
    """The sink's answer to RCPT."""
    if address == NOBODY:
        return "550 5.1.1 no such user"
    envelope.rcpt_tos.append(address)
    return "250 2.1.5 OK"


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routed]:
    """Loopback is cut up: one address is the clinic's own, one a scanner's, some are a provider's."""
    folder = tmp_path_factory.mktemp("senders")
    secret = folder / "secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o400)
    made = Routed(folder / "c", swap={'["127.0.0.0/8"]': '["127.0.0.1"]'})
    made.sink.handle_RCPT = refuse_nobody  # type: ignore[attr-defined]
    made.more = f"""
[[devices]]
name = "front-scanner"
kind = "scanner"
networks = "{SCANNER}"
senders = "scanner@{DOMAIN}"
owner = "{OWNER}"
[[shared]]
name = "m365"
provider = "microsoft-365"
networks = "127.0.0.32/28"
originator_org = "{DOMAIN}"
secret_file = "{secret}"
loop = true
"""
    try:
        made.start()
        yield made
    finally:
        made.stop()


def scan(recipient: str) -> bytes:
    mail = mails.newsletter()
    mail.replace_header("From", f"scanner@{DOMAIN}")
    mail.replace_header("To", recipient)
    mail.add_attachment(b"nothing here names anybody\r\n", maintype="text", subtype="plain", filename="scan-0001.txt")
    return mail.as_bytes(policy=mail.policy.clone(linesep="\r\n"))


def send(clinic: Routed, door: str, sender: str, recipient: str, data: bytes) -> None:
    with clinic.door(door) as server:
        server.sendmail(sender, [recipient], data)


def test_a_scan_without_phi_is_sealed_and_the_log_names_the_scanner(clinic: Routed) -> None:
    recipient = "scan@outside.test"
    send(clinic, SCANNER, f"scanner@{DOMAIN}", recipient, scan(recipient))
    copy = clinic.sink.wait_for(recipient)[0]
    assert copy.attachments == 0
    assert copy.link is not None
    assert b"nothing here names anybody" not in copy.everything()
    accepted = [one for one in clinic.search("action:message:accepted") if one["reason"] == "device"]
    assert [one["actor"] for one in accepted] == [{"id": "front-scanner", "kind": "device"}]
    twin = "twin@outside.test"  # the same from the clinic's own network passes
    send(clinic, "127.0.0.1", clinic.amy.address, twin, scan(twin))
    assert clinic.sink.wait_for(twin)[0].attachments == 1


def test_its_owner_hears_what_a_person_would_and_it_sends_as_nobody_else(clinic: Routed) -> None:
    send(clinic, SCANNER, f"scanner@{DOMAIN}", NOBODY, scan(NOBODY))
    dsn = clinic.sink.wait_for(OWNER)[0]
    assert dsn.mail_from == ""
    assert NOBODY in dsn.data.decode("utf-8", "replace")
    with pytest.raises(smtplib.SMTPSenderRefused) as refused:
        send(clinic, SCANNER, clinic.amy.address, "x@outside.test", scan("x@outside.test"))
    assert (refused.value.smtp_code, refused.value.smtp_error[:5]) == (550, b"5.7.1")


def letter(recipient: str, proof: str) -> bytes:
    mail = mails.newsletter()
    mail.replace_header("To", recipient)
    return proof.encode() + mail.as_bytes(policy=mail.policy.clone(linesep="\r\n"))


PROOF = f"X-Sealgate-Proof: {SECRET}\r\nX-OriginatorOrg: {DOMAIN}\r\n"


def test_mail_of_a_provider_is_taken_with_the_proof_which_does_not_travel_on(clinic: Routed) -> None:
    recipient = "proved@outside.test"
    plain = letter(recipient, "")
    send(clinic, PROVIDER, clinic.amy.address, recipient, PROOF.encode() + plain)
    copy = clinic.sink.wait_for(recipient)[0]
    assert copy.data.endswith(plain)
    assert SECRET.encode() not in copy.data
    assert b"originatororg" not in copy.data.lower()
    assert copy.data.count(f"\r\n{LOOP}: {loop_value(verifier(SECRET))}\r\n".encode()) == 1
    with pytest.raises(smtplib.SMTPDataError) as refused:  # its own mark, and the proof once more: it goes round
        send(clinic, PROVIDER, clinic.amy.address, recipient, PROOF.encode() + copy.data)
    assert (refused.value.smtp_code, refused.value.smtp_error[:5]) == (554, b"5.4.6")


def test_without_the_proof_nothing_is_relayed_or_signed_and_the_log_says_so(clinic: Routed) -> None:
    recipient = "unproved@outside.test"
    forged = PROOF.replace(SECRET, SECRET[::-1])
    for proof in ("", forged, PROOF + PROOF):
        with pytest.raises(smtplib.SMTPDataError) as refused:
            send(clinic, PROVIDER, clinic.amy.address, recipient, letter(recipient, proof))
        assert (refused.value.smtp_code, refused.value.smtp_error[:5]) == (550, b"5.7.1")

    def noted() -> list[dict[str, Any]]:
        return [one for one in clinic.search("action:message:refused") if one["reason"] == "no-proof"]

    eventually(lambda: len(noted()) == 3)
    last = "last@outside.test"
    send(clinic, PROVIDER, clinic.amy.address, last, letter(last, PROOF))
    clinic.sink.wait_for(last)
    assert not [one for one in clinic.sink.mails if recipient in one.recipients]
    assert SECRET not in (clinic.data / "gateway.log").read_text()


def test_commands_show_what_is_set_and_never_the_secret(clinic: Routed) -> None:
    (one,) = json.loads(clinic.command("shared", "--json"))
    assert (one["header"], one["loop_value"]) == ("X-Sealgate-Proof", loop_value(verifier(SECRET)))
    checked = clinic.command("check", "--json")
    assert "devices.riverside.front-scanner.owner" in checked
    for said in (json.dumps(one), checked, clinic.command("doctor", "--json", status=1)):
        assert SECRET not in said
        assert verifier(SECRET).hex() not in said
