"""A row that was changed, swapped or invented in the database is refused and named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select, text, update

from gateway.errors import NotFound, Tampered
from gateway.store.database import Store
from gateway.store.rows import Rows, encode
from gateway.store.schema import grants, messages, people, tenants
from keys.datakey import ValueKey

KEYS = {"tnt_a": ValueKey(b"a" * 32), "tnt_b": ValueKey(b"b" * 32)}


@pytest.fixture
def rows() -> Rows:
    return Rows(lambda tenant: KEYS[tenant])


def person(id: str, tenant: str = "tnt_a", **more: Any) -> dict[str, Any]:
    index = b"i" + id.encode()
    return {
        "id": id, "tenant": tenant, "address": b"sealed " + id.encode(), "address_index": index,
        "domain_index": b"@", "language": "en", "created_at": 7, **more,
    }  # fmt: skip


def test_a_row_comes_back_as_it_was_written(store: Store, rows: Rows) -> None:
    store.run(lambda tx: rows.insert(tx, people, **person("per_1", name=b"n")))
    with store.reading() as conn:
        row = rows.get(conn, people, "per_1")
        assert row is not None
        assert dict(row) == person("per_1", name=b"n")
        assert rows.get(conn, people, "per_2") is None
        assert [found["id"] for found in rows.find(conn, select(people))] == ["per_1"]


CHANGES = {
    "id": "per_9", "tenant": "tnt_b", "address": b"other", "address_index": b"o", "domain_index": b"d",
    "name": b"given", "language": "es", "created_at": 8, "row_mac": b"\x00" * 32,
}  # fmt: skip


@pytest.mark.parametrize("column", [column.name for column in people.c])
def test_a_change_of_any_column_is_named(store: Store, rows: Rows, column: str) -> None:
    store.run(lambda tx: rows.insert(tx, people, **person("per_1")))
    change = {column: CHANGES[column]}
    store.run(lambda tx: tx.conn.execute(update(people).values(**change)) and None)
    shown = CHANGES["id"] if column == "id" else "per_1"
    with store.reading() as conn, pytest.raises(Tampered, match=f"people, id {shown}"):
        rows.get(conn, people, str(shown))
    with store.reading() as conn, pytest.raises(Tampered):
        rows.find(conn, select(people))
    with pytest.raises(Tampered):
        store.run(lambda tx: rows.update(tx, people, str(shown), language="fr"))


def test_two_rows_that_swap_their_contents_are_refused(store: Store, rows: Rows) -> None:
    def work(tx: Any) -> None:
        rows.insert(tx, people, **person("per_1"))
        rows.insert(tx, people, **person("per_2"))

    store.run(work)
    swap = "UPDATE people SET id = CASE id WHEN 'per_1' THEN 'per_x' ELSE 'per_1' END"
    store.run(lambda tx: tx.conn.execute(text(swap)) and None)
    with store.reading() as conn, pytest.raises(Tampered):
        rows.get(conn, people, "per_1")


def test_a_row_invented_without_the_key_is_refused(store: Store, rows: Rows) -> None:
    forged = person("per_1", row_mac=ValueKey(b"z" * 32).mac(b"", b""))
    store.run(lambda tx: tx.conn.execute(insert(people).values(forged)) and None)
    with store.reading() as conn, pytest.raises(Tampered):
        rows.get(conn, people, "per_1")


def test_a_row_of_an_unknown_tenant_is_refused(store: Store, rows: Rows) -> None:
    forged = person("per_1", tenant="tnt_none", row_mac=b"x" * 32)
    store.run(lambda tx: tx.conn.execute(insert(people).values(forged)) and None)
    with store.reading() as conn, pytest.raises(Tampered):
        rows.get(conn, people, "per_1")


def test_update_changes_and_keeps_the_mac(store: Store, rows: Rows) -> None:
    store.run(lambda tx: rows.insert(tx, people, **person("per_1")))
    changed = store.run(lambda tx: rows.update(tx, people, "per_1", language="es", name=b"n"))
    assert changed["language"] == "es"
    with store.reading() as conn:
        row = rows.get(conn, people, "per_1")
        assert row is not None
        assert (row["language"], row["name"]) == ("es", b"n")


def test_update_of_nothing_and_of_what_is_fixed_are_refused(store: Store, rows: Rows) -> None:
    with pytest.raises(NotFound):
        store.run(lambda tx: rows.update(tx, people, "per_1", language="es"))
    store.run(lambda tx: rows.insert(tx, people, **person("per_1")))
    for wrong in ({"tenant": "tnt_b"}, {"nonsense": 1}, {"row_mac": b"x"}):
        with pytest.raises(ValueError):
            store.run(lambda tx, wrong=wrong: rows.update(tx, people, "per_1", **wrong))  # type: ignore[misc]


def test_only_whole_rows_of_tables_with_a_mac_are_read(store: Store, rows: Rows) -> None:
    with store.reading() as conn:
        for statement in (select(people.c.id), select(people, messages), select(tenants)):
            with pytest.raises(ValueError):
                rows.find(conn, statement)
        joined = select(grants).join(messages, grants.c.message == messages.c.id)
        assert rows.find(conn, joined) == []


def test_a_row_prints_without_its_values(store: Store, rows: Rows) -> None:
    row = store.run(lambda tx: rows.insert(tx, people, **person("per_1")))
    assert repr(row) == "Row(people, per_1)"


values = st.dictionaries(
    st.sampled_from("abcd"),
    st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=9), st.binary(max_size=9)),
)


@given(values, values)
def test_two_different_rows_never_encode_alike(one: dict[str, Any], other: dict[str, Any]) -> None:
    strip = lambda row: {k: (type(v), v) for k, v in row.items() if v is not None}  # noqa: E731
    assert (encode(one) == encode(other)) == (strip(one) == strip(other))
