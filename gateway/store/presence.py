"""Whether there is a database of ours, asked before anything is made or served.

Promises: a file is looked at and never made; a file with other people's tables is refused. An SQLite file is asked
without the database port, which takes half a second to import: the parent of the roles has no other use for it.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from gateway.errors import Misconfigured, TryLater

WAIT_SECONDS = 0.8
_PLAIN = re.compile(r"sqlite:///(/?[^/?%:][^?%]*)")
"""An SQLite URL that names a file and nothing else; every other form is `engines.parse`'s to read or to refuse."""


def absent(url: str) -> bool:
    """True when there is no file, no table of ours on a server, or only tables that never held anything.

    Raises Misconfigured for other people's tables, TryLater when the database does not answer.
    """
    plain = _PLAIN.fullmatch(url)
    if plain is not None:
        return version_in(Path(plain[1]).absolute()) is None
    from gateway.store import migrations

    return migrations.untouched(url)


def version_in(path: Path) -> str | None:
    """The version of the tables in an SQLite file; None when there is no file or no table.

    Raises TryLater when it cannot be read, Misconfigured when it holds somebody else's tables.
    """
    if not path.exists() or path.stat().st_size == 0:
        return None
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=WAIT_SECONDS)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "alembic_version" in tables:
                row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
                return None if row is None else str(row[0])
    except sqlite3.Error as error:
        raise TryLater(f"database: {type(error).__name__}") from error
    if tables:
        raise foreign()
    return None


def foreign() -> Misconfigured:
    """The refusal of a database that holds other tables."""
    return Misconfigured("[store] url: this database holds tables that are not Sealgate's; name an empty one")
