"""Passkeys as they rest: rows under a MAC, read verified, ended with what they stand on.

Promises: a row that was changed outside the keyholder is refused, whichever column it was: a public key, the bound of
what it opens, a name, whose it is. DESIGN §4a (rows that a role acts on carry a MAC).
"""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass
from typing import Any

from keys.encoding import canonical, lp
from keys.errors import Tampered
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import record
from keys.keyholder.wire import b64

PERSON, USER = "person", "user"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose passkeys: a recipient's or a workforce member's of one tenant."""

    tenant: str
    kind: str
    id: str

    @property
    def handle(self) -> bytes:
        """What an authenticator files a passkey under: 32 bytes that say nothing of the person (WebAuthn 14.6.1)."""
        return hashlib.sha256(lp("sealgate/passkey-user/v1", self.tenant, self.kind, self.id)).digest()

    @property
    def prf_salt(self) -> bytes:
        """What a browser may have the PRF extension evaluate for this owner: always the same, and no secret."""
        return hashlib.sha256(lp("sealgate/passkey-prf/v1", self.tenant, self.kind, self.id)).digest()


def owned(tx: Tx, owner: Owner) -> list[sqlite3.Row]:
    """The owner's live passkeys, oldest first, each verified. Raises Tampered for a row that was changed outside."""
    rows = tx.all(
        "SELECT * FROM passkeys WHERE tenant = ? AND kind = ? AND owner = ? AND state = 'live' ORDER BY made_us, id",
        owner.tenant, owner.kind, owner.id,
    )  # fmt: skip
    for row in rows:
        if not tx.custody.check(bytes(row["mac"]), "row", "passkey", _facts(row)):
            raise Tampered("a passkey's row in the keyholder's store was changed")
    return rows


def end(
    tx: Tx, tenant: str, person: str, why: str, *, first_method: str = "", since_us: int = 0, until_us: int = 0
) -> int:
    """Kill a person's passkeys: those behind that proof, if one is named, made since and before those times, if any."""
    gone = [
        row
        for row in owned(tx, Owner(tenant, PERSON, person))
        if first_method in ("", row["first_method"])
        and row["made_us"] >= since_us
        and (not until_us or row["made_us"] < until_us)
    ]
    for row in gone:
        kill(tx, row, why)
    return len(gone)


def codes_end(tx: Tx, tenant: str, person: str, first_method: str, since_us: int = 0) -> None:
    """No recovery code works any more that was made since then behind that proof."""
    tx.run(
        "DELETE FROM recovery_codes WHERE tenant = ? AND kind = 'person' AND owner = ? AND first_method = ?"
        " AND made_us >= ?",
        tenant, person, first_method, since_us,
    )  # fmt: skip


def kill(tx: Tx, row: sqlite3.Row, why: str) -> None:
    """It opens nothing any more; recorded with why."""
    tx.run("UPDATE passkeys SET state = 'dead' WHERE id = ?", row["id"])
    seal(tx, row["id"])
    record(tx, row["tenant"], "factor:killed", object=row["id"], reason=why)


def seal(tx: Tx, id: str) -> None:
    """The row's MAC anew, after a change made here to a row that was verified."""
    row = tx.one("SELECT * FROM passkeys WHERE id = ?", id)
    if row is not None:
        tx.run("UPDATE passkeys SET mac = ? WHERE id = ?", tx.custody.mac("row", "passkey", _facts(row)), id)


def _facts(row: sqlite3.Row) -> bytes:
    values: list[Any] = [row[name] for name in row.keys() if name != "mac"]  # noqa: SIM118 - no mapping
    return canonical([b64(value) if isinstance(value, bytes) else value for value in values])
