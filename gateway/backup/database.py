"""The database in a backup: one moment of it, taken while the gateway writes, and looked into without its keys.

SQLite is copied page by page by its own backup from one read transaction, which makes no writer wait. PostgreSQL is
dumped by pg_dump from a snapshot that this process holds, and comes back by pg_restore: that is what those who look
after such servers know (decision 0036). Promises: what is read of the copy (heads of logs, names of blobs) is of the
same moment; a password is never on a command line.
"""

from __future__ import annotations

import base64
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, select
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool, StaticPool

from gateway.audit.event import SYSTEM
from gateway.audit.log import hashes
from gateway.audit.sequencer import latest_note
from gateway.backup.manifest import Failed
from gateway.errors import Misconfigured
from gateway.settings import Settings
from gateway.store import engines, migrations
from gateway.store.schema import log_leaves, tenants
from keys.merkle import root

SQLITE, DUMP = "database.sqlite", "database.pgdump"
PAGES = 4096
Progress = Callable[[str], None]


@contextmanager
def copied(settings: Settings, directory: Path, progress: Progress) -> Iterator[tuple[str, Connection]]:
    """Name of the copy in that folder, and a view of exactly what is in it. Raises Failed, Misconfigured."""
    if settings.on_postgres:
        with _dumped(settings, directory, progress) as conn:
            yield DUMP, conn
        return
    path = engines.path_of(engines.parse(settings.store.url))
    assert path is not None
    _pages(path, directory / SQLITE, progress)
    with looked_into(directory / SQLITE) as conn:
        yield SQLITE, conn


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


def bring_back(settings: Settings, dump: Path) -> None:
    """Fill an empty PostgreSQL database from a dump, all of it or nothing, and give the roles their rights.

    Raises Misconfigured where nobody is named who owns the tables, Failed.
    """
    from gateway.store import grants

    owner = _owner(settings)
    _run("pg_restore", ["--exit-on-error", "--single-transaction", "--no-owner", "--no-acl", str(dump)], owner)
    migrations.check(settings.store.url)
    worker, portal = (engines.parse(url).username or "" for url in (settings.store.url, settings.store.portal_url))
    grants.apply(settings.store.owner_url, worker, portal)


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
def _dumped(settings: Settings, directory: Path, progress: Progress) -> Iterator[Connection]:
    owner = _owner(settings)
    engine = create_engine(
        owner, poolclass=NullPool, hide_parameters=True, isolation_level="REPEATABLE READ",
        connect_args={"connect_timeout": 5},
    )  # fmt: skip
    try:
        with engine.connect() as conn:
            snapshot = conn.exec_driver_sql("SELECT pg_export_snapshot()").scalar()
            progress("database: pg_dump")
            target = directory / DUMP
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            options = ["--format=custom", "--no-owner", "--no-acl", f"--snapshot={snapshot}", f"--file={target}"]
            _run("pg_dump", options, owner)
            yield conn
    finally:
        engine.dispose()


def _owner(settings: Settings) -> URL:
    if not settings.store.owner_url:
        raise Misconfigured("[store] owner_url is needed: their owner alone may read all tables")
    return engines.parse(settings.store.owner_url)


def _run(program: str, options: list[str], owner: URL) -> None:
    """One of PostgreSQL's own programs, with the connection in its environment (libpq), where `ps` shows nothing."""
    if shutil.which(program) is None:
        raise Misconfigured(f"{program} is not installed: apt-get install postgresql-client, of the server's version")
    query = {name: str(value) for name, value in owner.query.items()}
    given = {
        "PGHOST": owner.host or query.get("host"), "PGPORT": str(owner.port) if owner.port else query.get("port"),
        "PGUSER": owner.username, "PGDATABASE": owner.database, "PGPASSWORD": owner.password,
        "PGPASSFILE": query.get("passfile"), "PGSSLMODE": query.get("sslmode"),
        "PGSSLROOTCERT": query.get("sslrootcert"),
    }  # fmt: skip
    environ = os.environ | {name: value for name, value in given.items() if value}
    target = [] if program == "pg_dump" else [f"--dbname={owner.database}"]
    done = subprocess.run(
        [program, *target, *options], env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode != 0:  # its own first line of error; what follows may quote a row
        said = next((one for one in done.stderr.decode(errors="replace").splitlines() if "error:" in one), "")
        raise Failed(f"{program} ended with {done.returncode}: {said[:200]}")
