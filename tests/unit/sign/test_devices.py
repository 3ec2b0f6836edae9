"""Devices: whose word a connection is, by network, certificate or both; and client certificates on the wire."""

from __future__ import annotations

import hashlib
import ipaddress
import smtplib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.policy import RecipientFacts, decide, load
from gateway.policy.cases import mail_of
from gateway.smtp import replies
from gateway.smtp.gate import admit
from gateway.smtp.replies import Reply
from gateway.spool.envelope import Identity
from gateway.spool.known import Address
from gateway.spool.snapshot import Snapshot, SubmissionUser, parse
from tests.support.faulty import eventually
from tests.support.smtpd import Smtpd, smtpd, trusting
from tests.support.spool import TENANT, Keyring, tenant

SHOWN, OTHER = "ab" * 32, "cd" * 32
SCANNER, LAN = "192.0.2.14", "192.0.2.99"


def device(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": "scanner", "networks": [], "certificates": [], "senders": [], "owner": "",
            "assume_phi": True} | more  # fmt: skip


def snapshot(*devices: dict[str, Any]) -> Snapshot:
    text, _ = Keyring().snapshot(tenants=[tenant(networks=("192.0.2.0/24",), devices=list(devices))])
    return parse(text)


BY_NETWORK = device("by-network", networks=[SCANNER], senders=["scan@clinic.test"])
BY_BOTH = device("by-both", networks=[SCANNER], certificates=[SHOWN], senders=["fax@clinic.test"])
BY_CERTIFICATE = device("by-certificate", certificates=[OTHER])
ALL = snapshot(BY_NETWORK, BY_BOTH, BY_CERTIFICATE)
AMY = SubmissionUser(TENANT, "usr_Amy", "amy@clinic.test", b"s", b"v")


def asked(
    address: str,
    sender: str,
    certificate: str = "",
    *,
    login_required: bool = False,
    login: SubmissionUser | None = None,
) -> Identity | Reply:
    at: Address = ipaddress.ip_address(address)
    known = ALL if login is None else Snapshot(**{
        name: getattr(ALL, name) for name in ALL.__dataclass_fields__ if name != "users"
    }, users={"amy@clinic.test": (AMY,)})  # fmt: skip
    found = admit(known, at, login, sender, login_required=login_required, certificate=certificate)
    return found if isinstance(found, Reply) else found[1]  # type: ignore[index]


@pytest.mark.parametrize("sender", ['"fax"@clinic.test', '"f\\ax"@clinic.test', "FAX@Clinic.Test", "fax@clinic.test."])
def test_an_address_that_needs_a_certificate_is_known_however_it_is_written(sender: str) -> None:
    assert asked(LAN, sender) == replies.NOT_ITS_ADDRESS
    assert asked(LAN, sender.replace("fax", "fan").replace("FAX", "FAN").replace("f\\ax", "fan")) == Identity("network")


@pytest.mark.parametrize("sender", ["fax@ｃlinic.test", "fan@ｃlinic.test"])
def test_a_domain_that_is_only_read_as_the_clinics_is_another(sender: str) -> None:
    assert asked(LAN, sender) == replies.NOT_YOUR_DOMAIN


@pytest.mark.parametrize(
    ("address", "sender", "certificate", "wanted"),
    [
        (SCANNER, "scan@clinic.test", "", Identity("device", None, "by-network")),
        (SCANNER, "Scan@Clinic.test", "", Identity("device", None, "by-network")),
        (SCANNER, "", "", Identity("device", None, "by-network")),
        (SCANNER, "amy@clinic.test", "", replies.NOT_ITS_ADDRESS),
        (SCANNER, "fax@clinic.test", "", replies.NOT_ITS_ADDRESS),
        (SCANNER, "fax@clinic.test", SHOWN, Identity("certificate", None, "by-both")),
        (LAN, "fax@clinic.test", SHOWN, replies.NOT_ITS_ADDRESS),
        (LAN, "fax@clinic.test", "", replies.NOT_ITS_ADDRESS),
        (LAN, "amy@clinic.test", "", Identity("network")),
        ("198.51.100.7", "amy@clinic.test", OTHER, Identity("certificate", None, "by-certificate")),
        ("198.51.100.7", "amy@elsewhere.test", OTHER, replies.NOT_ITS_ADDRESS),
        ("198.51.100.7", "amy@clinic.test", SHOWN, replies.NOT_AUTHORISED),
        ("198.51.100.7", "amy@clinic.test", "", replies.NOT_AUTHORISED),
    ],
    ids=[
        "network", "address in another case", "null sender", "another address", "its network without its certificate",
        "both", "its certificate elsewhere", "an address that needs a certificate", "a neighbour", "certificate",
        "certificate, another domain", "half of both", "nothing",
    ],
)  # fmt: skip
def test_everything_that_binds_a_device_must_hold(
    address: str, sender: str, certificate: str, wanted: Identity | Reply
) -> None:
    assert asked(address, sender, certificate) == wanted


@pytest.mark.parametrize(
    ("certificate", "wanted"),
    [(OTHER, Identity("certificate", None, "by-certificate")), ("", replies.LOGIN_REQUIRED)],
    ids=["certificate", "network alone"],
)
def test_where_people_sign_in_a_certificate_will_do_and_a_network_will_not(
    certificate: str, wanted: Identity | Reply
) -> None:
    assert asked(SCANNER, "scan@clinic.test", certificate, login_required=True) == wanted


def test_a_scanner_with_a_password_is_a_scanner_and_a_person_beside_it_a_person() -> None:
    assert asked(SCANNER, "scan@clinic.test", login=AMY) == Identity("device", "usr_Amy", "by-network")
    assert asked(SCANNER, "amy@clinic.test", login=AMY) == Identity("app-password", "usr_Amy", "amy@clinic.test")


CLEAN = {"attachments": ["clean", "unread"], "assumed": True}


@pytest.mark.parametrize("name", ["clinic", "strict"])
@pytest.mark.parametrize("more", [{}, {"null_sender": True}], ids=["sender", "null sender"])
def test_every_attachment_of_a_device_is_sealed_whatever_is_found_in_it(name: str, more: dict[str, bool]) -> None:
    policy = load(name)
    made = decide(policy, mail_of(CLEAN | more), RecipientFacts())
    assert (made.treatment, made.rule, sorted(made.sealed_parts)) == ("attachments", "device", ["2", "3"])
    twin = decide(policy, mail_of(CLEAN | more | {"assumed": False}), RecipientFacts())
    assert twin.rule != "device"
    assert decide(policy, mail_of(CLEAN), RecipientFacts(internal=True)).treatment == "as-is"
    body = decide(policy, mail_of(CLEAN | {"body": "phi"}), RecipientFacts())
    assert body.treatment in ("secure", "hold"), "what stands in the text is not left there for the files' sake"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Smtpd, dict[str, ssl.SSLContext]]]:
    """A server that asks for certificates of one authority, and clients: registered, unregistered, of another one."""
    folder: Path = tmp_path_factory.mktemp("certificates")
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "devices.pem"))
    listed, unlisted = authority.issue_cert("scanner.clinic.test"), authority.issue_cert("other.clinic.test")
    foreign = stranger.issue_cert("scanner.clinic.test")
    der = ssl.PEM_cert_to_DER_cert(listed.cert_chain_pems[0].bytes().decode())
    entry = device("scanner", certificates=[hashlib.sha256(der).hexdigest()], senders=["scan@clinic.test"])
    found = {"tenants": [tenant(networks=(), devices=[entry])]}
    with smtpd(folder / "s", tls=True, snapshot=found, client_ca_file=folder / "devices.pem") as running:
        contexts = {}
        for name, leaf in (("listed", listed), ("unlisted", unlisted), ("foreign", foreign), ("none", None)):
            contexts[name] = trusting(folder / "s")
            if leaf is not None:
                leaf.configure_cert(contexts[name])
        yield running, contexts


@pytest.mark.parametrize("kind", ["submission", "submissions"])
def test_a_registered_certificate_sends_without_a_password_and_is_named(
    server: tuple[Smtpd, dict[str, ssl.SSLContext]], kind: str
) -> None:
    running, contexts = server
    with connected(running, kind, contexts["listed"]) as client:
        assert client.mail("amy@clinic.test")[0] == 550
        assert client.mail("scan@clinic.test")[0] == 250
        client.rcpt("b@example.test")
        assert client.data(b"Subject: scan\r\n\r\nhi\r\n")[0] == 250
    last = running.envelopes()[-1]
    assert (last.identity.kind, last.identity.name, last.listener) == ("certificate", "scanner", kind)


@pytest.mark.parametrize("who", ["none", "unlisted"])
def test_without_a_registered_certificate_one_signs_in_as_before(
    server: tuple[Smtpd, dict[str, ssl.SSLContext]], who: str
) -> None:
    running, contexts = server
    with connected(running, "submission", contexts[who]) as client:
        assert client.has_extn("auth")
        assert client.mail("scan@clinic.test")[0] == 530


def test_a_certificate_of_another_authority_does_not_get_through_the_handshake(
    server: tuple[Smtpd, dict[str, ssl.SSLContext]],
) -> None:
    running, contexts = server
    with (
        pytest.raises((ssl.SSLError, OSError, smtplib.SMTPException)),
        connected(running, "submission", contexts["foreign"]) as client,
    ):
        client.docmd("NOOP")  # TLS 1.3 tells the client after the handshake


def test_authorities_of_clients_are_renewed_without_a_restart(tmp_path: Path) -> None:
    first, second = trustme.CA(), trustme.CA()
    file = tmp_path / "devices.pem"
    first.cert_pem.write_to_path(str(file))
    with smtpd(tmp_path / "s", tls=True, client_ca_file=file) as running:
        contexts = []
        for authority in (first, second):
            contexts.append(trusting(tmp_path / "s"))
            authority.issue_cert("scanner.clinic.test").configure_cert(contexts[-1])

        def shakes(context: ssl.SSLContext) -> bool:
            try:
                with connected(running, "submissions", context) as client:
                    return client.docmd("NOOP")[0] == 250
            except (OSError, smtplib.SMTPException):
                return False

        assert [shakes(one) for one in contexts] == [True, False]
        file.unlink()
        second.cert_pem.write_to_path(str(file))
        eventually(lambda: [shakes(one) for one in contexts] == [False, True], 60)
        file.write_text("half an author")
        eventually(lambda: "certificate:refused" in running.log_text(), 60)
        assert shakes(contexts[1])


def test_mail_servers_are_not_asked_for_a_certificate(server: tuple[Smtpd, dict[str, ssl.SSLContext]]) -> None:
    running, contexts = server
    with connected(running, "relay", contexts["foreign"]) as client:
        assert client.noop()[0] == 250
    with connected(running, "relay", contexts["listed"]) as client:
        assert client.mail("scan@clinic.test")[0] == 550


def connected(running: Smtpd, kind: str, context: ssl.SSLContext) -> smtplib.SMTP:
    if kind == "submissions":
        client: smtplib.SMTP = smtplib.SMTP_SSL("127.0.0.1", running.ports[kind][0], timeout=60, context=context)
    else:
        client = running.client(kind)
        client.starttls(context=context)
    client.ehlo("c.test")
    return client
