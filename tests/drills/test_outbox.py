"""Two processes append on PostgreSQL while the sequencer is killed twice, and one of the two as well: one whole log."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.audit.event import parse
from gateway.audit.export import export
from gateway.audit.verify import verify
from gateway.store import waiting
from gateway.store.schema import log_leaves, outbox_faults
from tests.support import databases, postgres
from tests.unit.audit.conftest import TENANT, House

pytestmark = [pytest.mark.full, pytest.mark.postgres]
ROOT = Path(__file__).parents[2]
MORE = 100
"""Entries between two kills."""


class Process:
    """One that appends or numbers; `said` is what it promised before it was killed."""

    def __init__(self, url: str, node: str, folder: Path, what: str) -> None:
        command = [sys.executable, "-m", "tests.support.appender", url, node, str(folder), what]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith("\n"):
                self.said.append(line.strip())

    def begin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)
        self._reader.join(30)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_sequencer_killed_twice_under_load_loses_no_entry_and_doubles_none(tmp_path: Path) -> None:
    with postgres.running() as server:
        house = House(databases.postgres(server))
        house.numbering.run_once()
        started: list[Process] = []

        def start(node: str, what: str) -> Process:
            started.append(Process(house.url, node, tmp_path, what))
            return started[-1]

        def numbered() -> int:
            with house.store.reading() as conn:
                return house.audit.size(conn, TENANT)

        try:
            first, second = start("node-a", "append"), start("node-b", "append")
            *killed, last = (start(f"sequencer-{number}", "number") for number in range(3))
            again = start("node-a", "append")  # its name is taken until the first is killed
            for sequencer in killed:
                before = numbered()
                sequencer.begin()
                until(lambda before=before: numbered() > before + MORE)  # type: ignore[misc]
                sequencer.kill()
            first.kill()
            ended = numbered()
            last.begin()
            until(lambda: len(again.said) > MORE and numbered() > ended + MORE)
        finally:
            for process in started:
                process.kill()
        house.numbering.drain()
        promised = [object for process in started for object in process.said]
        with house.store.reading() as conn:
            entries = [parse(bytes(raw)) for raw in house.audit.entries(conn, TENANT, 0, numbered())]
            assert waiting.everywhere(conn).count == 0
            assert conn.execute(select(outbox_faults)).all() == []
            assert len(conn.execute(select(log_leaves.c.idx).where(log_leaves.c.log == TENANT)).all()) == len(entries)
        counted = Counter(entry["object"] for entry in entries)
        assert [object for object in promised if counted[object] != 1] == []
        assert max(counted.values()) == 1
        assert len(second.said) > MORE
        for node in ("node-a", "node-b"):
            numbers = [entry["nseq"] for entry in entries if entry["node"] == node]
            assert numbers == list(range(1, len(numbers) + 1))
        house.sequencer.run_once()
        export(tmp_path / "log", house.audit, TENANT, house.notary)
        report = verify(tmp_path / "log", house.notary.vkeys(TENANT)["log_vkey"])
        assert report.holds, report.problems
        house.store.close()
