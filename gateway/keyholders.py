"""Where this node's keyholder is reached: a Unix socket for each role here, or another machine by mutual TLS.

Promises: each role's certificate with its private key is a file of its own that only that role's user reads; the
operator's is root's, and where there is none, this machine can change nothing at the keyholder. DESIGN §2 (between
machines).
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from gateway import install
from gateway.errors import Misconfigured
from gateway.roles import Identities
from gateway.settings import Settings
from keys.client import Connection, Distant

AUTHORITY, OPERATOR = "authority.pem", "operator"
NEW = ".key.new"
ROLES = ("worker", "portal", OPERATOR)


def reach(settings: Settings, role: str, *, timeout_seconds: float = 5.0, size: int = 8) -> Connection:
    """The connection of that role (worker, portal, operator). Nothing is opened yet."""
    if settings.node.keyholder != "apart" or settings.keys.address is None:
        place: Path | Distant = settings.sockets_directory / f"{role}.sock"
    else:
        address = settings.keys.address
        place = Distant(
            address.host, address.port, settings.machine_directory / AUTHORITY, certificate_file(settings, role)
        )
    return Connection(place, timeout_seconds=timeout_seconds, size=size)


def certificate_file(settings: Settings, role: str) -> Path:
    """Certificate and private key of one role on this machine."""
    return settings.machine_directory / f"{role}.pem"


def owner_of(settings: Settings, role: str) -> str | None:
    """Who reads a role's file: the role's user, and for the operator whoever starts us."""
    if role == OPERATOR:
        return None
    return "portal" if role == "portal" and settings.on_postgres else "gateway"


def need(settings: Settings) -> None:
    """Raises Misconfigured when this machine cannot prove itself to the keyholder on the other one."""
    if settings.node.keyholder != "apart":
        return
    for path in (settings.machine_directory / AUTHORITY, *(certificate_file(settings, one) for one in ROLES[:2])):
        if not path.exists():
            raise Misconfigured(
                f"{path} is missing: this machine has no certificate for the keyholder at {settings.keys.address}. "
                "Make a request with 'sealgate keys request FILE', see deploy/KEYHOLDER.md"
            )


def administers(settings: Settings) -> bool:
    """Whether this machine may act as the operator: on the keyholder's own machine always, else with a certificate."""
    return settings.node.keyholder != "apart" or certificate_file(settings, OPERATOR).exists()


def ends(settings: Settings) -> dict[str, datetime]:
    """When each certificate of this machine ends, by role."""
    found = {}
    for role in ROLES:
        path = certificate_file(settings, role)
        if path.exists():
            found[role] = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    return found


def ask(settings: Settings, who: Identities, roles: tuple[str, ...]) -> dict[str, str]:
    """A new private key for each of these roles, which stays here, and a request for its certificate (PEM) by role."""
    install.machine_folder(settings, who)
    requests = {}
    for role in roles:
        key = ec.generate_private_key(ec.SECP256R1())
        path = settings.machine_directory / (role + NEW)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        install.write(path, private, 0o400)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{settings.node.name} {role}")])
        made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        requests[role] = made.public_bytes(Encoding.PEM).decode("ascii")
    return requests


def accept(settings: Settings, who: Identities, authority: str, certificates: dict[str, str]) -> dict[str, datetime]:
    """Put certificates beside the keys that they were asked for; when each ends. A running gateway uses them at once.

    Raises Misconfigured for one that belongs to no request of this machine, to another node, or to another authority.
    """
    try:
        root = x509.load_pem_x509_certificate(authority.encode("ascii"))
        found = {role: x509.load_pem_x509_certificate(text.encode("ascii")) for role, text in certificates.items()}
        for one in found.values():
            one.verify_directly_issued_by(root)
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise Misconfigured("this answer holds no certificates of the authority that it names") from error
    kept = settings.machine_directory / AUTHORITY
    if kept.exists() and kept.read_text() != authority:
        raise Misconfigured(
            f"this answer comes from another keyholder than {kept} names. If that is meant, remove that file first"
        )
    pieces = {}
    for role, one in found.items():
        path = settings.machine_directory / (role + NEW)
        if role not in ROLES or not path.exists():
            raise Misconfigured(f"there is no open request of this machine for '{role}': sealgate keys request FILE")
        private = path.read_bytes()
        key = load_pem_private_key(private, None)
        if _public(key.public_key()) != _public(one.public_key()):
            raise Misconfigured(f"the certificate of '{role}' belongs to another request than the last of this machine")
        names = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if [str(name.value) for name in names] != [f"sealgate://{settings.node.name}/{role}"]:
            raise Misconfigured(f"the certificate of '{role}' names another node or role than {settings.node.name}")
        pieces[role] = one.public_bytes(Encoding.PEM) + private
    install.write(kept, authority.encode("ascii"), 0o444)
    for role, content in pieces.items():
        owner = owner_of(settings, role)
        install.write(certificate_file(settings, role), content, 0o400, who, owner)
        os.unlink(settings.machine_directory / (role + NEW))
    return {role: one.not_valid_after_utc for role, one in found.items()}


def fingerprint(request: str) -> str:
    """A few words to compare on both machines: SHA-256 over the request's public key, the first 16 hex digits."""
    try:
        public = x509.load_pem_x509_csr(request.encode("ascii")).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Misconfigured("this is no request of 'sealgate keys request'") from error
    digest = hashes.Hash(hashes.SHA256())
    digest.update(_public(public))
    return digest.finalize().hex()[:16]


def soon(settings: Settings, days: int = 14) -> list[str]:
    """Roles whose certificate ends within so many days."""
    limit = datetime.now(UTC) + timedelta(days=days)
    return [role for role, end in ends(settings).items() if end < limit]


def _public(key: object) -> bytes:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise Misconfigured("a key of another kind than 'sealgate keys request' makes")
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
