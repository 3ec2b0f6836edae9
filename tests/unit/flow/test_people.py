"""The row that says whose factors guard a link is believed only under its MAC."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import update

from gateway.accounts.people import People
from gateway.clock import SystemClock
from gateway.errors import Tampered
from gateway.store import schema
from gateway.store.database import Store
from gateway.store.rows import Rows
from keys.datakey import ValueKey

TENANT = "tnt_0000000000000001"


class Plain:
    """A directory that hides nothing."""

    def index(self, tenant: str, address: str) -> bytes:
        return address.encode().ljust(32, b".")

    def keyed(self, tenant: str, label: str, value: object) -> bytes:
        return repr(value).encode()

    def seal(self, tenant: str, table: str, row: str, text: str) -> bytes:
        return text.encode()

    def open(self, tenant: str, table: str, row: str, sealed: bytes) -> str:
        return sealed.decode()


def test_an_index_moved_to_another_persons_row_is_refused(tmp_path: Path) -> None:
    """Who writes the database once could have a new link for one person guarded by another's telephone."""
    store = Store.open(f"sqlite:///{tmp_path}/gateway.db", create=True)
    try:
        key = ValueKey.random()
        people = People(Rows(lambda tenant: key), Plain(), SystemClock())
        thief = store.run(lambda tx: people.add(tx, TENANT, "thief@mail.test"))
        store.run(lambda tx: people.add(tx, TENANT, "maria@mail.test"))
        with store.reading() as conn:
            assert people.find(conn, TENANT, "thief@mail.test") == thief
            assert people.find(conn, TENANT, "nobody@mail.test") is None
        table, wanted = schema.people, Plain().index(TENANT, "maria@mail.test")
        store.run(lambda tx: tx.conn.execute(table.delete().where(table.c.address_index == wanted)))
        store.run(lambda tx: tx.conn.execute(update(table).where(table.c.id == thief).values(address_index=wanted)))
        with store.reading() as conn, pytest.raises(Tampered):
            people.find(conn, TENANT, "maria@mail.test")
    finally:
        store.close()
