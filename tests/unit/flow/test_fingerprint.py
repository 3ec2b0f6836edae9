"""The digest of a message is the same, made beside the reading or not, and its thread always ends."""

from __future__ import annotations

import hashlib
import threading

import pytest

from gateway.flow.fingerprint import BESIDE_BYTES, Fingerprint

PIECES = [b"%d" % number * 1_000 for number in range(300)]


@pytest.mark.parametrize("size", [0, BESIDE_BYTES])
def test_what_was_fed_is_what_was_hashed(size: int) -> None:
    with Fingerprint(size) as made:
        for piece in PIECES:
            made.feed(piece)
        assert made.finish() == made.finish() == hashlib.sha256(b"".join(PIECES)).hexdigest()


def test_its_thread_ends_when_the_reading_fails() -> None:
    with pytest.raises(OSError), Fingerprint(BESIDE_BYTES) as made:
        made.feed(b"x")
        raise OSError
    assert not any(one.name == "fingerprint" for one in threading.enumerate())
