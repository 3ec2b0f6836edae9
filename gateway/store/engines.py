"""How a database is opened: SQLite with its write-ahead log, PostgreSQL by psycopg 3.

Promises: a database is never created by opening it; SQLite commits are synchronous (FULL) or the start fails; a file
that was renamed, deleted or replaced under us is noticed before anything is written to it; no statement of ours waits
longer than `WAIT_FOR` for a lock; parameters never stand in an error's text.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool, QueuePool

from gateway.errors import Misconfigured, TryLater

WAIT_FOR = timedelta(milliseconds=800)
"""Longest wait for another process's lock. Under a second, so that the health flag turns red within one."""

STATEMENT_FOR = timedelta(seconds=4)
"""Longest run of one statement on PostgreSQL."""

IDLE_FOR = timedelta(seconds=6)
"""Longest pause inside a transaction on PostgreSQL: a process that hangs there holds up the log of all."""

READERS = 16
"""Read connections kept and shared by threads."""


TURN_MS = 120_000
"""Longest duty under a turn, in milliseconds: its transaction does nothing but hold the lock."""

LEASES, TURNS = 0x5EA1, 0x5EA2
"""First halves of PostgreSQL's advisory locks: names of writers, duties that one process at a time may do."""


class NameTaken(TryLater):
    """Another process serves under this node's name, or has not ended yet. Give each node a name of its own."""


def parse(url: str) -> URL:
    """The database URL. Raises Misconfigured for a driver or a form that we do not run on."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise Misconfigured(
            "[store] url is not a database URL; write sqlite:////var/lib/sealgate/gateway.db"
        ) from error
    if parsed.drivername == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise Misconfigured("[store] url names no file; write sqlite:////var/lib/sealgate/gateway.db")
    elif parsed.drivername != "postgresql+psycopg":
        raise Misconfigured(f"[store] url: '{parsed.drivername}' is not supported; known: sqlite, postgresql+psycopg")
    return parsed


def path_of(url: URL) -> Path | None:
    """The file of a SQLite database; None for a server."""
    return Path(url.database or "").absolute() if url.drivername == "sqlite" else None


class FileWatch:
    """Notices that the database file is no longer the one that was opened.

    SQLite goes on writing to a file that was renamed or unlinked: every commit would succeed and be lost.
    """

    def __init__(self, path: Path) -> None:
        self._files = [str(path), str(path) + "-wal"]
        self._seen: dict[str, tuple[int, int]] = {}

    def reopened(self) -> None:
        """The write-ahead log goes away with the last connection; a new connection makes a new one."""
        self._seen.pop(self._files[1], None)

    def check(self, *, writing: bool) -> None:
        """Raises TryLater when the file (and for the writer its write-ahead log) is missing or replaced."""
        for name in self._files if writing else self._files[:1]:
            try:
                found = os.stat(name)
            except OSError as error:
                if name == self._files[1] and name not in self._seen:
                    continue  # it appears with the first transaction
                raise TryLater("the database file is missing") from error
            if self._seen.setdefault(name, (found.st_dev, found.st_ino)) != (found.st_dev, found.st_ino):
                raise TryLater("the database file was replaced while it was open")


def writer_engine(url: URL, *, lease: str = "") -> Engine:
    """One connection, for the writer thread alone; on PostgreSQL it holds the name `lease` as long as it lives.

    Whoever hangs keeps its name until the server has ended its connection, so a successor never writes beside it.
    """
    if url.drivername == "sqlite":
        engine = _sqlite(url, poolclass=NullPool)
        _on_begin(engine, "BEGIN IMMEDIATE")
        return engine
    engine = _postgres(url, poolclass=NullPool)
    if lease:

        @event.listens_for(engine, "connect")
        def take_name(connection: Any, _record: Any) -> None:
            taken = connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", (LEASES, lease)).fetchone()[0]
            connection.commit()
            if not taken:
                raise NameTaken("the node's name is held by another process")

    return engine


def reader_engine(url: URL) -> Engine:
    """Read-only connections, for any thread."""
    if url.drivername == "sqlite":
        engine = _sqlite(url, pragmas=("query_only=ON",), poolclass=QueuePool, **_pool(READERS))
        _on_begin(engine, "BEGIN")
        return engine
    engine = _postgres(url, isolation_level="REPEATABLE READ", **_pool(READERS))

    @event.listens_for(engine, "connect")
    def read_only(connection: Any, _record: Any) -> None:
        connection.read_only = True

    return engine


def aside_engine(url: URL) -> Engine:
    """One connection for the sequencer, made when it is first needed. It holds no name: its lock is its transaction's.

    What hangs in one is ended by the server after `IDLE_FOR`, and another worker goes on.
    """
    return _postgres(url, poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=STATEMENT_FOR.total_seconds())


def _pool(size: int) -> dict[str, Any]:
    return {"pool_size": size, "max_overflow": 16, "pool_timeout": STATEMENT_FOR.total_seconds()}


def _sqlite(url: URL, pragmas: tuple[str, ...] = (), **pool: Any) -> Engine:
    path = path_of(url)

    def connect() -> sqlite3.Connection:
        # mode=rw: a missing file is an error, never a fresh and empty database.
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw",
            uri=True,
            timeout=WAIT_FOR.total_seconds(),
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
        )
        try:
            for pragma in ("synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY", "trusted_schema=OFF", *pragmas):
                connection.execute("PRAGMA " + pragma)
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
            if mode != "wal" or synchronous != 2:
                raise Misconfigured(
                    f"[store] url: SQLite runs with journal {mode}, synchronous {synchronous}, not WAL and FULL"
                )
        except BaseException:
            connection.close()
            raise
        return connection

    return create_engine("sqlite://", creator=connect, hide_parameters=True, **pool)


def _on_begin(engine: Engine, statement: str) -> None:
    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql(statement)


def _postgres(url: URL, **pool: Any) -> Engine:
    milliseconds: Callable[[timedelta], int] = lambda span: int(span.total_seconds() * 1000)  # noqa: E731
    options = (
        f"-c lock_timeout={milliseconds(WAIT_FOR)} -c statement_timeout={milliseconds(STATEMENT_FOR)} "
        f"-c idle_in_transaction_session_timeout={milliseconds(IDLE_FOR)} -c synchronous_commit=on -c timezone=UTC"
    )
    return create_engine(
        url,
        hide_parameters=True,
        connect_args={
            "connect_timeout": 4,
            "options": options,
            "tcp_user_timeout": milliseconds(STATEMENT_FOR),
            "keepalives_idle": 5,
            "application_name": "sealgate",
        },
        **pool,
    )
