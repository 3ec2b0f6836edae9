"""A clock that leaps forward is not believed for what nobody can undo; one that goes on as time does is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from keys.steady import LEAP_SECONDS, WAIT_SECONDS, Steady, since_boot

DAY = 86_400.0


class Machine:
    """A clock and the time since boot."""

    def __init__(self) -> None:
        self.wall, self.elapsed = 1_800_000_000.0, 500.0
        self.steady = Steady(lambda: self.wall, lambda: self.elapsed)

    def after(self, seconds: float, leap: float = 0.0) -> bool:
        """The answer that much later, with the clock that much further still."""
        self.elapsed += seconds
        self.wall += seconds + leap
        return self.steady()


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_time_that_passes_is_believed_however_much_of_it(machine: Machine) -> None:
    assert all(machine.after(seconds) for seconds in (0, 1, 3600, 90 * DAY))


def test_a_clock_that_is_slewed_or_set_by_little_is_believed(machine: Machine) -> None:
    assert all(machine.after(3600, 2.0) for _ in range(1000))
    assert machine.after(1, LEAP_SECONDS - 1)


@pytest.mark.parametrize("leap", [LEAP_SECONDS + 1, DAY, 400 * DAY])
def test_a_leap_forward_is_not_believed_for_a_day(machine: Machine, leap: float) -> None:
    assert not machine.after(1, leap)
    assert not machine.after(WAIT_SECONDS - 2)
    assert machine.after(2)


def test_it_is_believed_again_as_soon_as_it_has_come_back(machine: Machine) -> None:
    assert not machine.after(1, 90 * DAY)
    assert machine.after(60, -90 * DAY)
    assert machine.after(1)


def test_a_leap_back_alone_changes_nothing_and_its_being_taken_back_is_no_leap_forward(machine: Machine) -> None:
    assert machine.after(1, -DAY)
    assert machine.after(3600, DAY)
    assert machine.after(1)


@pytest.mark.parametrize("back", [-3600.0, -DAY], ids=["an hour", "a day"])
def test_what_goes_further_than_a_leap_back_was_counts(machine: Machine, back: float) -> None:
    assert machine.after(1, back)
    assert not machine.after(1, LEAP_SECONDS + 1 - back)


def test_a_leap_back_that_stood_for_a_day_is_the_clock_that_is_believed(machine: Machine) -> None:
    assert machine.after(1, -DAY)
    assert machine.after(WAIT_SECONDS)
    assert not machine.after(1, DAY)


def test_a_clock_that_leaps_to_and_fro_is_believed_only_where_it_began(machine: Machine) -> None:
    for _ in range(3):
        assert not machine.after(1, 2 * DAY)
        assert machine.after(1, -3 * DAY)
        assert machine.after(1, DAY)


def test_a_second_leap_begins_the_wait_anew(machine: Machine) -> None:
    assert not machine.after(1, DAY)
    assert not machine.after(WAIT_SECONDS - 10, DAY)
    assert not machine.after(WAIT_SECONDS - 1)
    assert machine.after(1)


def test_the_time_since_boot_is_nobodys_to_set() -> None:
    asked: Callable[[], float] = since_boot
    first = asked()
    assert 0 < first <= asked()
