"""How much looking one message may cost, counted and not timed, so that the same mail is always judged alike.

Promises: beyond the budget nothing more is looked at, and the caller is told by an exception: it says "unread".
"""

from __future__ import annotations

from dataclasses import dataclass

BUDGET = 200_000
"""Units for one message, some 30 µs each: 256 KB of clinical notes or of names and diagnoses cost a quarter or less."""

NAME, CHARS, CHARS_IN_FULL = 3, 200, 50
"""Units for one name looked at, and characters for a unit: of any text, and of one that gets the full look."""


class OverBudget(Exception):
    """This message costs more than it may."""


@dataclass(slots=True)
class Work:
    """What is left of the budget of one message."""

    left: int

    def spend(self, units: int) -> None:
        """Raises OverBudget, now and for everything after."""
        self.left -= units
        if self.left < 0:
            raise OverBudget
