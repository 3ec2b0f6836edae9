"""Challenges for passkeys: made here, bound to what they are for, good for one answer.

Promises: challenge = SHA-256(lp("sealgate/passkey-challenge/v1", nonce, action, tenant, about)), so that an answer for
one message, act, action or tenant is none for another; a challenge ends after ten minutes and with its first answer,
right or wrong; it counts in the browser or session that asked and nowhere else. Asking writes nothing: what a challenge
is bound to leaves as a ticket under our MAC and comes back with the answer, so that whoever asks a million times fills
no store and pushes nobody's challenge out. DESIGN §4b 1; WebAuthn Level 3 13.4.3.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from keys.encoding import lp
from keys.keyholder.database import Tx
from keys.keyholder.sessions import SECOND_US

OPEN, ENROL, SIGN_IN, ACT = "open", "enrol", "sign-in", "act"
_NONCE_BYTES, _TIME_BYTES, _MAC_BYTES = 32, 8, 32


@dataclass(frozen=True, slots=True)
class Bound:
    """What a challenge is for. `about` is the message, or the hash of an act; `who` the person or user, if known by
    then; `where` the MAC of the browser or session that asked.
    """

    action: str
    tenant: str
    about: str
    who: str
    where: bytes


def ask(tx: Tx, bound: Bound) -> tuple[bytes, bytes]:
    """A fresh challenge and its ticket."""
    nonce, until_us = os.urandom(_NONCE_BYTES), tx.now_us + tx.limits.challenge_seconds * SECOND_US
    return _challenge(bound, nonce), nonce + until_us.to_bytes(_TIME_BYTES, "big") + _mac(tx, bound, nonce, until_us)


def take(tx: Tx, bound: Bound, ticket: bytes) -> bytes | str:
    """The challenge of a ticket, spent by this; or ``wrong``, ``expired``, ``used``."""
    if len(ticket) != _NONCE_BYTES + _TIME_BYTES + _MAC_BYTES:
        return "wrong"
    nonce, mac = ticket[:_NONCE_BYTES], ticket[-_MAC_BYTES:]
    until_us = int.from_bytes(ticket[_NONCE_BYTES:-_MAC_BYTES], "big")
    if not tx.custody.check(mac, "passkey-ticket", *_parts(bound, nonce, until_us)):
        return "wrong"
    if tx.now_us >= until_us:
        return "expired"
    spent = tx.custody.mac("passkey-spent", nonce)
    if tx.one("SELECT 1 FROM spent_challenges WHERE mac = ?", spent) is not None:
        return "used"
    tx.run("INSERT INTO spent_challenges VALUES (?, ?)", spent, until_us)
    return _challenge(bound, nonce)


def purge(tx: Tx) -> None:
    """Forget spent ones that are over: their tickets are refused by their time."""
    tx.run("DELETE FROM spent_challenges WHERE until_us <= ?", tx.now_us)


def _challenge(bound: Bound, nonce: bytes) -> bytes:
    return hashlib.sha256(lp("sealgate/passkey-challenge/v1", nonce, bound.action, bound.tenant, bound.about)).digest()


def _parts(bound: Bound, nonce: bytes, until_us: int) -> tuple[str | bytes | int, ...]:
    return (nonce, until_us, bound.action, bound.tenant, bound.about, bound.who, bound.where)


def _mac(tx: Tx, bound: Bound, nonce: bytes, until_us: int) -> bytes:
    return tx.custody.mac("passkey-ticket", *_parts(bound, nonce, until_us))
