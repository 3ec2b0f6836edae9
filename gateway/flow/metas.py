"""Subjects and file names for a list: the keys of many messages in one call, each opening an entry.

Promises: nothing is opened before its entry is committed; a message whose share, row or sealed words were changed is an
alarm in the log and keeps no other row of the list from being shown. DESIGN §4 (meta key); 45 CFR 164.312(b).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.audit.event import GATEWAY, Action, Actor, receipt_text
from gateway.errors import Tampered
from gateway.flow.trail import Happened, Origin, Trail
from gateway.share import answering
from gateway.share.portal import PortalClient, Session
from gateway.store.rows import Row


class Metas:
    """The keys that one page was given. `broken` are the messages of it that do not hold."""

    def __init__(self, trail: Trail, origin: Origin) -> None:
        self._trail = trail
        self._origin = origin
        self._keys: dict[str, str] = {}
        self.broken: set[str] = set()

    def ask(self, keys: PortalClient, session: Session, actor: Actor, messages: Sequence[str], why: str) -> None:
        """Ask for them, and write each down. Raises TryLater."""
        if not messages:
            return
        with answering():
            found: dict[str, Any] = keys.release_metas(session["handle"], messages)
        told = []
        for message, meta in found.items():
            if meta.get("tampered"):
                self.broken.add(message)
                told.append(alarm(message))
                continue
            self._keys[message] = meta["key"]
            receipt = receipt_text(meta["receipt"])
            told.append(
                Happened(Action.META_OPENED, message, actor, reason=why, proof=session["proof"], receipt=receipt)
            )
        if told:
            self._trail.record(self._origin, *told)

    @property
    def messages(self) -> list[str]:
        """Those whose key was given, in order."""
        return sorted(self._keys)

    def opened(self, message: str, row: Row, open_it: Callable[[str, Row], Mapping[str, Any]]) -> Mapping[str, Any]:
        """What `open_it` makes of the row with that message's key; nothing without one, or where it was changed."""
        if message not in self._keys:
            return {}
        try:
            return open_it(self._keys[message], row)
        except Tampered:
            if message not in self.broken:
                self.broken.add(message)
                self._trail.record(self._origin, alarm(message))
            return {}


def alarm(thing: str, reason: str = "seal") -> Happened:
    """The entry that says that a thing's row or seal does not hold."""
    return Happened(Action.TAMPER_FOUND, thing, GATEWAY, outcome="failed", reason=reason)
