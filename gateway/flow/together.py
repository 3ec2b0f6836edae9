"""Steps 3 to 8 for ordinary mail that waits together: opened, read, judged and committed as one batch.

A transaction, a snapshot and a change of threads for each message cost more than the message itself (DESIGN §2). So
what needs nothing but processor time goes through together: small mail of text that every recipient gets as it is.
Promises: until its transaction nothing of a batch has an effect; whatever is not ordinary (sealed, held, returned, an
order, for a scanner or a parser's child, damaged, failed before) is given back to be taken through alone, so that it
holds only itself; a batch that cannot be committed is taken apart the same way. Nobody waits for a batch to fill.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from gateway.actions.tenants import TenantView
from gateway.errors import TryLater
from gateway.flow.delivery import Deliverer
from gateway.flow.doubts import Doubts
from gateway.flow.facts import tags
from gateway.flow.judging import Judged, judge
from gateway.flow.looking import Looked, Looker
from gateway.flow.message_rows import MessageRows
from gateway.flow.treat import Piece
from gateway.logs import Log
from gateway.mail.model import Message
from gateway.spool.envelope import REFUSED
from gateway.spool.item import Entry
from gateway.spool.opening import OpenItem
from gateway.spool.reader import SpoolReader
from gateway.steps import reached
from gateway.store.database import Store, Tx

if TYPE_CHECKING:
    from gateway.flow.outbound import Outbound

log = Log("gateway.outbound")


@dataclass(frozen=True, slots=True)
class Alone:
    """An item to be taken through by itself: whether it may have been committed, and what was decided about it."""

    entry: Entry
    again: bool = False
    judged: Judged | None = field(default=None, repr=False)


@dataclass(slots=True)
class _Work:
    """One message of the batch; its parts come with the steps."""

    entry: Entry
    item: OpenItem = field(init=False)
    view: TenantView = field(init=False)
    message: Message = field(init=False, repr=False)
    looked: Looked = field(init=False)
    judged: Judged | None = None
    piece: Piece = field(init=False)


class Together:
    """Takes batches through. Thread-safe."""

    def __init__(
        self,
        outbound: Outbound,
        store: Store,
        spool: SpoolReader,
        doubts: Doubts,
        looker: Looker,
        rows: MessageRows,
        deliverer: Deliverer,
    ) -> None:
        self._outbound = outbound
        self._store = store
        self._spool = spool
        self._doubts = doubts
        self._looker = looker
        self._rows = rows
        self._deliverer = deliverer

    def process(self, entries: Sequence[Entry], give: Callable[[list[Alone]], None]) -> None:
        """See `Outbound.process_all`."""
        if not self._store.health:
            raise TryLater("nothing could be committed")
        left: list[_Work] = []
        works = [_Work(entry) for entry in entries]
        reached(3, len(works))
        works = self._each(works, self._open, left)
        reached(4, len(works))
        works = self._each(works, self._look, left)
        reached(5, len(works))
        works = self._each(works, self._judge, left)
        reached(6, len(works))
        works = self._each(works, _untouched, left)
        if works:
            with self._store.reading() as conn:
                made = self._maker(conn)
                works = self._each(works, made, left)
        give([Alone(work.entry, judged=work.judged) for work in left])  # the database is waited for: not by these
        if works:
            reached(7, len(works))
            give(self._commit(works))

    @staticmethod
    def _each(works: Sequence[_Work], deed: Callable[[_Work], bool], left: list[_Work]) -> list[_Work]:
        """Those for which it went well. What went wrong is found again, told and counted where it is alone."""
        kept: list[_Work] = []
        for work in works:
            try:
                fine = deed(work)
            except Exception:
                fine = False
            (kept if fine else left).append(work)
        return kept

    def _open(self, work: _Work) -> bool:
        if work.entry.large or self._doubts.hopeless(work.entry):
            return False
        work.item = self._spool.open(work.entry)
        if not work.item.in_memory or work.item.envelope.identity.kind == REFUSED:
            work.item.close()
            return False
        envelope, source = work.item.envelope, work.item.source
        work.view = self._outbound.view(envelope.tenant)
        if self._outbound.comes_back(work.view, envelope):
            return False
        work.message = self._outbound.parse(source)
        return self._outbound.orders(work.view, envelope, work.message, source) is None

    def _look(self, work: _Work) -> bool:
        looked = self._looker.glance(work.message, work.item.source)
        if looked is None:
            return False
        work.looked = looked
        return True

    def _judge(self, work: _Work) -> bool:
        if "plain" in tags(work.message):
            return False  # who may say so is looked up, and told when not: alone
        work.judged = judge(work.view, work.item.envelope, work.item.source, work.message, work.looked)
        return True

    def _maker(self, conn: Connection) -> Callable[[_Work], bool]:
        """Step 7 for one after the other; a sender is looked up once for all of them."""
        users: dict[tuple[str, str], str | None] = {}

        def made(work: _Work) -> bool:
            envelope, source, judged = work.item.envelope, work.item.source, work.judged
            if judged is None:
                return False
            key = (envelope.identity.user or envelope.tenant, envelope.mail_from)
            if key not in users:
                users[key] = self._rows.user(conn, envelope)
            retry = self._rows.retry_key(envelope, work.message, source)
            work.piece = self._outbound.making.made(
                work.view, envelope, source, work.message, retry, judged, users[key]
            )
            work.piece.jobs = [replace(job, original=work.item) for job in work.piece.jobs]
            return True

        return made

    def _commit(self, works: Sequence[_Work]) -> list[Alone]:
        """Step 8 for all of them; those that were taken before, or all if it is not known, are taken through alone."""
        jobs = [job for work in works for job in work.piece.jobs]

        def write(tx: Tx) -> list[bool]:
            return [self._outbound.write(tx, work.piece) is None for work in works]

        self._deliverer.reserve(jobs)
        try:
            fresh = self._store.run(write)
            reached(8, len(works))
        except BaseException as error:
            self._deliverer.release(jobs)
            if isinstance(error, TryLater) or not isinstance(error, Exception):
                raise
            log.exception("outbound:batch-failed", count=len(works))
            return [Alone(work.entry, again=True, judged=work.judged) for work in works]
        repeated = [work for work, new in zip(works, fresh, strict=True) if not new]
        self._deliverer.release(job for work in repeated for job in work.piece.jobs)
        self._deliverer.begin(job for work, new in zip(works, fresh, strict=True) if new for job in work.piece.jobs)
        return [Alone(work.entry, again=True, judged=work.judged) for work in repeated]


def _untouched(work: _Work) -> bool:
    return work.judged is not None and work.judged.untouched
