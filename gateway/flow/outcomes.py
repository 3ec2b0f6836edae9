"""What became of an attempt to deliver, made lasting: the end of step 9 of an outgoing message.

Promises: an outcome is kept until it is committed, however long the database takes, so that trouble of ours never makes
a second delivery; it is committed once, even where a commit was reported as failed and was not; what is refused for
good is returned to the sender with a DSN in the same transaction; what waits long is told to the sender once for each
delivery, where NOTIFY allows it; a changed row spoils no other recipient's outcome.
Clauses: RFC 5321 4.5.4.1 (retries), RFC 3464 (DSN), RFC 3461 4.1 (NOTIFY).
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

from gateway.actions.bounce import Failure, Returner, Written, wants
from gateway.audit.event import GATEWAY, Action, Event
from gateway.clock import Clock
from gateway.courier.port import Bounced, Deferred, Delivered, Outcome
from gateway.errors import GatewayError, Tampered, TryLater
from gateway.flow.jobs import Job, Target
from gateway.flow.records import Records
from gateway.logs import Log
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Row

log = Log("gateway.delivery")
FINAL = ("delivered", "bounced", "returned", "dropped")
AGAIN_SECONDS = 0.5
_WORD = {Delivered: "ok", Deferred: "failed", Bounced: "refused"}


@dataclass(frozen=True, slots=True)
class Pauses:
    """When to try again, when to tell the sender that it waits (None: never), and when to give up."""

    first: timedelta
    most: timedelta
    give_up: timedelta
    tell: timedelta | None = timedelta(hours=4)

    def after(self, attempts: int, jitter: float) -> timedelta:
        """Pause after that many attempts: doubling, times `jitter`, so that a recovered host is not stormed."""
        doubled: timedelta = self.first * float(2 ** min(attempts, 20))
        return min(doubled, self.most) * jitter

    @staticmethod
    def jitter() -> float:
        """For all recipients of one attempt the same: who waits together is tried together, in one transaction."""
        return random.uniform(0.75, 1.25)  # noqa: S311 - no secret


@dataclass(frozen=True, slots=True)
class Settled:
    """What was committed: whether nobody waits for the item any more, and the job of the DSN that it made."""

    done: bool
    notice: Job | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one job: an outcome for each target, the beginning of what was sent, what was found changed."""

    job: Job
    outcomes: Sequence[Outcome]
    head: bytes = field(repr=False)
    alarm: str = ""

    @property
    def delivered(self) -> bool:
        """Whether everybody has it: nobody is told, and nothing is tried again."""
        return not self.alarm and all(isinstance(one, Delivered) for one in self.outcomes)


@dataclass(frozen=True, slots=True)
class _Told:
    """A DSN that is durable, and its row. `delayed` are the deliveries of which it says that they wait."""

    written: Written
    row: dict[str, Any]
    delayed: tuple[str, ...] = ()


class Outcomes:
    """Commits outcomes. Thread-safe. `stopping` ends the waiting for a database that does not answer."""

    def __init__(
        self,
        store: Store,
        records: Records,
        returner: Returner,
        clock: Clock,
        pauses: Pauses,
        stopping: threading.Event,
        believed: Callable[[], bool] = lambda: True,
    ) -> None:
        """`believed`: whether the clock may be believed that a mail is too old to be tried any longer."""
        self._believed = believed
        self._store = store
        self._records = records
        self._returner = returner
        self._clock = clock
        self._pauses = pauses
        self._stopping = stopping

    def settle(self, job: Job, outcomes: Sequence[Outcome], head: bytes, alarm: str = "") -> Settled:
        """Commit one outcome for each target of the job. `head` is the beginning of what was sent, for the DSN.

        `alarm` says in machine words what was found changed. Raises TryLater only when the process is stopping: then
        the outcome is lost, and the delivery is made again after the restart.
        """
        settled = self._final(job, outcomes)
        told: _Told | None = None
        waits = False
        while True:
            try:
                if told is None:
                    told, settled = self._tell(job, settled, head)
                self._store.run(partial(self._write, job=job, settled=settled, told=told, alarm=alarm))
                break
            except TryLater:
                if not waits:  # said once, however long it is
                    log.warning("delivery:outcome-waits", message=job.message)
                waits = True
                if self._stopping.wait(AGAIN_SECONDS):
                    raise
        done = all(not isinstance(outcome, Deferred) for _, outcome in settled)
        return Settled(done, None if told is None else self._job(job, told))

    def settle_delivered(self, attempts: Sequence[Attempt]) -> bool:
        """Commit attempts by which everybody was reached, all in one transaction. False, with nothing written, when
        that cannot be done together: each is to be settled by itself then. Raises TryLater as `settle` does.
        """

        def write(tx: Tx) -> None:
            for one in attempts:
                self._write(tx, one.job, list(zip(one.job.targets, one.outcomes, strict=True)), None, "")

        waits = False
        while True:
            try:
                self._store.run(write)
                return True
            except TryLater:
                if not waits:
                    log.warning("delivery:outcome-waits", message=attempts[0].job.message, count=len(attempts))
                waits = True
                if self._stopping.wait(AGAIN_SECONDS):
                    raise
            except Exception:
                log.exception("delivery:together-failed", message=attempts[0].job.message, count=len(attempts))
                return False

    def _final(self, job: Job, outcomes: Sequence[Outcome]) -> list[tuple[Target, Outcome]]:
        old = self._clock.now_us() - job.since_us > self._pauses.give_up // timedelta(microseconds=1)
        old = old and self._believed()
        return [
            (target, Bounced("4.4.7", "network") if isinstance(outcome, Deferred) and old else outcome)
            for target, outcome in zip(job.targets, outcomes, strict=True)
        ]

    def _tell(
        self, job: Job, settled: list[tuple[Target, Outcome]], head: bytes
    ) -> tuple[_Told | None, list[tuple[Target, Outcome]]]:
        """The DSN for what bounced. A bounce of which the sender cannot be told is no bounce yet: it is tried again."""
        failures = [
            Failure(target.recipient, outcome.status, outcome.code)
            for target, outcome in settled
            if isinstance(outcome, Bounced) and target.treatment != "notice"
        ]
        if not failures:
            return self._delay(job, settled, head), settled
        for start in (head, b""):  # a head that cannot be quoted is left out
            try:
                written = self._returner.write(
                    tenant=job.tenant,
                    message=job.message,
                    mail_from=job.mail_from,
                    mail_params=job.mail_params,
                    arrived_us=job.accepted_us,
                    node=self._records.node,
                    failures=failures,
                    head=start,
                )
            except GatewayError:
                raise
            except Exception:
                log.exception("delivery:dsn-failed", message=job.message)
                continue
            return (None if written is None else self._told(job, written)), settled
        return None, [
            (target, Deferred("4.3.0", "dsn") if isinstance(outcome, Bounced) else outcome)
            for target, outcome in settled
        ]

    def _delay(self, job: Job, settled: Sequence[tuple[Target, Outcome]], head: bytes) -> _Told | None:
        """The DSN for what waits so long that the sender should know, once for each delivery; None when there is none.

        A notice that cannot be made is left out: the mail itself goes on waiting.
        """
        tell = self._pauses.tell
        if tell is None or not job.mail_from or self._clock.now_us() - job.since_us < tell // timedelta(microseconds=1):
            return None
        waiting = [
            (target, Failure(target.recipient, outcome.status, outcome.code))
            for target, outcome in settled
            if isinstance(outcome, Deferred) and target.treatment != "notice" and wants(target.recipient, delayed=True)
        ]
        try:
            with self._store.reading() as conn:
                rows = self._records.rows
                fresh = [one for one in waiting if rows.get(conn, schema.tellings, _delay_id(one[0].delivery)) is None]
            if not fresh:
                return None
            written = self._returner.write(
                tenant=job.tenant, message=job.message, mail_from=job.mail_from, mail_params=job.mail_params,
                arrived_us=job.accepted_us, node=self._records.node, failures=[failure for _, failure in fresh],
                head=head, retry_until_us=job.since_us + self._pauses.give_up // timedelta(microseconds=1),
            )  # fmt: skip
        except Exception as error:
            log.warning("delivery:delay-untold", message=job.message, error=type(error).__name__)
            return None
        if written is None:
            return None
        return replace(self._told(job, written), delayed=tuple(target.delivery for target, _ in fresh))

    def _told(self, job: Job, written: Written) -> _Told:
        row = self._records.delivery(
            id=self._clock.new_id("dlv"),
            tenant=job.tenant,
            message=job.message,
            recipient=written.recipient,
            mail_params=(),
            treatment="notice",
            state="ready",
            copy=written.copy,
            now_us=self._clock.now_us(),
        )
        return _Told(written, row)

    def _job(self, job: Job, told: _Told) -> Job:
        target = Target(told.row["id"], told.written.recipient, "notice", 0)
        # What lay opened for the first try is the mail itself, which no report may carry: the notice has its own copy.
        return replace(
            job,
            fresh=False,
            original=None,
            item=told.written.copy,
            direction="out",
            mail_from="",
            mail_params=(),
            targets=(target,),
            since_us=told.row["created_at"],
        )

    def _write(
        self, tx: Tx, job: Job, settled: Sequence[tuple[Target, Outcome]], told: _Told | None, alarm: str
    ) -> None:
        jitter = self._pauses.jitter()
        fresh = [self._outcome(tx, job, target, outcome, jitter) for target, outcome in settled]
        if not any(fresh):
            return  # a commit that was reported as failed and was not
        if told is not None:
            self._records.rows.insert(tx, schema.deliveries, **told.row)
            self._event(tx, job, Action.NOTICE_SENT, told.row["id"], "ok", "dsn-delayed" if told.delayed else "dsn")
            now = self._clock.now_us()
            for delivery in told.delayed:
                self._records.rows.insert(
                    tx, schema.tellings, id=_delay_id(delivery), tenant=job.tenant, kind="delay", about=delivery,
                    state="done", created_at=now, done_at=now,
                )  # fmt: skip
        if alarm:
            self._event(tx, job, Action.TAMPER_FOUND, job.item, "refused", alarm)

    def _outcome(self, tx: Tx, job: Job, target: Target, outcome: Outcome, jitter: float) -> bool:
        """Row and event of one recipient; False when they were written before. `attempts` tells: it only grows here."""
        now = self._clock.now_us()
        settled_at: int | None = now
        match outcome:
            case Delivered(status=status):
                action, state, next_at = Action.MESSAGE_DELIVERED, "delivered", now
            case Bounced(status=status):
                action, state, next_at = Action.MESSAGE_BOUNCED, "bounced", now
            case Deferred(status=status):
                pause = self._pauses.after(target.attempts, jitter) // timedelta(microseconds=1)
                action, state, next_at, settled_at = Action.MESSAGE_DEFERRED, "deferred", now + pause, None
        seen = [target.attempts]

        def decide(row: Row) -> dict[str, Any] | None:
            seen[0] = row["attempts"]
            if row["attempts"] != target.attempts:
                return None
            changed: dict[str, Any] = {"attempts": target.attempts + 1}
            if row["state"] not in FINAL:  # dropped meanwhile: then the outcome is an event and no state
                changed |= {"state": state, "status": status, "next_at": next_at, "settled_at": settled_at}
                changed |= _met(outcome, now)
            return changed

        try:
            self._records.rows.change(tx, schema.deliveries, target.delivery, decide)
        except Tampered:
            self._event(tx, job, Action.TAMPER_FOUND, target.delivery, "refused", "row")
        if seen[0] != target.attempts:
            return False
        evidence = outcome.evidence if isinstance(outcome, Delivered) else None
        proof = f"{evidence.tls_version or 'no TLS'}" if evidence is not None else ""
        reason = " ".join(word for word in (status, proof) if word)
        self._event(tx, job, action, target.delivery, _WORD[type(outcome)], reason)
        return True

    def _event(self, tx: Tx, job: Job, action: Action, what: str, outcome: str, reason: str) -> None:
        event = Event(action, job.tenant, what, GATEWAY, outcome=outcome, reason=reason, request=job.message)
        self._records.log.append(tx, event)


def _met(outcome: Outcome, now_us: int) -> dict[str, Any]:
    """What a technician is shown of a failed attempt: codes and a machine word, never what the next hop wrote."""
    if isinstance(outcome, Delivered):
        return {}
    why = outcome.reason if isinstance(outcome, Deferred) else outcome.text_class
    return {"code": outcome.code or None, "why": why, "tried_at": now_us}


def _delay_id(delivery: str) -> str:
    """Of the note that the sender was told that this delivery waits."""
    return f"delay:{delivery}"
