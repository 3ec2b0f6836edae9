"""What commands may do about the life of mail: an officer's decision by password and code, and the lists.

Promises: a decision needs an officer's password and a code that the keyholder checks and binds to this act; an operator
alone sees ids, kinds, times and numbers, and destroys nothing. Decision 0037.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from gateway.accounts.users import Users
from gateway.actions.tenants import TenantView
from gateway.audit.event import Action, Actor, Event, receipt_text
from gateway.audit.log import AuditLog
from gateway.clock import to_us
from gateway.control import Command
from gateway.errors import Misconfigured, NotFound, Refused
from gateway.flow.office import ProofRefused
from gateway.flow.retention import ACTS
from gateway.share import answering
from gateway.share.portal import Denied, PortalClient
from gateway.store.database import Store
from keys.client import WorkerClient

NOT_A_PROOF = {
    "not-an-officer": "only an officer of this clinic decides this",
    "unknown": "there is no such message, link, person or hold in this clinic",
    "on-hold": "a legal hold keeps it: lift the hold first; see: sealgate hold list",
    "not-on-hold": "this hold was lifted before",
    "destroyed": "its key is destroyed already",
    "not-destroyed": "its key is not destroyed, so there is nothing to certify",
    "held": "it waits for a decision; see: sealgate queue drop",
    "wider": "that day is not sooner than its end, or it is over",
    "same-person": "you asked for it: another officer must confirm it",
    "bad-act": "a reason is needed, and days where the act has any",
}  # fmt: skip


class RetentionOffice:
    """The commands' side. Everything is handed in; `soon` has what ended written down at once."""

    def __init__(
        self, store: Store, users: Users, officers: PortalClient | WorkerClient, keyholder: WorkerClient,
        audit: AuditLog, tenants: Callable[[], list[TenantView]], soon: Callable[[], None],
    ) -> None:  # fmt: skip
        self._store = store
        self._users = users
        self._officers = officers
        self._keyholder = keyholder
        self._audit = audit
        self._tenants = tenants
        self._soon = soon

    def commands(self) -> dict[str, Command]:
        """By name, as the control socket calls them."""
        return {"retention.decide": self.decide, "retention.list": self.listed}

    def decide(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """One decision: ``id``, ``complete``, ``done``, ``certificate`` (text). Raises ProofRefused, Misconfigured."""
        view, act = self._tenant(given), str(given.get("act"))
        if act not in ACTS:
            raise Misconfigured(f"unknown act '{act}'")
        object = str(given.get("id") or view.id)
        with self._store.reading() as conn:
            user = self._users.find(conn, view.id, str(given["as"]))
        id = str(user["id"]) if user is not None else self._users.nobody(view.id, str(given["as"]))
        since, until = _days(view, given)
        actor = Actor("user", id)
        try:
            with answering():
                answer = self._officers.dispose(
                    view.id, id, str(given["password"]), str(given["totp"]), "local", act=act, object=object,
                    from_us=since, until_us=until, reason=str(given.get("reason") or ""),
                )  # fmt: skip
        except Denied as denied:
            why = denied.reason
            event = Event(Action.ACT_REFUSED, view.id, "", actor, outcome="refused", reason=why)
            self._store.run(lambda tx: self._audit.append(tx, event))
            if why in NOT_A_PROOF:
                raise Misconfigured(NOT_A_PROOF[why]) from denied
            raise ProofRefused(why) from denied
        action = Action.ACT_CONFIRMED if answer["confirmed"] else Action.ACT_RECORDED
        done = Event(action, view.id, object, actor, reason=act, proof=2, receipt=receipt_text(answer["receipt"]))
        self._store.run(lambda tx: self._audit.append(tx, done))
        self._soon()
        made = self.listed(given)["disposals"]
        text = next((one["text"] for one in made if one["id"] == answer["id"]), None)
        return {"id": answer["id"], "complete": answer["complete"], "done": answer["done"], "certificate": text}

    def listed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """``holds`` in force and ``disposals`` with their certificates: ids, kinds, times and numbers."""
        view = self._tenant(given)
        try:
            with answering():
                return self._keyholder.retention_of(view.id)
        except Denied as denied:
            raise Refused(denied.reason) from denied

    def _tenant(self, given: Mapping[str, Any]) -> TenantView:
        wanted, views = given.get("tenant"), self._tenants()
        if wanted is None and len(views) > 1:
            raise Misconfigured("name a tenant with --tenant: " + ", ".join(sorted(view.name for view in views)))
        for view in views:
            if wanted in (None, view.id, view.name):
                return view
        raise NotFound("no such tenant")


def _days(view: TenantView, given: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """The beginning of the first day and the end of the last on the clinic's clock. Raises Misconfigured."""
    found = []
    for name, more in (("from", 0), ("to", 1)):
        text = given.get(name)
        try:
            day = date.fromisoformat(str(text)) + timedelta(days=more) if text else None
        except (ValueError, OverflowError) as error:
            raise Misconfigured(f"--{name}: a day reads 2026-11-30") from error
        zone = ZoneInfo(view.timezone)
        moment = None if day is None else datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
        found.append(None if moment is None else to_us(moment))
    return found[0], found[1]
