"""An older store: brought forward whole and with all that was in it, or not at all, or refused with what to do."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from keys.keyholder import schema, upgrade
from keys.keyholder.database import NoStore, open_store
from tests.support.keyholder import PASSWORD, TENANT
from tests.unit.keyholder.conftest import House, StaffMember

Columns = dict[str, list[tuple[str, ...]]]
BACK = (  # from the format of today to the oldest that is brought forward, as a store of then looks
    "DROP TABLE origins",
    "DROP TABLE machines",
    "DROP TABLE authority",
    "DROP INDEX grants_recovery",
    "DROP TABLE recoveries",
    "DROP TABLE recovery_keys",
    "DROP TABLE spent_challenges",
    "DROP TABLE recovery_codes",
    "DROP TABLE passkeys",
    "DROP TABLE inbox_sessions",
    "DROP TABLE inbox_asks",
    "DROP TABLE inbox_locks",
    "DROP TABLE inboxes",
    "DROP TABLE backups",
    "DROP TABLE disposals",
    "DROP TABLE hold_keys",
    "DROP TABLE holds",
    "ALTER TABLE messages DROP COLUMN owed_us",
    "ALTER TABLE messages DROP COLUMN under_hold",
    "ALTER TABLE tenants DROP COLUMN closed_us",
    "DROP TABLE mail_keys",
    "ALTER TABLE proposals DROP COLUMN ended_by",
    "ALTER TABLE proposals DROP COLUMN ended_reason",
    "ALTER TABLE approvals DROP COLUMN reason",
    f"PRAGMA user_version={upgrade.OLDEST}",
)


def columns(path: Path) -> Columns:
    """Every table with its columns in order: name, type, whether it may be empty."""
    with closing(sqlite3.connect(path)) as conn:
        tables = [row[0] for row in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {one: [tuple(map(str, row[1:4])) for row in conn.execute(f"PRAGMA table_info({one})")] for one in tables}


def age(path: Path) -> None:
    """Make it a store of the oldest format."""
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        for statement in BACK:
            conn.execute(statement)


def test_a_store_of_the_oldest_format_is_brought_forward_with_all_that_is_in_it(house: House) -> None:
    officer = house.staff("usr_officer", "officer")
    officer.sign_in()
    made = house.operator.add_user(TENANT, "usr_second", "officer", PASSWORD)["waiting"]["id"]
    house.portal.decide_change(TENANT, officer.user, PASSWORD, officer.code(), "n", "approve", made)
    before, size = columns(house.config.database), len(house.entries())
    house.holder.close()
    age(house.config.database)
    assert columns(house.config.database) != before
    house.reopen()
    house.holder.close()
    assert columns(house.config.database) == before
    house.reopen()
    assert len(house.entries()) == size
    (waiting,) = house.operator.waiting(TENANT)
    assert (waiting["id"], waiting["approvals"][0]["user"]) == (made, officer.user)
    assert house.portal.session(StaffMember.sign_in(officer))["role"] == "officer"


def test_a_step_that_fails_leaves_the_store_as_it_was(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.holder.close()
    age(house.config.database)
    before = columns(house.config.database)
    first = upgrade.STEPS[upgrade.OLDEST]
    monkeypatch.setattr(upgrade, "STEPS", {upgrade.OLDEST: (*first, "ALTER TABLE nothing ADD COLUMN x")})
    with pytest.raises(NoStore, match="is not a store of ours"):
        open_store(house.config.database)
    assert columns(house.config.database) == before
    monkeypatch.undo()
    open_store(house.config.database).close()
    assert columns(house.config.database) != before
    house.reopen()


def test_what_is_too_old_is_refused_with_what_to_do_and_not_touched(house: House) -> None:
    house.holder.close()
    with closing(sqlite3.connect(house.config.database, isolation_level=None)) as conn:
        conn.execute(f"PRAGMA user_version={upgrade.OLDEST - 1}")
    before = columns(house.config.database)
    with pytest.raises(NoStore, match=f"forward from {upgrade.OLDEST}: start a Sealgate in between with it first"):
        open_store(house.config.database)
    assert columns(house.config.database) == before
    with closing(sqlite3.connect(house.config.database, isolation_level=None)) as conn:
        conn.execute(f"PRAGMA user_version={schema.VERSION}")
    house.reopen()


def test_there_is_a_step_from_every_format_since_the_oldest() -> None:
    assert sorted(upgrade.STEPS) == list(range(upgrade.OLDEST, schema.VERSION))
