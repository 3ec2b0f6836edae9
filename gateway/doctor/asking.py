"""One question to the gateway's database, on SQLite as the user who owns it, on PostgreSQL as the worker's role."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any
from urllib.parse import quote

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from gateway.doctor.case import Case, Refused
from gateway.doctor.place import store_file
from gateway.errors import GatewayError
from gateway.store import engines


def row(case: Case, statement: str) -> list[Any]:
    """The answer's first row. Raises Refused when the database cannot be asked."""
    path = store_file(case)
    if path is None:
        return _server(case, statement)

    def look() -> list[Any]:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=2)) as store:
            store.execute("PRAGMA query_only=ON")
            return list(store.execute(statement).fetchone())

    return list(case.as_role("gateway", look))


def _server(case: Case, statement: str) -> list[Any]:
    try:
        engine = engines.reader_engine(engines.parse(case.settings.store.url))
        try:
            with engine.connect() as conn:
                return list(conn.execute(text(statement)).one())
        finally:
            engine.dispose()
    except (SQLAlchemyError, GatewayError) as error:
        raise Refused(type(error).__name__) from error
