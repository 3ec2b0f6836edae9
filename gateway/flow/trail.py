"""Where a request came from, and the events it leaves in the tenant's log.

Promises: events of one step are committed together before the step's answer leaves; when they cannot be, the caller
hears TryLater and releases nothing. Addresses and user agents stand in the log as ids of sealed rows that can be erased
(DESIGN §5). 45 CFR 164.312(b).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlalchemy import insert

from gateway.audit.event import GATEWAY, Action, Actor, Event
from gateway.audit.log import AuditLog
from gateway.clock import Clock
from gateway.errors import Tampered
from gateway.sensitive import Sensitive
from gateway.share.keyring import KeyRing
from gateway.share.values import seal_value
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.scope import acting

AGENT_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class Origin:
    """One request as it concerns the log and the keyholder.

    `network` is the /24 or /56 it came from, for limits; `visitor` the random cookie that binds a text code to a
    browser; `request` an id of ours, new for each request.
    """

    tenant: str
    request: str
    ip: Sensitive[str]
    network: str
    agent: Sensitive[str]
    visitor: str
    method: str = "GET"


@dataclass(frozen=True, slots=True)
class Happened:
    """An event before it is written: what the flow knows, without what the request adds."""

    action: Action
    object: str
    actor: Actor
    outcome: str = "ok"
    reason: str = ""
    proof: int | None = None
    bytes: int | None = None
    receipt: str = ""


class Trail:
    """Writes the events of the pages. Thread-safe; each call is one transaction."""

    def __init__(self, store: Store, audit: AuditLog, keys: KeyRing, clock: Clock) -> None:
        self._store = store
        self._audit = audit
        self._keys = keys
        self._clock = clock

    def record(self, origin: Origin, *happened: Happened) -> None:
        """Durable when it returns. Raises TryLater when the log cannot be written."""
        with acting(origin.tenant):  # a download ends in a thread that knows of no request
            self._store.run(lambda tx: self.append(tx, origin, happened))

    @contextmanager
    def alarmed(self, origin: Origin, what: str, reason: str = "seal") -> Iterator[None]:
        """Around whatever must hold: what does not becomes an event, which names it, before it becomes a refusal."""
        try:
            yield
        except Tampered:
            self.record(origin, Happened(Action.TAMPER_FOUND, what, GATEWAY, outcome="failed", reason=reason))
            raise

    def counted(self, tenant: str, one: Happened) -> None:
        """An entry that stands for many requests, and so for no address. Raises TryLater."""
        event = Event(
            action=one.action, tenant=tenant, object=one.object, actor=one.actor, outcome=one.outcome,
            reason=one.reason, proof=one.proof,
        )  # fmt: skip
        with acting(tenant):
            self._store.run(lambda tx: self._audit.append(tx, event))

    def append(self, tx: Tx, origin: Origin, happened: Sequence[Happened]) -> None:
        """The same inside a transaction of the caller's."""
        ip_ref = self._value(tx, origin.tenant, "ip", origin.ip)
        agent_ref = self._value(tx, origin.tenant, "agent", origin.agent)
        for one in happened:
            event = Event(
                action=one.action, tenant=origin.tenant, object=one.object, actor=one.actor, outcome=one.outcome,
                reason=one.reason, proof=one.proof, request=origin.request, bytes=one.bytes, receipt=one.receipt,
            )  # fmt: skip
            self._audit.append(tx, replace(event, ip_ref=ip_ref, agent_ref=agent_ref))

    def note(self, tx: Tx, tenant: str, text: str) -> str:
        """Something that was typed, sealed and erasable; its id, for an entry's `object`."""
        return self._value(tx, tenant, "note", Sensitive(text))

    def _value(self, tx: Tx, tenant: str, kind: str, value: Sensitive[str]) -> str:
        text = value.reveal()
        if not text:
            return ""
        name = self._clock.new_id("val")
        tx.conn.execute(
            insert(schema.sealed_values).values(
                id=name, tenant=tenant, kind=kind, created_at=tx.now_us,
                sealed=seal_value(self._keys.of(tenant).log_value, tenant, name, text[:AGENT_CHARACTERS]),
            )
        )  # fmt: skip
        return name


_ROBOTS = re.compile(
    r"bot\b|crawl|spider|scan|preview|safelinks|urldefense|proofpoint|mimecast|barracuda|fortimail|curl|wget|python|go-http|"
    r"java/|okhttp|headless|phantom|facebookexternalhit|slackbot|whatsapp|zgrab|nmap",
    re.IGNORECASE,
)
SCANNER_SECONDS = 20


def visitor_kind(method: str, agent: str, seconds_since_delivery: float | None) -> str:
    """`scanner-likely` or `unknown`: a guess for receipts, never a reason to let anyone in or keep anyone out.

    Mail filters follow links within seconds of delivery, ask with HEAD, or say what they are (PAGES 2.3).
    """
    if method == "HEAD":
        return "scanner-likely"
    if not agent or _ROBOTS.search(agent):
        return "scanner-likely"
    if seconds_since_delivery is not None and 0 <= seconds_since_delivery < SCANNER_SECONDS:
        return "scanner-likely"
    return "unknown"
