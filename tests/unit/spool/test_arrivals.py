"""A large item is looked for as soon as its content has its name; small mail as often as ever."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from gateway.spool import arrivals, layout
from gateway.spool.arrivals import Arrivals

LONG = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    layout.create(tmp_path / "in")
    return tmp_path / "in"


def _name(folder: Path) -> None:
    part = folder / layout.LARGE / "x.part"
    part.write_bytes(b"sealed")
    os.replace(part, part.with_suffix(".item"))


def test_a_name_ends_the_wait_and_the_record_is_looked_for_at_once(folder: Path) -> None:
    made = Arrivals(folder)
    threading.Timer(0.05, _name, [folder]).start()
    began = time.monotonic()
    made.wait(LONG)
    made.wait(LONG)  # the record may come now
    assert time.monotonic() - began < LONG
    made.close()
    made.close()


def test_what_is_found_ends_the_hurry(folder: Path) -> None:
    made = Arrivals(folder)
    _name(folder)
    made.wait(LONG)
    made.came()
    began = time.monotonic()
    made.wait(0.05)
    assert time.monotonic() - began >= 0.04
    made.close()


@pytest.mark.parametrize("answer", [-1, None])
def test_where_the_kernel_tells_nothing_it_is_waited_as_before(
    folder: Path, monkeypatch: pytest.MonkeyPatch, answer: int | None
) -> None:
    class Other:
        if answer is not None:

            @staticmethod
            def inotify_init1(_flags: int) -> int:
                return -1

    monkeypatch.setattr(arrivals.ctypes, "CDLL", lambda *_, **__: Other)
    made = Arrivals(folder)
    began = time.monotonic()
    made.wait(0.05)
    assert time.monotonic() - began >= 0.04
    made.close()


def test_a_folder_that_is_gone_is_not_watched(tmp_path: Path) -> None:
    made = Arrivals(tmp_path / "nowhere")
    made.wait(0.001)
    made.close()
