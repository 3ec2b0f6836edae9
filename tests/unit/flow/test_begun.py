"""An item whose work never ends is a failed try, in this life and in the next; three of them hold it whole."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from gateway.flow import begun as module
from gateway.flow.begun import Begun
from gateway.flow.doubts import TRIES_BEFORE_HOLD, Doubts
from gateway.flow.worker import Worker

ANY: Any = None


def entry(name: str) -> Any:
    return cast(Any, SimpleNamespace(id=name, sealed_bytes=10))


def test_what_was_under_way_when_a_life_ended_is_a_failed_try_of_the_next(tmp_path: Path) -> None:
    path, cut_off = tmp_path / "begun", []
    for life in range(TRIES_BEFORE_HOLD):
        notes = Begun(path)
        doubts = Doubts(ANY, ANY, ANY, notes)
        assert not doubts.hopeless(entry("spl_1")), life
        with notes.under_way(["spl_2"]):
            pass  # this one ended
        cut_off.append(notes.under_way(["spl_1"]))
        cut_off[-1].__enter__()  # and here the life ends
    doubts = Doubts(ANY, ANY, ANY, Begun(path))
    assert doubts.hopeless(entry("spl_1"))
    assert not doubts.hopeless(entry("spl_2"))
    doubts.settled(entry("spl_1"))
    assert Begun(path).earlier == {}


def test_an_unusable_file_of_notes_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "begun.json").write_text("not JSON")
    notes = Begun(tmp_path / "begun")
    with notes.under_way(["spl_1"]):
        assert notes.earlier == {}


def test_items_that_never_end_do_not_stop_the_others(monkeypatch: Any) -> None:
    """As many as there are threads; the next one is worked on all the same, and each is tried again."""
    monkeypatch.setattr(module, "STUCK_SECONDS", 0.05)
    notes = Begun()
    doubts = Doubts(ANY, ANY, ANY, notes)
    never, done, tries = threading.Event(), threading.Event(), []

    def process(one: Any, **_: Any) -> None:
        with notes.under_way([one.id]):
            if one.id == "good":
                done.set()
            elif not doubts.hopeless(one):
                tries.append(one.id)
                never.wait(60)

    def process_all(batch: list[Any], give: Any) -> None:
        for one in batch:
            process(one)

    waiting = [entry("bad"), entry("good")]
    given = iter([waiting[:1], waiting[1:]])
    spool = SimpleNamespace(
        poll=lambda: iter(next(given, [])) if not tries or "bad" in tries else iter([]),
        entry={one.id: one for one in waiting}.get,
        arrivals=lambda: None,
    )
    outbound = SimpleNamespace(process=process, process_all=process_all, stuck=doubts.stuck)
    deliverer = SimpleNamespace(
        start=lambda: None, stop=lambda: None, due=list, submit=lambda jobs: None, alive=lambda: True
    )
    worker = Worker(cast(Any, spool), cast(Any, outbound), cast(Any, deliverer), ANY, 1)
    worker.start()
    try:
        until = time.monotonic() + 60
        while not (done.is_set() and doubts.hopeless(waiting[0])) and time.monotonic() < until:
            time.sleep(0.01)
        assert done.is_set()
        assert len(tries) == TRIES_BEFORE_HOLD
        assert worker.alive()
    finally:
        never.set()
        worker.stop()
