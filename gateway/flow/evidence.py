"""Spool records that are not accepted become entries of the log: what was found, where, and why it was refused.

Promises: each refusal of this process's life is one `tamper:found` in the system's log, because a record that does not
verify cannot say whose it is; the record itself stays in the spool as evidence. DESIGN §1.5; 45 CFR 164.312(b).
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.audit.event import GATEWAY, SYSTEM, Action, Event
from gateway.audit.log import AuditLog
from gateway.spool.reader import SpoolReader
from gateway.store.database import Store, Tx

UNREADABLE = "unreadable"
ALARMED_ELSEWHERE = "tampered"
"""The reason of those whose record was sound: `flow.doubts` raised their alarm, in their tenant's log."""


class Evidence:
    """A duty: notes what the spools have refused since the last look. Not thread-safe."""

    def __init__(self, store: Store, audit: AuditLog, spools: Mapping[str, SpoolReader]) -> None:
        self._store = store
        self._audit = audit
        self._spools = dict(spools)
        self._noted = dict.fromkeys(self._spools, 0)

    def __call__(self) -> int:
        """How many were noted. Raises TryLater, and then none of that spool's were."""
        count = 0
        for direction, spool in self._spools.items():
            found = list(spool.refused)[self._noted[direction] :]
            events = [
                Event(
                    Action.TAMPER_FOUND, SYSTEM, one.id or UNREADABLE, GATEWAY, outcome="refused",
                    reason=f"spool {direction}: {one.reason}",
                )
                for one in found
                if one.reason != ALARMED_ELSEWHERE
            ]  # fmt: skip

            def work(tx: Tx, events: list[Event] = events) -> None:
                for event in events:
                    self._audit.append(tx, event)

            if events:
                self._store.run(work)
            self._noted[direction] += len(found)
            count += len(events)
        return count
