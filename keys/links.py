"""The link secret L as people and mail programs carry it: the token in the address and the printed code.

Promises: a token has 34 characters of one alphabet and survives a leading ``#`` and what mail programs append; a
printed code shows a typing mistake. Neither is stored, and nothing shorter than L stands for it. Clauses: DESIGN §4
(The link); Crockford base32.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field

from keys.encoding import BASE62, b62decode, b62encode

SECRET_BYTES = 16
GRANT_PREFIX = "lnk_"
GRANT_CHARACTERS = 12
TOKEN_CHARACTERS = 34

_SECRET_CHARACTERS = TOKEN_CHARACTERS - GRANT_CHARACTERS
_LONGEST_INPUT = 4096
_ALPHABET = frozenset(BASE62)

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CODE_VALUE = {character: value for value, character in enumerate(_CROCKFORD)} | {"I": 1, "L": 1, "O": 0}
_CODE_CHARACTERS = 28  # 26 of the secret, 2 of check
_CHECK_BITS = 10
_HYPHENS = "-\u2010\u2011\u2013"


@dataclass(frozen=True, slots=True)
class ParsedToken:
    """What an address named: the grant, and L unless the address held the grant alone."""

    grant: str
    secret: bytes | None = field(repr=False)


def new_link_secret() -> bytes:
    """A fresh L: 16 random bytes."""
    return os.urandom(SECRET_BYTES)


def token(grant_id: str, secret: bytes) -> str:
    """The 34 characters of an address: the grant id without ``lnk_``, then L in base62. ValueError for other input."""
    name = grant_id.removeprefix(GRANT_PREFIX)
    if not grant_id.startswith(GRANT_PREFIX) or len(name) != GRANT_CHARACTERS or not _ALPHABET.issuperset(name):
        raise ValueError("a grant id reads lnk_ and 12 base62 characters")
    return name + b62encode(_sized(secret), _SECRET_CHARACTERS)


def parse_token(text: str) -> ParsedToken | None:
    """The grant and L of an address's last part; L is None if only the grant stands there. None for anything else.

    A leading ``#`` or ``%23`` is dropped and the first 34 base62 characters are taken, others skipped: mail programs
    append points, brackets and blanks.
    """
    text = text[:_LONGEST_INPUT].strip()
    for lead in ("#", "%23"):
        text = text.removeprefix(lead)
    characters = "".join([character for character in text if character in _ALPHABET][:TOKEN_CHARACTERS])
    grant = GRANT_PREFIX + characters[:GRANT_CHARACTERS]
    if len(characters) == GRANT_CHARACTERS:
        return ParsedToken(grant, None)
    if len(characters) != TOKEN_CHARACTERS:
        return None
    try:
        return ParsedToken(grant, b62decode(characters[GRANT_CHARACTERS:], SECRET_BYTES))
    except ValueError:
        return None


def printed_code(secret: bytes) -> str:
    """L for typing: seven groups of four Crockford base32 characters, joined by hyphens, the last two a check."""
    number = int.from_bytes(_sized(secret), "big") << _CHECK_BITS | _check(secret)
    digits = [_CROCKFORD[number >> (5 * place) & 31] for place in range(_CODE_CHARACTERS - 1, -1, -1)]
    return "-".join("".join(digits[at : at + 4]) for at in range(0, _CODE_CHARACTERS, 4))


def parse_printed_code(text: str) -> bytes | None:
    """L of a typed code; case, blanks and hyphens do not matter, I and L read as 1, O as 0. None for a mistake."""
    characters = [
        character
        for character in text[:_LONGEST_INPUT].upper()
        if not character.isspace() and character not in _HYPHENS
    ]
    if len(characters) != _CODE_CHARACTERS or any(character not in _CODE_VALUE for character in characters):
        return None
    number = 0
    for character in characters:
        number = number << 5 | _CODE_VALUE[character]
    value, check = number >> _CHECK_BITS, number & ((1 << _CHECK_BITS) - 1)
    if value >> (8 * SECRET_BYTES):
        return None
    secret = value.to_bytes(SECRET_BYTES, "big")
    return secret if check == _check(secret) else None


def _check(secret: bytes) -> int:
    """The first 10 bits of SHA-256("sealgate/code/v1" ‖ L): both lengths are fixed, so no prefixes are needed."""
    digest = hashlib.sha256(b"sealgate/code/v1" + secret).digest()
    return int.from_bytes(digest[:2], "big") >> (16 - _CHECK_BITS)


def _sized(secret: bytes) -> bytes:
    if len(secret) != SECRET_BYTES:
        raise ValueError("a link secret has 16 bytes")
    return secret
