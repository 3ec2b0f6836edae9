"""The clock leaps forward and comes back, or goes back, while mail is at any point of its way: each arrives once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.courier.port import Deferred
from tests.support.flow import PHI, World

LATER = Deferred("4.3.0", "busy", 451)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LEAPS = {"an-hour-on": HOUR, "forty-days-on": 40 * DAY, "an-hour-back": -HOUR, "two-days-back": -2 * DAY}


def leap(world: World, by: timedelta) -> None:
    world.clock.ahead_us += by // timedelta(microseconds=1)


@pytest.mark.parametrize("by", LEAPS.values(), ids=LEAPS)
def test_mail_of_before_within_and_after_the_leap_arrives_once(world: World, by: timedelta) -> None:
    world.deliverer = world.new_deliverer()
    world.deliverer._outcomes._believed = lambda: False  # as `keys.steady` says of such a clock
    world.flow = world.new_flow()
    expected = []
    for when in ("before", "within", "after"):
        if when == "within":
            leap(world, by)
        if when == "after":
            leap(world, -by)
        for kind, body in (("clean", b"lunch at noon?"), ("secret", PHI)):
            for way in ("waits", "goes", "spooled"):
                to = f"{when}.{kind}.{way}@example.test"
                expected.append(to)
                if way == "waits":
                    world.smarthost.answers[to] = LATER
                entry = world.spool(body, to)
                if way != "spooled":
                    world.flow.process(entry)
        world.deliver()
        world.due()  # what waits is tried, and refused, by the clock as it is now
    refused = len(world.smarthost.attempts)
    world.smarthost.answers.clear()
    for entry in world.incoming.waiting():  # what was not begun before is worked on now
        world.flow.process(entry, again=True)
    world.deliver()
    for _ in range(3):
        world.due(2 * HOUR)
    tried = [one for one, _ in world.smarthost.attempts]
    waited = [one for one in expected if ".waits@" in one]
    assert {one: tried[refused:].count(one) for one in waited} == dict.fromkeys(waited, 1)
    went = [one for one in expected if one not in waited]
    assert {one: tried.count(one) for one in went} == dict.fromkeys(went, 1)
    assert {one: world.states()[one] for one in expected} == dict.fromkeys(expected, "delivered")
    assert world.incoming.waiting() == []
    assert world.outgoing.waiting() == []
