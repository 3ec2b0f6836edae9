"""The log's way out of this machine: once a day each tenant's goes to the keeper that the settings name.

Promises: how each attempt ended stands in that log (`log:kept`), a success with what the store said of it, a failure
once until the next success; what failed is tried again every ten minutes, and nothing is lost meanwhile, for the next
export takes all since the last one; a log that does not go on from what the keeper has is an alarm. At the start the
keeper is asked before anything is served (DESIGN §5, restore guard); one that does not answer stops nothing.
Clauses: 45 CFR 164.312(b), 164.316(b)(2)(i); DESIGN §5 ("checkpoints leave daily").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

from sqlalchemy import desc, select

from gateway.audit import growing
from gateway.audit.event import GATEWAY, Action, Event
from gateway.audit.keeper import Keeper, keeper_at
from gateway.audit.log import AuditLog
from gateway.clock import Clock
from gateway.errors import GatewayError, Misconfigured, Tampered
from gateway.logs import Log
from gateway.section_audit import Audit
from gateway.share import answering
from gateway.store.database import Store, Tx
from gateway.store.schema import log_leaves
from keys.client import WorkerClient

log = Log("gateway.upkeep")
EVERY_SECONDS = 600.0
DAY_US = int(timedelta(hours=23, minutes=50).total_seconds() * 1_000_000)
"""Looked at every ten minutes, so that it does not come later each day."""
_LAST = (Action.LOG_KEPT, Action.LOG_REOPENED, Action.LOG_ROTATED)
SHORT, OTHER = "tampered", "misconfigured"


class Keeping:
    """A duty of the worker that has the turn. `url` empty: nothing is done."""

    def __init__(
        self, settings: Audit, store: Store, audit: AuditLog, keyholder: WorkerClient,
        tenants: Callable[[], Iterable[str]], sign: Callable[[], object], clock: Clock,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._store = store
        self._audit = audit
        self._keyholder = keyholder
        self._tenants = tenants
        self._sign = sign
        self._clock = clock

    def __call__(self) -> int:
        """Export what is due; how many logs were. Raises what the last failure was, so that the log names the duty."""
        if not self._settings.export_url:
            return 0
        done, failure = 0, None
        for tenant in self._tenants():
            outcome, at_us = self._last(tenant)
            if outcome == "ok" and self._clock.now_us() - at_us < DAY_US:
                continue
            try:
                self._one(tenant)
                done += 1
            except GatewayError as error:
                failure = error
                if outcome != "failed":
                    self._note(tenant, "failed", _reason(error))
                if outcome != "failed" and isinstance(error, Tampered):
                    self._alarm(tenant)
        if failure is not None:
            raise failure
        return done

    def guard(self) -> None:
        """Refuse to serve logs that are behind or beside what the keeper has. Raises Misconfigured for them alone."""
        for tenant in self._tenants() if self._settings.export_url else ():
            try:
                growing.compare(self._keeper(tenant, patient=False), self._audit, tenant)
            except growing.SetBack:
                raise
            except GatewayError as error:
                log.warning("export:unseen", tenant=tenant, error=type(error).__name__)

    def _one(self, tenant: str) -> None:
        self._sign()
        with answering():
            grown = growing.grow(self._keeper(tenant), self._audit, tenant, self._keyholder)
        self._note(tenant, "ok", said(grown))
        log.info("log:kept", tenant=tenant, count=grown.objects)

    def _keeper(self, tenant: str, *, patient: bool = True) -> Keeper:
        own = self._settings
        with answering():
            below = growing.folder_of(tenant, self._keyholder.vkeys(tenant))
        return keeper_at(own.export_url, below, lock=own.export_lock, days=own.export_lock_days, patient=patient)

    def _last(self, tenant: str) -> tuple[str, int]:
        """How our own last attempt ended, and when; what somebody exported by hand went wherever they said.

        Nothing, when the log went on under another origin since: that begins at the keeper at once.
        """
        table = log_leaves
        statement = (
            select(table.c.outcome, table.c.ts, table.c.action)
            .where(table.c.log == tenant, table.c.action.in_(_LAST), table.c.actor == GATEWAY.kind)
            .order_by(desc(table.c.idx))
            .limit(1)
        )
        with self._store.reading() as conn:
            found = conn.execute(statement).first()
        return ("", 0) if found is None or found[2] != Action.LOG_KEPT else (str(found[0]), int(found[1]))

    def _note(self, tenant: str, outcome: str, reason: str) -> None:
        def work(tx: Tx) -> None:
            self._audit.append(tx, Event(Action.LOG_KEPT, tenant, tenant, GATEWAY, outcome=outcome, reason=reason))

        self._store.run(work)

    def _alarm(self, tenant: str) -> None:
        def work(tx: Tx) -> None:
            event = Event(Action.TAMPER_FOUND, tenant, tenant, GATEWAY, outcome="refused", reason="export")
            self._audit.append(tx, event)

        self._store.run(work)
        log.error("export:tampered", tenant=tenant)


def said(grown: growing.Grown) -> str:
    """An export in machine words: its number, and what the store says holds it."""
    held = f"{grown.held.mode} {grown.held.until}" if grown.held else "unlocked"
    return f"head {grown.number} size {grown.entries} {held} hidden {grown.hidden}"


def _reason(error: GatewayError) -> str:
    return SHORT if isinstance(error, Tampered) else OTHER if isinstance(error, Misconfigured) else "away"
