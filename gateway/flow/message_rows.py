"""The row of a message, and the key by which a sender's retry of the same message is known.

Promises: addresses, Message-ID and sender stand in it sealed or keyed only; whose mail it is, is said only where that
person's row verifies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from gateway.accounts.users import Users
from gateway.actions.tenants import TenantView
from gateway.audit.event import Actor
from gateway.clock import Clock
from gateway.detect.model import Assessment
from gateway.errors import Tampered
from gateway.flow import facts as factual
from gateway.flow.decided import UNPROCESSABLE, state_of
from gateway.mail.model import Message
from gateway.mail.source import Source
from gateway.policy import Decision
from gateway.share import Directory
from gateway.spool.envelope import Envelope


def handed_in_by(envelope: Envelope, user: str | None) -> Actor:
    """Who stands in the log for a message: the device that sent it, else the member whose it is, else its sender."""
    if envelope.identity.kind in ("device", "certificate"):
        return Actor("device", envelope.identity.name)
    return Actor("user", user) if user else Actor("sender", "")


class MessageRows:
    """Makes rows; writes none. Thread-safe."""

    def __init__(self, directory: Directory, users: Users, clock: Clock) -> None:
        self._directory = directory
        self._users = users
        self._clock = clock

    def row(
        self,
        view: TenantView,
        envelope: Envelope,
        message: Message,
        source: Source,
        retry: bytes,
        decisions: Mapping[int, Decision],
        assessment: Assessment | None,
        parent: str | None,
        user: str | None,
        id: str = "",
    ) -> dict[str, Any]:
        """A row with that id or a new one. `user` is whose mail it is, as `user` tells."""
        id = id or self._clock.new_id("msg")
        first = decisions[0] if decisions else UNPROCESSABLE
        return {
            "id": id,
            "tenant": view.id,
            "node": envelope.node,
            "queue": envelope.queue,
            "parent": parent,
            "user": user,
            "sender": self._directory.seal(view.id, "messages", id, envelope.mail_from),
            "sender_index": self._directory.index(view.id, envelope.mail_from),
            "identity": envelope.identity.kind,
            "retry_key": retry,
            "message_id": self._message_id(view.id, id, message),
            "message_id_index": self._directory.keyed(view.id, "message-id", message.message_id or ""),
            "state": state_of(decisions.values()),
            "reference": None,
            "rule": first.rule,
            "policy": first.policy,
            "findings": factual.summary(assessment),
            "meta": None,
            "urgent": int(factual.urgent(message)),
            "size_bytes": source.size,
            "received_at": envelope.arrived_us,
            "created_at": self._clock.now_us(),
            "expires_at": None,
            "hold_until": None,
        }

    def user(self, conn: Connection, envelope: Envelope, *, forced: bool = False) -> str | None:
        """The workforce member whose mail it is. Raises Tampered, except for mail that is held whole (`forced`)."""
        if envelope.identity.user:
            return envelope.identity.user
        if not envelope.mail_from:
            return None
        try:
            found = self._users.find(conn, envelope.tenant, envelope.mail_from)
        except Tampered:
            if not forced:
                raise
            return None  # it is held whole for an officer, and whose it seems to be is not said
        return None if found is None else str(found["id"])

    def role(self, conn: Connection, envelope: Envelope) -> str:
        """The role of who signed in to submit and sends as themself; empty where that is not so. Raises Tampered."""
        found = self._users.find(conn, envelope.tenant, envelope.mail_from)
        if found is None or found["id"] != envelope.identity.user or found["state"] != "active":
            return ""
        return str(found["role"])

    def retry_key(self, envelope: Envelope, message: Message, source: Source, fingerprint: str | None = None) -> bytes:
        """Equal for the same message of the same sender to the same people. `fingerprint`: its SHA-256, if known."""
        if fingerprint is None:
            digest = hashlib.sha256()
            for chunk in source.chunks(0, source.size):
                digest.update(chunk)
            fingerprint = digest.hexdigest()
        value = [
            envelope.mail_from,
            sorted(one.address for one in envelope.recipients),
            message.message_id or envelope.queue,
            fingerprint,
        ]
        return self._directory.keyed(envelope.tenant, "retry", value)

    def _message_id(self, tenant: str, id: str, message: Message) -> bytes | None:
        """What a reminder to the recipient will answer, so that it stands in the thread (RFC 5322 3.6.4)."""
        found = (message.message_id or "").strip()
        return self._directory.seal(tenant, "messages.message_id", id, found) if 0 < len(found) < 900 else None
