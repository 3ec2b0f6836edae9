"""Keys that sign a tenant's mail (DKIM): made here, wrapped by the root KEK, handed to the worker that signs.

Promises: a key is made once under its selector and never replaced by a repeated call, because the world knows it by
that name; the private half leaves for the worker's socket alone; a removed one is overwritten. RFC 6376 3.1
(selectors), RFC 8301 3.2 (RSA of 2048 bits), RFC 8463.
"""

from __future__ import annotations

import re
from typing import Any

from keys.errors import Denied
from keys.keyholder.database import Tx
from keys.keyholder.proposals import OPERATOR
from keys.keyholder.releaselog import record
from keys.keyholder.staff import House
from keys.keyholder.wire import b64
from keys.mailkey import ALGORITHMS, MailKey

_SELECTOR = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_MOST = 8
"""Keys of one tenant: two in use, two that follow them, and room for a mistake."""


def dkim_make(holder: House, *, tenant: str, selector: str, algorithm: str) -> dict[str, str]:
    """Make a key under a selector that has none. Denied: no-tenant, bad-selector, bad-algorithm, taken, too-many."""
    if _SELECTOR.fullmatch(selector) is None:
        raise Denied("bad-selector")
    if algorithm not in ALGORITHMS:
        raise Denied("bad-algorithm")
    # Before the transaction: primes take a while to find, and the store has one writer.
    key = MailKey.generate(algorithm)

    def work(tx: Tx) -> dict[str, str]:
        if tx.one("SELECT 1 FROM tenants WHERE id = ?", tenant) is None:
            raise Denied("no-tenant")
        if tx.one("SELECT 1 FROM mail_keys WHERE tenant = ? AND selector = ?", tenant, selector) is not None:
            raise Denied("taken")
        if tx.number("SELECT COUNT(*) FROM mail_keys WHERE tenant = ?", tenant) >= _MOST:
            raise Denied("too-many")
        wrapped = tx.custody.wrap(key.private, "dkim", tenant, selector, algorithm)
        tx.run("INSERT INTO mail_keys VALUES (?, ?, ?, ?, ?)", tenant, selector, algorithm, wrapped, tx.now_us)
        record(tx, tenant, "mailkey:made", object=selector, actor=(OPERATOR, OPERATOR), reason=algorithm)
        return {"selector": selector, "algorithm": algorithm, "public": b64(key.public)}

    return holder.database.run(work)


def dkim_list(tx: Tx, *, tenant: str) -> list[dict[str, Any]]:
    """Selector, algorithm, public half and time of each key."""
    return [
        {
            "selector": row["selector"], "algorithm": row["algorithm"],
            "public": b64(MailKey.from_private(_private(tx, row)).public), "made_us": row["made_us"],
        }
        for row in _rows(tx, tenant)
    ]  # fmt: skip


def dkim_keys(tx: Tx, *, tenant: str) -> list[dict[str, str]]:
    """Selector, algorithm and private half (PKCS #8) of each key, for the worker."""
    return [
        {"selector": row["selector"], "algorithm": row["algorithm"], "private": b64(_private(tx, row))}
        for row in _rows(tx, tenant)
    ]


def dkim_remove(tx: Tx, *, tenant: str, selector: str) -> bool:
    """Destroy a key; whether there was one."""
    tx.destroyed = True
    row = tx.one("SELECT * FROM mail_keys WHERE tenant = ? AND selector = ?", tenant, selector)
    if row is None:
        return False
    tx.custody.forget(bytes(row["wrapped"]), "dkim", tenant, selector, row["algorithm"])
    tx.run("DELETE FROM mail_keys WHERE tenant = ? AND selector = ?", tenant, selector)
    record(tx, tenant, "mailkey:removed", object=selector, actor=(OPERATOR, OPERATOR), reason=row["algorithm"])
    return True


def _rows(tx: Tx, tenant: str) -> list[Any]:
    return list(tx.all("SELECT * FROM mail_keys WHERE tenant = ? ORDER BY made_us, selector", tenant))


def _private(tx: Tx, row: Any) -> bytes:
    return tx.custody.unwrap(bytes(row["wrapped"]), "dkim", row["tenant"], row["selector"], row["algorithm"])
