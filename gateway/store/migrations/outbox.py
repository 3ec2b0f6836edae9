"""The part of the first migration that the log has on PostgreSQL alone: entries that wait for their number.

Promises, by the database itself: a waiting entry is never changed, and is let go only when it stands in the log or was
kept as evidence; what a node's numbers have come to only grows. Clauses: 45 CFR 164.312(c)(1); DESIGN §5.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

OUTBOX_LEFT = """
DECLARE one record;
BEGIN
  FOR one IN SELECT log, count(*) AS many FROM gone GROUP BY log LOOP
    IF EXISTS (
      SELECT leaf_hash, entry FROM gone WHERE log = one.log
      EXCEPT
      SELECT leaf_hash, entry FROM log_leaves
        WHERE log = one.log AND idx > (SELECT MAX(idx) FROM log_leaves WHERE log = one.log) - one.many
      EXCEPT
      SELECT g.leaf_hash, g.entry FROM gone g JOIN outbox_faults f
        ON f.log = g.log AND f.node = g.node AND f.nseq = g.nseq AND f.entry = g.entry
        WHERE g.log = one.log
    ) THEN RAISE EXCEPTION 'outbox is append-only'; END IF;
  END LOOP;
  RETURN NULL;
END
"""
"""A waiting entry leaves only right after it became one of its log's last leaves, or was kept as evidence."""


def triggers() -> None:
    """What waits for its number is never changed, and is let go only when it stands in the log."""
    refuse = "EXECUTE FUNCTION append_only()"
    for table, verbs in (("outbox", "UPDATE"), ("outbox_heads", "DELETE"), ("outbox_faults", "UPDATE OR DELETE")):
        op.execute(f"CREATE TRIGGER {table}_no_change BEFORE {verbs} ON {table} FOR EACH ROW {refuse}")
        op.execute(f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {refuse}")
    op.execute(f"CREATE FUNCTION outbox_left() RETURNS trigger LANGUAGE plpgsql AS $${OUTBOX_LEFT}$$")
    op.execute(
        "CREATE TRIGGER outbox_left AFTER DELETE ON outbox REFERENCING OLD TABLE AS gone "
        "FOR EACH STATEMENT EXECUTE FUNCTION outbox_left()"
    )
    op.execute(
        "CREATE FUNCTION outbox_heads_next() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF NEW.log <> OLD.log OR NEW.node <> OLD.node OR NEW.nseq <= OLD.nseq "
        "THEN RAISE EXCEPTION 'outbox_heads is append-only'; END IF; RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER outbox_heads_next BEFORE UPDATE ON outbox_heads FOR EACH ROW "
        "EXECUTE FUNCTION outbox_heads_next()"
    )
    for table, last in (("outbox", "left"), ("outbox_heads", "next")):
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_{last}")
    for table in ("outbox", "outbox_heads", "outbox_faults"):
        for name in ("no_change", "no_truncate"):
            op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_{name}")
    # Rows come and go by the thousand in a table that stays small.
    op.execute(
        "ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, "
        "autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000)"
    )


def tables() -> None:
    """On SQLite too, where they stay empty: one schema for both."""
    op.create_table(
        "outbox",
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("nseq", sa.BigInteger(), nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("outbox_place", "outbox", ["log", "node", "nseq"], unique=True)
    op.create_table(
        "outbox_heads",
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("nseq", sa.BigInteger(), nullable=False),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("log", "node"),
    )
    op.create_table(
        "outbox_faults",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("nseq", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("found_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
