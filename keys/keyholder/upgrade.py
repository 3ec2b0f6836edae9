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
    7: (
        "ALTER TABLE messages ADD COLUMN under_hold INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE messages ADD COLUMN owed_us INTEGER",
        "CREATE TABLE holds (id TEXT PRIMARY KEY, tenant TEXT NOT NULL, kind TEXT NOT NULL, object TEXT NOT NULL,"
        " from_us INTEGER, until_us INTEGER, user TEXT NOT NULL, reason BLOB NOT NULL, set_us INTEGER NOT NULL,"
        " lifted_us INTEGER, lifted_by TEXT, lifted_reason BLOB, mac BLOB NOT NULL) STRICT, WITHOUT ROWID",
        "CREATE TABLE hold_keys (tenant TEXT NOT NULL, day INTEGER NOT NULL, wrapped BLOB, destroyed_us INTEGER,"
        " PRIMARY KEY (tenant, day)) STRICT",
        "CREATE TABLE disposals (id TEXT PRIMARY KEY, tenant TEXT NOT NULL, kind TEXT NOT NULL, object TEXT NOT NULL,"
        " until_us INTEGER, user TEXT NOT NULL, reason BLOB NOT NULL, made_us INTEGER NOT NULL,"
        " expires_us INTEGER NOT NULL, second TEXT, second_reason BLOB, begun_us INTEGER, place TEXT NOT NULL,"
        " messages INTEGER NOT NULL, objects INTEGER NOT NULL, links INTEGER NOT NULL, kept INTEGER NOT NULL,"
        " first_us INTEGER, last_us INTEGER, final_us INTEGER, done_us INTEGER, certificate TEXT)"
        " STRICT, WITHOUT ROWID",
        "CREATE INDEX disposals_object ON disposals (tenant, object)",
    ),
    8: (
        "CREATE TABLE backups (id TEXT PRIMARY KEY, kind TEXT NOT NULL, made_us INTEGER NOT NULL, expires_us INTEGER,"
        " digest BLOB, signed_us INTEGER, verified_us INTEGER) STRICT, WITHOUT ROWID",
    ),
    9: (
        "CREATE TABLE passkeys (id TEXT PRIMARY KEY, tenant TEXT NOT NULL, kind TEXT NOT NULL, owner TEXT NOT NULL,"
        " credential BLOB NOT NULL UNIQUE, public BLOB NOT NULL, counter INTEGER NOT NULL, name BLOB NOT NULL,"
        " state TEXT NOT NULL, first_method TEXT NOT NULL, message TEXT NOT NULL, wide_from_us INTEGER NOT NULL,"
        " made_us INTEGER NOT NULL, used_us INTEGER, failures INTEGER NOT NULL, mac BLOB NOT NULL)"
        " STRICT, WITHOUT ROWID",
        "CREATE INDEX passkeys_owner ON passkeys (tenant, kind, owner)",
        "CREATE TABLE recovery_codes (mac BLOB PRIMARY KEY, tenant TEXT NOT NULL, kind TEXT NOT NULL,"
        " owner TEXT NOT NULL, first_method TEXT NOT NULL, message TEXT NOT NULL, wide_from_us INTEGER NOT NULL,"
        " made_us INTEGER NOT NULL, used_us INTEGER) STRICT, WITHOUT ROWID",
        "CREATE INDEX recovery_codes_owner ON recovery_codes (tenant, kind, owner)",
        "CREATE TABLE spent_challenges (mac BLOB PRIMARY KEY, until_us INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    ),
    10: (
        "CREATE INDEX grants_recovery ON grants (tenant, message) WHERE kind = 'recovery'",
        "CREATE TABLE recovery_keys (tenant TEXT NOT NULL, serial INTEGER NOT NULL, id TEXT NOT NULL,"
        " public BLOB NOT NULL, needed INTEGER NOT NULL, checks TEXT NOT NULL, confirmed TEXT NOT NULL,"
        " set_us INTEGER NOT NULL, ended_us INTEGER, opened_us INTEGER, opened_message TEXT, mac BLOB NOT NULL,"
        " PRIMARY KEY (tenant, serial)) STRICT, WITHOUT ROWID",
        "CREATE TABLE recoveries (id TEXT PRIMARY KEY, tenant TEXT NOT NULL, act TEXT NOT NULL, messages TEXT NOT NULL,"
        " link TEXT NOT NULL, digest TEXT NOT NULL, user TEXT NOT NULL, reason BLOB NOT NULL, proof INTEGER NOT NULL,"
        " second TEXT, second_reason BLOB, made_us INTEGER NOT NULL, expires_us INTEGER NOT NULL, made TEXT,"
        " made_index INTEGER) STRICT, WITHOUT ROWID",
    ),
    11: (
        "CREATE TABLE authority (id INTEGER PRIMARY KEY, certificate BLOB NOT NULL, wrapped BLOB NOT NULL,"
        " made_us INTEGER NOT NULL) STRICT",
        "CREATE TABLE machines (serial TEXT PRIMARY KEY, node TEXT NOT NULL, role TEXT NOT NULL,"
        " fingerprint BLOB NOT NULL, made_us INTEGER NOT NULL, expires_us INTEGER NOT NULL, revoked_us INTEGER)"
        " STRICT, WITHOUT ROWID",
    ),
    12: (
        "CREATE TABLE inboxes (id TEXT PRIMARY KEY, tenant TEXT NOT NULL, person TEXT NOT NULL, public BLOB NOT "
        "NULL, state TEXT NOT NULL, first_method TEXT NOT NULL, wide_from_us INTEGER NOT NULL, session BLOB NOT "
        "NULL, begun_us INTEGER NOT NULL, made_us INTEGER, ended_us INTEGER, mac BLOB NOT NULL) STRICT, WITHOUT "
        "ROWID",
        "CREATE INDEX inboxes_person ON inboxes (tenant, person)",
        "CREATE TABLE inbox_locks (id TEXT PRIMARY KEY, inbox TEXT NOT NULL, kind TEXT NOT NULL, about TEXT NOT "
        "NULL, pepper BLOB, state TEXT NOT NULL, begun_us INTEGER NOT NULL) STRICT",
        "CREATE INDEX inbox_locks_inbox ON inbox_locks (inbox)",
        "CREATE TABLE inbox_asks (mac BLOB PRIMARY KEY, tenant TEXT NOT NULL, person TEXT NOT NULL, inbox TEXT NOT "
        "NULL, answer BLOB NOT NULL, method TEXT NOT NULL, first_method TEXT NOT NULL, proof INTEGER NOT NULL, "
        "network TEXT NOT NULL, made_us INTEGER NOT NULL) STRICT, WITHOUT ROWID",
        "CREATE TABLE inbox_sessions (mac BLOB PRIMARY KEY, inbox TEXT NOT NULL, salt BLOB NOT NULL) STRICT, "
        "WITHOUT ROWID",
    ),
    13: (
        "CREATE TABLE origins (log TEXT NOT NULL, generation INTEGER NOT NULL, size INTEGER NOT NULL,"
        " root BLOB NOT NULL, lost INTEGER NOT NULL, note TEXT NOT NULL, reason TEXT NOT NULL, at_us INTEGER NOT NULL,"
        " PRIMARY KEY (log, generation)) STRICT, WITHOUT ROWID",
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
