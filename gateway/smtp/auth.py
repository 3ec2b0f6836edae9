"""App passwords: is this one right? And the messages of AUTH PLAIN and AUTH LOGIN.

Promises: the comparison takes the same time whoever asks and whatever is wrong; a password is never kept, logged or
said back. Passwords are generated with far more randomness than a hash must add, so SHA-256 with a salt is enough.
Clauses: RFC 4954, RFC 4616; 45 CFR 164.312(d).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from gateway.spool.snapshot import Snapshot, SubmissionUser

_NOBODY = (SubmissionUser(tenant="", user="", username="", salt=bytes(16), verifier=bytes(32)),)


def check(snapshot: Snapshot, username: str, password: bytes) -> SubmissionUser | None:
    """Whose app password this is, or None. A name may have several; all of them are compared."""
    found: SubmissionUser | None = None
    for user in snapshot.users.get(username.casefold(), _NOBODY):
        same = hmac.compare_digest(hashlib.sha256(user.salt + password).digest(), user.verifier)
        if same and user.user:
            found = user
    return found


def decode(text: bytes) -> bytes | None:
    """The bytes of one base64 answer; ``=`` is the empty one (RFC 4954 4). None if it is no base64."""
    if text == b"=":
        return b""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def plain(message: bytes) -> tuple[str, bytes] | None:
    """Name and password of a PLAIN message. None if malformed or if it asks to act for somebody else."""
    parts = message.split(b"\0")
    if len(parts) != 3 or not parts[1] or not parts[2]:
        return None
    acting, name, password = parts
    if acting not in (b"", name):
        return None
    return as_name(name, password)


def as_name(name: bytes, password: bytes) -> tuple[str, bytes] | None:
    """Name as text and password. None if the name is no UTF-8."""
    try:
        return name.decode("utf-8"), password
    except UnicodeDecodeError:
        return None
