"""Return paths of our notices, and what comes back on them: a late bounce marks the recipient and reaches the sender.

A notice that stands in for a secure message leaves with a return path of its own at the portal's host, where mail for
that host comes to this gateway (`[portal] return_path`, decision 0021). Promises: nobody can make such an address up (a
MAC under the tenant's index key) and none works at another tenant; what comes to one is read for its status, answered
by nobody, forwarded to nobody and kept nowhere, so it makes no loop; each is in the log, but of what moves nothing no
more than a few an hour (`flow/tries.py`), for whoever has a notice knows its return path; a bounce counts once. What
came without a sender and cannot be read marks the recipient (something came back of this notice), and the sender is
told so once, in words that claim no more.
Clauses: RFC 3464, RFC 3834 2, RFC 5321 4.5.5.
"""

from __future__ import annotations

import base64
import hmac
from typing import Any

from gateway.actions.bounce import Failure, Returner, Written
from gateway.actions.tenants import TenantView
from gateway.audit.event import GATEWAY, Action, Event
from gateway.clock import Clock
from gateway.errors import TryLater
from gateway.flow.audience import Audience
from gateway.flow.posting import Posted, Poster
from gateway.flow.records import WAITING, Records
from gateway.flow.tries import Tries
from gateway.mail import returned
from gateway.mail.model import Message
from gateway.mail.returned import CameBack
from gateway.mail.source import Source
from gateway.share import Directory
from gateway.spool.envelope import Envelope
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Row

ODD = "came-back"
"""Why a delivery that was taken may not have arrived: something came back, and nobody can read what."""
_PURPOSE = "return-path"
_MAC_BYTES = 10
_ID_CHARACTERS = 16


class ReturnPaths:
    """Makes and reads the addresses. Thread-safe."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def address(self, view: TenantView, delivery: str) -> str:
        """The return path of one delivery (``dlv_…``)."""
        id = delivery.removeprefix("dlv_")
        return f"r.{_base32(id.encode())}.{self._mac(view.id, id)}@{view.host}"

    def delivery(self, view: TenantView, address: str) -> str | None:
        """Which delivery an address is the return path of: empty for one that was made up, None for no return path."""
        found = returned.parts(address)
        if found is None or found[2] != view.host.lower():
            return None
        encoded, mac, _ = found
        try:
            id = base64.b32decode(encoded.upper() + "=" * (-len(encoded) % 8)).decode("ascii")
        except ValueError:
            return ""
        sound = len(id) == _ID_CHARACTERS and hmac.compare_digest(mac, self._mac(view.id, id))
        return f"dlv_{id}" if sound else ""

    def _mac(self, tenant: str, id: str) -> str:
        return _base32(self._directory.keyed(tenant, _PURPOSE, [id])[:_MAC_BYTES])


class Returns:
    """Reads what came back and records it. Thread-safe."""

    def __init__(
        self, store: Store, records: Records, returner: Returner, clock: Clock, poster: Poster, audience: Audience
    ) -> None:
        self._store = store
        self._records = records
        self._returner = returner
        self._clock = clock
        self._poster = poster
        self._audience = audience
        self._paths = ReturnPaths(records.directory)  # type: ignore[arg-type]
        self._tries = Tries(clock)

    def ours(self, view: TenantView, envelope: Envelope) -> bool:
        """Whether every recipient is a return path of this tenant's host: such mail is for us alone."""
        found = [self._paths.delivery(view, one.address) for one in envelope.recipients]
        return bool(found) and None not in found

    def take(self, view: TenantView, envelope: Envelope, message: Message, source: Source) -> None:
        """Record what it says. May be repeated: a mail is counted once.

        Raises TryLater, also while the delivery that it speaks of is not settled itself; then nothing was committed.
        """
        came = returned.read(message, source)
        if envelope.mail_from and came.kind != "auto-reply":
            came = CameBack("unread")  # no report has a sender (RFC 3464 2), and anybody could write one
        elif came.kind == "unread":
            came = CameBack("unreadable")
        for number, one in enumerate(envelope.recipients):
            delivery = self._paths.delivery(view, one.address) or ""
            self._one(view, envelope, delivery, came, f"bounce:{number}:{envelope.queue}"[:64])

    def _one(self, view: TenantView, envelope: Envelope, delivery: str, came: CameBack, id: str) -> None:
        with self._store.reading() as conn:
            if self._records.rows.get(conn, schema.tellings, id) is not None:
                return
            row = self._records.rows.get(conn, schema.deliveries, delivery) if delivery else None
            message = self._records.message(conn, row["message"]) if row is not None else None
        if row is None or message is None or row["tenant"] != view.id:
            self._unknown(view, envelope)
            return
        if row["state"] in WAITING:
            raise TryLater("its delivery is not settled yet")
        late = came.kind == "failed" and row["state"] == "delivered"
        odd = came.kind == "unreadable" and row["state"] == "delivered" and row["why"] != ODD
        if not late and not odd and self._tries.spent(delivery.encode()):
            return
        written = self._written(view, message, row, came) if late else None
        posted = self._posted(view, message, row) if odd else None

        def work(tx: Tx) -> None:
            self._records.rows.insert(
                tx, schema.tellings, id=id, tenant=view.id, kind="bounce", about=delivery, state="done",
                created_at=tx.now_us, done_at=tx.now_us,
            )  # fmt: skip
            reason = " ".join(word for word in (came.kind, came.status) if word)
            self._event(tx, view, Action.BOUNCE_RECEIVED, delivery, reason, envelope)
            if late and self._mark(tx, delivery, came.status):
                self._event(tx, view, Action.MESSAGE_BOUNCED, delivery, f"{came.status} late", envelope, "refused")
                self._told(tx, view, message["id"], written)
            if odd and self._odd(tx, delivery) and posted is not None:
                self._poster.insert(tx, posted)

        self._store.run(work)
        if not late and not odd:
            self._tries.refused(delivery.encode())

    def _mark(self, tx: Tx, delivery: str, status: str) -> bool:
        """Whether this bounce was the first that came."""
        first = [False]

        def decide(row: Row) -> dict[str, Any] | None:
            first[0] = row["state"] == "delivered"
            if not first[0]:
                return None
            return {"state": "bounced", "status": status, "why": "late", "settled_at": self._clock.now_us()}

        self._records.rows.change(tx, schema.deliveries, delivery, decide)
        return first[0]

    def _odd(self, tx: Tx, delivery: str) -> bool:
        """Whether this was the first of which nobody can say what it means. The delivery stays delivered."""
        first = [False]

        def decide(row: Row) -> dict[str, Any] | None:
            first[0] = row["state"] == "delivered" and row["why"] != ODD
            return {"why": ODD} if first[0] else None

        self._records.rows.change(tx, schema.deliveries, delivery, decide)
        return first[0]

    def _posted(self, view: TenantView, message: Row, row: Row) -> Posted | None:
        """What the sender is told, durable; None where there is nobody to tell."""
        to = self._audience.of(view, self._records.sender(message))
        recipient, _ = self._records.opened(row)
        return self._poster.to_sender(view, to, "came_back", message, [recipient.address]) if to else None

    def _written(self, view: TenantView, message: Row, row: Row, came: CameBack) -> Written | None:
        """The report to the sender, durable; None where nobody may be told. The original left the spool long ago."""
        recipient, mail_params = self._records.opened(row)
        return self._returner.write(
            tenant=view.id, message=message["id"], mail_from=self._records.sender(message), mail_params=mail_params,
            arrived_us=message["received_at"], node=self._records.node, failures=[Failure(recipient, came.status)],
        )  # fmt: skip

    def _told(self, tx: Tx, view: TenantView, message: str, written: Written | None) -> None:
        """The row of the report: the next look for what is due delivers it."""
        if written is None:
            return
        row = self._records.delivery(
            id=self._clock.new_id("dlv"), tenant=view.id, message=message, recipient=written.recipient, mail_params=(),
            treatment="notice", state="ready", copy=written.copy, now_us=self._clock.now_us(),
        )  # fmt: skip
        self._records.rows.insert(tx, schema.deliveries, **row)
        event = Event(Action.NOTICE_SENT, view.id, row["id"], GATEWAY, reason="dsn", request=message)
        self._records.log.append(tx, event)

    def _unknown(self, view: TenantView, envelope: Envelope) -> None:
        """To an address that was made up, or whose delivery is gone: in the log, so many times an hour at most."""
        if not self._tries.told():
            return
        self._tries.refused(b"")
        self._store.run(
            lambda tx: self._event(tx, view, Action.BOUNCE_RECEIVED, envelope.queue, "unknown", envelope, "refused")
        )

    def _event(
        self, tx: Tx, view: TenantView, action: Action, what: str, reason: str, envelope: Envelope, outcome: str = "ok"
    ) -> None:
        event = Event(action, view.id, what, GATEWAY, outcome=outcome, reason=reason, request=envelope.queue)
        self._records.log.append(tx, event)


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()
