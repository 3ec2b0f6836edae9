"""The life of an outgoing message, steps 3 to 8: lease, parse, assess, decide, act, commit. Steps 1 and 2 are the smtp
process's, 9 and 10 the deliverer's.

Promises: an item is erased from the spool only after what became of it was committed; whatever is in doubt is held or
tried again, never passed; a message that cannot be processed at all is held whole for an officer after three tries;
only an item that does not verify itself stays where it is, named in the queue; a sender's retry of the same message
makes no second set of links, unless nobody got the first. DESIGN §1, §3, §3a; 45 CFR 164.312(e).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from gateway.accounts.users import Users
from gateway.actions.tenants import TenantView
from gateway.audit.event import GATEWAY, Action, Actor, Event
from gateway.clock import Clock
from gateway.errors import NotFound, Tampered, TryLater
from gateway.flow.answers import Answers, Order
from gateway.flow.begun import Begun
from gateway.flow.decided import UNPROCESSABLE
from gateway.flow.delivery import Deliverer
from gateway.flow.doubts import Doubts, blameless, sound
from gateway.flow.fingerprint import Fingerprint
from gateway.flow.isolate import Isolated
from gateway.flow.judging import Judged
from gateway.flow.looking import Looker
from gateway.flow.making import Making
from gateway.flow.message_rows import MessageRows
from gateway.flow.records import WAITING, Records
from gateway.flow.returns import Returns
from gateway.flow.together import Alone, Together
from gateway.flow.treat import Piece, Treatment
from gateway.flow.turned_away import turned_away
from gateway.logs import Log
from gateway.mail.model import Message
from gateway.mail.scan import Scanner
from gateway.mail.source import Source
from gateway.policy import Decision
from gateway.scan import Scanner as MalwareScanner
from gateway.share import Directory
from gateway.spool.envelope import RETURNED, Envelope
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
        returns: Returns | None = None,
        begun: Begun | None = None,
    ) -> None:
        self._store = store
        self._answers = answers
        self._returns = returns
        self._records = records
        self._rows = MessageRows(directory, users, clock)
        self._spool = spool
        self._deliverer = deliverer
        self._tenants = tenants
        self._clock = clock
        looker = Looker(isolated, words, scanner, scan_seconds)
        self.making = Making(store, looker, treatment, self._rows)
        self._doubts = Doubts(store, records, spool, begun)
        self.stuck = self._doubts.stuck
        self._together = Together(self, store, spool, self._doubts, looker, self._rows, deliverer)

    def process_all(self, entries: Sequence[Entry], give: Callable[[list[Alone]], None]) -> None:
        """Items that nobody began before, steps 3 to 8 together as far as they are ordinary (`flow/together.py`).

        `give` hears of those that `process` must take through one by one: once before the wait for the database, when
        nothing but waiting is left to do, and once after it. Raises TryLater: each of the others must be tried again,
        as one that was begun.
        """
        with self._doubts.begun.under_way([entry.id for entry in entries]):
            self._together.process(entries, give)

    def process(self, entry: Entry, *, again: bool = False, judged: Judged | None = None) -> None:
        """One item, steps 3 to 8. Raises TryLater when it must be tried again; everything else is settled here.

        `again`: it was begun before, in this life or an earlier one, and may have been committed then. `judged`: what
        was found and decided a moment ago, so that it is not looked for twice.
        """
        if not self._store.health:
            raise TryLater("nothing could be committed")  # and every try would leave blobs and copies to sweep up
        with self._doubts.begun.under_way((entry.id,)):
            self._begin(entry, again, judged)

    def _begin(self, entry: Entry, again: bool, judged: Judged | None) -> None:
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
            item.read_often()  # for its parts, its digest, the scanner and the seal
            try:
                if turned_away(self._store, self._records, item.envelope):
                    self._spool.erase(entry.id)
                    return
                self._through(entry, item.envelope, item.source, judged)
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

    def view(self, tenant: str) -> TenantView:
        """Raises TryLater for a tenant that is not known here."""
        try:
            return self._tenants(tenant)
        except NotFound as error:
            raise TryLater("tenant unknown") from error

    def comes_back(self, view: TenantView, envelope: Envelope) -> bool:
        """Whether it came to return paths of ours, or from somebody who may write to nothing else: it goes nowhere."""
        if envelope.identity.kind == RETURNED:
            return True
        return self._returns is not None and self._returns.ours(view, envelope)

    def orders(self, view: TenantView, envelope: Envelope, message: Message, source: Source) -> Order | None:
        """What a mail orders that answers one of our notices; None for mail that goes its way."""
        return None if self._answers is None else self._answers.order(view, envelope, message, source)

    def _through(self, entry: Entry, envelope: Envelope, source: Source, judged: Judged | None) -> None:
        view = self.view(envelope.tenant)
        forced = UNPROCESSABLE if self._doubts.hopeless(entry) else None
        try:
            message, fingerprint = self._parsed(source, forced)
            if self.comes_back(view, envelope):
                if self._returns is not None:
                    self._returns.take(view, envelope, message, source)
                self._spool.erase(entry.id)
                return
            if forced is None and self._recalls(view, entry, envelope, message, source):
                return
            retry = self._rows.retry_key(envelope, message, source, fingerprint)
            with self._store.reading() as conn:
                earlier, _ = self._earlier(conn, envelope.tenant, retry, entry.id)
            if earlier is None:
                piece = self.making.piece(
                    view, envelope, source, message, retry, forced=forced, judged=None if forced else judged
                )
                self.commit(piece)
                self._done(entry, piece)
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
        order = self.orders(view, envelope, message, source)
        if order is None or self._answers is None:
            return False
        self._answers.obey(view, envelope, order)
        self._spool.erase(entry.id)
        return True

    def _done(self, entry: Entry, piece: Piece) -> None:
        if not any(job.direction == "in" for job in piece.jobs):
            reached(10)
            self._spool.erase(entry.id)

    def _parsed(self, source: Source, forced: Decision | None) -> tuple[Message, str | None]:
        """Its structure, and its fingerprint where all of it could be read."""
        try:
            with Fingerprint(source.size) as fingerprint:
                return self.parse(source, fingerprint.feed), fingerprint.finish()
        except Exception:
            if forced is None:
                raise
            return Scanner().close(), None  # nothing of it is known; the whole of it is held

    @staticmethod
    def parse(source: Source, passing: Callable[[bytes], None] = lambda chunk: None) -> Message:
        """Step 4, the byte ranges. `passing` sees the bytes too. Raises Tampered."""
        scanner = Scanner()
        for chunk in source.chunks(0, source.size):
            passing(chunk)
            scanner.feed(chunk)
        return scanner.close()

    def commit(self, piece: Piece, more: Callable[[Tx], None] = lambda tx: None) -> None:
        """Step 8: one transaction, then the jobs. Raises TryLater, Repeated.

        After TryLater it may have been written all the same; `process` finds that out when it tries again.
        """

        def work(tx: Tx) -> None:
            earlier = self.write(tx, piece)
            if earlier is not None:
                raise Repeated(earlier)
            more(tx)

        self._deliverer.reserve(piece.jobs)
        try:
            self._store.run(work)
            reached(8)
        except BaseException:
            self._deliverer.release(piece.jobs)
            raise
        self._deliverer.begin(piece.jobs)

    def write(self, tx: Tx, piece: Piece) -> str | None:
        """The rows of one message, unless it was taken before: then nothing, and the spool id of that time.

        On the word of a changed row a mail is never taken for a repetition; that there is one is an event.
        """
        # Asked again where only one at a time can ask: two of a sender's tries may be worked on side by side.
        row, earlier = piece.prepared.message, None
        if piece.spooled:
            earlier, changed = self._earlier(tx.conn, row["tenant"], row["retry_key"], row["queue"])
            if changed:
                alarm = Event(
                    Action.TAMPER_FOUND, row["tenant"], row["queue"], GATEWAY, outcome="refused", reason="row"
                )
                self._records.log.append(tx, alarm)
        if earlier is None:
            self._records.write(tx, piece.prepared)
        return earlier

    def _earlier(self, conn: Connection, tenant: str, retry: bytes, queue: str) -> tuple[str | None, bool]:
        """The spool id under which the same message was taken before; and whether a row that said so was changed."""
        return self._records.of_retry(conn, tenant, retry, self._clock.now_us() - RETRY_WINDOW_US, queue)

    def _duplicate(self, entry: Entry, envelope: Envelope) -> None:
        event = Event(
            action=Action.MESSAGE_DUPLICATE, tenant=envelope.tenant, object=entry.id, actor=Actor("sender", "")
        )
        self._store.run(lambda tx: self._records.log.append(tx, event))
        self._spool.erase(entry.id)
