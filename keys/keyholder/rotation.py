"""A rotation of the root key: every wrap in this store goes from one key to another, under way and resumable.

New rows go under the new key from the first moment; those that are there follow a few hundred at a time between the
calls of others, so that mail and downloads go on. What is rewrapped is keys alone: tenant, day, hold, epoch, mail
and authority keys and the root keys of the store; no share, no object, no blob. Moving to another provider is the same.
Promises: at any instant every row opens under one of two keys that the store names; after a `kill -9` it goes on at the
next start; it ends in one transaction with its entry in the log, and then nothing here opens under the old key, not
even in the write-ahead log. DESIGN §4a (rotation rewraps day, tenant and signing keys only); NIST SP 800-57 1 5.3.6.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from keys.errors import Denied, KeysError, Tampered, Unavailable, Unusable
from keys.keyholder import backups, custody, journal
from keys.keyholder.custody import SYSTEM, Custody
from keys.keyholder.database import Database, Tx
from keys.keyholder.proposals import OPERATOR
from keys.keyholder.releaselog import record
from keys.keyholder.rootkey import RootKey, Seal
from keys.providers import Choice, open_provider

BATCH = 400
"""Rows in one transaction: a few milliseconds, which a waiting call does not notice."""
_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A column of wraps: its table, the table's primary key, and the use that each is bound to."""

    table: str
    column: str
    key: tuple[str, ...]
    use: Callable[[sqlite3.Row], tuple[str | int, ...]]


WRAPPED = (
    Wrapped("tenant_keys", "wrapped", ("tenant", "purpose"), lambda row: ("tenant", row["tenant"], row["purpose"])),
    Wrapped("day_keys", "wrapped", ("tenant", "day"), lambda row: ("day", row["tenant"], row["day"])),
    Wrapped("hold_keys", "wrapped", ("tenant", "day"), lambda row: ("hold", row["tenant"], row["day"])),
    Wrapped("epochs", "private", ("node", "epoch"), lambda row: ("epoch", row["node"], row["epoch"])),
    Wrapped(
        "mail_keys", "wrapped", ("tenant", "selector", "algorithm"),
        lambda row: ("dkim", row["tenant"], row["selector"], row["algorithm"]),
    ),
    Wrapped("authority", "wrapped", ("id",), lambda row: ("authority", row["id"])),
)  # fmt: skip
"""Every wrap of this store but the two in `meta`; a test compares it with what is wrapped in this package."""
_ROOT_KEYS = {"root_seed": "root", "hashing": "hashing"}


class Rotation:
    """The one rotation of a store, in a thread of its own while there is one."""

    def __init__(self, base: Database, keys: Custody) -> None:
        self._base, self._custody = base, keys
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self.done = 0
        self.broken = 0

    @property
    def key(self) -> RootKey:
        """The root key that is turned."""
        return self._custody.key

    def begin(self, seal: Seal) -> None:
        """Note where it goes, durably, and start. Raises Denied("rotating") while another runs."""

        def work(tx: Tx) -> None:
            if self.key.before is not None or tx.one("SELECT 1 FROM meta WHERE name = 'next_check'") is not None:
                raise Denied("rotating")
            for name, value in custody.seal_rows(seal, "next").items():
                tx.run("INSERT INTO meta (name, value) VALUES (?, ?)", name, value)
            backups.believe(tx)  # so that a copy which is not finished is refused, also where the clock was set back
            tx.run("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", backups.TURNED, str(tx.now_us).encode())
            record(
                tx, SYSTEM, "kek:rotating", object=seal.provider.check_value, actor=(OPERATOR, OPERATOR),
                reason=seal.choice.provider,
            )  # fmt: skip

        self._base.run(work)
        self.key.turn(seal)
        self.resume()

    def resume(self) -> None:
        """Go on with what is not over. Nothing to do when nothing is."""
        if self.key.before is None or (self._thread is not None and self._thread.is_alive()):
            return
        self.done = self.broken = 0
        self._thread = threading.Thread(target=self._run, name="rotation", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the rows under way."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        for wrapped in WRAPPED:
            after: tuple[Any, ...] | None = None
            while True:
                if self._end.is_set():
                    return
                try:
                    after = self._base.run(partial(self._some, wrapped=wrapped, after=after))
                except Unavailable as error:  # a full disk, a stop: what is done stays done
                    journal.failure("kek:rotation-waits", error)
                    if self._end.wait(_PAUSE_SECONDS):
                        return
                    continue
                if after is None:
                    break
        while not self._end.is_set():
            try:
                self._base.run(self._settle)
            except Unavailable as error:
                journal.failure("kek:rotation-waits", error)
                self._end.wait(_PAUSE_SECONDS)
            except KeysError as error:
                journal.failure("kek:rotation-failed", error)
                return
            else:
                self.key.settle()
                journal.line("kek:rotated", count=self.done)
                return

    def _some(self, tx: Tx, wrapped: Wrapped, after: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        """The next rows of a table; the key of the last, None when there are no more.

        Rows that are new since the start are under the new key already and are left alone; so are those that an earlier
        run did. One that opens under neither key was changed by somebody: it stays as it is, and is counted.
        """
        seal, before = self.key.seal.rows, self.key.before
        assert before is not None
        names = ", ".join(wrapped.key)
        beyond = f" AND ({names}) > ({', '.join('?' * len(wrapped.key))})" if after is not None else ""
        rows = tx.all(
            f"SELECT {names}, {wrapped.column} AS old FROM {wrapped.table} WHERE {wrapped.column} IS NOT NULL{beyond}"  # noqa: S608 - fixed names
            f" ORDER BY {names} LIMIT {BATCH}",
            *(after or ()),
        )
        changes = []
        for row in rows:
            old, context = bytes(row["old"]), custody.context(*wrapped.use(row))
            try:
                seal.unwrap(old, context)
                continue
            except Tampered:
                pass
            try:
                key = before.rows.unwrap(old, context)
            except Tampered:
                self.broken += 1
                continue
            changes.append((seal.wrap(key, context), *(row[name] for name in wrapped.key)))
            tx.custody.forget(old, *wrapped.use(row))
        tx.conn.executemany(
            f"UPDATE {wrapped.table} SET {wrapped.column} = ? WHERE "  # noqa: S608 - fixed names
            + " AND ".join(f"{name} = ?" for name in wrapped.key),
            changes,
        )
        self.done += len(changes)
        return None if len(rows) < BATCH else tuple(rows[-1][name] for name in wrapped.key)

    def _settle(self, tx: Tx) -> None:
        """The end, in one transaction: the store's own keys, what it is under from now on, and the entry of the log."""
        tx.destroyed = True  # the old wraps are cut out of the write-ahead log before anybody hears that it is over
        if tx.one("SELECT 1 FROM meta WHERE name = 'next_check'") is None:
            return  # settled before; only that cut was still owed
        seal, before = self.key.seal, self.key.before
        assert before is not None
        for name, use in _ROOT_KEYS.items():
            row = tx.one("SELECT value FROM meta WHERE name = ?", name)
            if row is None:
                raise Tampered("the keyholder's store lacks its root keys")
            raw = self.key.unwrap(bytes(row["value"]), custody.context(use))
            tx.run("UPDATE meta SET value = ? WHERE name = ?", seal.rows.wrap(raw, custody.context(use)), name)
        tx.run("DELETE FROM meta WHERE name GLOB 'kek_*' OR name GLOB 'next_*' OR name = 'before_check'")
        rows = custody.seal_rows(seal) | {"before_check": before.provider.check_value.encode("ascii")}
        for name, value in rows.items():
            tx.run("INSERT INTO meta (name, value) VALUES (?, ?)", name, value)
        record(
            tx, SYSTEM, "kek:rotated", object=seal.provider.check_value, reason=seal.choice.provider,
            outcome="ok" if not self.broken else "partly",
        )  # fmt: skip


class Turning(Protocol):
    """What the handlers here need of the keyholder around them: a provider is asked outside any transaction."""

    database: Database
    rotation: Rotation


def rotate(holder: Turning, *, provider: str, values: dict[str, Any], secret: bytes) -> dict[str, Any]:
    """Turn to the root key of that choice: `state`. `secret` is the key out of a sealed credential, empty otherwise.

    Denied("rotating") while another rotation runs; Denied("same-key") where it would change nothing;
    Denied("unusable"), with ``why`` in words without a secret, where the key cannot be used.
    """
    choice = Choice(provider, {str(name): str(value) for name, value in values.items()})
    rotation = holder.rotation
    try:  # asked here, outside of any transaction: it may be far away
        opened = open_provider(choice, secret=secret or None)
        if opened.local and opened.check_value == rotation.key.seal.provider.check_value:
            raise Denied("same-key")
        seal = Seal.make(opened, choice)
        seal.look()
    except (Unusable, Unavailable, Tampered) as error:
        raise Denied("unusable", {"why": str(error)}) from error
    rotation.begin(seal)
    return state(holder)


def state(holder: Turning) -> dict[str, Any]:
    """``provider``, ``check``, ``where`` (the choice's values), ``answers`` (yes, silent, refused), ``rotating``, and
    of the rotation that runs or was the last one since the start: ``done`` and ``broken``; ``before``: the check value
    of the key before it.
    """
    rotation = holder.rotation
    seal, before = rotation.key.seal, rotation.key.before

    def look(tx: Tx) -> tuple[int, str]:
        row = tx.one("SELECT value FROM meta WHERE name = 'before_check'")
        total = sum(
            tx.number(f"SELECT COUNT(*) FROM {one.table} WHERE {one.column} IS NOT NULL")  # noqa: S608 - fixed names
            for one in WRAPPED
        )
        return total, "" if row is None else bytes(row["value"]).decode("ascii")

    total, last = holder.database.run(look)
    return {
        "provider": seal.choice.provider, "name": seal.provider.name, "check": seal.provider.check_value,
        "where": dict(seal.choice.values), "answers": rotation.key.answers, "rotating": before is not None,
        "done": rotation.done, "broken": rotation.broken, "keys": total,
        "before": last if before is None else before.provider.check_value,
    }  # fmt: skip
