"""Locks on an inbox's private half, boxes to its public half, and the passphrases that are proposed."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace

import pytest

from keys import inboxes, phrases
from keys.boxes import BoxKey
from keys.errors import Tampered, WrongSecret
from keys.inboxes import LockName

NAME = LockName("tnt_a", "inb_a", "lck_a")
SEALED_FOR = {"tenant": "tnt_a", "message": "msg_a", "grant": "lnk_a", "person": "per_a", "inbox": "inb_a"}
PRIVATE, PEPPER = os.urandom(32), os.urandom(32)


def factor(value: bytes = b"seven words") -> inboxes.Factor:
    """As `by_passphrase`, without its work."""
    return lambda salt: hashlib.sha256(value + salt).digest()


def test_a_lock_opens_with_factor_and_pepper_and_with_nothing_else() -> None:
    locked = inboxes.lock(PRIVATE, factor(), PEPPER, NAME)
    assert inboxes.unlock(locked, factor(), PEPPER, NAME) == PRIVATE
    assert inboxes.lock(PRIVATE, factor(), PEPPER, NAME) != locked
    others = [replace(NAME, **{field: "other"}) for field in ("tenant", "inbox", "lock", "kind")]
    wrong = [(factor(b"other"), PEPPER, NAME), (factor(), os.urandom(32), NAME)]
    for how, pepper, name in [*wrong, *((factor(), PEPPER, name) for name in others)]:
        with pytest.raises(WrongSecret):
            inboxes.unlock(locked, how, pepper, name)


def test_each_flipped_bit_of_a_lock_is_refused() -> None:
    locked = inboxes.lock(PRIVATE, factor(), PEPPER, NAME)
    for at in range(len(locked)):
        changed = bytearray(locked)
        changed[at] ^= 1
        with pytest.raises((WrongSecret, Tampered)):
            inboxes.unlock(bytes(changed), factor(), PEPPER, NAME)
    with pytest.raises(Tampered):
        inboxes.unlock(locked[:-1], factor(), PEPPER, NAME)


def test_a_passphrase_is_stretched_with_64_mib_and_a_prf_output_is_taken_whole() -> None:
    locked = inboxes.lock(PRIVATE, inboxes.by_passphrase(b"one two"), PEPPER, NAME)
    assert inboxes.unlock(locked, inboxes.by_passphrase(b"one two"), PEPPER, NAME) == PRIVATE
    assert (inboxes.MEMORY_KIB, inboxes.PASSES, inboxes.LANES) == (64 * 1024, 3, 1)
    output = os.urandom(32)
    by_key = replace(NAME, kind=inboxes.PASSKEY)
    kept = inboxes.lock(PRIVATE, inboxes.by_passkey(output), PEPPER, by_key)
    assert inboxes.unlock(kept, inboxes.by_passkey(output), PEPPER, by_key) == PRIVATE
    with pytest.raises(ValueError, match="32 bytes"):
        inboxes.by_passkey(output[:31])


def test_what_is_sealed_to_an_inbox_opens_for_its_own_message_and_person_alone() -> None:
    key, other, mk = BoxKey.generate(), BoxKey.generate(), os.urandom(32)
    sealed = inboxes.seal_message(key.public, mk, **SEALED_FOR)
    assert inboxes.open_message(key.private_bytes(), sealed, **SEALED_FOR) == mk
    with pytest.raises(Tampered):
        inboxes.open_message(other.private_bytes(), sealed, **SEALED_FOR)
    for field in SEALED_FOR:
        with pytest.raises(Tampered):
            inboxes.open_message(key.private_bytes(), sealed, **{**SEALED_FOR, field: "other"})


def test_the_browsers_copy_opens_with_the_sessions_key_alone() -> None:
    key = os.urandom(32)
    sealed = inboxes.keep(PRIVATE, key, "tnt_a", "inb_a")
    assert inboxes.kept(sealed, key, "tnt_a", "inb_a") == PRIVATE
    for one in ((os.urandom(32), "tnt_a", "inb_a"), (key, "tnt_b", "inb_a"), (key, "tnt_a", "inb_b")):
        with pytest.raises(WrongSecret):
            inboxes.kept(sealed, *one)


def test_proposed_words_have_seventy_bits_and_are_read_by_their_first_four_letters() -> None:
    words = phrases.propose()
    assert len(words) == phrases.WORDS
    assert len(phrases.WORDLIST) ** phrases.WORDS == 2**phrases.BITS
    assert phrases.propose() != words
    said = " ".join(words)
    assert phrases.read(said) == said.encode()
    assert phrases.read(f"  {said.upper().replace(' ', ', ')}. ") == said.encode()
    assert phrases.read("-".join(word[:4] for word in words)) == said.encode()


@pytest.mark.parametrize("typed", ["", "academic acid", "academic " * 8, "zzzz " * 7, "x" * 5000],
                         ids=["nothing", "two", "eight", "not-of-the-list", "long"])  # fmt: skip
def test_what_was_not_proposed_is_no_passphrase(typed: str) -> None:
    assert phrases.read(typed) is None
