"""The threads that find and take mail: nothing at start waits for a backlog, and no surprise ends them for good."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from gateway.errors import TryLater
from gateway.flow.together import Alone
from gateway.flow.worker import Worker
from tests.support.spool import eventually


class Spool:
    """Gives so many entries at the first look, and raises what it is told to."""

    def __init__(self, count: int) -> None:
        self.entries = [SimpleNamespace(id=f"spl_{n}", sealed_bytes=100 + n % 2 * (2 << 20)) for n in range(count)]
        self.trouble: list[Exception] = []

    def arrivals(self) -> None:
        """Nothing tells when something comes."""

    def poll(self) -> Iterator[Any]:
        if self.trouble:
            raise self.trouble.pop()
        entries, self.entries = self.entries, []
        yield from entries


class Taken:
    """What was processed; the first try of the ids in `later` is to be repeated."""

    def __init__(self, *later: str) -> None:
        self.calls: list[tuple[str, bool]] = []
        self.later = set(later)

    def process_all(self, entries: list[Any], give: Any) -> None:
        give([Alone(entry) for entry in entries])

    def process(self, entry: Any, *, again: bool = False, judged: Any = None) -> None:
        self.calls.append((entry.id, again))
        if entry.id in self.later:
            self.later.discard(entry.id)
            raise TryLater("a neighbour is down")


class Idle:
    """A deliverer with nothing to do."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def alive(self) -> bool:
        return True

    def due(self) -> list[Any]:
        return []

    def submit(self, jobs: list[Any]) -> None: ...


def worker(spool: Spool, taken: Taken) -> Worker:
    return Worker(spool, taken, Idle(), None, 2)  # type: ignore[arg-type]


def test_start_does_not_wait_for_a_backlog_and_all_of_it_is_taken() -> None:
    spool, taken = Spool(5000), Taken()
    running = worker(spool, taken)
    running.start()
    eventually(lambda: len(taken.calls) == 5000)
    running.stop()
    assert {again for _, again in taken.calls} == {True}  # an earlier life may have committed any of them


def test_finder_outlives_whatever_a_look_raises() -> None:
    spool, taken = Spool(3), Taken()
    spool.trouble = [ZeroDivisionError("a fault of ours")]
    running = worker(spool, taken)
    running.start()
    eventually(lambda: len(taken.calls) == 3)
    assert running.alive()
    running.stop()
    assert not running.alive()


def test_item_to_be_tried_later_is_tried_again_as_one_that_was_begun() -> None:
    spool, taken = Spool(0), Taken("spl_0")
    running = worker(spool, taken)
    running.start()
    eventually(lambda: spool.entries == [])
    spool.entries = Spool(1).entries
    eventually(lambda: len(taken.calls) >= 2)
    running.stop()
    assert [one for one, _ in taken.calls] == ["spl_0", "spl_0"]
    assert taken.calls[1][1]
