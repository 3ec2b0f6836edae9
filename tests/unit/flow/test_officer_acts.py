"""Decisions on held mail are carried out once, as the keyholder recorded them; a failure stays seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import update

from gateway.audit.event import Action, Actor, Event
from gateway.errors import TryLater
from gateway.flow.held import NotHeld
from gateway.flow.officer_acts import AGAIN_US, STALE_US, HeldActs
from gateway.flow.officer_held import keep
from gateway.store import schema
from keys.errors import Denied
from tests.support.flow import World
from tests.support.spool import TENANT

ACT, MESSAGE = "act_1", "msg_0000000000000001"


@dataclass
class Held:
    """Does what is asked, writing the event that the real one writes, or raises `trouble`."""

    world: World
    trouble: Exception | None = None
    done: list[tuple[str, str, str]] = field(default_factory=list)

    def release(self, tenant: str, message: str, act: str, officer: str) -> str:
        return self._do(Action.MESSAGE_RELEASED, act, officer)

    def drop(self, tenant: str, message: str, act: str, officer: str) -> None:
        self._do(Action.MESSAGE_DROPPED, act, officer)

    def _do(self, action: Action, act: str, officer: str) -> str:
        if self.trouble is not None:
            raise self.trouble
        self.done.append((str(action), act, officer))
        event = Event(action, TENANT, MESSAGE, Actor("user", officer), request=act)
        self.world.store.run(lambda tx: self.world.audit.append(tx, event))
        return "msg_new"


@dataclass
class Keyholder:
    """What it recorded."""

    answer: dict[str, Any] | Exception = field(
        default_factory=lambda: {"act": "drop", "user": "usr_olga", "second": "usr_pete"}
    )

    def act_of(self, tenant: str, message: str, act: str) -> dict[str, Any]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Duty:
    """The duty with one decision that waits, written by somebody who says it is a release of their own."""

    def __init__(self, world: World) -> None:
        self.world, self.held, self.keyholder = world, Held(world), Keyholder()
        self.run = HeldActs(
            world.store, world.rows, world.audit, self.keyholder, self.held, world.clock  # type: ignore[arg-type]
        )  # fmt: skip
        answer = {"act": ACT, "complete": True}

        def work(tx: Any) -> None:
            world.rows.insert(
                tx, schema.messages, id=MESSAGE, tenant=TENANT, node="n", queue="q", sender=b"", sender_index=b"",
                identity="device", retry_key=b"", state="held", rule="unread", policy="p@1", findings="{}", urgent=0,
                size_bytes=1, received_at=0, created_at=0,
            )  # fmt: skip
            keep(
                tx, world.rows, world.directory, tenant=TENANT, message=MESSAGE, answer=answer, kind="release-as-is",
                user="usr_portal", reason="why", now_us=world.clock.now_us(),
            )  # fmt: skip

        world.store.run(work)

    @property
    def row(self) -> Any:
        with self.world.store.reading() as conn:
            return self.world.rows.get(conn, schema.held_acts, ACT)


@pytest.fixture
def duty(world: World) -> Duty:
    return Duty(world)


def test_what_is_done_and_in_whose_name_is_the_keyholders_word_and_not_the_rows(duty: Duty) -> None:
    assert duty.run() == 1
    assert duty.held.done == [("message:dropped", ACT, "usr_olga")]
    row = duty.row
    assert (row["state"], row["kind"], row["user"], row["second"]) == ("done", "drop", "usr_olga", "usr_pete")
    assert duty.run() == 0
    assert len(duty.held.done) == 1


@pytest.mark.parametrize("reason", ["no-act", "expired", "needs-second"])
def test_what_the_keyholder_refuses_is_done_by_nobody_and_stays_visible(duty: Duty, reason: str) -> None:
    duty.keyholder.answer = Denied(reason)
    assert duty.run() == 1
    assert duty.held.done == []
    assert (duty.row["state"], duty.row["failure"]) == ("failed", reason)
    assert duty.world.actions()[-1] == "act:failed"
    assert duty.run() == 0


def test_a_neighbour_that_is_down_is_asked_again_after_a_pause(duty: Duty) -> None:
    duty.held.trouble = TryLater("vault")
    assert duty.run() == 0
    assert (duty.row["state"], duty.row["failure"]) == ("ready", "later")
    duty.held.trouble = None
    assert duty.run() == 0  # not at once
    duty.world.clock.ahead_us += AGAIN_US + 1
    assert duty.run() == 1
    assert duty.row["state"] == "done"


def test_a_crash_between_the_deed_and_its_row_does_nothing_twice(duty: Duty) -> None:
    duty.held.drop(TENANT, MESSAGE, ACT, "usr_olga")
    duty.world.store.run(lambda tx: duty.world.rows.update(tx, schema.held_acts, ACT, state="working") and None)
    assert duty.run() == 0  # somebody may still be at it
    duty.world.clock.ahead_us += STALE_US + 1
    duty.held.trouble = NotHeld("settled meanwhile")
    assert duty.run() == 1
    assert duty.row["state"] == "done"
    assert len(duty.held.done) == 1


def test_another_decision_that_was_faster_makes_this_one_fail_in_words(duty: Duty) -> None:
    duty.held.trouble = NotHeld("settled meanwhile")
    assert duty.run() == 1
    assert (duty.row["state"], duty.row["failure"]) == ("failed", "not-held")


def test_a_row_that_somebody_else_changed_is_not_carried_out(duty: Duty) -> None:
    table = schema.held_acts
    duty.world.store.run(lambda tx: tx.conn.execute(update(table).values(user="usr_thief")) and None)
    assert duty.run() == 0
    assert duty.held.done == []


def test_a_decision_that_waits_for_a_second_officer_is_not_looked_at(duty: Duty) -> None:
    duty.world.store.run(lambda tx: duty.world.rows.update(tx, schema.held_acts, ACT, state="waiting") and None)
    assert duty.run() == 0
    assert duty.held.done == []
