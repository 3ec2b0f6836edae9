"""Values that must not reach a log: their str() and repr() redact themselves.

Use `Sensitive(value)` for addresses, subjects, file names, tokens and codes that travel through code which might log,
and `.reveal()` at the one place where the value is meant to go.
"""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Sensitive(Generic[T]):
    """A value that prints as «redacted»."""

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def reveal(self) -> T:
        """The value itself."""
        return self._value

    def __repr__(self) -> str:
        return "«redacted»"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sensitive) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a sensitive value is not pickled")
