"""Errors of the keyholder, as errors of the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.errors import Tampered, TryLater
from keys import errors


class KeyholderDown(TryLater):
    """We cannot open anything right now. Nothing is lost; please try again in a few minutes."""


@contextmanager
def answering() -> Iterator[None]:
    """Around calls of the keyholder's clients. `keys.errors.Denied` passes through: the caller knows what was refused.

    Raises:
        KeyholderDown: it cannot be reached or answers nonsense.
        Tampered: a signature or seal does not hold.
    """
    try:
        yield
    except errors.Unavailable as error:
        raise KeyholderDown("keyholder unavailable") from error
    except errors.Tampered as error:
        raise Tampered("keyholder's answer does not verify") from error
