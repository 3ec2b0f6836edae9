"""Every column says what it may hold."""

from __future__ import annotations

from gateway.store import schema

CLASSES = {"none", "sealed", "keyed", "public"}


def test_every_column_has_a_phi_class() -> None:
    without = [
        f"{table.name}.{column.name}"
        for table in schema.metadata.tables.values()
        for column in table.columns
        if column.info.get("phi") not in CLASSES
    ]
    assert not without


def test_rows_that_roles_act_on_end_with_a_mac() -> None:
    for table in schema.MACED_TABLES:
        assert next(iter(reversed(table.columns.keys()))) == "row_mac", table.name
