"""What a restore does not bring back, as far as the two halves can say, in numbers, hours and ids.

What came in after the content was copied is nowhere: for that there is only the time from which senders must send
again. What was under way at that moment (in the spool, which is in no backup) and what came in between the two copies
(its shares are in neither) is named. No address is: those are sealed, and the keys are not here.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, select

from gateway.audit.event import SYSTEM, Action
from gateway.clock import from_us
from gateway.store import schema

HOUR_US = 3_600_000_000
NAMED = 200
_WAITING = ("ready", "active", "deferred")
_ACCOUNTS = (
    Action.USER_ADDED, Action.USER_CHANGED, Action.USER_APP_PASSWORD, Action.FACTOR_ENROLLED, Action.FACTOR_REMOVED,
    Action.CARD_PRINTED, Action.PERSON_ADDED, Action.PERSON_CHANGED, Action.SETTINGS_ACCEPTED, Action.TENANT_CLOSED,
    Action.TENANT_REOPENED, Action.RECOVERY_SET, Action.HOLD_SET, Action.HOLD_LIFTED, Action.LINK_FROZEN,
)  # fmt: skip
"""What stands in the keyholder alone, so that an older copy of it knows nothing of it: what was taken away is back."""


@dataclass(frozen=True, slots=True)
class Gap:
    """`since_us`: from then on nothing is known. `unsent`: messages that had not left for everybody; `unopenable`:
    messages whose links open nothing, by hour of their arrival; `accounts`: what was done to accounts, factors, phone
    numbers, holds and the like after the keyholder's copy, which has to be done again, by kind.
    """

    since_us: int
    unsent: tuple[str, ...]
    unopenable: tuple[str, ...]
    hours: tuple[tuple[int, int], ...]
    accounts: tuple[tuple[str, int], ...]
    disabled: tuple[tuple[str, str], ...] = ()
    """Tenant and id of each account that was disabled after the keyholder's copy: done again before anything serves."""

    def plain(self) -> dict[str, object]:
        """For programs."""
        return {
            "since": from_us(self.since_us).isoformat(timespec="seconds"), "unsent": list(self.unsent),
            "unopenable": list(self.unopenable), "accounts": dict(self.accounts),
            "hours": {from_us(hour).isoformat(timespec="minutes"): count for hour, count in self.hours},
        }  # fmt: skip

    def words(self, zone: str) -> list[str]:
        """For people, one sentence a line; times are the clinic's."""
        told = [
            f"All mail that came in after {_time(self.since_us, zone)} is not in this backup. "
            "Ask senders to send again what they sent from then until the gateway stopped."
        ]
        if self.unsent:
            told.append(
                f"{_count(self.unsent)} had not left for everyone when the backup was made. What waited is lost. "
                "Their senders must send again; the gateway itself tells them only when it gives up, days later."
            )
        if self.unopenable:
            told.append(
                f"{_count(self.unopenable)} came in between the keyholder's backup and this one: their links "
                "open nothing. Their senders must send again. They came in these hours:"
            )
            told += [f"  {_time(hour, zone)}: {count}" for hour, count in self.hours]
        if self.accounts:
            done = ", ".join(f"{action} {count}" for action, count in self.accounts)
            told.append(f"Done after the keyholder's backup, and to be done again: {done}.")
        told.append("Codes, printed cards, remembered browsers and sign-ins are void. People prove themselves again.")
        return told


def found(conn: Connection, keyholder: Path, content_us: int, keyholder_us: int) -> Gap:
    """Compare both halves: a view of the database, and the keyholder's store as a file."""
    deliveries, messages, leaves = schema.deliveries, schema.messages, schema.log_leaves
    unsent = conn.execute(
        select(deliveries.c.message).where(deliveries.c.state.in_(_WAITING)).distinct().order_by(deliveries.c.message)
    ).scalars()
    sealed = conn.execute(
        select(messages.c.id, messages.c.received_at)
        .where(messages.c.expires_at.is_not(None), messages.c.created_at >= keyholder_us - HOUR_US)
        .order_by(messages.c.received_at)
    ).all()
    with closing(_store(keyholder)) as store:
        lost = [
            (str(id), int(at)) for id, at in sealed
            if store.execute("SELECT 1 FROM messages WHERE id = ?", (id,)).fetchone() is None
        ]  # fmt: skip
    done = conn.execute(
        select(leaves.c.action).where(leaves.c.action.in_(_ACCOUNTS), leaves.c.ts >= keyholder_us)
    ).scalars()
    disabled = conn.execute(
        select(leaves.c.log, leaves.c.object).where(
            leaves.c.action == Action.USER_DISABLED, leaves.c.ts >= keyholder_us
        )
    ).all()
    hours = Counter(at // HOUR_US * HOUR_US for _, at in lost)
    return Gap(
        content_us, tuple(map(str, unsent)), tuple(id for id, _ in lost), tuple(sorted(hours.items())),
        tuple(sorted(Counter(map(str, done)).items())), tuple((str(log), str(user)) for log, user in disabled),
    )  # fmt: skip


def root_key(keyholder: Path) -> str:
    """The public root key of that store, in hexadecimal: its own word. If it is not true, no root key opens the store.

    Empty where it has none.
    """
    with closing(_store(keyholder)) as store:
        row = store.execute("SELECT value FROM meta WHERE name = 'root_public'").fetchone()
    return "" if row is None else bytes(row[0]).hex()


def since_us(conn: Connection, keyholder: Path, made_us: int) -> int:
    """From when on our log may hold what that copy does not: when it was made, or the time of the first entry that its
    keyholder had not signed, where a clock was set back in between or another machine's is behind.
    """
    sizes, leaves = signed(keyholder), schema.log_leaves
    times = [made_us]
    for log in (*conn.execute(select(schema.tenants.c.id)).scalars(), SYSTEM):
        statement = select(func.min(leaves.c.ts)).where(leaves.c.log == log, leaves.c.idx >= sizes.get(log, 0))
        times += [at for at in conn.execute(statement).scalars() if at is not None]
    return int(min(times))


def signed(keyholder: Path) -> dict[str, int]:
    """The size of each log that the keyholder of that store last signed."""
    with closing(_store(keyholder)) as store:
        return {str(log): int(size) for log, size in store.execute("SELECT log, size FROM witness")}


def _store(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1", uri=True)


def _count(messages: tuple[str, ...]) -> str:
    return "1 message" if len(messages) == 1 else f"{len(messages)} messages"


def _time(at_us: int, zone: str) -> str:
    moment: datetime = from_us(at_us).astimezone(ZoneInfo(zone))
    return moment.strftime("%Y-%m-%d %H:%M %Z")
