"""Steps 9 and 10 of an outgoing message: deliver, record each recipient's outcome, erase from the spool.

Promises: an outcome is committed before the copy is erased; what the smarthost refuses for good is returned to the
sender with a DSN in the same transaction; what it defers is tried again with growing pauses until `give_up`; after a
crash an item is delivered again only if its outcome had not been committed (at least once, DESIGN §1.1).
Clauses: RFC 5321 4.5.4.1 (retries), RFC 3464 (DSN), RFC 3461 (NOTIFY).
"""

from __future__ import annotations

import queue
import random
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from gateway.actions.bounce import Failure, Returner
from gateway.audit.event import GATEWAY, Action, Event
from gateway.clock import Clock
from gateway.courier.port import Bounced, Courier, Deferred, Delivered, Outbound, Outcome
from gateway.courier.port import Recipient as Addressee
from gateway.errors import GatewayError, Tampered
from gateway.flow.jobs import Job, Target
from gateway.flow.records import Records
from gateway.logs import Log
from gateway.mail.source import Source
from gateway.spool.envelope import Envelope
from gateway.spool.item import Entry
from gateway.spool.reader import SpoolReader
from gateway.steps import reached
from gateway.store import schema
from gateway.store.database import Store, Tx

log = Log("gateway.delivery")
HEAD_BYTES = 65_536
_WORD = {Delivered: "ok", Deferred: "failed", Bounced: "refused"}
FINAL = ("delivered", "bounced", "returned", "dropped")


@dataclass(frozen=True, slots=True)
class Pauses:
    """When to try again, and when to give up."""

    first: timedelta
    most: timedelta
    give_up: timedelta

    def after(self, attempts: int) -> timedelta:
        """Pause after that many attempts: doubling, with jitter so that a recovered host is not stormed."""
        doubled: timedelta = self.first * float(2 ** min(attempts, 20))
        return min(doubled, self.most) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter


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
    ) -> None:
        self._store = store
        self._records = records
        self._spools = spools
        self._couriers = couriers
        self._returner = returner
        self._clock = clock
        self._pauses = pauses
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._busy: set[str] = set()
        self._finding = threading.Lock()
        self._top = top
        self._threads = [threading.Thread(target=self._serve, name=f"deliver-{n}", daemon=True) for n in range(threads)]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish what is under way and end."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(30)

    def submit(self, jobs: Iterable[Job]) -> None:
        """Queue jobs, leaving out deliveries that are under way already."""
        for job in jobs:
            with self._lock:
                targets = tuple(one for one in job.targets if one.delivery not in self._busy)
                self._busy.update(one.delivery for one in targets)
            if targets:
                self._jobs.put(replace(job, targets=targets))

    def due(self) -> list[Job]:
        """Jobs for every delivery of this node whose time has come; the database says which."""
        with self._store.reading() as conn:
            rows = [row for row in self._records.unsettled(conn, self._clock.now_us()) if row["id"] not in self._busy]
            messages = {row["message"]: self._records.message(conn, row["message"]) for row in rows}
        grouped: dict[tuple[str, str, str], list[Target]] = defaultdict(list)
        jobs: dict[tuple[str, str, str], Job] = {}
        for row in rows:
            message = messages[row["message"]]
            if message is None:
                continue
            key = (row["message"], "out" if row["copy"] else "in", row["copy"] or message["queue"])
            grouped[key].append(self._records.target(row))
            system = row["treatment"] == "notice"
            jobs[key] = Job(
                tenant=row["tenant"],
                message=row["message"],
                item=key[2],
                direction=key[1],
                mail_from="" if system else self._records.sender(message),
                mail_params=self._records.opened(row)[1],
                targets=(),
                accepted_us=message["received_at"],
            )
        return [replace(job, targets=tuple(grouped[key])) for key, job in jobs.items()]

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                self._deliver(job)
            except GatewayError as error:
                log.warning("delivery:later", message=job.message, error=type(error).__name__)
            except Exception:
                log.exception("delivery:failed", message=job.message)
            finally:
                with self._lock:
                    self._busy.difference_update(one.delivery for one in job.targets)

    def _deliver(self, job: Job) -> None:
        reader = self._spools[job.direction]
        entry = self._entry(reader, job.item)
        if entry is None:
            log.error("delivery:missing", message=job.message, queue=job.item)
            return
        try:
            with reader.open(entry) as item:
                source = item.source
                top = self._top(job.tenant, item.envelope) if job.direction == "in" else b""
                outbound = Outbound(
                    mail_from=job.mail_from,
                    mail_params=job.mail_params,
                    recipients=tuple(
                        Addressee(t.recipient.address, t.recipient.params, t.delivery) for t in job.targets
                    ),
                    size=len(top) + source.size,
                    chunks=lambda: _chunks(top, source),
                )
                head = source.read(0, min(source.size, HEAD_BYTES))
                outcomes = [one.outcome for one in self._couriers(job.tenant).deliver(outbound)]
        except Tampered:
            self._store.run(lambda tx: self._tampered(tx, job))
            raise
        reached(9)
        self._settle(job, outcomes, head)

    def _entry(self, reader: SpoolReader, item: str) -> Entry | None:
        """Its entry; a copy written a moment ago is found by looking again."""
        entry = reader.entry(item)
        if entry is None:
            with self._finding:
                for _ in reader.poll():
                    pass
            entry = reader.entry(item)
        return entry

    def _settle(self, job: Job, outcomes: Sequence[Outcome], head: bytes) -> None:
        settled: list[tuple[Target, Outcome]] = []
        failures: list[Failure] = []
        now = self._clock.now_us()
        old = now - job.accepted_us > self._pauses.give_up // timedelta(microseconds=1)
        for target, outcome in zip(job.targets, outcomes, strict=True):
            final = Bounced("4.4.7", "network") if isinstance(outcome, Deferred) and old else outcome
            settled.append((target, final))
            if isinstance(final, Bounced) and target.treatment != "notice":
                failures.append(Failure(target.recipient, final.status, final.code))
        written = None
        if failures:
            written = self._returner.write(
                tenant=job.tenant,
                message=job.message,
                mail_from=job.mail_from,
                mail_params=job.mail_params,
                arrived_us=job.accepted_us,
                node=self._records.node,
                failures=failures,
                head=head,
            )
        notice = (
            None
            if written is None
            else self._records.delivery(
                id=self._clock.new_id("dlv"),
                tenant=job.tenant,
                message=job.message,
                recipient=written.recipient,
                mail_params=(),
                treatment="notice",
                state="ready",
                copy=written.copy,
                now_us=now,
            )
        )

        def work(tx: Tx) -> None:
            for target, outcome in settled:
                self._outcome(tx, job, target, outcome)
            if notice is not None:
                self._records.rows.insert(tx, schema.deliveries, **notice)
                event = Event(Action.NOTICE_SENT, job.tenant, notice["id"], GATEWAY, request=job.message, reason="dsn")
                self._records.log.append(tx, event)

        self._store.run(work)
        if written is not None and notice is not None:
            target = Target(notice["id"], written.recipient, "notice", 0)
            self.submit(
                [replace(job, item=written.copy, direction="out", mail_from="", mail_params=(), targets=(target,))]
            )
        if all(not isinstance(outcome, Deferred) for _, outcome in settled):
            self._erase(job)

    def _erase(self, job: Job) -> None:
        """Step 10. An original is shared by all its as-is deliveries; the last one settled erases it."""
        if job.direction == "in":
            with self._store.reading() as conn:
                rows = self._records.deliveries(conn, job.message)
            if any(row["copy"] is None and row["state"] in ("ready", "deferred") for row in rows):
                return
        reached(10)
        self._spools[job.direction].erase(job.item)

    def _outcome(self, tx: Tx, job: Job, target: Target, outcome: Outcome) -> None:
        now = self._clock.now_us()
        attempts = target.attempts + 1
        settled_at: int | None = now
        match outcome:
            case Delivered(status=status):
                action, state, next_at = Action.MESSAGE_DELIVERED, "delivered", now
            case Bounced(status=status):
                action, state, next_at = Action.MESSAGE_BOUNCED, "bounced", now
            case Deferred(status=status):
                pause = self._pauses.after(target.attempts) // timedelta(microseconds=1)
                action, state, next_at, settled_at = Action.MESSAGE_DEFERRED, "deferred", now + pause, None
        row = self._records.rows.get(tx.conn, schema.deliveries, target.delivery)
        if row is None or row["state"] in FINAL:  # recalled or dropped meanwhile: the outcome is an event, not a state
            state = row["state"] if row is not None else state
        else:
            self._records.rows.update(
                tx,
                schema.deliveries,
                target.delivery,
                state=state,
                status=status,
                attempts=attempts,
                next_at=next_at,
                settled_at=settled_at,
            )
        evidence = outcome.evidence if isinstance(outcome, Delivered) else None
        proof = f"{evidence.tls_version or 'no TLS'}" if evidence is not None else ""
        self._records.log.append(
            tx,
            Event(
                action=action,
                tenant=job.tenant,
                object=target.delivery,
                actor=GATEWAY,
                request=job.message,
                outcome=_WORD[type(outcome)],
                reason=" ".join(word for word in (status, proof) if word),
            ),
        )

    def _tampered(self, tx: Tx, job: Job) -> None:
        for target in job.targets:
            self._records.rows.update(
                tx,
                schema.deliveries,
                target.delivery,
                state="deferred",
                attempts=target.attempts + 1,
                next_at=self._clock.now_us() + self._pauses.most // timedelta(microseconds=1),
                status="4.3.0",
            )
        event = Event(action=Action.TAMPER_FOUND, tenant=job.tenant, object=job.item, actor=GATEWAY, outcome="refused")
        self._records.log.append(tx, event)


def _chunks(top: bytes, source: Source) -> Iterator[bytes]:
    if top:
        yield top
    yield from source.chunks(0, source.size)
