"""Which other machines may connect: the keyholder's own authority for certificates, and the list of those it gave.

The authority's key never leaves this store, where it lies wrapped by the root key; private keys of certificates never
come here, only requests for them. Promises: a certificate names one node and one role in its subject alternative name
(`sealgate://<node>/<role>`) and serves for nothing else, neither as a server nor as an authority; one that is not on
the list, was revoked or has ended admits nobody, on connections that are open as well. DESIGN §2 (between machines);
RFC 5280 4.2, RFC 8446 4.4.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keys.errors import Denied, Tampered
from keys.keyholder.config import ROLES
from keys.keyholder.custody import SYSTEM
from keys.keyholder.database import Tx
from keys.keyholder.proposals import OPERATOR
from keys.keyholder.releaselog import record
from keys.keyholder.wire import SERVER_NAME

LONGEST_DAYS = 397
_AUTHORITY_DAYS = 7300
_OWN_DAYS = 30
_SKEW = timedelta(hours=1)
_NODE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_CURVES = (ec.SECP256R1, ec.SECP384R1)
_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Admitted:
    """A certificate that is on the list: whose it is and until when (microseconds since 1970 UTC)."""

    node: str
    role: str
    expires_us: int


def certify(tx: Tx, *, node: str, role: str, request: bytes, days: int) -> dict[str, Any]:
    """A certificate for the key of that request (PKCS #10, PEM): ``certificate`` and ``authority`` (PEM), ``serial``,
    ``expires_us``. What the request says of itself counts for nothing.

    Denied: bad-node, bad-role, bad-days, bad-request (no request, its signature wrong, or not a P-256 or P-384 key).
    """
    if _NODE.fullmatch(node) is None:
        raise Denied("bad-node")
    if role not in ROLES:
        raise Denied("bad-role")
    if not 1 <= days <= LONGEST_DAYS:
        raise Denied("bad-days")
    public = _asked(request)
    authority, key = _authority(tx)
    serial = x509.random_serial_number()
    until_us = tx.now_us + days * _DAY_US
    made = (
        _begun(f"{node} {role}", public, authority.subject, serial, tx.now_us, until_us, key)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name_of(node, role))]), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), True)
        .sign(key, hashes.SHA256())
    )
    tx.run(
        "INSERT INTO machines VALUES (?, ?, ?, ?, ?, ?, NULL)",
        f"{serial:x}", node, role, made.fingerprint(hashes.SHA256()), tx.now_us, until_us,
    )  # fmt: skip
    record(tx, SYSTEM, "machine:certified", object=node, actor=(OPERATOR, OPERATOR), reason=role)
    return {
        "certificate": _pem(made), "authority": _pem(authority), "serial": f"{serial:x}", "expires_us": until_us,
    }  # fmt: skip


def machines(tx: Tx) -> list[dict[str, Any]]:
    """Every certificate that was given, newest first: serial, node, role, made_us, expires_us, revoked_us."""
    rows = tx.all("SELECT * FROM machines ORDER BY made_us DESC, serial")
    names = ("serial", "node", "role", "made_us", "expires_us", "revoked_us")
    return [{name: row[name] for name in names} for row in rows]


def revoke_machine(tx: Tx, *, node: str, role: str | None) -> int:
    """Admit the certificates of that node (or only of that role) no more; how many were in force until now."""
    if role is not None and role not in ROLES:
        raise Denied("bad-role")
    count = revoke(tx, node, role)
    record(tx, SYSTEM, "machine:revoked", object=node, actor=(OPERATOR, OPERATOR), reason=role or "all")
    return count


def revoke(tx: Tx, node: str, role: str | None = None) -> int:
    """As `revoke_machine`, within another call."""
    return tx.run(
        "UPDATE machines SET revoked_us = ? WHERE node = ? AND revoked_us IS NULL AND role = coalesce(?, role)",
        tx.now_us, node, role,
    )  # fmt: skip


def admitted(tx: Tx) -> dict[bytes, Admitted]:
    """Whom to admit, by the SHA-256 of the certificate."""
    rows = tx.all("SELECT * FROM machines WHERE revoked_us IS NULL AND expires_us > ?", tx.now_us)
    return {bytes(row["fingerprint"]): Admitted(row["node"], row["role"], row["expires_us"]) for row in rows}


def own(tx: Tx) -> tuple[bytes, bytes]:
    """For listening: our authority's certificate, and a fresh certificate of our own with its private key (PEM).

    Nothing of the second is stored: it lives as long as the process, a month at most.
    """
    authority, key = _authority(tx)
    mine = ec.generate_private_key(ec.SECP256R1())
    until_us = tx.now_us + _OWN_DAYS * _DAY_US
    made = (
        _begun("keyholder", mine.public_key(), authority.subject, x509.random_serial_number(), tx.now_us, until_us, key)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)]), False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), True)
        .sign(key, hashes.SHA256())
    )
    private = mine.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return authority.public_bytes(Encoding.PEM), made.public_bytes(Encoding.PEM) + private


def name_of(node: str, role: str) -> str:
    """The one name in a node's certificate."""
    return f"sealgate://{node}/{role}"


def _authority(tx: Tx) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    row = tx.one("SELECT * FROM authority WHERE id = 1")
    if row is None:
        return _made(tx)
    key = load_der_private_key(tx.custody.unwrap(bytes(row["wrapped"]), "authority", 1), None)
    found = x509.load_der_x509_certificate(bytes(row["certificate"]))
    if not isinstance(key, ec.EllipticCurvePrivateKey) or found.public_key() != key.public_key():
        raise Tampered("the authority's two halves do not belong together")
    return found, key


def _made(tx: Tx) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(f"Sealgate keyholder {tx.custody.root.public.hex()[:16]}")
    until_us = tx.now_us + _AUTHORITY_DAYS * _DAY_US
    start, end = _time(tx.now_us) - _SKEW, _time(until_us)
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    found = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), start, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .add_extension(usage, True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    wrapped = tx.custody.wrap(private, "authority", 1)
    tx.run("INSERT INTO authority VALUES (1, ?, ?, ?)", found.public_bytes(Encoding.DER), wrapped, tx.now_us)
    return found, key


def _begun(
    name: str, public: Any, issuer: x509.Name, serial: int, from_us: int, until_us: int,
    key: ec.EllipticCurvePrivateKey,
) -> x509.CertificateBuilder:  # fmt: skip
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    builder = x509.CertificateBuilder(issuer, _subject(name), public, serial, _time(from_us) - _SKEW, _time(until_us))
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(usage, True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False)
    )


def _asked(request: bytes) -> ec.EllipticCurvePublicKey:
    try:
        found = x509.load_pem_x509_csr(request)
        public = found.public_key()
        whole = found.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise Denied("bad-request") from error
    if not whole or not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, _CURVES):
        raise Denied("bad-request")
    return public


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _time(us: int) -> datetime:
    return datetime.fromtimestamp(us // 1_000_000, UTC)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")
