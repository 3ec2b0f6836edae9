"""RECALL by answer: a sender answers a notice of ours with that word, and the message is taken back (DESIGN §3b).

Promises: only what was handed in as that sender's own mail counts (their password, or the clinic's own network), and
only for a message of theirs; which one is said by our own Message-ID in In-Reply-To or References, which counts only
from whom that notice was written to; a notice about one message takes back that one, a notice about several the one
whose six digits are named. Each refused try is in the log, by ids and a word; after five within an hour a sender takes
nothing back by answer. Nothing of such an answer is sent, kept or read further. The keyholder revokes first, the
transaction quotes its receipt, and the report goes by mail. No link does any of this (PAGES 2.3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import select

from gateway.actions.tenants import TenantView
from gateway.audit.event import Action, Actor, Event, receipt_text
from gateway.clock import Clock
from gateway.errors import Tampered
from gateway.flow import openings, threads
from gateway.flow.audience import Audience
from gateway.flow.openings import Opening
from gateway.flow.posting import Posted, Poster
from gateway.flow.records import Records
from gateway.flow.tries import Tries
from gateway.logs import Log
from gateway.mail import charset
from gateway.mail.address import routed
from gateway.mail.decode import head
from gateway.mail.model import Message
from gateway.mail.notices import human_size
from gateway.mail.source import Source
from gateway.share import answering
from gateway.spool.envelope import Envelope
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Row
from gateway.words import Words
from keys.client import WorkerClient
from keys.errors import Denied

log = Log("gateway.answers")
_REPLY = re.compile(r"\A(?:(?:re|aw|antw|sv|vs|rv|res|fwd?) ?(?:\[\d{1,3}\])?: ?)+", re.IGNORECASE)
_ORDER = re.compile(r"recall\b[ :#.!-]{0,4}(?:(\d{3})[ -]?(\d{3}))?[ .!]{0,4}\Z", re.IGNORECASE)
_ORDER_CHARACTERS = 120
_LINE_BYTES = 16_384
OWN = ("app-password", "network", "shared")


@dataclass(frozen=True, slots=True)
class Order:
    """Somebody wrote RECALL. `about` is a message, or empty; `reference` six digits, or empty.

    `sound`: it answers a notice that was written to that sender.
    """

    about: str
    reference: str
    sound: bool = True


class Answers:
    """Finds and obeys such answers. Thread-safe."""

    def __init__(
        self,
        store: Store,
        records: Records,
        keyholder: WorkerClient,
        poster: Poster,
        audience: Audience,
        clock: Clock,
        words: Words,
    ) -> None:
        self._store = store
        self._records = records
        self._keyholder = keyholder
        self._poster = poster
        self._audience = audience
        self._clock = clock
        self._words = words
        self._tries = Tries(clock)

    def order(self, view: TenantView, envelope: Envelope, message: Message, source: Source) -> Order | None:
        """What this mail orders; None for any other mail, which goes its way."""
        fields = " ".join((*message.all("in-reply-to"), *message.all("references")))
        sender = envelope.mail_from
        if "<ntc." not in fields or not sender or routed(sender) or message.auto_submitted:
            return None
        notice = threads.answered(
            self._records.directory, view.id, view.host, fields, envelope.mail_from  # type: ignore[arg-type]
        )  # fmt: skip
        if notice is None:
            return None
        found = _ordered(message.subject) or _ordered(_first_line(message, source))
        return None if found is None else Order(notice.about, "".join(found.groups(default="")), notice.sound)

    def obey(self, view: TenantView, envelope: Envelope, order: Order) -> None:
        """Take the message back, or say that none was. May be repeated: an answer is carried out once.

        Raises TryLater; then nothing was committed here, and the spooled answer is tried again.
        """
        id = f"recall:{envelope.queue}"[:64]
        with self._store.reading() as conn:
            if self._records.rows.get(conn, schema.tellings, id) is not None:
                return
        sender = self._records.directory.index(view.id, envelope.mail_from)
        reason = "too-many" if self._tries.spent(sender) else "" if order.sound else "another-notice"
        row = None if reason else self._own(view, envelope, order)
        grants = self._grants(row) if row is not None else []
        if row is None or not grants:
            self._refused(view, envelope, order, id, reason or ("not-theirs" if row is None else "over"))
            return
        try:
            with answering():
                receipt = receipt_text(
                    self._keyholder.narrow(
                        view.id, row["id"], None, {"revoke": True}, row["user"] or "sender", envelope.queue
                    )
                )
        except Denied as denied:
            log.warning("answers:denied", message=row["id"], reason=denied.reason)
            self._refused(view, envelope, order, id, denied.reason)
            return
        lines = self._report(view, row, len(grants))
        to = self._audience.of(view, envelope.mail_from) or envelope.mail_from
        posted = self._poster.to_sender(view, to, "recalled", row, self._people(row), lines)
        actor = Actor("user", row["user"]) if row["user"] else Actor("sender", "")

        def work(tx: Tx) -> None:
            self._done(tx, view, id, row["id"])
            now = self._clock.now_us()
            for grant in grants:
                self._records.rows.update(tx, schema.grants, grant["id"], revoked_at=now)
                self._event(tx, view, Action.LINK_REVOKED, grant["id"], actor, envelope, receipt)
            self._event(tx, view, Action.MESSAGE_RECALLED, row["id"], actor, envelope, receipt)
            self._poster.insert(tx, posted)

        self._store.run(work)
        self._poster.submit(posted, to)

    def _own(self, view: TenantView, envelope: Envelope, order: Order) -> Row | None:
        """The message, if it is this sender's own. Whose mail it is was proved when it was handed in."""
        if envelope.identity.kind not in OWN:
            return None
        directory, table = self._records.directory, schema.messages
        index = directory.index(view.id, envelope.mail_from)
        with self._store.reading() as conn:
            if order.reference and not order.about:
                statement = select(table).where(
                    table.c.tenant == view.id, table.c.reference == order.reference, table.c.sender_index == index
                )
                found = self._records.rows.find(conn, statement)
            else:
                row = self._records.message(conn, order.about) if order.about else None
                found = [row] if row is not None else []
        for row in found:
            if row["tenant"] != view.id or row["reference"] is None or row["sender_index"] != index:
                continue
            if order.reference not in ("", row["reference"]):
                continue  # a notice speaks for its own message, not for another one of theirs
            if envelope.identity.kind == "app-password" and row["user"] != envelope.identity.user:
                continue
            return row
        return None

    def _grants(self, row: Row) -> list[Row]:
        table = schema.grants
        statement = select(table).where(
            table.c.message == row["id"], table.c.kind == "link", table.c.revoked_at.is_(None),
            table.c.expires_at > self._clock.now_us(),
        )  # fmt: skip
        with self._store.reading() as conn:
            return self._records.rows.find(conn, statement)

    def _refused(self, view: TenantView, envelope: Envelope, order: Order, id: str, reason: str) -> None:
        """Log it, count it, and say so by mail unless that sender or this node was told often enough."""
        to = self._audience.of(view, envelope.mail_from) or envelope.mail_from
        posted: Posted | None = None
        if reason != "too-many" and self._tries.told():
            posted = self._poster.to_sender(view, to, "recall_refused", None)

        def work(tx: Tx) -> None:
            self._done(tx, view, id, posted.message if posted is not None else order.about or envelope.queue)
            event = Event(
                Action.MESSAGE_RECALLED, view.id, order.about or envelope.queue, Actor("sender", ""), outcome="refused",
                reason=reason, request=envelope.queue,
            )  # fmt: skip
            self._records.log.append(tx, event)
            if posted is not None:
                self._poster.insert(tx, posted)

        self._store.run(work)
        self._tries.refused(self._records.directory.index(view.id, envelope.mail_from))
        if posted is not None:
            self._poster.submit(posted, to)

    def _done(self, tx: Tx, view: TenantView, id: str, about: str) -> None:
        self._records.rows.insert(
            tx, schema.tellings, id=id, tenant=view.id, kind="recalled", about=about, state="done",
            created_at=tx.now_us, done_at=tx.now_us,
        )  # fmt: skip

    def _event(
        self, tx: Tx, view: TenantView, action: Action, what: str, actor: Actor, envelope: Envelope, receipt: str
    ) -> None:
        event = Event(action, view.id, what, actor, reason="by-answer", request=envelope.queue, receipt=receipt)
        self._records.log.append(tx, event)

    def _report(self, view: TenantView, row: Row, stopped: int) -> list[str]:
        """What it stopped and what it could not; files by number and size, for their names stay on the pages."""
        with self._store.reading() as conn:
            found = openings.openings(conn, view.id, row["id"])
        said = self._words.say
        lines = [said("mail.recall.stopped", number=stopped)]
        by_person: dict[str, list[Opening]] = {}
        for one in found:
            by_person.setdefault(one.person, []).append(one)
        for person, theirs in by_person.items():
            name = self._address(person) or said("mail.recall.somebody")
            files = sum(one.kind in openings.FILES for one in theirs)
            words = self._words.say(f"mail.recall.{'file' if files == 1 else 'files'}", number=files)
            lines.append(
                said(
                    "mail.recall.opened", person=name, at=self._poster.moment(view, _us(theirs[0])),
                    proof=said(f"staff.proof.{theirs[0].proof}"), size=human_size(sum(one.bytes for one in theirs)),
                    files=words if files else said("mail.recall.body"),
                )
            )  # fmt: skip
            lines += [
                said("mail.recall.cut", person=name, size=human_size(one.bytes))
                for one in theirs
                if one.end in ("stopped", "running")
            ]
        return lines if found else [*lines, said("mail.recall.nothing")]

    def _people(self, row: Row) -> list[str]:
        with self._store.reading() as conn:
            people = [one["person"] for one in self._records.deliveries(conn, row["id"]) if one["person"]]
        return [address for address in map(self._address, dict.fromkeys(people)) if address]

    def _address(self, person: str) -> str:
        with self._store.reading() as conn:
            row = self._records.rows.get(conn, schema.people, person) if person else None
        return self._records.directory.open(row["tenant"], "people", person, row["address"]) if row is not None else ""


def _us(opening: Opening) -> int:
    return round(opening.at.timestamp() * 1_000_000)


def _ordered(text: str) -> re.Match[str] | None:
    """Whether that is the order and nothing else. Long text is none, unseen by any expression: it may be hostile."""
    short = " ".join(text.split()) if len(text) <= 4 * _ORDER_CHARACTERS else ""
    return None if len(short) > _ORDER_CHARACTERS else _ORDER.match(_REPLY.sub("", short))


def _first_line(message: Message, source: Source) -> str:
    """The first line of what the sender wrote, from the first plain text: HTML is for the confined parsers only."""
    for part in message.parts():
        if part.kind != "text":
            continue
        try:
            text = charset.decode(head(source, part, _LINE_BYTES), part.charset)
        except Tampered:
            raise
        except ValueError:
            return ""
        return next((line.strip() for line in text.splitlines() if line.strip()), "")
    return ""
