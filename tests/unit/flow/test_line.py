"""The line: one taker as long as it gets on, another within a moment when it does not, and nothing out of order."""

from __future__ import annotations

import threading

import pytest

from gateway.flow import line as lines
from gateway.flow.line import Line
from tests.support.spool import eventually


def test_items_come_in_order_and_first_ones_before_them() -> None:
    line: Line[int] = Line()
    line.put([1, 2])
    line.put([8, 9], first=True)
    assert [line.take(), line.more(), line.more(), line.more(), line.more()] == [8, 9, 1, 2, None]


def test_what_does_not_fit_stays() -> None:
    line: Line[int] = Line()
    line.put([1, 2])
    assert line.take() == 1
    assert line.more(lambda one: one > 2) is None
    assert line.more() == 2


def test_one_taker_gets_all_that_comes_while_it_gets_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "JOIN_AFTER_SECONDS", 600.0)  # however slow this machine is
    line: Line[int] = Line()
    others: list[int | None] = []
    line.put([0])
    assert line.take() == 0
    thread = threading.Thread(target=lambda: others.append(line.take()))
    thread.start()
    taken = []
    for number in range(50):
        line.put([number])
        taken.append(line.more())
    assert taken == list(range(50))
    line.close()
    thread.join(30)
    assert others == [None]


def test_another_takes_over_from_one_that_hangs() -> None:
    line: Line[int] = Line()
    others: list[int | None] = []
    line.put([0])
    assert line.take() == 0  # and this thread does not come back
    thread = threading.Thread(target=lambda: others.append(line.take()))
    thread.start()
    line.put([1, 2])
    thread.join(30)
    assert others == [1]
    assert line.more() is None  # overtaken
    line.rest()
    assert line.take() is not None


def test_another_takes_over_at_once_from_one_that_rests() -> None:
    line: Line[int] = Line()
    others: list[int | None] = []
    line.put([0, 1])
    assert line.take() == 0
    line.rest()
    thread = threading.Thread(target=lambda: others.append(line.take()))
    thread.start()
    eventually(lambda: others == [1])
    thread.join(30)


def test_nothing_is_given_out_after_the_end() -> None:
    line: Line[int] = Line()
    line.put([1])
    assert line.close() == [1]
    line.put([2])
    assert line.take() is None
    assert line.more() is None
