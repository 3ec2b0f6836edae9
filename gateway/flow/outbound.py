"""The life of an outgoing message, steps 3 to 8: lease, parse, assess, decide, act, commit. Steps 1 and 2 are the smtp
process's, 9 and 10 the deliverer's.

Promises: an item is erased from the spool only after what became of it was committed; whatever is in doubt is held or
tried again, never passed; a message that cannot be processed at all is held whole for an officer after three tries;
only an item that does not verify itself stays where it is, named in the queue; a sender's retry of the same message
makes no second set of links, unless nobody got the first. DESIGN §1, §3, §3a; 45 CFR 164.312(e).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from gateway.accounts.users import Users
from gateway.actions.copies import NotEditable
from gateway.actions.tenants import TenantView
from gateway.audit.event import GATEWAY, Action, Actor, Event
from gateway.clock import Clock
from gateway.detect.model import Assessment
from gateway.errors import NotFound, Tampered, TryLater
from gateway.flow import facts as factual
from gateway.flow.answers import Answers
from gateway.flow.decided import UNPROCESSABLE, held_together, state_of
from gateway.flow.delivery import Deliverer
from gateway.flow.doubts import Doubts, blameless, sound
from gateway.flow.isolate import Isolated
from gateway.flow.looking import Looked, Looker
from gateway.flow.records import WAITING, Prepared, Records
from gateway.flow.treat import Piece, Treatment
from gateway.logs import Log
from gateway.mail.model import Message
from gateway.mail.scan import Scanner
from gateway.mail.source import Source
from gateway.policy import Decision, decide
from gateway.scan import Scanner as MalwareScanner
from gateway.share import Directory
from gateway.spool.envelope import Envelope
from gateway.spool.item import Entry
from gateway.spool.reader import SpoolReader
from gateway.steps import reached
from gateway.store.database import Store, Tx
from gateway.words import Words

log = Log("gateway.outbound")
RETRY_WINDOW_US = 5 * 86_400 * 1_000_000  # as long as a sending MTA keeps trying (RFC 5321 4.5.4.1)


class Repeated(Exception):
    """The same message was committed before, from the spool item `queue`."""

    def __init__(self, queue: str) -> None:
        super().__init__(queue)
        self.queue = queue


class Outbound:
    """Takes spooled items through to their transaction. Thread-safe."""

    def __init__(
        self,
        *,
        store: Store,
        records: Records,
        users: Users,
        directory: Directory,
        spool: SpoolReader,
        isolated: Isolated,
        treatment: Treatment,
        deliverer: Deliverer,
        tenants: Callable[[str], TenantView],
        clock: Clock,
        words: Words,
        scanner: MalwareScanner | None = None,
        scan_seconds: float = 60.0,
        answers: Answers | None = None,
    ) -> None:
        self._store = store
        self._answers = answers
        self._records = records
        self._users = users
        self._directory = directory
        self._spool = spool
        self._treatment = treatment
        self._deliverer = deliverer
        self._tenants = tenants
        self._clock = clock
        self._looker = Looker(isolated, words, scanner, scan_seconds)
        self._doubts = Doubts(store, records, spool)

    def process(self, entry: Entry, *, again: bool = False) -> None:
        """One item, steps 3 to 8. Raises TryLater when it must be tried again; everything else is settled here.

        `again`: it was begun before, in this life or an earlier one, and may have been committed then.
        """
        if not self._store.health:
            raise TryLater("nothing could be committed")  # and every try would leave blobs and copies to sweep up
        reached(3)
        try:
            if again and self._committed(entry):
                return
        except Tampered as error:
            raise self._doubts.elsewhere(entry) from error
        try:
            item = self._spool.open(entry)
        except Tampered:
            self._doubts.unsound(entry)
            return
        with item:
            try:
                self._through(entry, item.envelope, item.source)
            except Tampered as error:
                if not sound(item.source):
                    self._doubts.unsound(entry)
                    return
                raise self._doubts.elsewhere(entry) from error
        self._doubts.settled(entry)

    def _committed(self, entry: Entry) -> bool:
        """Whether this item's transaction was committed before. What is left of it is then the deliverer's."""
        with self._store.reading() as conn:
            messages = self._records.of_queue(conn, entry.id)
            waiting = any(
                row["copy"] is None and row["state"] in WAITING
                for message in messages
                for row in self._records.deliveries(conn, message["id"])
            )
        if messages and not waiting:
            self._spool.erase(entry.id)
        return bool(messages)

    def _through(self, entry: Entry, envelope: Envelope, source: Source) -> None:
        try:
            view = self._tenants(envelope.tenant)
        except NotFound as error:
            raise TryLater("tenant unknown") from error
        forced = UNPROCESSABLE if self._doubts.hopeless(entry) else None
        try:
            message = self._parsed(source, forced)
            if forced is None and self._recalls(view, entry, envelope, message, source):
                return
            retry = self._retry_key(envelope, message, source)
            with self._store.reading() as conn:
                earlier = self._earlier(conn, envelope.tenant, retry, entry.id)
            if earlier is None:
                self._done(entry, self._made(view, envelope, source, message, retry, forced))
                return
        except Repeated as repeated:
            earlier = repeated.queue
        except (TryLater, Tampered):
            raise
        except Exception as error:
            if blameless(error):
                raise TryLater("a disk or memory") from error
            log.exception("outbound:failed", queue=entry.id, attempt=self._doubts.failed(entry))
            raise TryLater("processing failed") from error
        if earlier == entry.id:  # this very item: its commit was reported as failed and was not
            self._committed(entry)
        else:
            self._duplicate(entry, envelope)

    def _recalls(
        self, view: TenantView, entry: Entry, envelope: Envelope, message: Message, source: Source
    ) -> bool:  # fmt: skip
        """Whether it was RECALL in answer to a notice: then it was obeyed, and nothing of it is sent or kept."""
        order = self._answers.order(view, envelope, message, source) if self._answers is not None else None
        if order is None or self._answers is None:
            return False
        self._answers.obey(view, envelope, order)
        self._spool.erase(entry.id)
        return True

    def _made(
        self,
        view: TenantView,
        envelope: Envelope,
        source: Source,
        message: Message,
        retry: bytes,
        forced: Decision | None,
    ) -> Piece:
        piece = self.piece(view, envelope, source, message, retry, forced=forced)
        self.commit(piece)
        return piece

    def _done(self, entry: Entry, piece: Piece) -> None:
        if not any(job.direction == "in" for job in piece.jobs):
            reached(10)
            self._spool.erase(entry.id)

    def _parsed(self, source: Source, forced: Decision | None) -> Message:
        try:
            return self.parse(source)
        except Exception:
            if forced is None:
                raise
            return Scanner().close()  # nothing of it is known; the whole of it is held

    @staticmethod
    def parse(source: Source) -> Message:
        """Step 4, the byte ranges. Raises Tampered."""
        scanner = Scanner()
        for chunk in source.chunks(0, source.size):
            scanner.feed(chunk)
        return scanner.close()

    def piece(
        self,
        view: TenantView,
        envelope: Envelope,
        source: Source,
        message: Message,
        retry: bytes,
        *,
        forced: Decision | None = None,
        parent: str | None = None,
        spooled: bool = True,
        adjust: Callable[[Decision], Decision] = lambda decision: decision,
        release: Decision | None = None,
        suspect: bool = False,
    ) -> Piece:
        """Steps 4 to 7 of one message: everything durable that its transaction will name.

        `forced` decides for every recipient without reading, and then the message is sealed whole; `adjust` is what an
        officer's release changes, and `release` decides when held mail cannot be read now either. `suspect`: it is
        held for malware and goes out only when a scanner says today that there is none. Raises Harmful for held mail
        with malware; mail that comes in with it is held.
        """
        looked = Looked(forced=forced)
        if forced is None:
            looked = self._looker.look(message, source, release=release, suspect=suspect)
        reading, assessment, forced = looked.reading, looked.assessment, looked.forced
        reached(5)
        decisions: dict[int, Decision] = {}
        if forced is not None or assessment is None:
            decisions = dict.fromkeys(range(len(envelope.recipients)), forced or UNPROCESSABLE)
        else:
            mail = factual.mail_facts(message, source, envelope, reading, assessment, looked.scanned.parts)
            for number, recipient in enumerate(envelope.recipients):
                decisions[number] = adjust(decide(view.policy, mail, factual.recipient_facts(view, recipient.address)))
        decisions = held_together(decisions)
        reached(6)
        for whole in dict.fromkeys((forced is not None, True)):
            # A new row for each: what the first try deposited under its ids is left behind and swept up.
            row = self._row(view, envelope, message, source, retry, decisions, assessment, parent)
            piece = Piece(
                view,
                envelope,
                source,
                message,
                reading,
                decisions,
                Prepared(row),
                assessment=assessment,
                parent=parent,
                spooled=spooled,
                unread_whole=whole,
            )
            actor = Actor("user", row["user"]) if row["user"] else Actor("sender", "")
            piece.prepared.event(
                Action.MESSAGE_ACCEPTED,
                row["id"],
                actor,
                request=envelope.queue,
                reason=envelope.identity.kind,
                bytes=source.size,
            )
            for name in looked.scanned.names:
                piece.prepared.event(Action.MALWARE_FOUND, row["id"], GATEWAY, outcome="refused", reason=name)
            try:
                self._treatment.treat(piece)
            except NotEditable:
                if whole:
                    raise
                continue
            break
        reached(7)
        return piece

    def commit(self, piece: Piece, more: Callable[[Tx], None] = lambda tx: None) -> None:
        """Step 8: one transaction, then the jobs. Raises TryLater, Repeated.

        After TryLater it may have been written all the same; `process` finds that out when it tries again.
        """

        def work(tx: Tx) -> None:
            row = piece.prepared.message
            # Asked again where only one at a time can ask: two of a sender's tries may be worked on side by side.
            earlier = self._asked(tx, row) if piece.spooled else None
            if earlier is not None:
                raise Repeated(earlier)
            self._records.write(tx, piece.prepared)
            more(tx)

        self._deliverer.reserve(piece.jobs)
        try:
            self._store.run(work)
            reached(8)
        except BaseException:
            self._deliverer.release(piece.jobs)
            raise
        self._deliverer.begin(piece.jobs)

    def _row(
        self,
        view: TenantView,
        envelope: Envelope,
        message: Message,
        source: Source,
        retry: bytes,
        decisions: Mapping[int, Decision],
        assessment: Assessment | None,
        parent: str | None,
    ) -> dict[str, Any]:
        id = self._clock.new_id("msg")
        with self._store.reading() as conn:
            user = self._user(conn, envelope, forced=assessment is None)
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

    def _message_id(self, tenant: str, id: str, message: Message) -> bytes | None:
        """What a reminder to the recipient will answer, so that it stands in the thread (RFC 5322 3.6.4)."""
        found = (message.message_id or "").strip()
        return self._directory.seal(tenant, "messages.message_id", id, found) if 0 < len(found) < 900 else None

    def _user(self, conn: Connection, envelope: Envelope, *, forced: bool) -> str | None:
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

    def _retry_key(self, envelope: Envelope, message: Message, source: Source) -> bytes:
        digest = hashlib.sha256()
        for chunk in source.chunks(0, source.size):
            digest.update(chunk)
        value = [
            envelope.mail_from,
            sorted(one.address for one in envelope.recipients),
            message.message_id or envelope.queue,
            digest.hexdigest(),
        ]
        return self._directory.keyed(envelope.tenant, "retry", value)

    def _earlier(self, conn: Connection, tenant: str, retry: bytes, queue: str) -> str | None:
        """The spool id under which the same message was taken before."""
        return self._records.of_retry(conn, tenant, retry, self._clock.now_us() - RETRY_WINDOW_US, queue)

    def _asked(self, tx: Tx, row: Mapping[str, Any]) -> str | None:
        return self._earlier(tx.conn, row["tenant"], row["retry_key"], row["queue"])

    def _duplicate(self, entry: Entry, envelope: Envelope) -> None:
        event = Event(
            action=Action.MESSAGE_DUPLICATE, tenant=envelope.tenant, object=entry.id, actor=Actor("sender", "")
        )
        self._store.run(lambda tx: self._records.log.append(tx, event))
        self._spool.erase(entry.id)
