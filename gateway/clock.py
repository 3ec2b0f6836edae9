"""Time and fresh ids, handed in so that tests can decide both.

Promises: times are aware UTC; ids are random (95 bits of base62), never guessable from one another.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import Protocol

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [first + second for first in BASE62 for second in BASE62]


class Clock(Protocol):
    """What time it is, and what the next thing is called."""

    def now(self) -> datetime:
        """Aware UTC."""

    def now_us(self) -> int:
        """Microseconds since 1970, UTC."""

    def new_id(self, prefix: str, length: int = 16) -> str:
        """A fresh id such as ``msg_…``: the prefix, an underscore, `length` random base62 characters."""


class SystemClock:
    """The machine's clock and the operating system's randomness."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def new_id(self, prefix: str, length: int = 16) -> str:
        number = secrets.randbelow(62**length)  # one draw: a message's id must not cost sixteen system calls
        digits = []
        for _ in range(length // 2):
            number, pair = divmod(number, 62 * 62)
            digits.append(_PAIRS[pair])
        if length % 2:
            digits.append(BASE62[number])
        return f"{prefix}_{''.join(digits)}"


def from_us(microseconds: int) -> datetime:
    """Aware UTC of a count of microseconds since 1970."""
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC)


def to_us(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime."""
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond
