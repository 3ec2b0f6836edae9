"""One delivery for each recipient, whatever fails beside it; what cannot be delivered comes back to its sender."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from gateway.courier.port import Bounced, Deferred
from gateway.errors import TryLater
from gateway.flow.delivery import Pauses
from gateway.flow.outcomes import Outcomes
from gateway.spool.envelope import Recipient
from gateway.store import schema
from gateway.store.database import Tx
from tests.support.flow import PHI, World

LATER = Deferred("4.3.0", "busy", 451)
NEVER = Bounced("5.1.1", "address", 550)
HOUR = timedelta(hours=1)


def processed(world: World, *recipients: str, body: bytes = b"lunch at noon?", **more: object) -> str:
    entry = world.spool(body, *recipients, **more)  # type: ignore[arg-type]
    world.flow.process(entry)
    return entry.id


def test_mail_is_delivered_once_and_leaves_the_spool(world: World) -> None:
    item = processed(world, "b@example.test", "c@example.test")
    world.deliver()
    world.due(HOUR)
    assert [one for one, _ in world.smarthost.attempts] == ["b@example.test", "c@example.test"]
    assert world.states() == {"b@example.test": "delivered", "c@example.test": "delivered"}
    assert world.incoming.entry(item) is None


def test_delivery_that_was_settled_while_it_was_listed_as_due_is_not_made_again(world: World) -> None:
    processed(world)
    listed = world.deliverer.due()  # read, and not queued yet, when the first attempt settles it
    assert listed == []  # it is busy: queued by the one that committed it
    world.deliverer._busy.clear()
    listed = world.deliverer.due()
    assert len(listed) == 1
    world.deliver()
    world.deliverer.submit(listed)
    world.deliver()
    assert world.smarthost.times("b@example.test") == 1


@pytest.mark.parametrize("mails", [1, 2], ids=["alone", "together"])
def test_an_outcome_that_waits_for_the_database_is_said_once(
    world: World, mails: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.flow.outcomes.AGAIN_SECONDS", 0.001)
    for _ in range(mails):
        processed(world)
    with world.commits_fail(5, done=False):
        world.deliver()
    assert world.states() == {"b@example.test": "delivered"}
    assert [one.msg for one in caplog.records] == ["delivery:outcome-waits"]


def test_attempt_that_was_made_meanwhile_makes_a_listed_one_void(world: World) -> None:
    processed(world)
    world.deliverer._busy.clear()
    listed = world.deliverer.due()
    world.smarthost.answers["b@example.test"] = LATER
    world.deliver()
    world.deliverer.submit(listed)
    world.deliver()
    assert world.smarthost.times("b@example.test") == 1  # its pause is kept


@pytest.mark.parametrize("done", [False, True])
def test_outcome_waits_for_the_database_and_is_written_once_without_a_second_delivery(world: World, done: bool) -> None:
    processed(world)
    with world.commits_fail(2, done=done):
        world.deliver()
    world.due(HOUR)
    assert world.smarthost.times("b@example.test") == 1
    assert world.states() == {"b@example.test": "delivered"}
    assert world.actions().count("message:delivered") == 1


@pytest.mark.parametrize("done", [False, True])
def test_bounce_makes_one_dsn_though_its_commit_is_reported_as_failed(world: World, done: bool) -> None:
    world.smarthost.answers["b@example.test"] = NEVER
    processed(world)
    with world.commits_fail(2, done=done):
        world.deliver()
    world.due(HOUR)
    assert world.states() == {"b@example.test": "bounced", "notice to amy@clinic.test": "delivered"}
    assert world.actions().count("message:bounced") == 1
    assert world.smarthost.times("amy@clinic.test") == 1
    assert world.deliverer.sweep(world.clock.now_us() + 1) == 0


def test_nothing_is_sent_while_no_outcome_could_be_written(world: World) -> None:
    processed(world)
    world.store.probes.append(lambda conn: 1 / 0)  # type: ignore[arg-type, return-value]
    world.store._probed = 0.0
    world.store._probe()
    assert not world.store.health
    world.deliver()
    assert world.deliverer.due() == []
    assert world.smarthost.attempts == []
    world.store.probes.pop()
    world.store._probe()
    world.due()
    assert world.smarthost.times("b@example.test") == 1


def test_stopping_gives_up_waiting_for_the_database(world: World) -> None:
    processed(world)
    stopping = threading.Event()
    outcomes = Outcomes(world.store, world.records, world.returner, world.clock, world.pauses, stopping)
    stopping.set()
    world.deliverer._outcomes = outcomes
    with world.commits_fail(1, done=False):
        world.deliver()
        world.store.run(lambda tx: None)
    assert world.states() == {"b@example.test": "ready"}
    world.due()  # the restart: at least once
    assert world.smarthost.times("b@example.test") == 2


def test_deferred_mail_is_tried_again_after_its_pause_and_returned_when_it_is_too_old(world: World) -> None:
    world.smarthost.answers["b@example.test"] = LATER
    processed(world)
    world.deliver()
    assert world.states() == {"b@example.test": "deferred"}
    world.due()
    assert world.smarthost.times("b@example.test") == 1
    world.due(timedelta(minutes=1))
    assert world.smarthost.times("b@example.test") == 2
    world.due(timedelta(hours=121))
    assert world.states() == {"b@example.test": "bounced", "notice to amy@clinic.test": "delivered"}
    assert b"Status: 4.4.7" in world.smarthost.attempts[-1][1]


def test_age_counts_from_the_delivery_and_not_from_an_arrival_long_before(world: World) -> None:
    processed(world)
    long_ago = world.clock.now_us() - 10 * 86_400_000_000

    def age(tx: Tx) -> None:
        for (id,) in tx.conn.execute(select(schema.messages.c.id)).all():
            world.rows.update(tx, schema.messages, id, received_at=long_ago)

    world.store.run(age)
    world.deliverer = world.new_deliverer()  # released mail after a restart: all is read from the database
    world.smarthost.answers["b@example.test"] = LATER
    world.due()
    assert world.states() == {"b@example.test": "deferred"}


def test_changed_row_delays_no_other_delivery_and_is_alarmed_once(world: World) -> None:
    processed(world, "b@example.test")
    processed(world, "c@example.test")
    table = schema.deliveries
    with world.store.reading() as conn:
        first = conn.execute(select(table.c.id).order_by(table.c.created_at)).scalars().first()
    world.store.run(lambda tx: tx.conn.execute(update(table).where(table.c.id == first).values(status="2.0.0")))
    world.deliverer = world.new_deliverer()
    for _ in range(3):
        world.due()
    assert [one for one, _ in world.smarthost.attempts] == ["c@example.test"]
    with world.store.reading() as conn:
        found = conn.execute(select(schema.log_leaves.c.object).where(schema.log_leaves.c.action == "tamper:found"))
        assert list(found.scalars()) == [first]


def test_changed_message_row_delays_no_other_delivery(world: World) -> None:
    processed(world, "b@example.test")
    processed(world, "c@example.test")
    table = schema.messages
    with world.store.reading() as conn:
        first = conn.execute(select(table.c.id).order_by(table.c.created_at)).scalars().first()
    world.store.run(lambda tx: tx.conn.execute(update(table).where(table.c.id == first).values(rule="other")))
    world.deliverer = world.new_deliverer()
    world.due()
    assert [one for one, _ in world.smarthost.attempts] == ["c@example.test"]


def test_copy_that_is_gone_is_tried_again_and_comes_back_to_its_sender_at_last(world: World) -> None:
    processed(world, body=PHI)
    (copy,) = world.records_copies()
    world.outgoing.erase(copy)
    world.deliver()
    assert world.states() == {"b@example.test": "deferred"}
    assert "tamper:found" in world.actions()
    world.due(timedelta(hours=121))
    assert world.states()["b@example.test"] == "bounced"
    assert world.smarthost.times("amy@clinic.test") == 1


def test_fault_of_the_courier_is_an_attempt_with_a_pause(world: World) -> None:
    world.smarthost.answers["b@example.test"] = ZeroDivisionError("a fault of ours")
    processed(world)
    world.deliver()
    world.due()
    assert world.smarthost.times("b@example.test") == 1
    assert world.states() == {"b@example.test": "deferred"}


def test_bounce_that_cannot_be_told_is_no_bounce(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.smarthost.answers["b@example.test"] = NEVER
    tries: list[bytes] = []

    def write(**given: object) -> None:
        tries.append(given["head"])  # type: ignore[arg-type]
        raise ValueError("a header that cannot be quoted")

    monkeypatch.setattr(world.returner, "write", write)
    processed(world)
    world.deliver()
    assert world.states() == {"b@example.test": "deferred"}
    assert [bool(head) for head in tries] == [True, False]  # without the original's head, before giving up


def test_protected_mail_asks_for_headers_only_at_every_attempt(world: World) -> None:
    world.smarthost.answers["b@example.test"] = LATER
    processed(world, body=PHI, params=(("RET", "FULL"), ("ENVID", "QQ314159")))
    world.deliver()
    world.deliverer = world.new_deliverer()
    world.due(HOUR)
    assert world.smarthost.params == [(("ENVID", "QQ314159"), ("RET", "HDRS"))] * 2


def test_copies_that_nobody_waits_for_are_swept_after_their_time_and_no_others(world: World) -> None:
    world.smarthost.answers["b@example.test"] = LATER
    processed(world, body=PHI)
    world.deliver()
    with world.commits_fail(1, done=False), pytest.raises(TryLater):
        processed(world, body=PHI)  # its copy is durable, its transaction is not
    world.outgoing.look()
    assert len(world.outgoing.waiting()) == 2
    assert world.deliverer.sweep(world.clock.now_us() - 86_400_000_000) == 0
    assert world.deliverer.sweep(world.clock.now_us() + 1) == 1
    world.smarthost.answers.clear()
    world.due(HOUR)
    assert world.states()["b@example.test"] == "delivered"


def test_pauses_double_up_to_a_limit_and_vary() -> None:
    pauses = Pauses(timedelta(seconds=30), timedelta(hours=1), timedelta(hours=120))
    for attempts, seconds in ((0, 30), (1, 60), (3, 240), (20, 3600), (10_000, 3600)):
        found = {pauses.after(attempts, pauses.jitter()).total_seconds() for _ in range(50)}
        assert min(found) >= seconds * 0.75
        assert max(found) <= seconds * 1.25
        assert len(found) > 10


def notify(world: World, *values: str, sender: str = "amy@clinic.test") -> None:
    """One message, a recipient for each NOTIFY ("" for none), all of them told to wait."""
    recipients = tuple(
        Recipient(f"r{number}@example.test", (("NOTIFY", value),) if value else ())
        for number, value in enumerate(values)
    )
    for one in recipients:
        world.smarthost.answers[one.address] = LATER
    envelope = replace(world.ring.envelope(sender, ()), recipients=recipients)
    item = world.writer.begin(envelope)
    item.write(b"From: amy@clinic.test\r\nSubject: a word\r\nMessage-ID: <delay@clinic.test>\r\n\r\nlunch?")
    item.finish().result(10)
    world.incoming.look()
    entry = world.incoming.entry(item.id)
    assert entry is not None
    world.flow.process(entry)
    world.deliver()


def delays(world: World) -> list[str]:
    """The notices of delay that were sent."""
    return [data.decode() for to, data in world.smarthost.attempts if b"Action: delayed" in data]


def test_a_mail_that_waits_for_hours_is_told_to_its_sender_once_for_each_delivery(world: World) -> None:
    notify(world, "", "DELAY,FAILURE", "FAILURE", "NEVER")
    world.due(HOUR)
    assert delays(world) == []
    world.due(4 * HOUR)
    (told,) = delays(world)
    assert [f"r{number}@example.test" in told for number in range(4)] == [True, True, False, False]
    assert "Subject: Your message is delayed" in told
    assert "Status: 4.3.0" in told
    assert "Will-Retry-Until: " in told
    assert "In-Reply-To: <delay@clinic.test>" in told
    assert world.smarthost.times("amy@clinic.test") == 1
    for _ in range(3):
        world.due(2 * HOUR)
    assert len(delays(world)) == 1
    world.smarthost.answers.clear()
    world.due(2 * HOUR)
    states = world.states()
    assert [states[f"r{number}@example.test"] for number in range(4)] == ["delivered"] * 4


def test_nobody_is_told_of_a_delay_of_a_null_senders_mail_or_where_the_setting_says_never(world: World) -> None:
    notify(world, "DELAY", sender="")
    world.due(5 * HOUR)
    world.pauses = replace(world.pauses, tell=None)
    world.deliverer._outcomes._pauses = world.pauses
    notify(world, "DELAY")
    world.due(5 * HOUR)
    assert delays(world) == []


@pytest.mark.parametrize("done", [False, True])
def test_a_delay_whose_commit_is_reported_as_failed_is_told_once(world: World, done: bool) -> None:
    notify(world, "")
    with world.commits_fail(1, done=done):
        world.due(5 * HOUR)
    world.due(2 * HOUR)
    assert len(delays(world)) == 1


def test_recipients_who_wait_together_are_tried_again_in_one_transaction(world: World) -> None:
    people = [f"b{number}@example.test" for number in range(20)]
    world.smarthost.answers.update(dict.fromkeys(people, LATER))
    processed(world, *people)
    world.deliver()
    world.smarthost.answers.clear()
    together: list[int] = []
    world.smarthost.before = lambda outbound: together.append(len(outbound.recipients))
    world.due(HOUR)
    assert together == [20]


def test_mail_is_not_given_up_by_a_clock_that_leapt(world: World) -> None:
    believed = [False]
    outcomes = Outcomes(
        world.store, world.records, world.returner, world.clock, world.pauses, threading.Event(), lambda: believed[0]
    )
    world.deliverer._outcomes = outcomes
    world.smarthost.answers["b@example.test"] = LATER
    processed(world)
    world.deliver()
    world.due(121 * HOUR)
    assert world.states()["b@example.test"] == "deferred"  # and the sender was told that it waits
    believed[0] = True  # the twin: the same age by a clock that is believed
    world.due(121 * HOUR)
    assert world.states()["b@example.test"] == "bounced"
