"""Statements compiled once and run on the driver's own connection: what every message and every log entry needs.

Promises: the same SQL, the same transaction and the same errors (SQLAlchemy's classes, without parameters) as running
the statement through SQLAlchemy, at a fifth of its price; values go to the driver as they are, so columns are text,
integers and bytes only, which is all that our tables have.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.expression import Executable

_HIDDEN: Mapping[str, Any] = {}


class Statement:
    """One statement with bindparams. Thread-safe. Lists in `IN` cannot be prepared: write them out with `or_`."""

    __slots__ = ("_lock", "_sql", "_statement")

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._sql: dict[str, tuple[str, tuple[str, ...] | None, dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def all(self, conn: Connection, parameters: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        """Every row, its columns in the statement's order."""
        found: Sequence[tuple[Any, ...]] = self._run(conn, parameters).fetchall()
        return found

    def first(self, conn: Connection, parameters: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The first row, or None."""
        cursor = self._run(conn, parameters)
        found: tuple[Any, ...] | None = cursor.fetchone()
        cursor.close()
        return found

    def do(self, conn: Connection, parameters: Mapping[str, Any]) -> None:
        """Run what gives no rows."""
        self._run(conn, parameters).close()

    def _run(self, conn: Connection, parameters: Mapping[str, Any]) -> Any:
        sql, order, fixed = self._sql.get(conn.dialect.name) or self._compiled(conn)
        values = {**fixed, **parameters} if fixed else parameters
        driver = conn.connection.driver_connection
        assert driver is not None
        try:
            return driver.execute(sql, values if order is None else tuple([values[name] for name in order]))
        except conn.dialect.loaded_dbapi.Error as error:
            base = conn.dialect.loaded_dbapi.Error
            if conn.dialect.is_disconnect(error, conn.connection, None):
                conn.invalidate(error)
            raise DBAPIError.instance(sql, _HIDDEN, error, base, hide_parameters=True) from error

    def _compiled(self, conn: Connection) -> tuple[str, tuple[str, ...] | None, dict[str, Any]]:
        with self._lock:
            compiled: Any = self._statement.compile(dialect=conn.dialect)  # type: ignore[attr-defined]
            if "POSTCOMPILE" in str(compiled):
                raise ValueError("a list cannot be prepared")
            order = tuple(compiled.positiontup) if compiled.positional else None
            names: dict[Any, str] = compiled.bind_names
            fixed = {name: bind.value for bind, name in names.items() if bind.value is not None}
            made = self._sql[conn.dialect.name] = (str(compiled), order, fixed)
        return made
