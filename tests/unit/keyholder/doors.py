"""A keyholder that listens on loopback, and machines with certificates of every kind; its clock is moved by tests."""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keys.client import Connection, Distant
from keys.keyholder import authority
from keys.keyholder.server import Server
from tests.support.keyholder import NODE
from tests.unit.keyholder.conftest import House, set_up_house

OTHER = "node-2"
WAIT_SECONDS = 30.0
Key = ec.EllipticCurvePrivateKey


class Doors:
    """A keyholder that listens on loopback, and machines with certificates of every kind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.house = House(folder)
        self.house.config = dataclasses.replace(self.house.config, listen=(("127.0.0.1", 0),))
        self.house.now = time.time_ns() // 1000
        self.house.reopen()
        set_up_house(self.house)
        self.house.operator.register_node(OTHER, "worker", secrets.token_bytes(32))
        self.server = Server(self.house.holder)
        (self.port,) = self.server.start()
        self.authority = folder / "authority.pem"

    def close(self) -> None:
        self.server.stop()
        self.house.close()

    def machine(self, node: str = NODE, role: str = "worker", name: str = "") -> Connection:
        """A machine with a certificate as it is asked for."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self.house.operator.certify(node, role, request(key), 90)
        self.authority.write_text(made["authority"])
        return self.with_files(made["certificate"].encode(), key, name or f"{node}-{role}")

    def forged(
        self, change: Callable[[x509.CertificateBuilder], x509.CertificateBuilder], **more: object
    ) -> Connection:
        """A certificate that our authority signed, but not through the keyholder's call."""
        key = ec.generate_private_key(ec.SECP256R1())
        root, signer = self.house.holder.database.run(authority._authority)
        self.authority.write_bytes(root.public_bytes(Encoding.PEM))
        return self.with_files(signed(key, root.subject, more.get("signer", signer), change), key, secrets.token_hex(4))  # type: ignore[arg-type]

    def with_files(self, certificate: bytes, key: Key, name: str) -> Connection:
        own = self.folder / f"{name}.pem"
        own.write_bytes(certificate + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return Connection(Distant("127.0.0.1", self.port, self.authority, own), timeout_seconds=WAIT_SECONDS)


def request(key: Key | ed25519.Ed25519PrivateKey) -> bytes:
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, algorithm)
    return made.public_bytes(Encoding.PEM)


def signed(
    key: Key, issuer: x509.Name, signer: Key, change: Callable[[x509.CertificateBuilder], x509.CertificateBuilder]
) -> bytes:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer, x509.Name([]), key.public_key(), 7, now - timedelta(days=2), now + timedelta(days=2)
    )
    uri = x509.UniformResourceIdentifier(authority.name_of(NODE, "worker"))
    builder = (
        builder.add_extension(x509.SubjectAlternativeName([uri]), True)
        .add_extension(x509.BasicConstraints(False, None), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False)
    )
    return change(builder).sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)


def as_it_is(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    return builder


def ended(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    builder._not_valid_after = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=1)
    return builder
