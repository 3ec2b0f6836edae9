"""Log tables take rows at their end and nothing else, by the database's own word."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Table, delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from gateway.errors import TryLater
from gateway.store.database import Store
from gateway.store.schema import LOG_TABLES, log_checkpoints, log_leaves, log_nodes, outside_checkpoints

ROWS: dict[str, dict[str, Any]] = {
    "log_leaves": {
        "log": "t", "idx": 0, "ts": 1, "action": "a", "actor": "b", "object": "c", "outcome": "ok",
        "entry": b"{}", "leaf_hash": b"h",
    },
    "log_nodes": {"log": "t", "level": 1, "idx": 0, "hash": b"h"},
    "log_checkpoints": {"log": "t", "size": 1, "note": "n", "signed_at": 1},
    "outside_checkpoints": {"id": "chk_1", "log": "t", "at": 1, "salt": b"s", "checkpoint": "n", "header": "v1"},
}  # fmt: skip


def write(store: Store, statement: Any) -> None:
    store.run(lambda tx: tx.conn.execute(statement) and None)


def refused(store: Store, statement: Any) -> None:
    with pytest.raises((IntegrityError, TryLater)) as caught:
        write(store, statement)
    assert "append-only" in f"{caught.value} {caught.value.__cause__}"


def rows(store: Store, table: Table) -> list[Any]:
    with store.reading() as conn:
        return [tuple(row) for row in conn.execute(select(table))]


@pytest.mark.parametrize("table", LOG_TABLES, ids=lambda table: str(table.name))
def test_update_and_delete_of_a_log_row_are_refused(store: Store, table: Table) -> None:
    write(store, insert(table).values(ROWS[table.name]))
    before = rows(store, table)
    for statement in (update(table).values(log="other"), delete(table)):
        refused(store, statement)
    assert rows(store, table) == before
    assert len(before) == 1


def test_every_log_table_is_covered() -> None:
    assert {table.name for table in LOG_TABLES} == set(ROWS)


@pytest.mark.parametrize("table", LOG_TABLES, ids=lambda table: str(table.name))
def test_a_log_row_is_not_replaced(store: Store, table: Table) -> None:
    write(store, insert(table).values(ROWS[table.name]))
    before = rows(store, table)
    changed = {**ROWS[table.name], "log": "t"}
    if store.dialect == "sqlite":
        statement = insert(table).prefix_with("OR REPLACE").values(changed)
    else:
        statement = text(f"TRUNCATE {table.name}")
    refused(store, statement)
    assert rows(store, table) == before


def test_leaves_leave_no_gap(store: Store) -> None:
    refused(store, insert(log_leaves).values({**ROWS["log_leaves"], "idx": 1}))
    write(store, insert(log_leaves).values(ROWS["log_leaves"]))
    write(store, insert(log_leaves).values({**ROWS["log_leaves"], "idx": 1}))
    assert len(rows(store, log_leaves)) == 2


def test_checkpoints_only_grow(store: Store) -> None:
    write(store, insert(log_checkpoints).values({**ROWS["log_checkpoints"], "size": 5}))
    refused(store, insert(log_checkpoints).values({**ROWS["log_checkpoints"], "size": 4}))
    assert [row[1] for row in rows(store, log_checkpoints)] == [5]


def test_other_tables_are_free() -> None:
    assert {log_leaves, log_nodes, log_checkpoints, outside_checkpoints} == set(LOG_TABLES)
