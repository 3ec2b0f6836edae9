"""The first tables, and the triggers that make the log append-only.

Promises: on SQLite and PostgreSQL alike a log table takes INSERT only, at its end only: UPDATE, DELETE and (PostgreSQL)
TRUNCATE are refused by the database itself, and so is SQLite's INSERT OR REPLACE, which would delete without firing a
DELETE trigger. Clauses: 45 CFR 164.312(b), 164.312(c)(1); DESIGN §5.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gateway.store.migrations import outbox

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# What the next row of each table must satisfy; everything else is refused.
NEXT = {
    "log_leaves": "NEW.idx = COALESCE((SELECT MAX(idx) + 1 FROM log_leaves WHERE log = NEW.log), 0)",
    "log_nodes": "NOT EXISTS (SELECT 1 FROM log_nodes WHERE log = NEW.log AND level = NEW.level AND idx = NEW.idx)",
    "log_checkpoints": "NEW.size > COALESCE((SELECT MAX(size) FROM log_checkpoints WHERE log = NEW.log), 0)",
    "outside_checkpoints": "NOT EXISTS (SELECT 1 FROM outside_checkpoints WHERE id = NEW.id)",
}


def upgrade() -> None:
    tables()
    outbox.tables()
    op.execute("INSERT INTO store_probe (id, at) VALUES (1, 0)")
    if op.get_bind().dialect.name == "sqlite":
        sqlite_triggers()
    else:
        postgres_triggers()
        outbox.triggers()
        postgres_row_security()


def sqlite_triggers() -> None:
    for table, condition in NEXT.items():
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        op.execute(
            f"CREATE TRIGGER {table}_next BEFORE INSERT ON {table} WHEN NOT ({condition}) "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


def postgres_triggers() -> None:
    op.execute(
        "CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table, condition in NEXT.items():
        op.execute(
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION append_only()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION append_only()"
        )
        op.execute(
            f"CREATE FUNCTION {table}_next() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN IF NOT ({condition}) THEN RAISE EXCEPTION '{table} is append-only'; END IF; RETURN NEW; END $$"
        )
        op.execute(f"CREATE TRIGGER {table}_next BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_next()")
        # Not even a superuser's replication role switches these off by itself.
        for name in (f"{table}_no_change", f"{table}_no_truncate", f"{table}_next"):
            op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


def postgres_row_security() -> None:
    """No row of a tenant for anybody, the tables' owner included, until a policy says for whom (`store.grants`)."""
    inspector = sa.inspect(op.get_bind())
    for table in inspector.get_table_names():
        columns = {column["name"] for column in inspector.get_columns(table)}
        if table == "tenants" or columns & {"tenant", "log"}:
            op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def tables() -> None:
    op.create_table(
        "log_checkpoints",
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("signed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("log", "size"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "log_leaves",
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("idx", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("log", "idx"),
    )
    op.create_index("log_leaves_action", "log_leaves", ["log", "action", "idx"], unique=False)
    op.create_index("log_leaves_actor", "log_leaves", ["log", "actor", "idx"], unique=False)
    op.create_index("log_leaves_object", "log_leaves", ["log", "object", "idx"], unique=False)
    op.create_index("log_leaves_ts", "log_leaves", ["log", "ts"], unique=False)
    op.create_table(
        "log_nodes",
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("idx", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("log", "level", "idx"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("queue", sa.String(length=64), nullable=False),
        sa.Column("parent", sa.String(length=64), nullable=True),
        sa.Column("user", sa.String(length=64), nullable=True),
        sa.Column("sender", sa.LargeBinary(), nullable=False),
        sa.Column("sender_index", sa.LargeBinary(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("retry_key", sa.LargeBinary(), nullable=False),
        sa.Column("message_id_index", sa.LargeBinary(), nullable=True),
        sa.Column("message_id", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("findings", sa.Text(), nullable=False),
        sa.Column("meta", sa.LargeBinary(), nullable=True),
        sa.Column("urgent", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("hold_until", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("row_mac", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("messages_queue", "messages", ["queue"], unique=False)
    op.create_index("messages_retry", "messages", ["tenant", "retry_key", "received_at"], unique=False)
    op.create_index("messages_sender", "messages", ["tenant", "sender_index", "received_at"], unique=False)
    op.create_index("messages_tenant_time", "messages", ["tenant", "received_at"], unique=False)
    for name, columns, holds in (
        ("messages_ended", ["tenant", "id"], "ended_at IS NOT NULL"),
        ("messages_ending", ["tenant", "expires_at"], "reference IS NOT NULL"),
        ("messages_held", ["tenant", "state", "hold_until"], "hold_until IS NOT NULL"),
        ("messages_own", ["tenant", "user", "received_at", "id"], "reference IS NOT NULL"),
        ("messages_parent", ["parent"], "parent IS NOT NULL"),
        ("messages_reference", ["tenant", "reference"], "reference IS NOT NULL"),
        ("messages_sealed", ["tenant", "created_at"], "reference IS NOT NULL"),
        ("messages_shown", ["tenant", "received_at", "id"], "reference IS NOT NULL"),
    ):
        op.create_index(
            name, "messages", columns, unique=False, sqlite_where=sa.text(holds), postgresql_where=sa.text(holds)
        )
    op.create_table(
        "outside_checkpoints",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("checkpoint", sa.Text(), nullable=False),
        sa.Column("header", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("outside_checkpoints_log", "outside_checkpoints", ["log", "at"], unique=False)
    op.create_table(
        "people",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("address_index", sa.LargeBinary(), nullable=False),
        sa.Column("domain_index", sa.LargeBinary(), nullable=True),
        sa.Column("name", sa.LargeBinary(), nullable=True),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("row_mac", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("people_address", "people", ["tenant", "address_index"], unique=True)
    op.create_index("people_domain", "people", ["tenant", "domain_index"], unique=False)
    op.create_table(
        "tellings",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("about", sa.String(length=64), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("row_mac", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("tellings_state", "tellings", ["state", "created_at"], unique=False)
    op.create_table(
        "notice_marks",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("row_mac", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "sealed_values",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "settings",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "serial"),
    )
    op.create_table(
        "store_probe",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "tenants",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
        sa.UniqueConstraint("origin"),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("address_index", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("row_mac", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("users_address", "users", ["tenant", "address_index"], unique=True)
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("message", sa.String(length=64), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=True),
        sa.Column("grant", sa.String(length=64), nullable=True),
        sa.Column("recipient", sa.LargeBinary(), nullable=False),
        sa.Column("recipient_index", sa.LargeBinary(), nullable=False),
        sa.Column("treatment", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("copy", sa.String(length=64), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("tried_at", sa.BigInteger(), nullable=True),
        sa.Column("row_mac", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["message"], ["messages.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("deliveries_due", "deliveries", ["node", "state", "next_at"], unique=False)
    op.create_index("deliveries_message", "deliveries", ["message"], unique=False)
    op.create_index("deliveries_recipient", "deliveries", ["tenant", "recipient_index"], unique=False)
    op.create_index(
        "deliveries_grant",
        "deliveries",
        ["grant"],
        unique=False,
        sqlite_where=sa.text('"grant" IS NOT NULL'),
        postgresql_where=sa.text('"grant" IS NOT NULL'),
    )
    op.create_index(
        "deliveries_person",
        "deliveries",
        ["person"],
        unique=False,
        sqlite_where=sa.text("person IS NOT NULL"),
        postgresql_where=sa.text("person IS NOT NULL"),
    )
    op.create_table(
        "held_acts",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("message", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("second", sa.String(length=64), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=False),
        sa.Column("second_reason", sa.LargeBinary(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("row_mac", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["message"], ["messages.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("held_acts_message", "held_acts", ["message"], unique=False)
    op.create_index("held_acts_state", "held_acts", ["state", "changed_at"], unique=False)
    op.create_table(
        "inboxes",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("public", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("row_mac", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["people.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("inboxes_person", "inboxes", ["tenant", "person"], unique=False)
    op.create_table(
        "inbox_locks",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("inbox", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("locked", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("row_mac", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["inbox"], ["inboxes.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "grants",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("message", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("inbox", sa.String(length=64), nullable=True),
        sa.Column("wrap", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("row_mac", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["message"], ["messages.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("grants_message", "grants", ["message"], unique=False)
    op.create_index(
        "grants_person",
        "grants",
        ["person"],
        unique=False,
        sqlite_where=sa.text("person IS NOT NULL"),
        postgresql_where=sa.text("person IS NOT NULL"),
    )
    op.create_table(
        "objects",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("message", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("blob", sa.Text(), nullable=False),
        sa.Column("header_tag", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_bytes", sa.BigInteger(), nullable=False),
        sa.Column("meta", sa.LargeBinary(), nullable=False),
        sa.Column("inner_meta", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("row_mac", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["message"], ["messages.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("objects_message", "objects", ["message"], unique=False)
    op.create_index("objects_blob", "objects", ["blob"], unique=False)
