"""The recovery key as officers see it: which one is in force, what was confirmed, what waits.

Promises: what is shown is the keyholder's answer, asked anew each time; nothing here sets, opens or keeps anything,
and no half of a key is shown. DESIGN §4 (`recovery`); decision 0042.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.clock import from_us
from gateway.errors import Refused
from gateway.flow.trail import Origin
from gateway.share import answering
from gateway.share.portal import Denied, PortalClient, Session

NONE = "none"


@dataclass(frozen=True, slots=True)
class RecoveryState:
    """How far a clinic is. `key` is a name, ``none`` for a clinic that goes without, empty where nobody chose;
    `confirmed` has the numbers of sheets; `change` is a choice that waits, or empty.
    """

    key: str
    needed: int
    sheets: int
    confirmed: tuple[int, ...]
    since: datetime | None
    opened_at: datetime | None
    messages: int
    change: str

    @property
    def kept(self) -> bool:
        """Whether every sheet was confirmed."""
        return self.sheets > 0 and len(self.confirmed) == self.sheets


class RecoveryView:
    """Behind the page. Thread-safe."""

    def __init__(self, keys: PortalClient) -> None:
        self._keys = keys

    def state(self, origin: Origin, session: Session) -> RecoveryState:
        """For officers, administrators and auditors. Raises Refused, TryLater, Tampered."""
        try:
            with answering():
                found = self._keys.recovery(session["handle"], origin.tenant)
        except Denied as denied:
            raise Refused(denied.reason) from denied
        return RecoveryState(
            key=found["key"], needed=found["needed"], sheets=found["sheets"], confirmed=tuple(found["confirmed"]),
            since=from_us(found["set_us"]) if found["set_us"] else None,
            opened_at=from_us(found["opened_us"]) if found["opened_us"] else None, messages=found["messages"],
            change=found["waiting"]["id"] if found["waiting"] else "",
        )  # fmt: skip
