"""The migrations make exactly what the schema says, on both databases."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from gateway.store import migrations
from gateway.store.schema import MACED_TABLES, metadata


def test_migrations_and_schema_agree(url: str) -> None:
    migrations.create(url)
    engine = create_engine(url)
    with engine.connect() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_version_checked_at_start_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations._FOLDER))
    assert ScriptDirectory.from_config(config).get_current_head() == migrations.HEAD


def test_upgrading_an_up_to_date_database_changes_nothing(made_url: str) -> None:
    migrations.upgrade(made_url)
    assert migrations.version(made_url) == migrations.HEAD


def test_every_column_has_its_phi_class() -> None:
    allowed = {"none", "sealed", "keyed", "public"}
    assert [str(c) for t in metadata.sorted_tables for c in t.c if c.info.get("phi") not in allowed] == []


def test_rows_that_a_role_acts_on_have_a_mac() -> None:
    assert {table for table in metadata.sorted_tables if "row_mac" in table.c} == set(MACED_TABLES)
