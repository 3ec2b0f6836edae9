"""One mail a working day to each sender, and only when there is something to say (DESIGN §3b).

Promises: it goes at the clinic's opening time, on its own wall clock; a message stands in it once when two working days
have passed unopened, once when its reminder goes out, once when its end comes near; all digests of a day and the note
that they were sent are one transaction, so a crash sends them again from the start or not at all. Holidays are not
known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from gateway.actions.tenants import TenantView
from gateway.clock import Clock, from_us, to_us
from gateway.errors import Tampered
from gateway.flow.audience import Audience
from gateway.flow.hours import days_before, last_opening
from gateway.flow.posting import Posted, Poster
from gateway.flow.records import Records
from gateway.flow.reminders import SHORT, WEEK, Marks, Raced, Waiting
from gateway.logs import Log
from gateway.mail.compose import one_line
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Row
from gateway.words import Words
from keys.client import WorkerClient

log = Log("gateway.digest")
KIND = "digest"
WORKING_DAYS = 2
MOST = 50
"""Messages in one digest; the pages show the rest."""


@dataclass(frozen=True, slots=True)
class Window:
    """Messages for which something became true since the last digest: `(after, until]` on one column."""

    section: str
    column: str
    after_us: int
    until_us: int


class Digest:
    """The duty."""

    def __init__(
        self,
        store: Store,
        records: Records,
        keyholder: WorkerClient,
        poster: Poster,
        audience: Audience,
        tenants: Callable[[], Iterable[TenantView]],
        clock: Clock,
        words: Words,
    ) -> None:
        self._store = store
        self._records = records
        self._poster = poster
        self._audience = audience
        self._tenants = tenants
        self._clock = clock
        self._words = words
        self._waiting = Waiting(store, records, keyholder)
        self._marks = Marks(records)

    def __call__(self) -> int:
        """Send what is due; how many digests."""
        count = 0
        for view in self._tenants():
            try:
                count += self._of(view)
            except Raced:
                continue
            except Tampered:  # a changed row of one clinic's mail keeps no other clinic waiting
                log.error("digest:row-tampered", tenant=view.id)
        return count

    def _of(self, view: TenantView) -> int:
        due = last_opening(self._clock.now(), view.timezone)
        old = self._marks.at(self._store, view.id, KIND)
        if old is not None and old >= to_us(due):
            return 0
        posts: list[tuple[Posted, str]] = []
        if old is not None:  # the first opening time in a clinic's life has nothing before it
            for to, lines in self._lines(view, from_us(old), due).items():
                posts.append((self._poster.to_sender(view, to, KIND, None, lines=lines), to))

        def work(tx: Tx) -> None:
            self._marks.move(tx, view.id, KIND, old, to_us(due))
            for posted, _ in posts:
                self._poster.insert(tx, posted)

        self._store.run(work)
        for posted, to in posts:
            self._poster.submit(posted, to)
        return len(posts)

    def _lines(self, view: TenantView, last: datetime, due: datetime) -> dict[str, list[str]]:
        """The digest's sentences by whose inbox they go to."""
        zone = view.timezone
        week = WEEK.total_seconds() * 1_000_000
        windows = (
            Window(
                "unopened", "created_at", to_us(days_before(last, WORKING_DAYS, zone)),
                to_us(days_before(due, WORKING_DAYS, zone)),
            ),
            Window("reminded", "created_at", to_us(last) - int(week), to_us(due) - int(week)),
            Window("ending", "expires_at", to_us(last) + int(week), to_us(due) + int(week)),
        )  # fmt: skip
        found: dict[str, list[str]] = defaultdict(list)
        for window in windows:
            sections: dict[tuple[str, str], list[str]] = defaultdict(list)
            for row in self._rows(view, window):
                try:
                    to = self._audience.of(view, self._records.sender(row))
                    unopened = self._waiting.of(row) if to else ()
                except Tampered:  # a changed row of one message keeps nothing else out of the digest
                    log.error("digest:row-tampered", message=row["id"])
                    continue
                if unopened:
                    until = self._poster.day(view, row["expires_at"])
                    head = self._words.say(f"mail.digest.{window.section}", until=until)
                    sections[to, head].append(self._row(view, row, [one.address for one in unopened]))
            for (to, head), rows in sections.items():
                found[to] += [head, *rows[:MOST]]
                if len(rows) > MOST:
                    found[to].append(self._words.say("mail.sender.more", number=len(rows) - MOST))
        return found

    def _rows(self, view: TenantView, window: Window) -> list[Row]:
        table = schema.messages
        column = table.c[window.column]
        statement = select(table).where(
            table.c.tenant == view.id, table.c.reference.is_not(None), column > window.after_us,
            column <= window.until_us, table.c.expires_at > self._clock.now_us(),
        )  # fmt: skip
        with self._store.reading() as conn:
            rows, changed = self._records.rows.sift(conn, statement.order_by(column, table.c.id))
        for id in changed:
            log.error("digest:row-tampered", message=id)
        life = {row["id"]: row["expires_at"] - row["created_at"] for row in rows}
        short = SHORT.total_seconds() * 1_000_000
        if window.section == "reminded":
            return [row for row in rows if life[row["id"]] >= short + WEEK.total_seconds() * 1_000_000]
        return [row for row in rows if window.section != "ending" or life[row["id"]] >= short]

    def _row(self, view: TenantView, row: Row, addresses: list[str]) -> str:
        number = row["reference"]
        shown = ", ".join(one_line(address, 254) for address in addresses[:5])
        if len(addresses) > 5:
            shown += " " + self._words.say("mail.sender.more", number=len(addresses) - 5)
        return self._words.say(
            "mail.digest.row", reference=f"{number[:3]} {number[3:]}", recipients=shown,
            sent_at=self._poster.moment(view, row["received_at"]),
        )  # fmt: skip
