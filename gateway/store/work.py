"""A work's share of a transaction, and what its caller waits on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from gateway.store import scope


class Tx:
    """One work's share of a transaction.

    `conn` is the connection; touching it opens a savepoint, so that a work which only appends events pays for none.
    `events` are handed to the `before_commit` hooks and dropped with the savepoint. `after_commit` functions run once
    the batch is durable, in the writer thread, and must not raise. `now_us` is the time of the work.
    """

    __slots__ = ("_conn", "_raw", "_saved", "_tenant", "after_commit", "events", "now_us")

    def __init__(self, conn: Connection, raw: Any, now_us: int, *, whole: bool = False, tenant: str = "") -> None:
        self._conn = conn
        self._raw = raw
        self._saved = whole
        self._tenant = tenant
        self.events: list[Any] = []
        self.after_commit: list[Callable[[], None]] = []
        self.now_us = now_us

    @property
    def conn(self) -> Connection:
        """The connection, inside this work's savepoint."""
        if not self._saved:
            self._raw.execute("SAVEPOINT work")
            self._saved = True
            if self._tenant:
                self._raw.execute(scope.SET, (self._tenant,))
        return self._conn

    @property
    def tenant(self) -> str:
        """For whom this work acts; empty where the database does not hold us to one tenant."""
        return self._tenant

    def keep(self) -> None:
        """The writer's: end the savepoint and keep what was written."""
        if self._saved:
            self._raw.execute("RELEASE SAVEPOINT work")
            if self._tenant:  # the next work of this transaction names its own
                self._raw.execute(scope.SET, ("",))

    def drop(self) -> None:
        """The writer's: undo what this work wrote. Raises when the transaction itself is gone."""
        self.events.clear()
        self.after_commit.clear()
        if self._saved:
            self._raw.execute("ROLLBACK TO SAVEPOINT work")
            self._raw.execute("RELEASE SAVEPOINT work")


class Answer:
    """What `run` waits on: a future's three methods for one waiting thread, at a tenth of a future's price."""

    __slots__ = ("_lock", "cancelled", "error", "result")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self.cancelled = False
        self.result: Any = None
        self.error: BaseException | None = None

    def wait(self, limit: timedelta) -> bool:
        return self._lock.acquire(timeout=limit.total_seconds())

    def set_running_or_notify_cancel(self) -> bool:
        return not self.cancelled

    def set_result(self, result: Any) -> None:
        self.result = result
        self._lock.release()

    def set_exception(self, error: BaseException) -> None:
        self.error = error
        self._lock.release()
