"""Recipients: one row per address and tenant, made when the first message to it is protected or by import."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, select

from gateway.accounts.ports import Directory
from gateway.clock import Clock
from gateway.store import schema
from gateway.store.database import Tx
from gateway.store.rows import Lookup, Rows

_BY_ADDRESS = Lookup(
    select(schema.people).where(
        schema.people.c.tenant == bindparam("of"), schema.people.c.address_index == bindparam("index")
    )
)


class People:
    """Finds and adds recipients."""

    def __init__(self, rows: Rows, directory: Directory, clock: Clock) -> None:
        self._rows = rows
        self._directory = directory
        self._clock = clock

    def find(self, conn: Connection, tenant: str, address: str) -> str | None:
        """Id of the person with that address, or None. Raises Tampered.

        The row's MAC is checked here: an index moved to another person's row would send a link under that person's
        factors.
        """
        found = self._rows.find(conn, _BY_ADDRESS, of=tenant, index=self._directory.index(tenant, address))
        return str(found[0]["id"]) if found else None

    def add(
        self, tx: Tx, tenant: str, address: str, *, person: str | None = None, name: str = "", language: str = "en"
    ) -> str:
        """The person with that address, added when there is none. Inside a transaction, so two callers make one row."""
        known = self.find(tx.conn, tenant, address)
        if known is not None:
            if name:
                self._rows.update(
                    tx, schema.people, known, name=self._directory.seal(tenant, "people.name", known, name)
                )
            return known
        person = person or self._clock.new_id("per")
        self._rows.insert(
            tx, schema.people, id=person, tenant=tenant,
            address=self._directory.seal(tenant, "people", person, address),
            address_index=self._directory.index(tenant, address),
            domain_index=self._directory.index(tenant, "@" + address.rpartition("@")[2]),
            name=self._directory.seal(tenant, "people.name", person, name) if name else None,
            language=language, created_at=self._clock.now_us(),
        )  # fmt: skip
        return person

    def address(self, row: Any) -> str:
        """The address of a row of `people`."""
        return self._directory.open(row["tenant"], "people", row["id"], row["address"])
