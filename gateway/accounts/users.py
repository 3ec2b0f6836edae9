"""Workforce members: rows that name them; their passwords and factors live in the keyholder."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, select

from gateway.accounts.ports import Directory
from gateway.accounts.roles import ROLES
from gateway.clock import Clock
from gateway.errors import Misconfigured
from gateway.registry import nearest
from gateway.store import schema
from gateway.store.database import Tx
from gateway.store.rows import Lookup, Row, Rows

_BY_ADDRESS = Lookup(
    select(schema.users).where(
        schema.users.c.tenant == bindparam("of"), schema.users.c.address_index == bindparam("index")
    )
)


class Users:
    """Finds and adds workforce members."""

    def __init__(self, rows: Rows, directory: Directory, clock: Clock) -> None:
        self._rows = rows
        self._directory = directory
        self._clock = clock

    def find(self, conn: Connection, tenant: str, address: str) -> Row | None:
        """The row of that address, its MAC checked, or None. Raises Tampered."""
        found = self._rows.find(conn, _BY_ADDRESS, of=tenant, index=self._directory.index(tenant, address))
        return found[0] if found else None

    def all(self, conn: Connection, tenant: str) -> list[Row]:
        """Every workforce member of a tenant, disabled ones too: a search finds what they did."""
        return self._rows.find(conn, select(schema.users).where(schema.users.c.tenant == tenant))

    def nobody(self, tenant: str, address: str) -> str:
        """The id to try at the keyholder when no account has that address: always the same for one address.

        Each unknown address so has tries of its own, as each known one has; shared ones would tell which is which.
        """
        return f"usr_{self._directory.index(tenant, address).hex()[:16]}"

    def add(self, tx: Tx, tenant: str, address: str, role: str, *, user: str, name: str = "") -> str:
        """A new row; the id is made by the caller, who registers it with the keyholder first.

        Raises Misconfigured for an unknown role or an address that is taken.
        """
        if role not in ROLES:
            raise Misconfigured(f"unknown role '{role}': {nearest(role, list(ROLES))}")
        if self.find(tx.conn, tenant, address) is not None:
            raise Misconfigured("this address already has an account; change it with 'sealgate user'")
        self._rows.insert(
            tx, schema.users, id=user, tenant=tenant,
            address=self._directory.seal(tenant, "users", user, address),
            address_index=self._directory.index(tenant, address),
            name=self._directory.seal(tenant, "users.name", user, name) if name else None,
            role=role, state="active", created_at=self._clock.now_us(),
        )  # fmt: skip
        return user

    def address(self, row: Any) -> str:
        """The address of a row of `users`."""
        return self._directory.open(row["tenant"], "users", row["id"], row["address"])
