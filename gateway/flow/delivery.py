"""Steps 9 and 10 of an outgoing message: deliver, record each recipient's outcome, erase from the spool.

Promises: an outcome is committed before the copy is erased; a delivery is attempted by one thread at a time and only
while its row still waits, so nothing is delivered twice without a crash or a broken line; while the database takes no
outcome nothing is sent; after a crash an item is delivered again only if its outcome had not been committed (at least
once, DESIGN §1.1); one changed row or item delays no other; outcomes of what one thread delivers within a moment are
committed together, and nobody waits for that. Clauses: RFC 5321 4.5.4.1 (retries).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

from gateway.actions.bounce import Returner
from gateway.audit.event import GATEWAY, SYSTEM, Action, Event
from gateway.clock import Clock
from gateway.courier.port import Bounced, Courier, Deferred, Outbound, Outcome, RecipientOutcome
from gateway.courier.port import Recipient as Addressee
from gateway.errors import GatewayError, Tampered
from gateway.flow import due
from gateway.flow.jobs import Job, Target
from gateway.flow.outcomes import Attempt, Outcomes, Pauses, Settled
from gateway.flow.records import WAITING, Records
from gateway.flow.rounds import Rounds
from gateway.logs import Log
from gateway.mail.source import Source
from gateway.spool.envelope import Envelope
from gateway.spool.item import Entry
from gateway.spool.reader import SpoolReader
from gateway.steps import reached
from gateway.store import schema
from gateway.store.database import Store, Tx

__all__ = ["Deliverer", "Pauses"]
log = Log("gateway.delivery")
HEAD_BYTES = 65_536
KEPT_BYTES = 16 << 20
"""Originals that wait opened for their delivery; beyond that they are read from the spool again."""


class Deliverer:
    """Threads that take jobs and settle them."""

    def __init__(
        self,
        store: Store,
        records: Records,
        spools: dict[str, SpoolReader],
        couriers: Callable[[str], Courier],
        returner: Returner,
        clock: Clock,
        pauses: Pauses,
        threads: int,
        top: Callable[[str, Envelope], bytes],
        return_path: Callable[[str, str], str] = lambda tenant, delivery: "",
        believed: Callable[[], bool] = lambda: True,
    ) -> None:
        """`return_path` gives the address to which bounces of a notice go; empty: to the sender of the mail.

        `believed`: whether the clock may be believed that a mail is too old.
        """
        self._store = store
        self._records = records
        self._spools = spools
        self._couriers = couriers
        self._clock = clock
        self._longest_us = 2 * (pauses.most // timedelta(microseconds=1))
        self._kept_bytes = 0
        self._lock = threading.Lock()
        self._busy: set[str] = set()
        self._alarmed: set[str] = set()
        self._top = top
        self._return_path = return_path
        self._stopping = threading.Event()
        self._outcomes = Outcomes(store, records, returner, clock, pauses, self._stopping, believed)
        self._rounds = Rounds(self._deliver, self._settle, self._ended, threads)
        self.run_waiting = self._rounds.run_waiting

    def start(self) -> None:
        """Start the threads."""
        self._rounds.start()

    def stop(self) -> None:
        """Finish what is under way and end; what is queued stays in the spool."""
        self._stopping.set()
        self._rounds.stop()

    def alive(self) -> bool:
        """Whether every thread still serves."""
        return self._rounds.alive()

    def reserve(self, jobs: Iterable[Job]) -> None:
        """Before the transaction that writes their rows: nobody who finds the rows makes a second job of them."""
        with self._lock:
            self._busy.update(one.delivery for job in jobs for one in job.targets)

    def release(self, jobs: Iterable[Job]) -> None:
        """Their transaction failed, or was said to have."""
        with self._lock:
            self._busy.difference_update(one.delivery for job in jobs for one in job.targets)

    def begin(self, jobs: Iterable[Job]) -> None:
        """Queue jobs that were reserved, now that their rows are committed."""
        fresh = []
        with self._lock:
            for job in jobs:
                size = 0 if job.original is None else job.original.source.size
                kept = job.original if self._kept_bytes + size <= KEPT_BYTES else None
                self._kept_bytes += size if kept is not None else 0
                fresh.append(replace(job, fresh=True, original=kept))
        self._rounds.put(fresh)

    def submit(self, jobs: Iterable[Job]) -> None:
        """Queue jobs, leaving out deliveries that are queued or under way already."""
        for job in jobs:
            with self._lock:
                targets = tuple(one for one in job.targets if one.delivery not in self._busy)
                self._busy.update(one.delivery for one in targets)
            if targets:
                self._rounds.put([replace(job, targets=targets)])

    def due(self) -> list[Job]:
        """Jobs for every delivery of this node whose time has come; the database says which. Asked once a second."""
        self._rounds.look()
        if not self._store.health:
            return []
        now = self._clock.now_us()
        with self._store.reading() as conn:
            rows, changed = self._records.unsettled(conn, now, now + self._longest_us)
            rows = [row for row in rows if row["id"] not in self._busy]
            jobs, more = due.jobs(self._records, conn, rows)
        self._alarm([*changed, *more])
        return jobs

    def busy(self) -> frozenset[str]:
        """The deliveries that are queued or under way at this moment."""
        with self._lock:
            return frozenset(self._busy)

    def give_back(self, message: str) -> int:
        """Return what of this message waits at this node to its sender, as if its time were over; how many recipients.

        What is under way at this moment is left alone. Raises TryLater, Tampered.
        """
        with self._store.reading() as conn:
            rows = self._records.deliveries(conn, message)
            mine = [one for one in rows if one["state"] in WAITING and one["node"] == self._records.node]
            jobs, changed = due.jobs(self._records, conn, mine)
        self._alarm(changed)
        count = 0
        for job in jobs:
            with self._lock:
                if any(one.delivery in self._busy for one in job.targets):
                    continue
                self._busy.update(one.delivery for one in job.targets)
            try:
                waiting, _ = self._waiting(job)
                if waiting:
                    mine_now = replace(job, targets=waiting)
                    given = [Bounced("5.4.7", "returned") for _ in waiting]
                    self._done([(mine_now, self._outcomes.settle(mine_now, given, self._head(mine_now)))])
                    count += len(waiting)
            finally:
                self._ended([job])
        return count

    def _head(self, job: Job) -> bytes:
        """The beginning of what waits, for the report; empty when it cannot be opened."""
        reader = self._spools[job.direction]
        entry = self._entry(reader, job.item)
        try:
            if entry is not None:
                with reader.open(entry) as item:
                    return item.source.read(0, min(item.source.size, HEAD_BYTES))
        except (Tampered, OSError):
            log.error("delivery:tampered", message=job.message, queue=job.item)
        return b""

    def sweep(self, before_us: int) -> int:
        """Erase copies that were written before that time (microseconds) and that no delivery waits for; how many.

        They are left by a crash between a copy and its transaction, or between an outcome and step 10.
        """
        reader = self._spools["out"]
        reader.look()
        entries = reader.waiting()
        with self._store.reading() as conn:
            wanted = self._records.copies(conn)
        count = 0
        for entry in entries:
            if entry.id in wanted:
                continue
            try:
                with reader.open(entry) as item:
                    written_us = item.envelope.arrived_us
            except Tampered:
                self._alarm([entry.id])
                continue
            if written_us < before_us:
                reader.erase(entry.id)
                count += 1
        return count

    # some jobs

    def _ended(self, jobs: Sequence[Job]) -> None:
        with self._lock:
            for job in jobs:
                self._busy.difference_update(one.delivery for one in job.targets)
                self._kept_bytes -= 0 if job.original is None else job.original.source.size

    def _deliver(self, job: Job) -> Attempt | None:
        if not self._store.health:
            return None  # its outcome could not be written, and then it would have to be delivered again
        # A fresh original cannot be taken back, for it has no link; a fresh copy can.
        waiting, recalled = (job.targets, ()) if job.fresh and job.direction == "in" else self._waiting(job)
        if recalled:
            self._drop(job, recalled)
        if not waiting:
            if recalled:
                self._erase([replace(job, targets=())])
            return None
        job = job if waiting == job.targets else replace(job, targets=waiting)
        return Attempt(job, *self._attempt(job))

    def _settle(self, tried: Sequence[Attempt]) -> None:
        """End of step 9: together where nobody has to be told, and each by itself where that fails."""
        reached(9, len(tried))
        plain = [one for one in tried if one.delivered]
        settled: list[tuple[Job, Settled]] = []
        if len(plain) > 1 and self._outcomes.settle_delivered(plain):
            settled = [(one.job, Settled(True)) for one in plain]
        else:
            plain = []
        self._done(settled)
        for one in tried:
            if one not in plain:
                self._settle_one(one)

    def _settle_one(self, one: Attempt) -> None:
        """What goes wrong with one job keeps no other of its round from being settled."""
        try:
            settled = self._outcomes.settle(one.job, one.outcomes, one.head, one.alarm)
        except GatewayError as error:
            log.warning("delivery:later", message=one.job.message, error=type(error).__name__)
        except Exception:
            log.exception("delivery:failed", message=one.job.message)
        else:
            self._done([(one.job, settled)])

    def _done(self, settled: Sequence[tuple[Job, Settled]]) -> None:
        self.submit([one.notice for _, one in settled if one.notice is not None])
        try:
            self._erase([job for job, one in settled if one.done])
        except (GatewayError, OSError) as error:  # it is known to be settled: the next start erases it
            log.warning("delivery:erased-later", count=len(settled), error=type(error).__name__)

    def _waiting(self, job: Job) -> tuple[tuple[Target, ...], tuple[Target, ...]]:
        """The targets that nobody settled or tried since the job was made; and, apart, those of them whose link was
        taken back before it was delivered: it would open nothing any more. Asked while they are marked as busy.
        """
        waiting: list[Target] = []
        recalled: list[Target] = []
        with self._store.reading() as conn:
            for target in job.targets:
                try:
                    row = self._records.rows.get(conn, schema.deliveries, target.delivery)
                    if row is None or row["state"] not in WAITING or row["attempts"] != target.attempts:
                        continue
                    grant = self._records.rows.get(conn, schema.grants, row["grant"]) if row["grant"] else None
                except Tampered:
                    self._alarm([target.delivery])
                    continue
                taken_back = grant is not None and grant["revoked_at"] is not None
                (recalled if taken_back else waiting).append(target)
        return tuple(waiting), tuple(recalled)

    def _drop(self, job: Job, targets: Iterable[Target]) -> None:
        """Settle them in one transaction. Raises TryLater; the copy is erased after it."""

        def work(tx: Tx) -> None:
            for target in targets:
                row = self._records.rows.get(tx.conn, schema.deliveries, target.delivery)
                if row is None or row["state"] not in WAITING or row["attempts"] != target.attempts:
                    continue  # a commit that was reported as failed and was not
                self._records.rows.update(
                    tx, schema.deliveries, target.delivery, state="dropped", settled_at=self._clock.now_us()
                )
                event = Event(
                    Action.MESSAGE_DROPPED, job.tenant, target.delivery, GATEWAY, reason="recalled", request=job.message
                )
                self._records.log.append(tx, event)

        self._store.run(work)

    def _attempt(self, job: Job) -> tuple[list[Outcome], bytes, str]:
        """Outcomes by target, the beginning of what was sent, and what was found changed. Raises TryLater, OSError
        when the item cannot be opened now.
        """
        reader = self._spools[job.direction]
        entry = self._entry(reader, job.item)
        if entry is None:
            log.error("delivery:missing", message=job.message, queue=job.item)
            return self._nobody(job), b"", "item missing"
        try:
            opened = job.original if job.original is not None and job.original.entry.id == job.item else None
            with opened or reader.open(entry) as item:
                source = item.source
                top = self._top(job.tenant, item.envelope) if job.direction == "in" else b""
                outbound = Outbound(
                    mail_from=self._reverse(job),
                    mail_params=job.mail_params,
                    recipients=tuple(
                        Addressee(t.recipient.address, t.recipient.params, t.delivery) for t in job.targets
                    ),
                    size=len(top) + source.size,
                    chunks=lambda: _chunks(top, source),
                )
                head = source.read(0, min(source.size, HEAD_BYTES))
                return [one.outcome for one in self._handed(job, outbound)], head, ""
        except Tampered:
            log.error("delivery:tampered", message=job.message, queue=job.item)
            return self._nobody(job), b"", "spool item"

    def _reverse(self, job: Job) -> str:
        """Where bounces go: of a notice in a message's place, back to us; the sender hears of it from here."""
        if not job.mail_from or len(job.targets) != 1 or job.targets[0].treatment != "secure":
            return job.mail_from
        return self._return_path(job.tenant, job.targets[0].delivery) or job.mail_from

    def _handed(self, job: Job, outbound: Outbound) -> list[RecipientOutcome]:
        """The courier's outcomes. A fault of its own is an attempt that failed: it is not repeated at once."""
        try:
            return self._couriers(job.tenant).deliver(outbound)
        except (GatewayError, OSError):
            raise
        except Exception:
            log.exception("delivery:courier-failed", message=job.message)
            return [RecipientOutcome(one, Deferred("4.3.0", "fault", unknown=True)) for one in outbound.recipients]

    @staticmethod
    def _nobody(job: Job) -> list[Outcome]:
        return [Deferred("4.3.0", "spool") for _ in job.targets]

    @staticmethod
    def _entry(reader: SpoolReader, item: str) -> Entry | None:
        """Its entry; a copy written a moment ago is found by looking again."""
        entry = reader.entry(item)
        if entry is None:
            reader.look()
            entry = reader.entry(item)
        return entry

    def _erase(self, jobs: Sequence[Job]) -> None:
        """Step 10. An original is shared by all its as-is deliveries; the last one settled erases it."""
        done = [job for job in jobs if job.direction == "out" or job.fresh or self._last(job)]
        reached(10, len(done))
        for direction in dict.fromkeys(job.direction for job in done):
            self._spools[direction].erase(*(job.item for job in done if job.direction == direction))

    def _last(self, job: Job) -> bool:
        """Whether no other delivery waits for the same original."""
        with self._store.reading() as conn:
            rows = self._records.deliveries(conn, job.message)
        return not any(row["copy"] is None and row["state"] in WAITING for row in rows)

    def _alarm(self, changed: Iterable[str]) -> None:
        """One event for each row or item found changed, once in this process's life."""
        fresh = [one for one in changed if one not in self._alarmed]
        if not fresh:
            return
        self._alarmed.update(fresh)
        events = [Event(Action.TAMPER_FOUND, SYSTEM, one, GATEWAY, outcome="refused", reason="row") for one in fresh]

        def work(tx: Tx) -> None:
            for event in events:
                self._records.log.append(tx, event)

        self._store.submit(work)


def _chunks(top: bytes, source: Source) -> Iterator[bytes]:
    if top:
        yield top
    yield from source.chunks(0, source.size)
