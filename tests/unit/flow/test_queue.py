"""What a technician sees of the queue and may do to it: codes and times, a try now, a return; never a name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import select, text

from gateway.cli import queue as command
from gateway.courier.port import Bounced, Deferred
from gateway.errors import Misconfigured, NotFound
from gateway.flow.held import Held
from gateway.flow.queue import NothingWaits, Queue, WaitsElsewhere
from gateway.policy import load
from gateway.settingtypes import Endpoint
from gateway.store import schema
from tests.support.faulty import eventually
from tests.support.flow import World

BUSY = Deferred("4.3.2", "system", 451)
NEVER = Bounced("5.1.1", "address", 550)
MINUTE = timedelta(minutes=1)
BROKEN = (
    b"From: amy@clinic.test\r\nSubject: a word\r\nContent-Type: multipart/mixed; boundary=b\r\n"
    b"Content-Type: text/plain\r\n"
)


def queue_of(world: World, *smarthosts: str) -> Queue:
    """The queue of this world; with further clinics of these next hops."""
    held = cast(Any, SimpleNamespace(rows=lambda *_: ([], [])))
    others = [
        replace(world.view, id=f"tnt_{n}", name=f"oak{n}", smarthost=Endpoint(host, 25))
        for n, host in enumerate(smarthosts)
    ]
    return Queue(
        store=world.store, records=world.records, held=held, audit=world.audit, deliverer=world.deliverer,
        spools={"in": world.incoming, "out": world.outgoing}, tenants=lambda: [world.view, *others],
        give_up_us=world.pauses.give_up // timedelta(microseconds=1), clock=world.clock,
    )  # fmt: skip


def deferred(world: World, *recipients: str, body: bytes = b"lunch at noon?") -> None:
    """A mail that the next hop did not take yet."""
    for one in recipients:
        world.smarthost.answers.setdefault(one, BUSY)
    world.flow.process(world.spool(body, *recipients))
    world.deliver()

    def tried() -> bool:
        world.due()  # a store that was slow to answer puts a delivery off to the next look
        return "ready" not in world.states().values()

    eventually(tried)


def only(found: Any) -> dict[str, Any]:
    (one,) = found
    return cast(dict[str, Any], one)


def test_of_each_recipient_the_state_the_next_try_and_the_last_answer_are_shown_and_no_address(world: World) -> None:
    world.smarthost.answers["gone@example.test"] = NEVER
    deferred(world, "slow@example.test", "gone@example.test")
    queue = queue_of(world)
    waits = only(one for one in queue.listed({}) if one.get("treatment") != "notice")
    shown = queue.show({"id": waits["id"]})
    slow, gone, notice = (
        next(one for one in shown["deliveries"] if one["state"] == state and one["treatment"] == treatment)
        for state, treatment in (("deferred", "as-is"), ("bounced", "as-is"), ("delivered", "notice"))
    )
    assert (slow["code"], slow["status"], slow["why"], slow["attempts"]) == (451, "4.3.2", "system", 1)
    assert slow["tried_at"] < slow["next_at"] < slow["gives_up_at"]
    assert (gone["code"], gone["status"], gone["why"], gone["next_at"]) == (550, "5.1.1", "address", None)
    assert (notice["code"], notice["why"], notice["next_at"]) == (None, "", None)
    assert "example.test" not in json.dumps([queue.listed({}), shown, queue.smarthosts({})])


def test_what_has_a_changed_row_is_named_and_hides_nothing_else(world: World) -> None:
    deferred(world, "b@example.test")
    deferred(world, "c@example.test")
    queue = queue_of(world)
    first, second = (one["delivery"] for one in queue.listed({}))
    world.store.run(lambda tx: tx.conn.execute(text("UPDATE deliveries SET why = 'x' WHERE id = :id"), {"id": first}))
    refused, waits = queue.listed({})
    assert refused == {"id": first, "state": "refused", "reason": "row changed"}
    assert waits["delivery"] == second


def test_a_held_message_with_a_changed_row_is_named_and_hides_no_other(world: World) -> None:
    world.view = replace(world.view, policy=load("strict"))
    for _ in range(2):
        world.flow.process(world.spool(b"--b\r\nContent-Type: text/plain\r\n\r\nx", head=BROKEN))
    held = cast(Any, Held)(
        store=world.store, records=world.records, vault=None, keyholder=None, outbound=None, returner=None,
        deliverer=None, tenants=world.tenant, clock=world.clock,
    )  # fmt: skip
    with world.store.reading() as conn:
        rows, changed = held.rows(conn, world.view.id)
    assert (len(rows), changed) == (2, [])
    first, second = (row["id"] for row in rows)
    world.store.run(lambda tx: tx.conn.execute(text("UPDATE messages SET rule = 'x' WHERE id = :id"), {"id": first}))
    with world.store.reading() as conn:
        rows, changed = held.rows(conn, world.view.id)
    assert ([row["id"] for row in rows], changed) == ([second], [first])


def test_a_try_now_takes_one_message_and_leaves_the_other_to_its_pause(world: World) -> None:
    deferred(world, "b@example.test")
    deferred(world, "c@example.test")
    world.smarthost.answers.clear()
    queue = queue_of(world)
    first = next(one["id"] for one in queue.listed({}))
    assert queue.retry({"id": first}) == {"count": 1}
    world.deliver()
    assert sorted(world.states().values()) == ["deferred", "delivered"]
    assert world.actions().count("queue:retried") == 1
    with pytest.raises(NotFound):
        queue.retry({"id": "msg_0000000000000000"})


def test_a_try_now_takes_what_waits_for_one_smarthost_and_nothing_for_another(world: World) -> None:
    deferred(world, "b@example.test")
    world.smarthost.answers.clear()
    queue = queue_of(world, "elsewhere.test")
    with pytest.raises(NotFound):
        queue.retry({"smarthost": "nobody.test:25"})
    assert queue.retry({"smarthost": str(world.view.smarthost)}) == {"count": 1}
    world.deliver()
    assert world.states() == {"b@example.test": "delivered"}


def test_each_smarthost_tells_how_much_waits_and_what_it_last_answered(world: World) -> None:
    queue = queue_of(world, "elsewhere.test")
    assert [one["waiting"] for one in queue.smarthosts({"all": True})] == [0, 0]
    with pytest.raises(Misconfigured):  # there are several clinics, and none is named
        queue.smarthosts({})
    deferred(world, "b@example.test", "c@example.test")
    ours, other = queue.smarthosts({"all": True})
    assert (ours["waiting"], other["waiting"], other["last"]) == (2, 0, None)
    assert (ours["last"]["code"], ours["last"]["status"]) == (451, "4.3.2")


def test_what_is_given_up_goes_back_to_its_sender_once_and_leaves_the_spool(world: World) -> None:
    deferred(world, "b@example.test", "c@example.test")
    world.smarthost.answers["c@example.test"] = BUSY
    queue = queue_of(world)
    message = queue.listed({})[0]["id"]
    assert queue.give_back({"id": message}) == {"id": message, "count": 2, "elsewhere": []}
    world.deliver()
    world.due(MINUTE)
    assert world.states() == {
        "b@example.test": "bounced", "c@example.test": "bounced", "notice to amy@clinic.test": "delivered",
    }  # fmt: skip
    assert b"Status: 5.4.7" in world.smarthost.attempts[-1][1]
    assert world.incoming.waiting() == []
    assert world.actions().count("queue:returned") == 1
    with pytest.raises(NothingWaits):
        queue.give_back({"id": message})
    assert world.smarthost.times("amy@clinic.test") == 1


def at_node(world: World, node: str, *addresses: str) -> None:
    """Those deliveries are another node's."""
    with world.store.reading() as conn:
        rows = world.rows.find(conn, select(schema.deliveries))
    theirs = [row["id"] for row in rows if world.records.opened(row)[0].address in addresses]
    assert len(theirs) == len(addresses)
    for id in theirs:
        world.store.run(lambda tx, id=id: world.rows.update(tx, schema.deliveries, id, node=node))


def test_what_waits_at_another_node_is_returned_there_and_the_refusal_says_where(world: World) -> None:
    deferred(world, "b@example.test", "c@example.test")
    queue = queue_of(world)
    message = queue.listed({})[0]["id"]
    at_node(world, "node-2", "c@example.test")
    assert queue.give_back({"id": message}) == {"id": message, "count": 1, "elsewhere": ["node-2"]}
    with pytest.raises(WaitsElsewhere) as refused:
        queue.give_back({"id": message})
    assert refused.value.public == "it waits at node-2: run this command there"
    assert world.actions().count("queue:returned") == 1, "what was refused was not asked for"
    assert world.states()["c@example.test"] == "deferred"


def test_a_nodes_mail_is_tried_by_that_node_alone_however_long_it_is_gone(world: World) -> None:
    """Decision 0029: its bytes are in its spool, so nobody else could send them, and nobody sends them twice."""
    deferred(world, "b@example.test")
    world.smarthost.answers.clear()
    at_node(world, "node-2", "b@example.test")
    tried = len(world.smarthost.attempts)
    world.due(timedelta(days=30))
    assert len(world.smarthost.attempts) == tried
    at_node(world, world.records.node, "b@example.test")
    world.due()
    assert world.smarthost.times("b@example.test") >= 1
    assert world.states()["b@example.test"] == "delivered"


def test_what_is_under_way_is_not_given_up(world: World) -> None:
    world.flow.process(world.spool(b"lunch at noon?", "b@example.test"))
    queue = queue_of(world)
    waits = only(queue.listed({}))
    assert waits["state"] == "active"
    with pytest.raises(NothingWaits):
        queue.give_back({"id": waits["id"]})
    world.deliver()
    assert world.states() == {"b@example.test": "delivered"}


def test_what_nobody_has_worked_on_yet_is_listed(world: World) -> None:
    entry = world.spool(b"lunch at noon?", "b@example.test")
    assert queue_of(world).listed({}) == [{"id": entry.id, "state": "incoming"}]


def test_check_finds_a_delivery_whose_mail_is_gone(world: World) -> None:
    deferred(world, "b@example.test")
    queue = queue_of(world)
    assert queue.check({}) == {"missing": [], "stray": 0, "refused": 0}
    delivery = queue.listed({})[0]["delivery"]
    world.incoming.erase(*(entry.id for entry in world.incoming.waiting()))
    assert queue.check({})["missing"] == [delivery]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"state": "held", "rule": "unreadable"}, "msg_1  held      unreadable"),
        ({"state": "incoming"}, "msg_1  incoming"),
        (
            {"delivery": "dlv_1", "state": "deferred", "attempts": 2, "status": "4.3.2", "code": 451, "why": "system",
             "next_at": "then", "gives_up_at": "later"},
            "msg_1  deferred  2 tries, last answer 451 4.3.2 (system), next then, gives up later",
        ),
        (
            {"delivery": "dlv_1", "state": "active", "attempts": 1, "status": "4.4.1", "code": None, "why": "timeout",
             "next_at": "then", "gives_up_at": "later"},
            "msg_1  active    1 try, last answer 4.4.1 (timeout)",
        ),
    ],
    ids=["held", "incoming", "deferred", "active"],
)  # fmt: skip
def test_a_line_says_state_tries_answer_and_next_try(given: Mapping[str, Any], words: str) -> None:
    assert command._line({"id": "msg_1", **given}) == words


def test_mail_put_off_by_a_clock_that_was_wrong_is_due_when_the_clock_is_right_again(world: World) -> None:
    ahead = 30 * 86_400_000_000
    world.clock.ahead_us += ahead
    deferred(world, "b@example.test")
    world.clock.ahead_us -= ahead
    world.smarthost.answers.clear()
    world.due()
    assert world.states() == {"b@example.test": "delivered"}


def test_a_message_is_shown_in_lines_of_its_own_for_each_recipient_and_place() -> None:
    waits = {"delivery": "dlv_1", "treatment": "secure", "state": "ready", "attempts": 0, "status": "", "next_at": None}
    found = {"found": [["DATE", "the message text", 1], ["NAME", "the message text", 2], ["ID", "attachment 1", 1]]}
    message = {
        "id": "msg_1", "state": "held", "rule": "phi", "bytes": 9, "received_at": "then", "hold_until": "later",
        "found": found, "deliveries": [waits],
    }  # fmt: skip
    assert command._shown(message) == [
        "msg_1  held  rule phi, 9 bytes, then", "held until later", "found in the message text: DATE, NAME",
        "found in attachment 1: ID", "  dlv_1  secure      ready",
    ]  # fmt: skip
