"""A copy of the keyholder's store for a backup: written afresh, row by row, from one moment of the store.

Promises: the copy shows one moment, and no call of the running keyholder waits for it; nothing of what was destroyed is
in it, not even in a page that is free, because only living rows are written; epoch keys, node keys, sessions, one-time
codes and remembered browsers are not; its root keys open for this copy alone (`backups`). The KEK is nowhere near.
DESIGN §4a (epoch keys are in no backup), §5 (after any restore all one-time codes and sessions are void).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from keys.errors import Tampered
from keys.keyholder.backups import MARK
from keys.keyholder.database import NoStore

LEFT_OUT = frozenset({
    "sessions", "codes", "cards", "devices", "texts", "requests", "releases", "nodes", "epochs", "recovery_codes",
    "spent_challenges",
})  # fmt: skip
"""Tables that are in no copy. A card, code or browser would be good again after it was used or forgotten; a node that
comes back is registered anew."""
_BUSY_SECONDS = 10.0


def copy(store: Path, target: Path, mark: bytes, keys: Mapping[str, bytes]) -> int:
    """Write the copy to `target`, which must not be there; its size in bytes, durable when this returns.

    `mark` and `keys` are the keyholder's for this backup. While it reads, a destruction may be answered "not yet": the
    log of the store cannot be cut below a reader; it is complete a moment later. Raises NoStore, OSError.
    """
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    try:
        with closing(sqlite3.connect(_uri(target, "rw"), uri=True, isolation_level=None)) as conn:
            conn.execute("PRAGMA journal_mode=OFF")  # nobody reads it before it is whole
            conn.execute("PRAGMA synchronous=FULL")
            conn.execute("ATTACH ? AS store", (_uri(store, "ro"),))
            conn.execute(f"PRAGMA busy_timeout={int(_BUSY_SECONDS * 1000)}")
            conn.execute("BEGIN")
            _fill(conn, mark, keys)
            conn.execute("COMMIT")
            if conn.execute("PRAGMA main.integrity_check").fetchone()[0] != "ok":
                raise NoStore(f"{target}: the copy does not hold together; is the disk sound?")
    except sqlite3.Error as error:
        target.unlink(missing_ok=True)
        raise NoStore(f"{store}: cannot be copied ({type(error).__name__})") from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    handle = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
        return os.fstat(handle).st_size
    finally:
        os.close(handle)


def _fill(conn: sqlite3.Connection, mark: bytes, keys: Mapping[str, bytes]) -> None:
    version = int(conn.execute("PRAGMA store.user_version").fetchone()[0])
    parts = conn.execute("SELECT type, name, sql FROM store.sqlite_master WHERE sql IS NOT NULL").fetchall()
    tables = [(name, sql) for kind, name, sql in parts if kind == "table"]
    for name, sql in tables:
        conn.execute(sql)
        if name not in LEFT_OUT:
            conn.execute(f'INSERT INTO main."{name}" SELECT * FROM store."{name}"')  # noqa: S608 - the schema's own
    conn.execute("INSERT INTO main.epochs (node, epoch, public, destroyed_us) "
                 "SELECT node, epoch, public, destroyed_us FROM store.epochs WHERE private IS NULL")  # fmt: skip
    conn.execute("DELETE FROM main.totps WHERE state = 'begun'")
    for name, value in keys.items():
        if conn.execute("UPDATE main.meta SET value = ? WHERE name = ?", (value, name)).rowcount != 1:
            raise Tampered("the keyholder's store lacks its root keys")
    conn.execute("INSERT INTO main.meta (name, value) VALUES (?, ?)", (MARK, mark))
    for kind, _, sql in parts:
        if kind != "table":  # indexes when the rows are there, triggers last: they refuse changes
            conn.execute(sql)
    conn.execute(f"PRAGMA main.user_version={version}")


def _uri(path: Path, mode: str) -> str:
    return f"file:{quote(str(path.absolute()))}?mode={mode}"
