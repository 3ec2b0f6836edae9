"""What waits together is committed and delivered together; whatever is wrong with one message is its own affair."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from gateway.courier.port import Bounced
from gateway.errors import TryLater
from gateway.flow import rounds
from gateway.flow.together import Alone
from gateway.spool.item import Entry
from gateway.store import schema
from tests.support.flow import PHI, World
from tests.support.spool import eventually

HEAD = b"From: amy@clinic.test\r\nSubject: a word\r\nMessage-ID: <one@clinic.test>\r\n"


def commits(world: World) -> list[int]:
    """From now on a 1 for each transaction that writes to the log."""
    made: list[int] = []
    world.store.before_commit.append(lambda tx: made.append(1) if tx.events else None)
    return made


def through(world: World, entries: list[Entry]) -> list[Alone]:
    """One batch; those that left it are taken through alone, as the worker does it."""
    alone: list[Alone] = []
    world.flow.process_all(entries, alone.extend)
    for one in list(alone):
        world.flow.process(one.entry, again=one.again, judged=one.judged)
    return alone


def test_ordinary_mail_that_waits_together_is_one_transaction_and_its_outcomes_are_one(world: World) -> None:
    entries = [world.spool(b"lunch at noon?", f"b{number}@example.test") for number in range(5)]
    made = commits(world)
    assert through(world, entries) == []
    assert len(made) == 1
    world.deliver()
    assert len(made) == 2
    assert set(world.states().values()) == {"delivered"}
    assert [one for one, _ in world.smarthost.attempts] == [f"b{number}@example.test" for number in range(5)]
    assert [world.incoming.entry(entry.id) for entry in entries] == [None] * 5
    assert world.actions().count("message:delivered") == 5


def test_what_goes_together_is_byte_for_byte_what_goes_alone(world: World) -> None:
    head = (
        b"From: amy@clinic.test\r\nSubject: =?utf-8?q?tea?=\r\nX-Odd:  as  it was \r\nMessage-ID: <%d@clinic.test>\r\n"
    )
    bodies = b".one\r\n\r\ntwo \t\r\n..three"
    world.flow.process(world.spool(bodies, head=head % 1))
    through(world, [world.spool(bodies, head=head % 2)])
    world.deliver()
    (_, first), (_, second) = world.smarthost.attempts
    assert first.endswith(head % 1 + b"\r\n" + bodies)
    assert second.endswith(head % 2 + b"\r\n" + bodies)


def test_mail_to_be_sealed_leaves_the_batch_and_is_judged_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    sound = world.isolated.assess_here
    monkeypatch.setattr(world.isolated, "assess_here", lambda *given: (looks.append(1), sound(*given))[1])
    monkeypatch.setattr(world.isolated, "assess", lambda *given: pytest.fail("it was looked at twice"))
    entries = [world.spool(b"lunch?"), world.spool(PHI, "p@example.test"), world.spool(b"tea?", "c@example.test")]
    assert [one.entry for one in through(world, entries)] == [entries[1]]
    assert len(looks) == 3
    world.deliver()
    assert len(world.keyholder.deposits) == 1
    assert sorted(world.states()) == ["b@example.test", "c@example.test", "p@example.test"]


def broken_parse(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = world.flow.parse

    def parse(source: Any) -> Any:
        if b"poison" in source.read(0, source.size):
            raise ValueError("a fault of ours")
        return sound(source)

    monkeypatch.setattr(world.flow, "parse", parse)


def broken_write(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = world.records.write

    def write(tx: Any, prepared: Any) -> None:
        sound(tx, prepared)
        if prepared.message["size_bytes"] > 500:
            raise ValueError("a fault of ours")

    monkeypatch.setattr(world.records, "write", write)


@pytest.mark.parametrize("harm", [broken_parse, broken_write])
def test_poisoned_message_holds_only_itself(
    world: World, monkeypatch: pytest.MonkeyPatch, harm: Callable[[World, pytest.MonkeyPatch], None]
) -> None:
    harm(world, monkeypatch)
    entries = [
        world.spool(b"lunch?"),
        world.spool(b"poison " * 100, "p@example.test"),
        world.spool(b"tea?", "c@d.test"),
    ]
    alone: list[Alone] = []
    world.flow.process_all(entries, alone.extend)
    assert entries[1] in [one.entry for one in alone]
    for one in alone:
        if one.entry is entries[1]:
            with pytest.raises(TryLater):
                world.flow.process(one.entry, again=one.again, judged=one.judged)
        else:
            world.flow.process(one.entry, again=one.again, judged=one.judged)
    world.deliver()
    assert world.states() == {"b@example.test": "delivered", "c@d.test": "delivered"}
    assert world.incoming.entry(entries[1].id) is not None


def test_two_tries_of_a_sender_in_one_batch_make_one_message(world: World) -> None:
    entries = [world.spool(b"lunch?", head=HEAD) for _ in range(2)]
    assert [one.entry for one in through(world, entries)] == [entries[1]]
    world.deliver()
    assert world.count(schema.messages) == 1
    assert world.smarthost.times("b@example.test") == 1
    assert world.actions().count("message:duplicate") == 1
    assert [world.incoming.entry(entry.id) for entry in entries] == [None, None]


@pytest.mark.parametrize("done", [False, True])
def test_batch_whose_commit_was_reported_as_failed_is_delivered_once(world: World, done: bool) -> None:
    entries = [world.spool(b"lunch?", f"b{number}@example.test") for number in range(3)]
    with world.commits_fail(1, done=done), pytest.raises(TryLater):
        world.flow.process_all(entries, lambda alone: None)
    for entry in entries:
        world.flow.process(entry, again=True)
    world.due()
    assert world.count(schema.messages) == 3
    assert [world.smarthost.times(f"b{number}@example.test") for number in range(3)] == [1, 1, 1]
    assert "message:duplicate" not in world.actions()


def test_bounce_among_deliveries_is_told_and_the_others_are_settled_with_each_other(world: World) -> None:
    world.smarthost.answers["b1@example.test"] = Bounced("5.1.1", "address", 550)
    through(world, [world.spool(b"lunch?", f"b{number}@example.test") for number in range(3)])
    world.deliver()
    assert world.states() == {
        "b0@example.test": "delivered", "b1@example.test": "bounced", "b2@example.test": "delivered",
        "notice to amy@clinic.test": "delivered",
    }  # fmt: skip
    (report,) = [data for one, data in world.smarthost.attempts if one == "amy@clinic.test"]
    assert b"multipart/report" in report
    assert b"Final-Recipient: rfc822; b1@example.test" in report
    assert b"lunch?" not in report, "the report is no copy of the mail that lay opened"
    assert world.deliverer._kept_bytes == 0


@pytest.mark.parametrize("fault", [TryLater("no room"), OSError("no room")])
def test_a_spool_that_cannot_be_erased_from_leaves_no_outcome_of_the_round_unwritten(
    world: World, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    for number in (1, 3):
        world.smarthost.answers[f"b{number}@example.test"] = Bounced("5.1.1", "address", 550)
    entries = [world.spool(b"lunch?", f"b{number}@example.test") for number in range(4)]
    through(world, entries)

    def full(*items: str) -> None:
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(world.incoming, "erase", full)
        world.deliver()
    states = world.states()
    assert [states[f"b{number}@example.test"] for number in range(4)] == [
        "delivered",
        "bounced",
        "delivered",
        "bounced",
    ]
    world.due()
    for entry in entries:
        world.flow.process(entry, again=True)  # the next start finds them and knows them
    world.deliver()
    assert [world.smarthost.times(f"b{number}@example.test") for number in range(4)] == [1] * 4
    assert [world.incoming.entry(entry.id) for entry in entries] == [None] * 4


def test_outcomes_behind_a_smarthost_that_hangs_are_committed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "ROUND_SECONDS", 60.0)  # both are of one round, however slow this machine is
    monkeypatch.setattr(rounds, "LATE_SECONDS", -60.0)
    go_on, hangs = threading.Event(), threading.Event()

    def before(outbound: Any) -> None:
        if outbound.recipients[0].address == "b1@example.test":
            hangs.set()
            go_on.wait(60)

    world.smarthost.before = before
    world.deliverer = deliverer = world.new_deliverer(threads=1)
    flow = world.new_flow()
    flow.process_all([world.spool(b"lunch?", f"b{number}@example.test") for number in range(2)], lambda alone: None)
    deliverer.start()
    try:
        assert hangs.wait(30)

        def first_is_settled() -> bool:
            assert deliverer.due() == []  # what hangs, and what is being settled, is not made twice
            return world.states() == {"b0@example.test": "delivered", "b1@example.test": "ready"}

        eventually(first_is_settled, 30)
    finally:
        go_on.set()
        eventually(lambda: set(world.states().values()) == {"delivered"}, 30)
        deliverer.stop()
    assert [world.smarthost.times(f"b{number}@example.test") for number in range(2)] == [1, 1]
