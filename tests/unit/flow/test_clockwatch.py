"""A leap of the clock is said once, with its size, and what carries a time is renewed at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.flow import clockwatch
from gateway.flow.clockwatch import ClockWatch
from keys.steady import Steady


class Machine:
    """A watch over a clock that the test sets."""

    def __init__(self, folder: Path) -> None:
        self.wall, self.renewed = 1_800_000_000.0, 0
        self.folder = folder
        steady = Steady(lambda: self.wall, lambda: 500.0)
        self.look = ClockWatch(steady, folder, SystemClock(), self.renew)
        self.look()

    def renew(self) -> None:
        self.renewed += 1

    @property
    def note(self) -> dict[str, object]:
        return dict(clockwatch.read(self.folder / clockwatch.NAME))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_a_leap_the_note_says_so_and_nothing_is_renewed(machine: Machine) -> None:
    machine.look()
    assert (machine.note["leaps"], machine.note["waiting"], machine.renewed) == (0, False, 0)


def test_a_leap_is_said_once_and_renews_what_carries_a_time(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    machine.wall += 86_400
    machine.look()
    machine.look()
    assert (machine.note["leaps"], machine.note["last_seconds"], machine.note["waiting"]) == (1, 86_400, True)
    machine.wall -= 86_400
    machine.look()
    assert (machine.note["leaps"], machine.note["last_seconds"], machine.note["waiting"]) == (2, -86_400, False)
    assert machine.renewed == 2
    assert [record.getMessage() for record in caplog.records].count("clock:leapt") == 2


def test_a_note_that_cannot_be_written_stops_nothing(machine: Machine) -> None:
    (machine.folder / clockwatch.NAME).unlink()
    machine.folder.rmdir()
    machine.wall += 86_400
    machine.look()
    assert machine.renewed == 1


@pytest.mark.parametrize("text", ["{}", "[]", "no", '{"leaps": "1", "waiting": true}'])
def test_a_damaged_note_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / clockwatch.NAME).write_text(text)
    with pytest.raises(ValueError):
        clockwatch.read(tmp_path / clockwatch.NAME)
