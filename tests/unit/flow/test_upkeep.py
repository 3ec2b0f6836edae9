"""Duties sleep until they are due, and are there at once when they are called or ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.flow.upkeep import Duty, SignOfLife, Upkeep
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


def test_a_check_that_goes_on_failing_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = [True]

    def check() -> bool:
        if broken[0]:
            raise OSError
        return True

    life = SignOfLife(tmp_path / "health.json", {"disk": lambda: True, "store": check}, SystemClock())
    for state in (True, True, True, False, True, True):
        broken[0] = state
        life()
        assert life.last.reason == ("store" if state else "")
    assert [one.msg for one in caplog.records] == ["health:check-failed"] * 2
