"""Step 7 of an outgoing message: what each recipient's decision asks for, made durable.

Promises: a sealed object is durable before the deposit that names it, the deposit before a copy with a link is written,
the copy before the transaction that says "secured"; no copy holds another recipient's link; Bcc never becomes visible.
What cannot be edited without breaking it (signed, or readable in two ways) is sealed whole. DESIGN §3, §4 (order of
effects).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta

from gateway.accounts.inboxes import Inboxes
from gateway.accounts.people import People
from gateway.actions.copies import Copies, in_own_name
from gateway.actions.seal import LinkGrant, MessageSeal, Sealed
from gateway.actions.tenants import TenantView
from gateway.audit.event import GATEWAY, Action
from gateway.clock import Clock
from gateway.detect.model import Assessment
from gateway.errors import Tampered
from gateway.flow.beforehand import Beforehand
from gateway.flow.contents import Contents
from gateway.flow.facts import tags
from gateway.flow.jobs import Job, Target
from gateway.flow.reading import Reading
from gateway.flow.records import Prepared, Records
from gateway.flow.scanning import RULE as MALWARE
from gateway.mail.dsn import FailedRecipient
from gateway.mail.model import Message
from gateway.mail.sender_notice import Found
from gateway.mail.source import Source
from gateway.policy import Decision
from gateway.share import answering
from gateway.spool.envelope import Envelope, Recipient
from gateway.steps import reached
from gateway.store.database import Store
from gateway.vault import Vault
from keys.client import WorkerClient

EDITS = ("attachments", "secure")


@dataclass(slots=True)
class Piece:
    """One message on its way through steps 4 to 8."""

    tenant: TenantView
    envelope: Envelope
    source: Source
    message: Message
    reading: Reading
    decisions: Mapping[int, Decision]
    prepared: Prepared
    jobs: list[Job] = field(default_factory=list)
    assessment: Assessment | None = None
    parent: str | None = None
    spooled: bool = True
    """False for held mail that is being released: its original lies in the vault, so every copy is written anew."""

    unread_whole: bool = False
    """True when the parts could not be read: then it is sealed whole or not at all."""

    beforehand: Beforehand | None = None
    """What was sealed of it while it was looked at."""

    def recipients(self, *treatments: str) -> list[tuple[Recipient, Decision]]:
        """Recipients decided so."""
        numbered = enumerate(self.envelope.recipients)
        return [(one, self.decisions[n]) for n, one in numbered if self.decisions[n].treatment in treatments]

    @property
    def whole(self) -> bool:
        """Whether editing would break it or two readers would see different mails."""
        return self.unread_whole or self.message.signed or self.message.malformed or self.message.encrypted


class Treatment:
    """Makes what the decisions ask for."""

    def __init__(
        self,
        vault: Vault,
        keyholder: WorkerClient,
        store: Store,
        people: People,
        records: Records,
        copies: Copies,
        clock: Clock,
        recovery: Callable[[str], bytes | None] = lambda tenant: None,
        inboxes: Inboxes | None = None,
    ) -> None:
        self._inboxes = inboxes
        self._vault = vault
        self._keyholder = keyholder
        self._store = store
        self._people = people
        self._records = records
        self._copies = copies
        self._recovery = recovery
        self._clock = clock

    def beforehand(self, tenant: str, wanted: Callable[[Reading, str], bool]) -> Beforehand:
        """For a message that is about to be looked at."""
        return Beforehand(self._vault, self._clock, tenant, wanted)

    def treat(self, piece: Piece) -> None:
        """Fill `piece.prepared` and `piece.jobs`. Raises TryLater when something could not be made durable."""
        written: list[Future[str]] = []
        self._as_is(piece, written)
        edits = piece.recipients(*EDITS)
        held = piece.recipients("hold")
        if edits or held:
            self._sealed(piece, edits, held, written)
        self._returned(piece, written)
        for future in written:
            future.result(60)

    def _as_is(self, piece: Piece, written: list[Future[str]]) -> None:
        targets = []
        copy: str | None = None
        recipients = piece.recipients("as-is")
        if recipients and not piece.spooled:
            copy = self._clock.new_id("spl")
            envelope = self._copies.envelope(
                piece.envelope, copy, tuple(one for one, _ in recipients), piece.envelope.mail_params
            )
            top = self._copies.top(piece.tenant.id, piece.envelope)
            written.append(self._copies.write(envelope, self._copies.original(piece.source, top), untouched=True))
        for recipient, _ in recipients:
            targets.append(self._delivery(piece, recipient, "as-is", "ready", copy))
        if targets:
            piece.jobs.append(self._job(piece, copy or piece.envelope.queue, "out" if copy else "in", tuple(targets)))
            # A partner is named apart from colleagues, and so is what its sender let go as it is.
            for rule in dict.fromkeys((decision.rule, decision.note) for _, decision in recipients):
                alike = [one for one in recipients if (one[1].rule, one[1].note) == rule]
                self._note(piece, Action.MESSAGE_PASSED, alike)

    def _sealed(
        self,
        piece: Piece,
        edits: Sequence[tuple[Recipient, Decision]],
        held: Sequence[tuple[Recipient, Decision]],
        written: list[Future[str]],
    ) -> None:
        now = self._clock.now_us()
        view = piece.tenant
        expires = now + (view.message_for if edits else view.hold_for + timedelta(days=1)) // timedelta(microseconds=1)
        begun = piece.beforehand
        if begun is not None and begun.seal is not None:
            seal, take = begun.seal, begun.take
            seal.expires_us = expires
        else:
            seal = MessageSeal(self._vault, self._clock, view.id, expires, message=piece.prepared.message["id"])
            take = _nothing
        contents = Contents(piece.source, piece.message, piece.reading, piece.assessment, seal, self._copies, take)
        removed = self._objects(piece, contents, edits)
        hold_until = None
        if held:
            hold_until = now + view.hold_for // timedelta(microseconds=1)
            contents.whole()
            seal.review()
        if edits and view.policy.staff_grant:
            seal.staff()
        links = [(recipient, decision, self._link(piece, seal, recipient)) for recipient, decision in edits]
        public = self._recovery(view.id)
        if public is not None:
            seal.recover(public)
        reached("7-sealed")
        with answering():
            self._keyholder.deposit([seal.deposit(piece.prepared.message["user"], hold_until)])
        reached("7-deposited")
        for recipient, decision, link in links:
            whole_notice = piece.whole or decision.treatment == "secure"
            copy = self._clock.new_id("spl")
            chunks = self._copies.secured(
                view,
                piece.envelope,
                piece.message,
                piece.source,
                seal,
                link,
                recipient,
                whole_notice=whole_notice,
                removed=removed.get(recipient.address, frozenset()),
                neutral=decision.neutral_subject,
                invitation="" if piece.whole else contents.invitation(),
            )
            params = self._copies.headers_only(piece.envelope.mail_params)
            written.append(
                self._copies.write(self._copies.envelope(piece.envelope, copy, (recipient,), params), chunks)
            )
            kind = "secure" if whole_notice else "attachments"
            target = self._delivery(piece, recipient, kind, "ready", copy, link)
            piece.jobs.append(self._job(piece, copy, "out", (target,)))
            piece.prepared.event(Action.LINK_CREATED, link.id, GATEWAY, request=seal.message)
        for recipient, _ in held:
            self._delivery(piece, recipient, "held", "held", None)
        subject = piece.message.subject
        neutral = any(decision.neutral_subject for _, decision in (*edits, *held)) or (not edits)
        piece.prepared.objects = seal.objects
        piece.prepared.grants = seal.grants
        piece.prepared.message.update(
            meta=seal.message_meta("" if neutral else subject, piece.message.from_address or "", _claimed_name(piece)),
            reference=seal.reference if edits else None,
            expires_at=expires,
            hold_until=hold_until,
        )
        if edits:
            self._note(piece, Action.MESSAGE_SECURED, edits)
            if "plain" in tags(piece.message) and not held:
                self._tell(piece, "protected", seal, edits, written)
        if held:
            self._note(piece, Action.MESSAGE_HELD, held)
            self._tell(piece, "malware" if held[0][1].rule == MALWARE else "held", seal, held, written)

    def _tell(
        self,
        piece: Piece,
        kind: str,
        seal: MessageSeal,
        about: Sequence[tuple[Recipient, Decision]],
        written: list[Future[str]],
    ) -> None:
        people = [one for one, _ in about]
        told = self._copies.sender_notice(
            piece.tenant, piece.envelope, piece.message, kind, seal.message, people, found(piece.assessment)
        )
        self._notice(piece, told, written)

    def _objects(
        self, piece: Piece, contents: Contents, edits: Sequence[tuple[Recipient, Decision]]
    ) -> dict[str, frozenset[tuple[int, ...]]]:
        """Seal what leaves the mail; which paths leave it, per address."""
        if not edits:
            return {}
        if piece.whole:
            contents.whole()
            return {}
        secure = any(decision.treatment == "secure" for _, decision in edits)
        if secure:
            contents.body()
        if any(decision.neutral_subject for _, decision in edits):
            contents.subject()
        contents.files({part for _, decision in edits for part in decision.sealed_parts}, secure=secure)
        return {
            recipient.address: frozenset(
                one.part.path for one in piece.reading.attachments if one.id in decision.sealed_parts
            )
            for recipient, decision in edits
        }

    def _link(self, piece: Piece, seal: MessageSeal, recipient: Recipient) -> LinkGrant:
        tenant = piece.tenant.id
        with self._store.reading() as conn:
            person = self._people.find(conn, tenant, recipient.address)
        if person is None:
            # Committed before the deposit names the person: two messages to a new address make one person.
            person = self._store.run(lambda tx: self._people.add(tx, tenant, recipient.address))
        link = seal.link(person)
        self._inbox(piece, seal, person)
        return link

    def _inbox(self, piece: Piece, seal: MessageSeal, person: str) -> None:
        """The same message for the person's inbox, where they keep one.

        A key that the keyholder did not sign for this person is refused and named; the mail goes out, with its link.
        """
        if self._inboxes is None:
            return
        try:
            with self._store.reading() as conn:
                found = self._inboxes.of(conn, piece.tenant.id, person)
            if found is not None:
                seal.inbox(person, found.id, found.public)
        except (Tampered, ValueError):
            piece.prepared.event(Action.TAMPER_FOUND, person, GATEWAY, outcome="refused", reason="inbox-key")

    def _returned(self, piece: Piece, written: list[Future[str]]) -> None:
        refused = piece.recipients("return")
        for recipient, _ in refused:
            self._delivery(piece, recipient, "as-is", "returned", None)
        if refused:
            self._note(piece, Action.MESSAGE_RETURNED, refused)
            failed = tuple(
                FailedRecipient(one.address, "5.7.1", original=_orcpt(one), reason="policy") for one, _ in refused
            )
            told = self._copies.dsn(piece.tenant, piece.envelope, piece.message, piece.prepared.message["id"], failed)
            self._notice(piece, told, written)

    def _notice(self, piece: Piece, mail: bytes | None, written: list[Future[str]]) -> None:
        """Our own words to the sender, delivered like any copy; None where nobody may be answered."""
        if mail is None:
            return
        copy = self._clock.new_id("spl")
        recipient = Recipient(self._copies.reader(piece.tenant, piece.envelope.mail_from))
        written.append(
            self._copies.write(self._copies.envelope(piece.envelope, copy, (recipient,), (), system=True), [mail])
        )
        target = self._delivery(piece, recipient, "notice", "ready", copy)
        piece.jobs.append(self._job(piece, copy, "out", (target,), system=True))
        piece.prepared.event(Action.NOTICE_SENT, target.delivery, GATEWAY, request=piece.prepared.message["id"])

    def _delivery(
        self,
        piece: Piece,
        recipient: Recipient,
        treatment: str,
        state: str,
        copy: str | None,
        link: LinkGrant | None = None,
    ) -> Target:
        row = self._records.delivery(
            id=self._clock.new_id("dlv"),
            tenant=piece.tenant.id,
            message=piece.prepared.message["id"],
            recipient=recipient,
            mail_params=() if treatment == "notice" else piece.envelope.mail_params,
            treatment=treatment,
            state=state,
            copy=copy,
            now_us=self._clock.now_us(),
            person=link.person if link else None,
            grant=link.id if link else None,
        )
        piece.prepared.deliveries.append(row)
        return Target(row["id"], recipient, treatment, 0)

    def _job(
        self, piece: Piece, item: str, direction: str, targets: tuple[Target, ...], *, system: bool = False
    ) -> Job:
        params = () if system else piece.envelope.mail_params
        if direction == "out" and not system:
            params = self._copies.headers_only(params)
        return Job(
            tenant=piece.tenant.id,
            message=piece.prepared.message["id"],
            item=item,
            direction=direction,
            mail_from="" if system else piece.envelope.mail_from,
            mail_params=params,
            targets=targets,
            accepted_us=piece.prepared.message["received_at"],
            since_us=piece.prepared.message["created_at"],
        )

    def _note(self, piece: Piece, action: Action, decided: Sequence[tuple[Recipient, Decision]]) -> None:
        decision = decided[0][1]
        piece.prepared.event(
            action,
            piece.prepared.message["id"],
            GATEWAY,
            reason=f"{decision.rule}:{decision.note}" if decision.note else decision.rule,
            policy=decision.policy,
        )


def _nothing(path: tuple[int, ...]) -> Sealed | None:
    return None


def _orcpt(recipient: Recipient) -> str:
    return next((value for name, value in recipient.params if name.upper() == "ORCPT"), "")


def found(assessment: Assessment | None) -> tuple[Found, ...]:
    """What a sender may be told: kinds and places, identifiers and unread parts only, each once."""
    if assessment is None:
        return (Found("UNREAD", "the message"),)
    seen = {Found(finding.kind, finding.place) for part in assessment.parts for finding in part.findings}
    seen |= {Found("UNREAD", one.place) for one in assessment.unread}
    return tuple(sorted(seen, key=lambda one: (one.place, one.kind)))


def _claimed_name(piece: Piece) -> str:
    """The sender's name for the message page. Who signed in and writes as somebody else is shown by the account's."""
    if piece.envelope.identity.kind == "app-password" and not in_own_name(piece.envelope, piece.message):
        return ""
    return Copies.sender_name(piece.message)
