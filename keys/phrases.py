"""Passphrases that we propose and nobody invents: seven words, each one of 1,024, so 70 bits.

The words are those of SLIP-39, from the package `shamir-mnemonic` (MIT, SatoshiLabs): short, common, and told apart by
their first four letters, so that a misspelt end, a capital or a comma makes no difference (gateway/decisions/0043).
Promises: drawn from the operating system's randomness; what was not drawn from the list is no passphrase.
"""

from __future__ import annotations

import re
import secrets

from shamir_mnemonic.wordlist import WORDLIST

WORDS = 7
BITS = 70
_KNOWN_BY = 4
_FULL = {word[:_KNOWN_BY]: word for word in WORDLIST}
_LETTERS = re.compile(r"[a-z]+")


def propose() -> tuple[str, ...]:
    """Seven words."""
    return tuple(secrets.choice(WORDLIST) for _ in range(WORDS))


def read(typed: str) -> bytes | None:
    """What is hashed for a typed passphrase: its words in full, one blank between them. None when it can be none."""
    found = [_FULL.get(word[:_KNOWN_BY]) for word in _LETTERS.findall(typed[:400].lower())]
    words = [word for word in found if word is not None]
    if len(words) != WORDS or len(found) != WORDS:
        return None
    return " ".join(words).encode("ascii")
