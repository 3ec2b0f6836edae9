"""SQLite's own count of its steps (sqlite3_progress_handler): how much work a statement is, whatever the machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

EVERY = 10
"""The handler is called after so many steps."""


class Steps:
    """Steps of every connection that is opened while it listens."""

    def __init__(self) -> None:
        self.taken = 0

    def connected(self, connection: Any, record: object) -> None:
        """For SQLAlchemy: a connection was opened."""
        connection.set_progress_handler(self._more, EVERY)

    def _more(self) -> int:
        self.taken += EVERY
        return 0


@contextmanager
def counted() -> Iterator[Steps]:
    """While it is open, connections that are opened count."""
    found = Steps()
    event.listen(Engine, "connect", found.connected)
    try:
        yield found
    finally:
        event.remove(Engine, "connect", found.connected)
