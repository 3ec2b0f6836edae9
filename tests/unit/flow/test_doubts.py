"""Mail that was answered 250 is never left lying: what is wrong elsewhere delays it, only its own damage ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway import words
from gateway.audit.event import Action, Event
from gateway.errors import Tampered, TryLater
from gateway.flow.beforehand import Beforehand
from gateway.flow.delivery import Deliverer
from gateway.flow.jobs import Job, Target
from gateway.flow.outbound import Outbound
from gateway.flow.outcomes import Pauses
from gateway.flow.queue import Queue
from gateway.flow.reading import Reading
from gateway.flow.records import Records
from gateway.flow.treat import Piece
from gateway.policy import load
from gateway.spool import layout
from gateway.spool.envelope import Recipient
from gateway.spool.item import Entry
from gateway.spool.reader import SpoolReader
from gateway.store import schema
from gateway.store.database import Store
from gateway.store.rows import Rows
from keys.datakey import ValueKey
from tests.support.spool import TENANT, Keyring, fresh
from tests.unit.flow.test_people import Plain

PAUSES = Pauses(timedelta(seconds=30), timedelta(hours=1), timedelta(hours=120))
MAIL = b"From: a@clinic.test\r\nTo: b@example.test\r\nMessage-ID: <1@clinic.test>\r\n\r\nLunch at noon?\r\n"
ANY: Any = None


@dataclass
class Place:
    """A worker's parts around one `Outbound`; `users` may be made to fail, `made` is what was treated."""

    ring: Keyring
    directory: Path
    store: Store
    records: Records
    spool: SpoolReader
    events: list[Event] = field(default_factory=list)
    made: list[Piece] = field(default_factory=list)
    changed: bool = False
    outcome: str = "delivered"
    outbound: Outbound = ANY

    def find(self, *_: object) -> None:
        if self.changed:
            raise Tampered("row")

    def beforehand(self, tenant: str, wanted: Callable[[Reading, str], bool]) -> Beforehand:
        return Beforehand(ANY, self.ring.clock, tenant, wanted)

    def treat(self, piece: Piece) -> None:
        self.made.append(piece)
        for recipient in piece.envelope.recipients:
            row = self.records.delivery(
                id=self.ring.clock.new_id("dlv"), tenant=TENANT, message=piece.prepared.message["id"],
                recipient=recipient, mail_params=(), treatment="as-is", state=self.outcome, copy=None, now_us=1,
            )  # fmt: skip
            piece.prepared.deliveries.append(row)

    def sent(self) -> Entry:
        """The same mail once more."""
        writer = self.ring.writer(self.directory)
        item = writer.begin(self.ring.envelope())
        item.write(MAIL)
        item.finish().result(10)
        writer.close()
        return next(iter(self.spool.poll()))

    def actions(self) -> list[Action]:
        return [one.action for one in self.events]


def appended(events: list[Event]) -> Any:
    return SimpleNamespace(append=lambda tx, event: events.append(event))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    ring, key = Keyring(), ValueKey.random()
    directory = fresh(tmp_path / "in")
    store = Store.open(f"sqlite:///{tmp_path}/gateway.db", create=True)
    events: list[Event] = []
    records = Records(Rows(lambda tenant: key), Plain(), appended(events), "node-1")
    made = Place(ring, directory, store, records, ring.reader(directory), events)
    view = SimpleNamespace(id=TENANT, policy=load("clinic"), domains=frozenset({"clinic.test"}))
    view.assumed = lambda identity: False
    assess = SimpleNamespace(assess=lambda inputs, *_: _clean(inputs))
    deliverer = SimpleNamespace(reserve=list, begin=list, release=list)
    made.outbound = Outbound(
        store=store, records=records, users=cast(Any, made), directory=cast(Any, Plain()), spool=made.spool,
        isolated=cast(Any, assess), treatment=cast(Any, made), deliverer=cast(Any, deliverer),
        tenants=lambda tenant: cast(Any, view), clock=ring.clock, words=words.language("en"),
    )  # fmt: skip
    yield made
    made.spool.close()
    store.close()


def _clean(inputs: Any) -> Any:
    from gateway.detect.assess import assess_texts
    from gateway.detect.model import Text

    return assess_texts([Text(one.part, one.place, one.data.decode()) for one in inputs])


def test_a_changed_row_delays_a_mail_until_it_is_held_whole(place: Place) -> None:
    entry = place.sent()
    place.changed = True
    for _ in range(3):
        with pytest.raises(TryLater):
            place.outbound.process(entry, again=True)
    assert place.spool.entry(entry.id) is not None
    assert place.made == []
    place.outcome = "held"
    place.outbound.process(entry, again=True)
    assert [decision.rule for decision in place.made[0].decisions.values()] == ["cannot-be-processed"]
    assert place.actions().count(Action.TAMPER_FOUND) == 1, "one alarm, however many tries"
    assert place.spool.refused == []


def test_an_item_that_was_changed_is_named_in_the_queue(place: Place) -> None:
    entry = place.sent()
    path = layout.segment_path(place.directory, entry.segment)
    data = bytearray(path.read_bytes())
    data[entry.offset + entry.sealed_bytes - 1] ^= 1
    path.write_bytes(data)
    place.outbound.process(entry)
    place.outbound.process(entry, again=True)
    assert place.actions() == [Action.TAMPER_FOUND]
    nothing: Callable[..., tuple[list[Any], list[str]]] = lambda *_: ([], [])  # noqa: E731
    queue = Queue(
        store=place.store, records=place.records, held=cast(Any, SimpleNamespace(rows=nothing)), audit=ANY,
        deliverer=cast(Any, SimpleNamespace(busy=frozenset)), spools={"in": place.spool}, clock=place.ring.clock,
        tenants=lambda: [cast(Any, SimpleNamespace(id=TENANT, name="clinic"))], give_up_us=1,
    )  # fmt: skip
    assert queue.listed({}) == [{"id": entry.id, "state": "refused", "reason": "tampered"}]
    place.spool.erase(entry.id)


@pytest.mark.parametrize("outcome", ["delivered", "ready", "deferred", "held"])
def test_a_retry_of_what_somebody_gets_is_swallowed(place: Place, outcome: str) -> None:
    place.outcome = outcome
    place.outbound.process(place.sent())
    place.outbound.process(place.sent())
    assert len(place.made) == 1
    assert place.actions()[-1] == Action.MESSAGE_DUPLICATE


@pytest.mark.parametrize("outcome", ["bounced", "dropped", "returned"])
def test_what_nobody_got_may_be_sent_again(place: Place, outcome: str) -> None:
    place.outcome = outcome
    place.outbound.process(place.sent())
    place.outbound.process(place.sent())
    assert len(place.made) == 2
    assert Action.MESSAGE_DUPLICATE not in place.actions()


def test_of_two_retries_at_once_one_is_committed(place: Place) -> None:
    """The second is worked on while the first commits: asked before, the database knew of neither."""
    first, second = place.sent(), place.sent()
    treat = place.treat

    def slowly(piece: Piece) -> None:
        treat(piece)
        if len(place.made) == 1:
            place.outbound.process(second)

    place.treat = slowly  # type: ignore[method-assign]
    place.outbound.process(first)
    with place.store.reading() as conn:
        assert [len(place.records.of_queue(conn, one.id)) for one in (first, second)] == [0, 1]
    assert place.actions()[-1] == Action.MESSAGE_DUPLICATE
    assert place.spool.entry(first.id) is None


def test_a_link_taken_back_before_its_delivery_is_not_delivered(place: Place) -> None:
    place.outbound.process(place.sent())
    message = place.made[0].prepared.message["id"]
    place.events.clear()
    grant = {
        "id": "lnk_000000000001", "tenant": TENANT, "message": message, "kind": "link", "person": None,
        "wrap": b"", "revoked_at": None, "created_at": 1, "expires_at": 2**53 - 1,
    }  # fmt: skip
    columns = {column.name for column in schema.grants.columns} - {"row_mac"}
    row = place.records.delivery(
        id="dlv_1", tenant=TENANT, message=message, recipient=Recipient("b@example.test"), mail_params=(),
        treatment="secure", state="ready", copy="spl_1", now_us=1, grant=grant["id"],
    )  # fmt: skip
    tried: list[object] = []

    class Seen(Deliverer):
        def _attempt(self, job: Job) -> Any:
            tried.append(job)
            raise TryLater("far enough")

    erased: list[str] = []
    spool = cast(Any, SimpleNamespace(erase=erased.append))
    deliverer = Seen(place.store, place.records, {"out": spool}, ANY, ANY, place.ring.clock, PAUSES, 0, ANY)
    job = Job(
        tenant=TENANT, message=message, item="spl_1", direction="out", mail_from="", mail_params=(), accepted_us=1,
        targets=(Target("dlv_1", Recipient("b@example.test"), "secure", 0),), since_us=1,
    )  # fmt: skip
    place.store.run(lambda tx: place.records.rows.insert(tx, schema.grants, **{
        name: grant.get(name) for name in columns
    }))  # fmt: skip
    place.store.run(lambda tx: place.records.rows.insert(tx, schema.deliveries, **row))
    with pytest.raises(TryLater):
        deliverer._deliver(job)
    assert len(tried) == 1
    place.store.run(lambda tx: place.records.rows.update(tx, schema.grants, grant["id"], revoked_at=5))
    deliverer._deliver(job)
    assert len(tried) == 1
    assert erased == ["spl_1"]
    with place.store.reading() as conn:
        found = place.records.rows.get(conn, schema.deliveries, "dlv_1")
    assert found is not None
    assert found["state"] == "dropped"
    assert [(one.action, one.object, one.reason) for one in place.events] == [
        (Action.MESSAGE_DROPPED, "dlv_1", "recalled")
    ]
