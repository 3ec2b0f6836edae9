"""The name under which a log's heads are signed, and how it changes when a log that was lost in part goes on.

A database that ends before what was signed is never signed on under the same name: that would be a smaller tree. The
operator may say that what is missing is lost (`new_origin`); the log then goes on under the next name, which signs from
nothing, and its entry there quotes the last head of the name before. Promises: only a log that is behind gets one; what
was signed under the earlier names stays, with its note; the release log says it, with sizes and reason. The key is the
same, the verifier key string is another, for it has the name in it. DESIGN §5 (restore guard); decision 0056.
"""

from __future__ import annotations

import re
from typing import Any

from keys import notes
from keys.errors import Denied
from keys.keyholder import custody
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import record, tenant_origin

_REASON = re.compile(r"[a-z][a-z-]{2,39}", re.ASCII)


def log_origin(tx: Tx, log: str) -> str:
    """The origin that heads of that log are signed under now. Raises Denied("no-tenant")."""
    first = tenant_origin(tx, log)
    row = _last(tx, log)
    return first if row is None else f"{first}/{row['generation']}"


def log_vkey(tx: Tx, log: str) -> str:
    """The verifier key of that log's heads."""
    return notes.vkey(log_origin(tx, log), custody.signer(tx, log, "log_sign").public)


def new_origin(tx: Tx, *, log: str, size: int, root: bytes, reason: str) -> dict[str, Any]:
    """Give up what was signed of that log beyond `size` entries with that root; same as `reopened`.

    Denied("not-behind") unless more than `size` entries were signed; "bad-reason" for other than one word of small
    letters and hyphens.
    """
    if _REASON.fullmatch(reason) is None:
        raise Denied("bad-reason")
    kept = tx.one("SELECT size, note FROM witness WHERE log = ?", log)
    if kept is None or not 0 < size < int(kept["size"]) or len(root) != 32:
        raise Denied("not-behind")
    row = _last(tx, log)
    generation = 2 if row is None else int(row["generation"]) + 1
    tx.run(
        "INSERT INTO origins VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        log, generation, size, root, int(kept["size"]), kept["note"], reason, tx.now_us,
    )  # fmt: skip
    tx.run("DELETE FROM witness WHERE log = ?", log)
    record(
        tx, log, "log:reopened", object=log_origin(tx, log), actor=("operator", "operator"),
        reason=f"{log_vkey(tx, log)} {size} of {int(kept['size'])} {reason}",
    )  # fmt: skip
    made = reopened(tx, log=log)
    assert made is not None
    return made


def reopened(tx: Tx, *, log: str) -> dict[str, Any] | None:
    """``origin``, ``size`` (entries that were left), ``note`` (the last head before), ``reason``; None at the first."""
    row = _last(tx, log)
    if row is None:
        return None
    return {"origin": log_origin(tx, log), "size": row["size"], "note": row["note"], "reason": row["reason"]}


def _last(tx: Tx, log: str) -> Any:
    return tx.one("SELECT * FROM origins WHERE log = ? ORDER BY generation DESC LIMIT 1", log)
