"""Ends waits for a database server that has stopped answering.

A server that was stopped keeps its sockets open: neither `statement_timeout` nor TCP's own timers end a wait on it.
Promise: a connection in use for longer than the limit has its socket shut down, which wakes the waiting thread with
an error; it is then thrown away. Works on PostgreSQL only; SQLite has no server.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, event


class Stalls:
    """Watches statements of these engines. `close` ends the watching."""

    def __init__(self, engines: Iterable[Engine], limit: timedelta) -> None:
        self._limit = limit.total_seconds()
        self._since: dict[int, tuple[float, Any]] = {}
        self._end = threading.Event()
        for engine in engines:
            event.listen(engine, "before_cursor_execute", self._begin)
            event.listen(engine, "after_cursor_execute", self._done)
            event.listen(engine, "handle_error", self._error)
            event.listen(engine, "commit", self._begin)
            event.listen(engine, "rollback", self._begin)
            event.listen(engine, "checkin", self._checkin)
        threading.Thread(target=self._serve, name="store-stalls", daemon=True).start()

    def close(self) -> None:
        self._end.set()

    def _begin(self, conn: Any, *_: Any) -> None:
        raw = conn.connection.driver_connection
        self._since[id(raw)] = (time.monotonic(), raw)

    def answered(self, raw: Any) -> None:
        """The COMMIT of this driver connection came back; it is not given back to a pool, which would say so too."""
        self._since.pop(id(raw), None)

    def _done(self, conn: Any, *_: Any) -> None:
        self._since.pop(id(conn.connection.driver_connection), None)

    def _checkin(self, raw: Any, _record: Any) -> None:
        self._since.pop(id(raw), None)

    def _error(self, context: Any) -> None:
        if context.connection is not None and not context.connection.invalidated:
            self._since.pop(id(context.connection.connection.driver_connection), None)

    def _serve(self) -> None:
        while not self._end.wait(0.25):
            now = time.monotonic()
            for key, (since, raw) in list(self._since.items()):
                if now - since > self._limit and self._since.pop(key, (0.0, None))[1] is not None:
                    self._cut(raw)

    @staticmethod
    def _cut(raw: Any) -> None:
        try:
            with socket.socket(fileno=raw.fileno()) as handle:
                try:
                    handle.shutdown(socket.SHUT_RDWR)
                finally:
                    handle.detach()  # the descriptor stays libpq's to close
        except Exception:  # noqa: S110 - it has been closed meanwhile, which is what was wanted
            pass
