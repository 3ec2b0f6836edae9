"""Values that hold key bytes: they print as their class name only, and are never pickled or copied.

Python cannot wipe memory; what was in use on a running machine is not claimed (DESIGN §4, last row of the table).
"""

from __future__ import annotations

from typing import NoReturn


class Secret:
    """Base of every key object of this package."""

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        self._raw = bytes(raw)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    __str__ = __repr__

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a key is not pickled or copied")


def take32(raw: bytes) -> bytes:
    """`raw` if it has exactly 32 bytes, else ValueError."""
    if len(raw) != 32:
        raise ValueError("a key must have 32 bytes")
    return bytes(raw)
