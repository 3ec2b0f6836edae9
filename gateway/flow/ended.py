"""Which blobs the sweep leaves alone: those with a row, unless their message has ended and nobody can open them again.

A share that is destroyed opens nothing, so its sealed bytes only fill the disk. Promises: a blob is given up only when
its message's time was over `LEFT_FOR_US` ago, its rows are as they were written, and the keyholder itself says of every
grant of that message that its share is destroyed; whatever is in doubt stays. Rows stay: they say what became of it.
DESIGN §1.7, §4 (crypto-erase).
"""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import Connection, select

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.logs import Log
from gateway.share import answering
from gateway.store import schema
from gateway.store.database import Store
from gateway.store.rows import Rows
from keys.client import WorkerClient
from keys.errors import Denied

log = Log("gateway.upkeep")
LEFT_FOR_US = 7 * 86_400_000_000
ASKED = 500


class Wanted:
    """The question of the vault's sweep. Everything is handed in."""

    def __init__(self, store: Store, rows: Rows, keyholder: WorkerClient, clock: Clock) -> None:
        self._store = store
        self._rows = rows
        self._keyholder = keyholder
        self._clock = clock

    def __call__(self, names: list[str]) -> set[str]:
        """Those of these blobs that are still wanted. Raises TryLater when the database does not answer."""
        objects, messages = schema.objects.c, schema.messages.c
        before_us = self._clock.now_us() - LEFT_FOR_US
        over = messages.expires_at < before_us
        statement = select(objects.blob, objects.message, over).outerjoin_from(
            schema.objects, schema.messages, messages.id == objects.message
        )
        with self._store.reading() as conn:
            found = conn.execute(statement.where(objects.blob.in_(names))).all()
            ended = sorted({message for _, message, late in found if late})
            asked, tenants = self._asked(conn, ended, before_us) if ended else ({}, {})
        given_up: set[str] = set()
        if asked:
            destroyed = self._destroyed(asked, tenants)
            with self._store.reading() as conn:
                rows, _ = self._rows.sift(conn, select(schema.objects).where(objects.blob.in_(names)))
            given_up = {row["blob"] for row in rows if row["message"] in destroyed}
        return {blob for blob, _, _ in found} - given_up

    def _asked(self, conn: Connection, ended: list[str], before_us: int) -> tuple[dict[str, list[str]], dict[str, str]]:
        """The grants of those of these messages whose rows verify, all of them; and whose messages they are."""
        messages, grants = schema.messages, schema.grants
        sound, _ = self._rows.sift(conn, select(messages).where(messages.c.id.in_(ended)))
        tenants = {row["id"]: row["tenant"] for row in sound if row["expires_at"] < before_us}
        mine = grants.c.message.in_(list(tenants))
        verified = {row["id"] for row in self._rows.sift(conn, select(grants).where(mine))[0]}
        of: dict[str, list[str]] = defaultdict(list)
        for grant, message in conn.execute(select(grants.c.id, grants.c.message).where(mine)):
            of[message].append(grant)
        return {message: names for message, names in of.items() if verified.issuperset(names)}, tenants

    def _destroyed(self, asked: dict[str, list[str]], tenants: dict[str, str]) -> set[str]:
        """Those of these messages whose every grant the keyholder calls destroyed; none while it does not answer."""
        by_tenant: dict[str, list[str]] = defaultdict(list)
        for message, grants in asked.items():
            by_tenant[tenants[message]] += grants
        states: dict[str, str] = {}
        try:
            for tenant, grants in by_tenant.items():
                for start in range(0, len(grants), ASKED):
                    with answering():
                        found = self._keyholder.grant_state(tenant, grants[start : start + ASKED])
                    states |= {grant: str(one["state"]) for grant, one in found.items()}
        except (GatewayError, Denied) as error:
            log.warning("vault:ended-unknown", error=type(error).__name__)
            return set()
        return {message for message, grants in asked.items() if all(states.get(one) == "destroyed" for one in grants)}
