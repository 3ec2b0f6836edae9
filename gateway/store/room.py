"""What the store knows of the room that was put by on its disk (`keys.reserve.Reserve` is the one there is)."""

from __future__ import annotations

from typing import Protocol


class Room(Protocol):
    """A reserve on the database's disk. Thread-safe; never raises."""

    @property
    def whole(self) -> bool:
        """Whether it is there. While it is not, nothing new is begun."""

    def look(self) -> bool:
        """See how the disk stands; give the reserve up or make it again. Whether it is whole."""

    def needed(self, error: BaseException) -> bool:
        """Whether a write failed for want of room."""

    def spend(self) -> bool:
        """Give it up. False when there is nothing left to give."""


class NoRoom:
    """Nothing is put by, and nobody waits for it."""

    whole = True

    def look(self) -> bool:
        return True

    def needed(self, error: BaseException) -> bool:
        return False

    def spend(self) -> bool:
        return False
