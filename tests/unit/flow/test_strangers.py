"""Strangers fill no log: after so many entries a minute the rest is counted, and the count is written."""

from __future__ import annotations

import threading

import pytest

from gateway.flow import strangers
from gateway.flow.strangers import Strangers


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "MOST_A_MINUTE", 3)


def test_what_is_too_much_is_counted_for_each_tenant_and_written_once() -> None:
    written: list[tuple[str, int]] = []
    door = Strangers(lambda tenant, count: written.append((tenant, count)), 3600.0)
    assert [door.take("a") for _ in range(8)] == [True] * 3 + [False] * 5
    assert door.take("b")
    assert written == []
    door.close()
    door.close()
    assert written == [("a", 5)]


def test_the_count_is_written_when_the_minute_is_over_and_again_when_that_failed() -> None:
    written: list[int] = []
    done = threading.Event()
    tries = iter([True, False])

    def write(tenant: str, count: int) -> None:
        if next(tries, False):
            raise OSError("no database")
        written.append(count)
        done.set()

    door = Strangers(write, 0.05)
    for _ in range(1000):  # the first windows may pass on a slow machine; one of them is overfull
        for _ in range(20):
            door.take("a")
        if done.wait(0.06):
            break
    door.close()
    assert done.is_set()
    assert written[0] > 0
