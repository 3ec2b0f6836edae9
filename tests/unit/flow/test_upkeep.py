"""Duties sleep until they are due, and are there at once when they are called or ended."""

from __future__ import annotations

from gateway.flow.upkeep import Duty, Upkeep
from tests.support.spool import eventually


def test_duty_that_is_called_for_does_not_wait_for_its_time() -> None:
    ran: list[int] = []
    upkeep = Upkeep([[Duty("daily", 86_400.0, lambda: ran.append(1)), Duty("weekly", 604_800.0, lambda: None)]])
    upkeep.start()
    eventually(lambda: len(ran) == 1, 30)
    upkeep.now("daily")
    eventually(lambda: len(ran) == 2, 30)
    upkeep.stop()
    assert not any(thread.is_alive() for thread in upkeep._threads)
    assert len(ran) == 2
