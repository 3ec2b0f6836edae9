"""Signed notes, verifier keys and checkpoints.

Promises: a text comes out of `open_note` only if a signature of a known key holds and none of a known key fails; every
part has one spelling. Clauses: C2SP signed-note (Ed25519, type 0x01), C2SP tlog-checkpoint, RFC 4648 4.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from keys.errors import Tampered
from keys.signing import PUBLIC_BYTES, SIGNATURE_BYTES, verify_raw

ED25519 = 0x01
MAX_NOTE_BYTES = 1_000_000
MAX_SIGNATURES = 100  # the format asks for at least 16
MAX_SIZE = 2**63 - 1

_DASH = "\u2014 "
_ID_BYTES = 4


class Signer(Protocol):
    """What signs a note: `keys.signing.SigningKey`, or the same held elsewhere."""

    @property
    def public(self) -> bytes:
        """32 bytes, Ed25519."""

    def sign_raw(self, message: bytes) -> bytes:
        """64 bytes: the Ed25519 signature over exactly `message`."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """A key that is known to verify notes: name, 4-byte key id, 32-byte Ed25519 public key."""

    name: str
    key_id: bytes
    public: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's head: its origin, how many leaves, their root hash. `extensions` are opaque further lines."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """The note text. ValueError for a part that the format cannot hold."""
        lines = [self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions]
        if not 0 <= self.size <= MAX_SIZE or len(self.root) != 32:
            raise ValueError("a checkpoint needs a size and a root hash of 32 bytes")
        if any(not line or not _printable(line) for line in lines):
            raise ValueError("a checkpoint's lines are not empty and hold no control characters")
        return "\n".join(lines) + "\n"


def key_id(name: str, public: bytes) -> bytes:
    """The first four bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key)."""
    return hashlib.sha256(name.encode() + b"\n" + bytes((ED25519,)) + public).digest()[:_ID_BYTES]


def vkey(name: str, public: bytes) -> str:
    """The verifier key string ``name+keyid+base64(0x01 ‖ public)``. ValueError for an unusable name or key."""
    if not _good_name(name) or len(public) != PUBLIC_BYTES:
        raise ValueError("a key name holds no space and no plus, a public key has 32 bytes")
    encoded = base64.b64encode(bytes((ED25519,)) + public).decode()
    return f"{name}+{key_id(name, public).hex()}+{encoded}"


def parse_vkey(text: str) -> Verifier:
    """The verifier of a verifier key string, surrounding white space ignored. ValueError for anything else."""
    parts = text.strip().split("+", 2)
    if len(parts) != 3 or not _good_name(parts[0]):
        raise ValueError("a verifier key reads name+keyid+base64")
    name, identifier, encoded = parts
    try:
        raw = _b64(encoded)
    except ValueError as error:
        raise ValueError("a verifier key's last part is not base64") from error
    if len(raw) != 1 + PUBLIC_BYTES or raw[0] != ED25519:
        raise ValueError("a verifier key must be of type 1, Ed25519")
    expected = key_id(name, raw[1:])
    if identifier != expected.hex():
        raise ValueError("a verifier key's id does not belong to its name and key")
    return Verifier(name, expected, raw[1:])


def sign_note(text: str, name: str, key: Signer) -> str:
    """`text` (ends in a newline) with one signature line of `name`. ValueError for text no note can hold."""
    if not text.endswith("\n") or not _printable(text, newline=True):
        raise ValueError("a note's text ends in a newline and holds no other control character")
    if not _good_name(name):
        raise ValueError("a key name holds no space and no plus")
    signature = key_id(name, key.public) + key.sign_raw(text.encode())
    return f"{text}\n{_DASH}{name} {base64.b64encode(signature).decode()}\n"


def open_note(note: str, verifiers: Verifier | Iterable[Verifier]) -> str:
    """The note's text, once a known key vouches for it.

    Signatures of unknown keys are ignored. Raises Tampered if the note is malformed, if any known key's signature
    fails, or if none holds.
    """
    known = [verifiers] if isinstance(verifiers, Verifier) else list(verifiers)
    text, lines = _split(note)
    message = text.encode()
    held = False
    for line in lines:
        name, identifier, signature = _signature_line(line)
        for verifier in known:
            if (verifier.name, verifier.key_id) == (name, identifier):
                if len(signature) != SIGNATURE_BYTES:
                    raise Tampered("a note's signature has the wrong length")
                verify_raw(verifier.public, signature, message)
                held = True
    if not held:
        raise Tampered("no known key signed this note")
    return text


def parse_checkpoint(text: str) -> Checkpoint:
    """The checkpoint of an opened note's text. Raises Tampered for anything but its one spelling."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] != "" or any(not line for line in lines[:-1]):
        raise Tampered("a checkpoint has at least three lines, none empty")
    origin, size, root, *extensions = lines[:-1]
    if not (size.isascii() and size.isdecimal()) or len(size) > 19:
        raise Tampered("a checkpoint's size is not a plain decimal number")
    try:
        checkpoint = Checkpoint(origin, int(size), _b64(root), tuple(extensions))
        if checkpoint.text() != text:  # such as leading zeros
            raise Tampered("a checkpoint has another spelling")
    except ValueError as error:
        raise Tampered("a checkpoint's lines do not hold what they must") from error
    return checkpoint


def _split(note: str) -> tuple[str, list[str]]:
    """Text and signature lines. The last empty line divides them."""
    try:
        size = len(note.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise Tampered("a note is not UTF-8") from error
    if size > MAX_NOTE_BYTES or not note.endswith("\n") or not _printable(note, newline=True):
        raise Tampered("a note is malformed")
    at = note.rfind("\n\n")
    if at < 0:
        raise Tampered("a note has no signatures")
    text, lines = note[: at + 1], note[at + 2 :].split("\n")[:-1]
    if not 1 <= len(lines) <= MAX_SIGNATURES:
        raise Tampered("a note has no signatures, or too many")
    return text, lines


def _signature_line(line: str) -> tuple[str, bytes, bytes]:
    """Key name, key id, signature."""
    if not line.startswith(_DASH):
        raise Tampered("a note's signature line is malformed")
    name, space, encoded = line[len(_DASH) :].partition(" ")
    try:
        raw = _b64(encoded)
    except ValueError as error:
        raise Tampered("a note's signature line is malformed") from error
    if not space or not _good_name(name) or len(raw) <= _ID_BYTES:
        raise Tampered("a note's signature line is malformed")
    return name, raw[:_ID_BYTES], raw[_ID_BYTES:]


def _b64(text: str) -> bytes:
    """Standard base64 in its one spelling. ValueError otherwise."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("not base64") from error
    if base64.b64encode(raw).decode() != text:
        raise ValueError("base64 in another spelling")
    return raw


def _good_name(name: str) -> bool:
    return bool(name) and "+" not in name and _printable(name) and not any(character.isspace() for character in name)


def _printable(text: str, *, newline: bool = False) -> bool:
    """No ASCII control characters, save line ends where they are meant; no lone surrogates."""
    for character in text:
        if character < " " and not (newline and character == "\n"):
            return False
        if "\ud800" <= character <= "\udfff":
            return False
    return True
