"""A machine's own side of its certificates for the keyholder: key and request, and whether an answer is its own.

Promises: a private key is made here and goes out of here as the bytes of one file alone; an answer counts only if its
certificate was made for that very key, by the authority that the answer names, under the name that was asked for.
RFC 2986, RFC 5280; `keys.keyholder.authority` is the other side.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

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

from keys.errors import KeysError


class Unfit(KeysError):
    """A request or an answer that cannot be used; the text says why."""


def request(node: str, role: str) -> tuple[bytes, str]:
    """A new private key (PEM, PKCS #8) and a request for its certificate (PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{node} {role}")])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, made.public_bytes(Encoding.PEM).decode("ascii")


def fingerprint(text: str) -> str:
    """Of a request, to be compared by people: SHA-256 over its public key, the first 16 hex digits. Raises Unfit."""
    try:
        found = x509.load_pem_x509_csr(text.encode("ascii")).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Unfit("this is no request of 'sealgate keys request'") from error
    return hashlib.sha256(_public(found)).hexdigest()[:16]


def joined(authority: str, certificate: str, private: bytes, node: str, role: str) -> tuple[bytes, datetime]:
    """Certificate and key as one file, and when it ends. Raises Unfit."""
    try:
        root = x509.load_pem_x509_certificate(authority.encode("ascii"))
        found = x509.load_pem_x509_certificate(certificate.encode("ascii"))
        found.verify_directly_issued_by(root)
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.ExtensionNotFound) as error:
        raise Unfit("this answer holds no certificates of the authority that it names") from error
    if _public(load_pem_private_key(private, None).public_key()) != _public(found.public_key()):
        raise Unfit(f"the certificate of '{role}' belongs to another request than the last of this machine")
    if [str(name.value) for name in names] != [f"sealgate://{node}/{role}"]:
        raise Unfit(f"the certificate of '{role}' names another node or role than {node}")
    return found.public_bytes(Encoding.PEM) + private, found.not_valid_after_utc


def ends(content: bytes) -> datetime:
    """When a certificate (PEM, its key may follow) ends. Raises Unfit."""
    try:
        return x509.load_pem_x509_certificate(content).not_valid_after_utc
    except ValueError as error:
        raise Unfit("this is no certificate") from error


def _public(key: object) -> bytes:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise Unfit("a key of another kind than 'sealgate keys request' makes")
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
