"""Our own mail outside a message's first way: written durably, then named by a row in the caller's transaction.

Promises: what is posted is delivered like any copy, once its transaction is committed and never without; a copy whose
transaction did not come is swept. Null reverse-path, so nothing answers it. RFC 3834, RFC 5321 4.5.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import Any
from zoneinfo import ZoneInfo

from gateway.actions.copies import Copies
from gateway.actions.tenants import TenantView
from gateway.audit.event import GATEWAY, Action, Event
from gateway.clock import Clock, from_us
from gateway.flow import threads
from gateway.flow.delivery import Deliverer
from gateway.flow.jobs import Job, Target
from gateway.flow.records import Records
from gateway.mail import moments
from gateway.mail.compose import one_line
from gateway.mail.person_notice import PersonFacts, person_notice
from gateway.mail.sender_notice import SenderFacts, sender_notice
from gateway.spool.envelope import Envelope, Identity, Recipient
from gateway.store import schema
from gateway.store.database import Tx
from gateway.store.rows import Row
from gateway.words import Words


@dataclass(frozen=True, slots=True)
class Posted:
    """A durable mail of ours and the rows that will name it."""

    tenant: str
    message: str
    kind: str
    delivery: dict[str, Any] = field(repr=False)
    row: dict[str, Any] | None = field(default=None, repr=False)


class Poster:
    """Writes notices to senders and recipients. Thread-safe."""

    def __init__(
        self,
        copies: Copies,
        records: Records,
        deliverer: Deliverer,
        clock: Clock,
        words: Words,
        checkpoint: Callable[[str], str],
    ) -> None:
        self._copies = copies
        self._records = records
        self._deliverer = deliverer
        self._clock = clock
        self._words = words
        self._checkpoint = checkpoint

    def to_sender(
        self, view: TenantView, to: str, kind: str, message: Row | None, recipients: Iterable[str] = (),
        lines: Iterable[str] = (),
    ) -> Posted:  # fmt: skip
        """A notice about one message of theirs, or (None) about several or none."""
        facts = SenderFacts(
            kind=kind,
            to=to,
            postmaster=f"postmaster@{view.host}",
            clinic=view.display_name,
            phone=view.phone,
            message_id=self._message_id(view, message, to),
            date=self._date(view),
            sent_at=self.moment(view, message["received_at"]) if message is not None else "",
            reference=(message["reference"] or message["id"]) if message is not None else "",
            recipients=tuple(recipients),
            url=_page(view, kind, message),
            in_reply_to=self._original(message),
            checkpoint=self._checkpoint(view.id),
            lines=tuple(lines),
        )
        return self._post(view, to, kind, message, sender_notice(self._words, facts))

    def to_person(
        self, view: TenantView, to: str, kind: str, message: Row | None = None, *, url: str = "", code: str = ""
    ) -> Posted:
        """A notice to a recipient, in the thread of the message's first mail; `url`, `code` where it brings a link."""
        facts = PersonFacts(
            kind=kind,
            to=to,
            postmaster=f"postmaster@{view.host}",
            clinic=view.display_name,
            phone=view.phone,
            # Made from no message: who answers it is the recipient, and takes nothing back.
            message_id=f"<{self._clock.new_id('rem')}@{view.host}>",
            date=self._date(view),
            until=self.moment(view, message["expires_at"]) if message is not None else "",
            reference=(message["reference"] or "") if message is not None else "",
            in_reply_to=self._original(message),
            checkpoint=self._checkpoint(view.id),
            url=url,
            code=code,
        )
        return self._post(view, to, kind, message, person_notice(self._words, facts))

    def account(self, address: str) -> str:
        """A line of a notice that names somebody's account."""
        return self._words.say("mail.sender.account", address=one_line(address, 254))

    def insert(self, tx: Tx, posted: Posted) -> None:
        """Its rows and event, in the transaction that says why it is sent."""
        if posted.row is not None:
            self._records.rows.insert(tx, schema.messages, **posted.row)
        self._records.rows.insert(tx, schema.deliveries, **posted.delivery)
        self._records.log.append(
            tx,
            Event(
                Action.NOTICE_SENT, posted.tenant, posted.delivery["id"], GATEWAY, reason=posted.kind,
                request=posted.message,
            ),
        )  # fmt: skip

    def submit(self, posted: Posted, to: str) -> None:
        """Deliver it now, after its transaction; without this it goes at the next look."""
        target = Target(posted.delivery["id"], Recipient(to), "notice", 0)
        now = posted.delivery["created_at"]
        self._deliverer.submit(
            [
                Job(
                    tenant=posted.tenant, message=posted.message, item=posted.delivery["copy"], direction="out",
                    mail_from="", mail_params=(), targets=(target,), accepted_us=now, since_us=now,
                )
            ]
        )  # fmt: skip

    @staticmethod
    def moment(view: TenantView, at_us: int) -> str:
        """A time on the tenant's wall clock, in words, as the pages say it."""
        return moments.whole(from_us(at_us).astimezone(ZoneInfo(view.timezone)))

    @staticmethod
    def day(view: TenantView, at_us: int) -> str:
        """A day on the tenant's calendar, in words."""
        return moments.day(from_us(at_us).astimezone(ZoneInfo(view.timezone)))

    def _post(self, view: TenantView, to: str, kind: str, message: Row | None, mail: bytes) -> Posted:
        now, copy = self._clock.now_us(), self._clock.new_id("spl")
        row = None if message is not None else self._row(view, now, copy)
        about = message["id"] if message is not None else str((row or {})["id"])
        origin = Envelope(
            tenant=view.id, queue=copy, mail_from="", recipients=(Recipient(to),), identity=Identity("system"),
            arrived_us=now, node=self._records.node,
        )  # fmt: skip
        envelope = self._copies.envelope(origin, copy, origin.recipients, (), system=True)
        self._copies.write(envelope, [mail]).result(60)
        delivery = self._records.delivery(
            id=self._clock.new_id("dlv"), tenant=view.id, message=about, recipient=Recipient(to), mail_params=(),
            treatment="notice", state="ready", copy=copy, now_us=now,
        )  # fmt: skip
        return Posted(view.id, about, kind, delivery, row)

    def _row(self, view: TenantView, now: int, copy: str) -> dict[str, Any]:
        """A message of our own, for what is about no single one: a delivery belongs to a message."""
        id, directory = self._clock.new_id("msg"), self._records.directory
        return {
            "id": id, "tenant": view.id, "node": self._records.node, "queue": copy, "state": "system",
            "sender": directory.seal(view.id, "messages", id, ""), "sender_index": directory.index(view.id, ""),
            "identity": "system", "retry_key": directory.index(view.id, f"system {id}"), "rule": "notice",
            "policy": "built-in", "findings": "{}", "urgent": 0, "size_bytes": 0, "received_at": now,
            "created_at": now,
        }  # fmt: skip

    def _message_id(self, view: TenantView, message: Row | None, to: str) -> str:
        about, directory = message["id"] if message is not None else "", self._records.directory
        return threads.message_id(directory, view.id, view.host, about, to)  # type: ignore[arg-type]

    def _date(self, view: TenantView) -> str:
        return format_datetime(self._clock.now().astimezone(ZoneInfo(view.timezone)))

    def _original(self, message: Row | None) -> str:
        if message is None or message["message_id"] is None:
            return ""
        return self._records.directory.open(
            message["tenant"], "messages.message_id", message["id"], message["message_id"]
        )


_PAGES = {
    "mail_resent": "/audit",
    "change_waits": "/audit/changes", "account_added": "/audit/changes", "card_twice": "/staff/help",
    **dict.fromkeys(("recovery_set", "recovery_act", "recovery_used", "relinked_by"), "/audit/recovery"),
    **dict.fromkeys(("erasure_waits", "erasure_done", "hold_set", "hold_lifted"), "/audit/retention"),
}  # fmt: skip
_CLOSED = "clinic_closed"


def _page(view: TenantView, kind: str, message: Row | None) -> str:
    """The page to go to with such a notice: its message's own, else where that kind is looked at."""
    if message is not None:
        return f"{view.public_url}/staff/messages/{message['id']}"
    return "" if kind == _CLOSED else view.public_url + _PAGES.get(kind, "/staff")
