"""What follows when a share is destroyed: rows marked, entries written, blobs of what was erased removed; and large
erasures, which go on here.

Promises: the keyholder destroys first and its release log is followed from a mark that moves with what was written, so
that each end is written once, a crash leaves nothing half done, and a restored database marks and removes all of it
again; a restored keyholder whose log is another from the mark on is told again what had ended, before anybody can open
it, unless a legal hold keeps it; of whoever was erased the wrap keeps its commitment alone. DESIGN §4a;
decision
0037; NIST SP 800-88 2.6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import select

from gateway.actions.tenants import TenantView
from gateway.audit.event import GATEWAY, Action, Actor, Event, receipt_text
from gateway.clock import Clock
from gateway.flow.held import Held, NotHeld
from gateway.flow.records import Records
from gateway.flow.reminders import Marks
from gateway.logs import Log
from gateway.share import answering
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Row
from gateway.vault.vault import Vault
from keys.client import WorkerClient
from keys.errors import Denied

log = Log("gateway.erasing")
TOGETHER = 50
"""Entries that are written down in one transaction."""
ROUNDS = 10
"""Batches of one tenant in one turn, so that no other waits long for its own."""
PAGE = 500
_COMMITMENT = 66
"""Version, suite, salt and commitment of a wrap: what says that a link is the right one, and opens nothing."""
AT_ONCE = frozenset({"erased", "lifted"})
"""Whose blobs go now. Those of what ended by its time go a week later, with the vault's sweep (`flow/ended.py`)."""
MARKS = ("ends", "ends-leaf")
_TOLD = {
    "hold:set": Action.HOLD_SET, "hold:lifted": Action.HOLD_LIFTED, "certificate:issued": Action.CERTIFICATE_ISSUED,
    "tamper:found": Action.TAMPER_FOUND,
}  # fmt: skip
_Entry = Mapping[str, Any]


class Erasing:
    """A duty of one worker at a time. Everything is handed in."""

    def __init__(
        self, store: Store, records: Records, vault: Vault, keyholder: WorkerClient, held: Held,
        tenants: Callable[[], Iterable[TenantView]], clock: Clock,
    ) -> None:  # fmt: skip
        self._store = store
        self._records = records
        self._vault = vault
        self._keyholder = keyholder
        self._held = held
        self._tenants = tenants
        self._clock = clock
        self._marks = Marks(records)

    def __call__(self) -> int:
        """Go on with erasures, then write down what ended; how many entries. Raises TryLater and goes on next time."""
        return sum(self._of(view.id) for view in self._tenants())

    def _of(self, tenant: str) -> int:
        with answering():
            for _ in range(ROUNDS):
                if not self._keyholder.dispose_more(tenant):
                    break
        count = 0
        for _ in range(ROUNDS):
            old = tuple(self._marks.at(self._store, tenant, kind) for kind in MARKS)
            with answering():
                found = self._keyholder.ended(tenant, old[0] or 0)
            if old[0] is not None and (found["size"] < old[0] or found["before"] != old[1]):
                log.error("ends:keyholder-went-back", tenant=tenant)
                self._again(tenant)
                with answering():
                    found = self._keyholder.ended(tenant, 0)
            elif found["next"] == old[0]:
                break
            entries = found["entries"]
            for start in range(0, len(entries), TOGETHER):
                self._written(tenant, entries[start : start + TOGETHER])
            self._move(tenant, old, (found["next"], found["mark"]))
            count += len(entries)
            if found["next"] >= found["size"]:
                break
        return count

    def _written(self, tenant: str, entries: list[_Entry]) -> None:
        """A batch: blobs first, for their key is gone already; then rows and events, each of them once."""
        for entry in entries:
            if entry["action"] == "share:destroyed":
                self._before(tenant, entry)

        def work(tx: Tx) -> None:
            for entry in entries:
                self._entry(tx, tenant, entry)

        self._store.run(work)

    def _before(self, tenant: str, entry: _Entry) -> None:
        with self._store.reading() as conn:
            row = self._records.rows.get(conn, schema.messages, entry["object"])
            table = schema.objects
            objects = self._records.rows.find(conn, select(table).where(table.c.message == entry["object"]))
        if row is None or row["tenant"] != tenant:
            return
        if row["state"] == "held":
            try:
                self._held.erased(row, _actor(entry))
            except NotHeld:
                pass  # decided meanwhile
        if entry["reason"] in AT_ONCE:
            for one in objects:
                if one["blob"]:
                    self._vault.remove(one["blob"])

    def _entry(self, tx: Tx, tenant: str, entry: _Entry) -> None:
        action = entry["action"]
        if action == "share:destroyed":
            self._message(tx, tenant, entry)
        elif action == "grant:narrowed" and entry["reason"] == "erased":
            self._link(tx, tenant, entry)
        elif action == "grant:narrowed":
            self._sooner(tx, tenant, entry)
        elif self._first(tx, tenant, entry):
            self._say(tx, tenant, _TOLD[action], entry, entry["object"], entry["reason"])

    def _message(self, tx: Tx, tenant: str, entry: _Entry) -> None:
        row = self._records.rows.get(tx.conn, schema.messages, entry["object"])
        if row is None or row["tenant"] != tenant:
            return
        table = schema.objects
        if entry["reason"] in AT_ONCE:
            for one in self._records.rows.find(tx.conn, select(table).where(table.c.message == row["id"])):
                if one["blob"]:
                    self._records.rows.update(tx, table, one["id"], blob="")
        if row["ended_at"] is not None:
            return
        self._records.rows.update(tx, schema.messages, row["id"], ended_at=entry["at_us"])
        if entry["reason"] == "erased":
            self._say(tx, tenant, Action.MESSAGE_ERASED, entry, row["id"], "")
        elif entry["reason"] == "lifted":
            self._say(tx, tenant, Action.MESSAGE_EXPIRED, entry, row["id"], "after-hold")

    def _link(self, tx: Tx, tenant: str, entry: _Entry) -> None:
        row = self._records.rows.get(tx.conn, schema.grants, entry["object"])
        if row is None or row["tenant"] != tenant:
            return
        wrap = bytes(row["wrap"])
        closed = wrap[:_COMMITMENT] + bytes(max(0, len(wrap) - _COMMITMENT))
        if wrap == closed:
            return
        revoked_at = row["revoked_at"] if row["revoked_at"] is not None else entry["at_us"]
        self._records.rows.update(tx, schema.grants, row["id"], wrap=closed, revoked_at=revoked_at)
        self._say(tx, tenant, Action.LINK_REVOKED, entry, row["id"], "erased")

    def _sooner(self, tx: Tx, tenant: str, entry: _Entry) -> None:
        row = self._records.rows.get(tx.conn, schema.messages, entry["object"])
        if row is None or row["tenant"] != tenant:
            return
        table = schema.grants
        links = self._records.rows.find(tx.conn, select(table).where(table.c.message == row["id"]))
        until = int(entry["until_us"])
        if row["expires_at"] is None or row["expires_at"] <= until:
            return
        self._records.rows.update(tx, schema.messages, row["id"], expires_at=until)
        for one in links:
            if one["expires_at"] > until:
                self._records.rows.update(tx, table, one["id"], expires_at=until)
        self._say(tx, tenant, Action.LINK_SHORTENED, entry, row["id"], "")

    def _first(self, tx: Tx, tenant: str, entry: _Entry) -> bool:
        """Whether what has no row of its own is not told yet: a row is written for it beside its entry."""
        id = f"{entry['action'].partition(':')[2]}-{entry['request']}"[:64]
        if self._records.rows.get(tx.conn, schema.tellings, id) is not None:
            return False
        now = self._clock.now_us()
        self._records.rows.insert(
            tx, schema.tellings, id=id, tenant=tenant, kind=entry["action"], about=entry["object"][:64], state="done",
            created_at=now, done_at=now,
        )  # fmt: skip
        return True

    def _say(self, tx: Tx, tenant: str, action: Action, entry: _Entry, object: str, reason: str) -> None:
        event = Event(
            action, tenant, object, _actor(entry), reason=reason, request=entry["request"],
            receipt=receipt_text(entry["receipt"]), outcome="failed" if action is Action.TAMPER_FOUND else "ok",
        )  # fmt: skip
        self._records.log.append(tx, event)

    def _move(self, tenant: str, old: tuple[int | None, ...], new: tuple[int, int]) -> None:
        def work(tx: Tx) -> None:
            for kind, before, now in zip(MARKS, old, new, strict=True):
                if before != now:
                    self._marks.move(tx, tenant, kind, before, now)

        self._store.run(work)

    def _again(self, tenant: str) -> None:
        """An older keyholder's store was put back: what had ended ends again, readers who were shut out are again."""
        count = 0
        for row in self._pages(schema.messages, tenant, schema.messages.c.ended_at.is_not(None)):
            with answering():
                back = self._keyholder.alive(tenant, [one["id"] for one in row])
            for message in back:
                try:
                    with answering():
                        self._keyholder.destroy_message(tenant, message)
                    count += 1
                except Denied as denied:
                    log.warning("ends:not-again", message=message, reason=denied.reason)
        for row in self._pages(schema.grants, tenant, schema.grants.c.revoked_at.is_not(None)):
            with answering():
                states = self._keyholder.grant_state(tenant, [one["id"] for one in row])
            for one in row:
                if states[one["id"]]["state"] in ("live", "frozen"):
                    with answering():
                        self._keyholder.narrow(
                            tenant, one["message"], one["id"], {"revoke": True}, "ends", self._clock.new_id("req")
                        )
                    count += 1
        if count:
            self._store.run(lambda tx: self._noted(tx, tenant, count))

    def _noted(self, tx: Tx, tenant: str, count: int) -> None:
        self._records.log.append(
            tx, Event(Action.MESSAGE_ERASED, tenant, tenant, GATEWAY, reason=f"again-{count}", outcome="partial")
        )

    def _pages(self, table: Any, tenant: str, which: Any) -> Iterable[list[Row]]:
        after = ""
        while True:
            with self._store.reading() as conn:
                statement = select(table).where(table.c.tenant == tenant, which, table.c.id > after)
                rows, changed = self._records.rows.sift(conn, statement.order_by(table.c.id).limit(PAGE))
            if rows:
                yield rows
            ids = [row["id"] for row in rows] + list(changed)
            if len(ids) < PAGE:
                return
            after = max(ids)


def _actor(entry: _Entry) -> Actor:
    found = entry["actor"]
    return Actor(found["kind"], found["id"]) if found["kind"] == "user" else GATEWAY
