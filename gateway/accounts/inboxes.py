"""Whether a recipient keeps an inbox, and the public key to seal to: for the worker, which makes grants.

Promises: a key counts only with the keyholder's signature for this tenant, person and inbox, whoever wrote the row
(DESIGN §4a, what the keyholder vouches for); that none is there is no proof that none was taken away.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select

from gateway.errors import Tampered
from gateway.store import schema
from gateway.store.rows import Lookup, Rows
from keys import errors
from keys.inboxes import KEY_LABEL
from keys.signing import verify_signature

_OF_PERSON = Lookup(
    select(schema.inboxes)
    .where(
        schema.inboxes.c.tenant == bindparam("of"),
        schema.inboxes.c.person == bindparam("who"),
        schema.inboxes.c.closed_at.is_(None),
    )
    .order_by(schema.inboxes.c.created_at.desc(), schema.inboxes.c.id)
)


@dataclass(frozen=True, slots=True)
class InboxKey:
    """An inbox and its public half, as the keyholder signed it."""

    id: str
    public: bytes


class Inboxes:
    """Finds them. `pinned` is the keyholder's public key."""

    def __init__(self, rows: Rows, pinned: bytes) -> None:
        self._rows = rows
        self._pinned = pinned

    def of(self, conn: Connection, tenant: str, person: str) -> InboxKey | None:
        """The person's newest inbox that counts, or None. Raises Tampered for a changed row or an unsigned key."""
        for row in self._rows.find(conn, _OF_PERSON, of=tenant, who=person):
            if not row["signature"]:  # begun, and the keyholder has not said yes
                continue
            public = bytes(row["public"])
            try:
                verify_signature(
                    self._pinned, bytes(row["signature"]), KEY_LABEL, tenant, person, str(row["id"]), public
                )
            except errors.Tampered as error:
                raise Tampered("an inbox's key is not as the keyholder signed it") from error
            return InboxKey(str(row["id"]), public)
        return None
