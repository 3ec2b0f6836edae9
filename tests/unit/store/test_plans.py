"""What pages ask at each visit and duties each minute is found by an index, however full the tables are.

The statements are those of the rooms named beside them, in SQLite's words. EXPLAIN QUERY PLAN says SCAN where every row
would be read.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from gateway.store import schema
from keys.keyholder import schema as keyholder

GATEWAY = {
    "a visit (flow/visit)": 'SELECT settled_at FROM deliveries WHERE "grant" = ?',
    "whom staff wrote to (flow/people)": "SELECT 1 FROM deliveries JOIN messages ON messages.id = deliveries.message "
    "WHERE deliveries.person = ? AND messages.\"user\" = ?",
    "what a held mail became (flow/officer_held)": "SELECT id FROM messages WHERE parent = ?",
    "held too long (flow/held)": "SELECT * FROM messages WHERE state = 'held' AND hold_until < ?",
    "held and ended (flow/held)": "SELECT * FROM messages WHERE state IN ('returned', 'dropped') "
    "AND hold_until IS NOT NULL",
    "reminders (flow/reminders)": "SELECT * FROM messages WHERE tenant = ? AND reference IS NOT NULL "
    "AND created_at > ? "
    "AND created_at <= ? ORDER BY created_at, id LIMIT 50",
    "endings (flow/reminders)": "SELECT * FROM messages WHERE tenant = ? AND reference IS NOT NULL AND expires_at > ? "
    "AND expires_at <= ? ORDER BY expires_at, id LIMIT 50",
    "a person's links (flow/person_news)": "SELECT * FROM grants WHERE tenant = ? AND person = ? AND kind = 'link' "
    "AND revoked_at IS NULL ORDER BY id",
    "the vault's sweep (flow/ended)": "SELECT blob, message, messages.expires_at < ? FROM objects "
    "LEFT OUTER JOIN messages ON messages.id = objects.message WHERE blob IN (?, ?)",
    "due deliveries (flow/delivery)": "SELECT * FROM deliveries WHERE node = ? AND state = 'deferred' AND next_at <= ?",
    "a retry (flow/doubts)": "SELECT * FROM messages WHERE tenant = ? AND retry_key = ?",
    "openings since the last look (flow/settle)": "SELECT idx, entry FROM log_leaves WHERE log = ? "
    "AND action IN (?, ?) AND idx > ? ORDER BY idx LIMIT 5000",
    "entries about something (audit/search)": "SELECT * FROM log_leaves WHERE log = ? AND object = ? ORDER BY idx DESC",
}  # fmt: skip
KEYHOLDER = {
    "the sweep (deposits.messages)": "SELECT id FROM messages WHERE tenant = ? AND id > ? AND deposited_us < ? "
    "AND destroyed_us IS NULL ORDER BY id LIMIT 500",
    "a day that ends (deposits.expire)": "SELECT id FROM messages WHERE tenant = ? AND day = ? AND share IS NOT NULL",
    "sessions of a message": "SELECT * FROM sessions WHERE message = ?",
    "acts on a message": "SELECT * FROM acts WHERE message = ?",
}


def plan(connection: sqlite3.Connection, statement: str) -> list[str]:
    values = ["x"] * statement.count("?")
    return [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> sqlite3.Connection:
    path: Path = tmp_path_factory.mktemp("plans") / "gateway.db"
    engine = create_engine(f"sqlite:///{path}")
    schema.metadata.create_all(engine)
    engine.dispose()
    return sqlite3.connect(path)


@pytest.mark.parametrize("what", GATEWAY)
def test_the_gateways_database_reads_no_table_from_end_to_end(gateway: sqlite3.Connection, what: str) -> None:
    steps = plan(gateway, GATEWAY[what])
    assert not [one for one in steps if one.startswith("SCAN") and "INDEX" not in one], steps


@pytest.mark.parametrize("what", KEYHOLDER)
def test_the_keyholders_store_reads_no_table_from_end_to_end_and_sorts_none(what: str) -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript(keyholder.TABLES)
    steps = plan(connection, KEYHOLDER[what])
    assert not [one for one in steps if one.startswith(("SCAN", "USE TEMP"))], steps
