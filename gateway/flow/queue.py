"""The queue as a technician sees it: what is held, what waits and why, what is tried now, what goes back.

Promises: ids, states, codes and times; no address, subject or file name, and of the next hop's answer the code and the
enhanced code alone. Asking for a try or a return is in the log. RFC 5321 4.5.4.1, RFC 3463.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from gateway.actions.tenants import TenantView
from gateway.audit.event import Action, Actor, Event
from gateway.audit.log import AuditLog
from gateway.clock import Clock, from_us
from gateway.control import Command
from gateway.errors import Misconfigured, NotFound, Refused
from gateway.flow.delivery import Deliverer
from gateway.flow.held import Held
from gateway.flow.records import WAITING, Records
from gateway.spool.reader import SpoolReader
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Row
from keys.encoding import parse_canonical

OPERATOR = Actor("operator", "")
SHOWN = 1000
"""Deliveries, and items of the spool, that one listing names."""


class NothingWaits(Refused):
    """Nothing of that message waits here now: it was delivered, it is held, or it is being tried at this moment."""


class WaitsElsewhere(Refused):
    """It waits at another node, whose spool has it."""

    @property
    def public(self) -> str:
        """The detail names nodes, which are words of the settings."""
        return self.detail or super().public


class Queue:
    """The commands `queue …` that need nobody's password. Thread-safe."""

    def __init__(
        self, *, store: Store, records: Records, held: Held, audit: AuditLog, deliverer: Deliverer,
        spools: Mapping[str, SpoolReader], tenants: Callable[[], list[TenantView]], give_up_us: int, clock: Clock,
    ) -> None:  # fmt: skip
        self._store = store
        self._records = records
        self._held = held
        self._audit = audit
        self._deliverer = deliverer
        self._spools = spools
        self._tenants = tenants
        self._give_up_us = give_up_us
        self._clock = clock

    def commands(self) -> dict[str, Command]:
        """By name, as the control socket calls them."""
        return {
            "queue.list": self.listed,
            "queue.show": self.show,
            "queue.smarthosts": self.smarthosts,
            "queue.retry": self.retry,
            "queue.return": self.give_back,
            "queue.check": self.check,
        }

    def listed(self, given: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Held messages, deliveries that wait, what came in and was not worked on yet, oldest first; what has a row
        that was changed by somebody else; and the spool items that were refused: what is in those cannot be read, so
        nobody can say whose they are.
        """
        view = self._tenant(given)
        with self._store.reading() as conn:
            rows, changed = self._held.rows(conn, view.id)
            waiting, more = self._waiting(conn, [view.id])
            incoming = self._incoming(conn, view.id)
        held = [_message(row) for row in rows]
        refused = [{"id": id, "state": "refused", "reason": "row changed"} for id in (*changed, *more)]
        refused += [
            {"id": one.id or "unreadable", "state": "refused", "reason": one.reason}
            for spool in self._spools.values()
            for one in list(spool.refused)
        ]
        busy = self._deliverer.busy()
        return [
            *held, *refused, *incoming,
            *({"id": row["message"], **self._delivery(row, view, busy)} for row in waiting),
        ]  # fmt: skip

    def show(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """One message: why it is where it is, in kinds and places; and of each recipient the state, the next try and
        what the next hop last answered. Raises NotFound.
        """
        view = self._tenant(given)
        with self._store.reading() as conn:
            row = self._message(conn, view, given)
            deliveries = self._records.deliveries(conn, row["id"])
        busy = self._deliverer.busy()
        return _message(row) | {"deliveries": [self._delivery(one, view, busy) for one in deliveries]}

    def smarthosts(self, given: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Each next hop: how much waits for it, since when, until when, and what it last answered to a failed try."""
        by_host: dict[str, list[TenantView]] = defaultdict(list)
        for view in self._wanted(given):
            by_host[str(view.smarthost)].append(view)
        found = []
        for host, views in by_host.items():
            with self._store.reading() as conn:
                rows, _ = self._waiting(conn, [view.id for view in views])
            tried = [row for row in rows if row["tried_at"] is not None]
            last = max(tried, key=lambda row: int(row["tried_at"]), default=None)
            found.append({
                "smarthost": host,
                "tenants": sorted(view.name for view in views),
                "waiting": len(rows),
                "oldest_at": _when(min((row["created_at"] for row in rows), default=None)),
                "next_at": _when(min((row["next_at"] for row in rows), default=None)),
                "last": None if last is None else _met(last),
            })  # fmt: skip
        return found

    def retry(self, given: Mapping[str, Any]) -> dict[str, int]:
        """Try deferred deliveries now: those of one message, those for one next hop, or all of a clinic.

        Raises NotFound for a message or a next hop that is not there.
        """
        views, message = self._wanted(given), given.get("id")
        if message:
            with self._store.reading() as conn:
                self._message(conn, self._tenant(given), given)

        def work(tx: Tx) -> int:
            table, count = schema.deliveries, 0
            for view in views:
                statement = select(table).where(table.c.tenant == view.id, table.c.state == "deferred")
                if message:
                    statement = statement.where(table.c.message == str(message))
                rows, _ = self._records.rows.sift(tx.conn, statement)
                for row in rows:
                    self._records.rows.update(tx, table, row["id"], next_at=self._clock.now_us())
                event = Event(
                    Action.QUEUE_RETRIED, view.id, str(message or view.id), OPERATOR,
                    reason="smarthost" if given.get("smarthost") else "",
                )  # fmt: skip
                self._audit.append(tx, event)
                count += len(rows)
            return count

        count = self._store.run(work)
        self._deliverer.submit(self._deliverer.due())  # another node finds its own within a second
        return {"count": count}

    def give_back(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return what of a message waits at this node to its sender now, with a report, as if its time were over.

        ``elsewhere``: nodes at which more of it waits; only they can open what lies in their spools. Raises NotFound,
        NothingWaits, and WaitsElsewhere, which says where to run the command, when nothing of it waits here.
        """
        view = self._tenant(given)
        with self._store.reading() as conn:
            message = self._message(conn, view, given)["id"]
            rows = self._records.deliveries(conn, message)
            waiting = {row["node"] for row in rows if row["state"] in WAITING and row["treatment"] != "notice"}
        elsewhere = sorted(waiting - {self._records.node})
        if elsewhere and self._records.node not in waiting:
            raise WaitsElsewhere(f"it waits at {', '.join(elsewhere)}: run this command there")
        self._store.run(lambda tx: self._audit.append(tx, Event(Action.QUEUE_RETURNED, view.id, message, OPERATOR)))
        count = self._deliverer.give_back(message)
        if not count:
            raise NothingWaits("nothing of that message waits")
        return {"id": message, "count": count, "elsewhere": elsewhere}

    def check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Whether rows and spool agree at this node: `missing` are deliveries whose item is not in the spool, `stray`
        is how many copies no delivery waits for (a crash leaves some; they are swept after a day).
        """
        view = self._tenant(given)
        for spool in self._spools.values():
            spool.look()
        there = {name: {entry.id for entry in spool.waiting()} for name, spool in self._spools.items()}
        with self._store.reading() as conn:
            wanted = self._records.copies(conn)
            missing = [
                row["id"]
                for row in self._waiting(conn, [view.id])[0]
                if row["node"] == self._records.node and not self._there(conn, row, there)
            ]
        return {
            "missing": missing,
            "stray": len(there["out"] - wanted),
            "refused": sum(len(spool.refused) for spool in self._spools.values()),
        }

    # some rows

    def _there(self, conn: Connection, row: Row, there: Mapping[str, set[str]]) -> bool:
        """Whether its item is in the spool, or was settled and erased since its row was read."""
        if row["copy"]:
            item, found = row["copy"], row["copy"] in there["out"]
        else:
            message = self._records.message(conn, row["message"])
            item = message["queue"] if message is not None else ""
            found = item in there["in"]
        if found:
            return True
        with self._store.reading() as fresh:
            now = self._records.rows.get(fresh, schema.deliveries, row["id"])
        if now is None or now["state"] not in WAITING:
            return True
        return self._spools["out" if row["copy"] else "in"].entry(item) is not None

    def _waiting(self, conn: Connection, tenants: Iterable[str]) -> tuple[list[Row], list[str]]:
        """Deliveries that wait, oldest first; and the ids of those whose row was changed by somebody else."""
        table = schema.deliveries
        statement = select(table).where(table.c.tenant.in_(tuple(tenants)), table.c.state.in_(WAITING))
        return self._records.rows.sift(conn, statement.order_by(table.c.created_at).limit(SHOWN))

    def _incoming(self, conn: Connection, tenant: str) -> Sequence[dict[str, Any]]:
        """What this node took and nobody has worked on yet, or what cannot be worked on now."""
        spool = self._spools["in"]
        refused = {one.id for one in spool.refused}
        items = [one.id for one in spool.waiting() if one.tenant == tenant and one.id not in refused][:SHOWN]
        table = schema.messages
        known = set(conn.execute(select(table.c.queue).where(table.c.queue.in_(items))).scalars()) if items else set()
        return [{"id": item, "state": "incoming"} for item in items if item not in known]

    def _message(self, conn: Connection, view: TenantView, given: Mapping[str, Any]) -> Row:
        row = self._records.message(conn, str(given["id"]))
        if row is None or row["tenant"] != view.id:
            raise NotFound("no such message")
        return row

    def _delivery(self, row: Row, view: TenantView, busy: frozenset[str]) -> dict[str, Any]:
        waits = row["state"] in WAITING
        return {
            "delivery": row["id"],
            "treatment": row["treatment"],
            "state": "active" if waits and row["id"] in busy else row["state"],
            "attempts": row["attempts"],
            "status": row["status"] or "",
            "code": row["code"],
            "why": row["why"] or "",
            "tried_at": _when(row["tried_at"]),
            "next_at": _when(row["next_at"]) if waits else None,
            "gives_up_at": _when(row["created_at"] + self._give_up_us) if waits else None,
            "smarthost": str(view.smarthost),
            "node": row["node"],
        }

    # whose

    def _wanted(self, given: Mapping[str, Any]) -> Sequence[TenantView]:
        """The clinics meant: one by name, all that use a next hop, or, where that is said, all. Raises NotFound."""
        host = given.get("smarthost")
        if host is None and (given.get("tenant") is not None or not given.get("all")):
            return [self._tenant(given)]
        views = [one for one in self._tenants() if host is None or str(one.smarthost) == host]
        if given.get("tenant") is not None:
            views = [one for one in views if given["tenant"] in (one.id, one.name)]
        if not views:
            raise NotFound("no such smarthost")
        return views

    def _tenant(self, given: Mapping[str, Any]) -> TenantView:
        wanted, views = given.get("tenant"), self._tenants()
        if wanted is None and len(views) > 1:
            raise Misconfigured("name a tenant with --tenant: " + ", ".join(sorted(view.name for view in views)))
        for view in views:
            if wanted in (None, view.id, view.name):
                return view
        raise NotFound("no such tenant")


def _message(row: Any) -> dict[str, Any]:
    return {
        "id": row["id"],
        "state": row["state"],
        "rule": row["rule"],
        "policy": row["policy"],
        "found": parse_canonical(row["findings"].encode()),
        "bytes": row["size_bytes"],
        "received_at": _when(row["received_at"]),
        "hold_until": _when(row["hold_until"]),
    }


def _met(row: Row) -> dict[str, Any]:
    return {
        "code": row["code"], "status": row["status"] or "", "why": row["why"] or "", "at": _when(row["tried_at"]),
    }  # fmt: skip


def _when(at_us: int | None) -> str | None:
    return None if at_us is None else from_us(at_us).isoformat(timespec="seconds")
