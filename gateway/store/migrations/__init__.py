"""The tables' history: made, checked and brought forward by Alembic, on SQLite and PostgreSQL alike.

Promises: making tables never touches a database that has any; a database of another version is refused by name; a
migration runs in one transaction. `HEAD` is compared with the newest file in `versions/` by a test, so that checking a
version at start needs no Alembic.
"""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import Connection, Engine, NullPool, create_engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import Misconfigured, TryLater
from gateway.store import engines, presence

HEAD = "0001"
_FOLDER = Path(__file__).resolve().parent


def version(url: str) -> str | None:
    """The version of the tables at `url`; None when there is no database or no table of ours.

    Raises TryLater when a server does not answer, Misconfigured when the database holds somebody else's tables.
    """
    parsed = engines.parse(url)
    path = engines.path_of(parsed)
    if path is not None:
        return presence.version_in(path)
    engine = engines.reader_engine(parsed)
    try:
        with engine.connect() as conn:
            tables = set(inspect(conn).get_table_names())
            if "alembic_version" in tables:
                return conn.execute(text("SELECT version_num FROM alembic_version")).scalar()
    except SQLAlchemyError as error:
        raise TryLater(f"database: {type(error).__name__}") from error
    finally:
        engine.dispose()
    if tables:
        raise presence.foreign()
    return None


def check(url: str) -> None:
    """Raises Misconfigured unless the tables are there and of this release's version."""
    found = version(url)
    if found is None:
        raise Misconfigured("[store] url: there is no Sealgate database; restore it, or correct the path")
    if found != HEAD:
        raise Misconfigured(f"[store] url: the tables have version {found}, this release needs {HEAD}")


def create(url: str) -> None:
    """Make the tables of a fresh installation. Raises Misconfigured when there are tables already."""
    if version(url) is not None:
        raise Misconfigured("[store] url: there is a database already; it is not made anew")
    path = engines.path_of(engines.parse(url))
    if path is not None:
        _make_file(path)
    upgrade(url)


def untouched(url: str) -> bool:
    """Whether there are no tables of ours, or none of them ever held a tenant or an entry. Raises as `version`.

    Asked of the tables' size on the server: a role that is shown no row must not take a full database for an empty one.
    """
    if version(url) is None:
        return True
    if engines.path_of(engines.parse(url)) is not None:
        return False
    engine = engine_of(url)
    try:
        with engine.connect() as conn:
            sizes = text("SELECT pg_relation_size('tenants') + pg_relation_size('log_leaves')")
            return conn.execute(sizes).scalar() == 0
    except SQLAlchemyError as error:
        raise TryLater(f"database: {type(error).__name__}") from error
    finally:
        engine.dispose()


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the tables forward to `revision`, in one transaction. Raises TryLater when the database refuses."""
    engine = engine_of(url)
    try:
        with engine.connect() as conn, conn.begin():
            _alembic(conn, revision)
    except SQLAlchemyError as error:
        raise TryLater(f"migration: {type(error).__name__}") from error
    finally:
        engine.dispose()


def _alembic(conn: Connection, revision: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = conn
    command.upgrade(config, revision)


def engine_of(url: str) -> Engine:
    """A connection for changing tables, without the short waits of those that serve."""
    parsed = engines.parse(url)
    if parsed.drivername == "sqlite":
        return engines.writer_engine(parsed)
    return create_engine(parsed, poolclass=NullPool, hide_parameters=True, connect_args={"connect_timeout": 5})


def _make_file(path: Path) -> None:
    """An empty file that only its owner reads, durable in its directory; SQLite's own would follow the umask."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise Misconfigured(f"[store] url: cannot make {path}: {error.strerror}") from error
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
