"""Entries that are committed and wait for their number: how many, since when, and waiting until they have it.

On SQLite an entry has its number when its change is committed, and nothing ever waits. On PostgreSQL it lies in the
`outbox` for a fraction of a second (DESIGN §5). Promises: whoever asks for a settled view gets one in which everything
has its number that was committed when it asked, or is told how much has none; nobody waits longer than `READERS_FOR`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, FromClause, bindparam, func, literal, literal_column, select, union_all

from gateway.store.schema import log_leaves, outbox
from gateway.store.statement import Statement

READERS_FOR = timedelta(seconds=5)
LOOK_EVERY_SECONDS = 0.03
UPTO = "sealgate.upto"
"""Where a view keeps up to which `seq` it waited in vain."""

_LAST = Statement(select(func.max(outbox.c.seq)).where(outbox.c.log == bindparam("of")))
_LEFT = Statement(
    select(outbox.c.seq)
    .where(outbox.c.log == bindparam("of"), outbox.c.seq <= bindparam("upto"))
    .limit(literal_column("1"))
)
_COUNT = Statement(
    select(func.count()).select_from(outbox).where(outbox.c.log == bindparam("of"), outbox.c.seq <= bindparam("upto"))
)
_ALL = Statement(select(func.count(), func.min(outbox.c.ts)).select_from(outbox))


@dataclass(frozen=True, slots=True)
class Waiting:
    """Of all logs: how many entries wait, and when the oldest was written (microseconds since 1970; None: none)."""

    count: int
    since_us: int | None


def settle(reading: Callable[[], AbstractContextManager[Connection]], log: str, awaited: Callable[[], None]) -> int:
    """Wait until what waits in that log now has its number, at most `READERS_FOR`. 0 when it has, else the `seq` up to
    which some had not. Raises TryLater.
    """
    until = time.monotonic() + READERS_FOR.total_seconds()
    upto: int | None = None
    while True:
        with reading() as conn:
            if upto is None:
                row = _LAST.first(conn, {"of": log})
                left = row is not None and row[0] is not None
                upto = int(row[0]) if row is not None and left else 0
            else:
                left = _LEFT.first(conn, {"of": log, "upto": upto}) is not None
        if not left or time.monotonic() > until:
            return upto if left else 0
        awaited()
        time.sleep(LOOK_EVERY_SECONDS)


def count(conn: Connection, log: str) -> int:
    """In the view of `Store.reading(log)`: how many entries were committed when it was asked for and still wait."""
    upto = conn.info.get(UPTO, 0)
    if not upto:
        return 0
    row = _COUNT.first(conn, {"of": log, "upto": upto})
    return 0 if row is None else int(row[0])


def everywhere(conn: Connection) -> Waiting:
    """What waits in all the logs that this role sees."""
    if conn.dialect.name == "sqlite":
        return Waiting(0, None)
    row = _ALL.first(conn, {})
    return Waiting(int(row[0]), row[1]) if row is not None else Waiting(0, None)


AFTER_ALL = 2**62
"""Above every number of an entry: those without one come last, in the order in which they arrived."""
_COPIES = ("log", "ts", "action", "actor", "object", "outcome", "entry", "leaf_hash")
_SAID = union_all(
    select(log_leaves.c.idx, *(log_leaves.c[name] for name in _COPIES)),
    select((outbox.c.seq + literal(AFTER_ALL)).label("idx"), *(outbox.c[name] for name in _COPIES)),
).subquery("said")


def said(conn: Connection) -> FromClause:
    """Every committed entry with the columns of `log_leaves`, numbered or not: for decisions that must miss none."""
    return log_leaves if conn.dialect.name == "sqlite" else _SAID
