"""A role that hangs at its start is ended and started again, and keeps nobody from stopping the gateway."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway import supervise
from gateway.roles import Identity
from gateway.supervise import Child, ChildEnded, Supervisor

# Ready at its first and third start; at the second it says nothing. It notes each start and ends when it is told to.
ROLE = """
import json, pathlib, sys, time
notes, end = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
with notes.open("a") as file:
    file.write("started\\n")
if len(notes.read_text().split()) != 2:
    print(json.dumps({"ready": True}), flush=True)
while not end.exists():
    time.sleep(0.02)
end.unlink()
"""


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Supervisor, Path, Path]]:
    notes, end = tmp_path / "notes", tmp_path / "end"
    supervisor = Supervisor()
    argv = [sys.executable, "-c", ROLE, str(notes), str(end)]
    supervisor.ready(supervisor.begin("smtp", argv, Identity(None, None, ()), dict(os.environ)))
    monkeypatch.setattr(supervise, "DRAIN_SECONDS", 0.5)
    yield supervisor, notes, end
    supervisor.stop()


def starts(notes: Path) -> int:
    return len(notes.read_text().split())


def looking_after(supervisor: Supervisor) -> threading.Thread:
    def look() -> None:
        while not supervisor._stopping:
            for child in supervisor._children:
                supervisor._look_after(child)
            time.sleep(0.02)

    thread = threading.Thread(target=look)
    thread.start()
    return thread


def test_a_role_that_is_not_ready_in_time_is_started_again(
    running: tuple[Supervisor, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, notes, end = running
    monkeypatch.setattr(supervise, "READY_WITHIN_SECONDS", 5.0)
    end.touch()
    thread = looking_after(supervisor)
    eventually(lambda: starts(notes) == 3 and bool(supervisor._children[0].ready))
    assert supervisor._children[0].ended() is None
    supervisor._stopping = True
    thread.join()


def test_who_stops_the_gateway_waits_for_no_role_that_is_not_ready(running: tuple[Supervisor, Path, Path]) -> None:
    supervisor, notes, end = running
    end.touch()
    thread = looking_after(supervisor)
    eventually(lambda: starts(notes) == 2)
    supervisor._stopping = True
    thread.join(supervise.READY_WITHIN_SECONDS / 2)
    assert not thread.is_alive()


WAITS = """
import json, pathlib, sys
from gateway.processes import told
notes = pathlib.Path(sys.argv[1])
def note(what):
    with notes.open("a") as file:
        file.write(what + "\\n")
note("read")
if not told():
    note("alone")
    sys.exit(0)
note("told" if sys.stdin.read() == "" else "more")
print(json.dumps({"ready": True}), flush=True)
pathlib.Path(sys.argv[2]).read_bytes()  # a pipe that nobody writes to
"""


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[tuple[Supervisor, Child, Path]]:
    notes, end = tmp_path / "notes", tmp_path / "end"
    os.mkfifo(end)
    supervisor = Supervisor()
    argv = [sys.executable, "-c", WAITS, str(notes), str(end)]
    child = supervisor.begin("smtp", argv, Identity(None, None, ()), dict(os.environ), waits=True)
    yield supervisor, child, notes
    supervisor.stop()


def test_a_role_that_waits_has_read_its_program_and_does_nothing_before_its_word(
    waiting: tuple[Supervisor, Child, Path],
) -> None:
    supervisor, child, notes = waiting
    eventually(lambda: notes.exists() and notes.read_text() == "read\n")
    assert child.ready == {}
    supervisor.ready(child)
    assert child.ready == {"ready": True}
    assert notes.read_text().split() == ["read", "told"]


def test_a_role_that_waits_ends_when_its_parent_is_gone(waiting: tuple[Supervisor, Child, Path]) -> None:
    _, child, notes = waiting
    assert child.process is not None
    assert child.process.stdin is not None
    child.process.stdin.close()
    assert child.process.wait(60) == 0
    assert notes.read_text().split() == ["read", "alone"]


def test_a_role_that_waited_and_fell_over_is_started_again_with_its_word(
    waiting: tuple[Supervisor, Child, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, child, notes = waiting
    supervisor.ready(child)
    assert child.process is not None
    child.process.kill()
    thread = looking_after(supervisor)
    eventually(lambda: notes.read_text().split() == ["read", "told"] * 2)
    supervisor._stopping = True
    thread.join()


def test_a_role_that_ends_before_its_word_is_named_with_its_status(waiting: tuple[Supervisor, Child, Path]) -> None:
    supervisor, child, _ = waiting
    assert child.process is not None
    child.process.kill()
    child.process.wait(60)
    with pytest.raises(ChildEnded, match="smtp") as ended:
        supervisor.ready(child)
    assert ended.value.status == -9
