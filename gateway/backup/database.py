"""The database in a backup: one moment of it, taken while the gateway writes, and looked into without its keys.

SQLite is copied page by page by its own backup from one read transaction, which makes no writer wait. PostgreSQL is
copied table by table from one read transaction, as the worker's role: the tables hide their rows from everybody else,
their owner and pg_dump included, and a role that could pass that by has no business with this program (decision 0036).
Promises: what is read of the copy (heads of logs, names of blobs) is of the same moment; what comes back is one
transaction, by the owner, into empty tables, after which the rows are hidden again.
"""

from __future__ import annotations

import base64
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Table, create_engine, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool, StaticPool

from gateway.audit.event import SYSTEM
from gateway.audit.log import hashes
from gateway.audit.sequencer import latest_note
from gateway.backup.manifest import Changed, Failed, Manifest, checked
from gateway.errors import Misconfigured
from gateway.settings import Settings
from gateway.store import engines, migrations
from gateway.store.schema import log_leaves, metadata, outbox, tenants
from keys.merkle import root

SQLITE, TABLES = "database.sqlite", "database.tables"
PAGES = 4096
Progress = Callable[[str], None]


@contextmanager
def copied(settings: Settings, directory: Path, progress: Progress) -> Iterator[tuple[list[str], Connection]]:
    """Names of the files of the copy in that folder, and a view of exactly what is in it. Raises Failed."""
    if settings.on_postgres:
        with _from_server(settings, directory, progress) as (names, conn):
            yield names, conn
        return
    path = engines.path_of(engines.parse(settings.store.url))
    assert path is not None
    _pages(path, directory / SQLITE, progress)
    with looked_into(directory / SQLITE) as conn:
        yield [SQLITE], conn


@contextmanager
def looked_into(path: Path) -> Iterator[Connection]:
    """A SQLite file that nobody writes, read without leaving anything beside it."""
    uri = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
    engine = create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(uri, uri=True, check_same_thread=False), hide_parameters=True,
        poolclass=StaticPool,
    )  # fmt: skip
    try:
        with engine.connect() as conn:
            yield conn
    finally:
        engine.dispose()


def heads(conn: Connection) -> dict[str, dict[str, Any]]:
    """Of every log: how many entries have their number, the root over them (base64), the last signed checkpoint."""
    found = {}
    for name in (*conn.execute(select(tenants.c.id).order_by(tenants.c.id)).scalars(), SYSTEM):
        last = conn.execute(
            select(log_leaves.c.idx).where(log_leaves.c.log == name).order_by(log_leaves.c.idx.desc()).limit(1)
        ).scalar()
        size = 0 if last is None else int(last) + 1
        digest = root(size, hashes(conn, name))
        found[name] = {
            "size": size, "root": base64.b64encode(digest).decode(), "checkpoint": latest_note(conn, name) or "",
        }  # fmt: skip
    return found


def bring_back(settings: Settings, source: Path, manifest: Manifest, progress: Progress) -> None:
    """Make the tables on PostgreSQL and fill them, all or nothing, and give the roles their rights.

    Raises Misconfigured where nobody is named who owns the tables, Changed, Failed.
    """
    from gateway.store import grants

    if not settings.store.owner_url:
        raise Misconfigured("[store] owner_url is needed: the owner makes the tables and fills them")
    migrations.upgrade(settings.store.owner_url)
    engine = create_engine(settings.store.owner_url, poolclass=NullPool, hide_parameters=True)
    try:
        with engine.connect() as conn, conn.begin():
            hidden = [str(name) for name in conn.exec_driver_sql(_HIDDEN).scalars()]
            for name in hidden:
                conn.exec_driver_sql(f"ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY")
            for table in metadata.sorted_tables:
                progress(f"database: {table.name}")
                _fill(conn, table, source, manifest)
            last = conn.execute(select(func.max(outbox.c.seq))).scalar()
            conn.exec_driver_sql(f"ALTER TABLE outbox ALTER COLUMN seq RESTART WITH {int(last or 0) + 1}")
            for name in hidden:
                conn.exec_driver_sql(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
    except SQLAlchemyError as error:
        raise Failed(f"the database cannot be filled ({type(error).__name__})") from error
    finally:
        engine.dispose()
    worker, portal = (engines.parse(url).username or "" for url in (settings.store.url, settings.store.portal_url))
    grants.apply(settings.store.owner_url, worker, portal)


_HIDDEN = (
    "SELECT quote_ident(c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relforcerowsecurity AND n.nspname = current_schema() ORDER BY 1"
)


def _fill(conn: Connection, table: Table, source: Path, manifest: Manifest) -> None:
    import psycopg

    if conn.execute(select(func.count()).select_from(table)).scalar():
        conn.execute(table.delete())  # the one row that a migration puts into a fresh table
    part = manifest.part(f"{TABLES}/{table.name}")
    driver: Any = conn.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(f"COPY {_columns(table)} FROM STDIN") as copy:
            for chunk in checked(source, part):
                copy.write(chunk)
    except psycopg.Error as error:
        raise Changed(part.name) from error


def _columns(table: Table) -> str:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    return f'"{table.name}" ({names})'


def _pages(source: Path, target: Path, progress: Progress) -> None:
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))

    def said(_status: int, left: int, total: int) -> None:
        progress(f"database: {total - left} of {total} pages")

    try:
        with (
            closing(sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True, timeout=10)) as old,
            closing(sqlite3.connect(target)) as new,
        ):
            old.execute("BEGIN")  # one moment from here on, however long it takes: a writer restarts no copy
            old.execute("SELECT 1 FROM sqlite_master").fetchone()
            old.backup(new, pages=PAGES, progress=said)
    except sqlite3.Error as error:
        raise Failed(f"the database cannot be copied ({type(error).__name__}); is the disk full?") from error


@contextmanager
def _from_server(
    settings: Settings, directory: Path, progress: Progress
) -> Iterator[tuple[list[str], Connection]]:  # fmt: skip
    import psycopg

    engine = create_engine(
        settings.store.url, poolclass=NullPool, hide_parameters=True, isolation_level="REPEATABLE READ",
        connect_args={"connect_timeout": 5, "application_name": "sealgate backup"},
    )  # fmt: skip
    (directory / TABLES).mkdir(mode=0o700)
    names = []
    try:
        with engine.connect() as conn:
            conn.exec_driver_sql("SET TRANSACTION READ ONLY")
            driver: Any = conn.connection.driver_connection
            for table in metadata.sorted_tables:
                progress(f"database: {table.name}")
                columns = ", ".join(f'"{column.name}"' for column in table.columns)
                wanted = f'COPY (SELECT {columns} FROM "{table.name}") TO STDOUT'  # noqa: S608 - names of the schema
                names.append(f"{TABLES}/{table.name}")
                with driver.cursor() as cursor, cursor.copy(wanted) as copy, open(directory / names[-1], "xb") as file:
                    for piece in copy:
                        file.write(piece)
            yield names, conn
    except (SQLAlchemyError, psycopg.Error) as error:
        raise Failed(f"the database cannot be copied ({type(error).__name__})") from error
    finally:
        engine.dispose()
