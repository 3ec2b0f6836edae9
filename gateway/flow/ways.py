"""A person's own ways in: passkeys and recovery codes, made and used; passkeys of staff likewise (DESIGN §4 "Proofs").

Promises: the keyholder makes every challenge and checks every answer; here they are carried, and each use, refusal,
setting up and taking away is an event before the answer leaves. What a browser's PRF extension gave is no part of an
answer and never comes this far. 45 CFR 164.312(d).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.audit.event import Action, Actor
from gateway.clock import from_us
from gateway.flow.sent import user_of
from gateway.flow.trail import Happened, Origin, Trail
from gateway.flow.visit import Denial, Door, Visits
from gateway.share import answering
from gateway.share.portal import Denied, PortalClient, Session

PASSKEY, CODES, LOST = "passkey", "recovery-codes", "lost"
LONGEST = 8192
_PARTS = ("clientDataJSON", "attestationObject", "authenticatorData", "signature")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a page hands to the browser: all base64url but `ticket`, which comes back with the answer as it is."""

    challenge: str
    ticket: str
    host: str
    credentials: tuple[str, ...]
    user: str
    prf_salt: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the browser gave, and the ticket of the challenge that it is for."""

    ticket: bytes
    said: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Passkey:
    """One of a person's passkeys, as that person sees it."""

    id: str
    name: str
    made_at: datetime
    used_at: datetime | None
    wide_at: datetime


@dataclass(frozen=True, slots=True)
class Mine:
    """All of one person's: `apps` is how many code apps, `codes` how many recovery codes are left, `more` whether one
    more passkey is possible.
    """

    passkeys: tuple[Passkey, ...]
    apps: int
    codes: int
    more: bool


def read_answer(ticket: str, answer: str) -> Answer | None:
    """The two fields of a form; None when they are not what our own page would have sent."""
    try:
        given, said = base64.b64decode(ticket, validate=True), json.loads(answer)
        id, parts = said["id"], {name: said["response"][name] for name in _PARTS if name in said["response"]}
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not all(isinstance(one, str) and one.isascii() and len(one) <= LONGEST for one in [id, *parts.values()]):
        return None
    return Answer(given, {"id": id, "response": parts})


class Ways:
    """Thread-safe; everything is handed in."""

    def __init__(self, keys: PortalClient, trail: Trail, visits: Visits) -> None:
        self._keys = keys
        self._trail = trail
        self._visits = visits

    # recipients

    def ask(self, origin: Origin, door: Door) -> Asked | Denial:
        """A challenge for opening this message."""
        try:
            with answering():
                return _asked(self._keys.passkey_ask(door.grant, origin.visitor))
        except Denied as denied:
            return self._visits.denied(origin, door, denied, Action.SESSION_REFUSED)

    def open(self, origin: Origin, door: Door, answer: Answer) -> Session | Denial:
        """A session for the answer."""
        try:
            with answering():
                session = self._keys.passkey_open(door.grant, origin.visitor, answer.ticket, answer.said)
        except Denied as denied:
            return self._visits.denied(origin, door, denied, Action.CODE_REFUSED)
        return self._visits.started(origin, door, session)

    def mine(self, session: Session) -> Mine:
        """What this session's person or member has."""
        with answering():
            found = self._keys.passkeys(session["handle"])
        passkeys = tuple(
            Passkey(
                one["id"], one["name"], from_us(one["made_us"]), from_us(one["used_us"]) if one["used_us"] else None,
                from_us(one["wide_from_us"]),
            )
            for one in found["passkeys"]
        )  # fmt: skip
        return Mine(passkeys, int(found["apps"]), int(found["codes"]), found["more"] is True)

    def begin(self, origin: Origin, door: Door, session: Session) -> Asked | Denial:
        """A challenge for a new passkey."""
        try:
            with answering():
                return _asked(self._keys.passkey_begin(session["handle"]))
        except Denied as denied:
            return self._visits.denied(origin, door, denied, Action.SESSION_REFUSED)

    def enrol(self, origin: Origin, door: Door, session: Session, answer: Answer, name: str) -> Denial | None:
        """Keep it."""
        try:
            with answering():
                self._keys.passkey_enrol(session["handle"], answer.ticket, answer.said, name)
        except Denied as denied:
            return self._visits.denied(origin, door, denied, Action.SESSION_REFUSED)
        self._told(origin, Action.FACTOR_ENROLLED, door, session, PASSKEY)
        return None

    def remove(self, origin: Origin, door: Door, session: Session, passkey: str) -> Denial | None:
        """Take it away."""
        try:
            with answering():
                self._keys.passkey_remove(session["handle"], passkey)
        except Denied as denied:
            return self._visits.denied(origin, door, denied, Action.SESSION_REFUSED)
        self._told(origin, Action.FACTOR_REMOVED, door, session, PASSKEY)
        return None

    def codes(self, origin: Origin, door: Door, session: Session) -> list[str] | Denial:
        """Ten new recovery codes, shown once."""
        try:
            with answering():
                made = self._keys.recovery_codes(session["handle"])
        except Denied as denied:
            return self._visits.denied(origin, door, denied, Action.SESSION_REFUSED)
        self._told(origin, Action.FACTOR_ENROLLED, door, session, CODES)
        return made

    def lost(self, origin: Origin, door: Door, session: Session) -> Denial | None:
        """End everything that was set up before this session."""
        try:
            with answering():
                self._keys.factors_lost(session["handle"])
        except Denied as denied:
            return self._visits.denied(origin, door, denied, Action.SESSION_REFUSED)
        self._told(origin, Action.FACTOR_REMOVED, door, session, LOST)
        return None

    # staff

    def staff_ask(self, tenant: str, visitor: str) -> Asked | None:
        """A challenge for signing in; None where there can be no passkeys."""
        try:
            with answering():
                return _asked(self._keys.staff_passkey_ask(tenant, visitor))
        except Denied:
            return None

    def staff_begin(self, session: Session) -> Asked | Denial:
        """A challenge for a member's new passkey."""
        try:
            with answering():
                return _asked(self._keys.staff_passkey_begin(session["handle"]))
        except Denied as denied:
            return Denial(denied.reason)

    def staff_enrol(self, origin: Origin, session: Session, code: str, answer: Answer, name: str) -> Denial | None:
        """Keep it, with a fresh code spent on it."""
        try:
            with answering():
                self._keys.staff_passkey_enrol(session["handle"], code, answer.ticket, answer.said, name)
        except Denied as denied:
            return self._staff_denied(origin, session, denied)
        self._staff_told(origin, Action.FACTOR_ENROLLED, session)
        return None

    def staff_remove(self, origin: Origin, session: Session, code: str, passkey: str) -> Denial | None:
        """Take it away, with a fresh code spent on it."""
        try:
            with answering():
                self._keys.staff_passkey_remove(session["handle"], code, passkey)
        except Denied as denied:
            return self._staff_denied(origin, session, denied)
        self._staff_told(origin, Action.FACTOR_REMOVED, session)
        return None

    def _told(self, origin: Origin, action: Action, door: Door, session: Session, reason: str) -> None:
        actor = Actor("person", door.person)
        self._trail.record(origin, Happened(action, door.person, actor, reason=reason, proof=session["proof"]))

    def _staff_told(self, origin: Origin, action: Action, session: Session) -> None:
        who = session["user"] or ""
        self._trail.record(origin, Happened(action, who, user_of(session), reason=PASSKEY, proof=session["proof"]))

    def _staff_denied(self, origin: Origin, session: Session, denied: Denied) -> Denial:
        happened = Happened(
            Action.CODE_REFUSED, session["user"] or "", user_of(session), outcome="refused", reason=denied.reason,
            proof=session["proof"],
        )  # fmt: skip
        self._trail.record(origin, happened)
        left = denied.data.get("tries_left")
        return Denial(denied.reason, left if isinstance(left, int) else None)


def _asked(found: Mapping[str, Any]) -> Asked:
    return Asked(
        found["challenge"], found["ticket"], found["rp_id"], tuple(found["credentials"]), found["user"],
        found["prf_salt"],
    )  # fmt: skip
