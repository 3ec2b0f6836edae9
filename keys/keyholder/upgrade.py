"""An older store of the keyholder's brought to the format of this program, one step after the other.

Promises: all steps and the number that says so are one transaction, so that a store is wholly of one format at any
instant; what is too old or too new is refused in a sentence that says what to do, and not touched; a store that was
brought forward has the same columns as a new one. A step is never changed after its release.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from keys.errors import KeysError
from keys.keyholder.schema import VERSION

STEPS: Mapping[int, tuple[str, ...]] = {
    5: (
        "CREATE TABLE mail_keys (tenant TEXT NOT NULL, selector TEXT NOT NULL, algorithm TEXT NOT NULL,"
        " wrapped BLOB NOT NULL, made_us INTEGER NOT NULL, PRIMARY KEY (tenant, selector)) STRICT, WITHOUT ROWID",
    ),
    6: (
        "ALTER TABLE tenants ADD COLUMN closed_us INTEGER",
        "ALTER TABLE proposals ADD COLUMN ended_by TEXT",
        "ALTER TABLE proposals ADD COLUMN ended_reason BLOB",
        "ALTER TABLE approvals ADD COLUMN reason BLOB",
    ),
}
"""By the format that a step begins with; it ends with the next one."""
OLDEST = min(STEPS)


class AnotherFormat(KeysError):
    """The store's format is none that this program can use; the text says which, and what to do."""


def bring_forward(conn: sqlite3.Connection) -> None:
    """Raises AnotherFormat, and sqlite3.Error with nothing changed."""
    found = int(conn.execute("PRAGMA user_version").fetchone()[0])
    if found == VERSION:
        return
    if found > VERSION:
        raise AnotherFormat(
            f"has format {found}, and this program knows up to {VERSION}: a later Sealgate made it. Install that one "
            "again; a store never goes back"
        )
    if found < OLDEST:
        raise AnotherFormat(
            f"has format {found}, and this program brings stores forward from {OLDEST}: start a Sealgate in between "
            "with it first"
        )
    conn.execute("BEGIN EXCLUSIVE")
    try:
        for number in range(found, VERSION):
            for statement in STEPS[number]:
                conn.execute(statement)
        conn.execute(f"PRAGMA user_version={VERSION}")
        conn.execute("COMMIT")
    except BaseException:
        conn.execute("ROLLBACK")
        raise
