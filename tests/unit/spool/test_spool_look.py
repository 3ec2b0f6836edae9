"""Looking for an item takes it from nobody: `poll` gives each item exactly once, whoever else looked before."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from gateway.spool import committer, frame, layout
from tests.support.spool import Keyring, put


def test_item_that_another_thread_looked_up_is_still_given_by_poll(ring: Keyring, spool: Path) -> None:
    writer = ring.writer(spool)
    reader = ring.reader(spool)
    assert list(reader.replay()) == []
    found = put(ring, writer, b"one\r\n")
    reader.look()
    assert reader.entry(found) is not None
    assert [entry.id for entry in reader.poll()] == [found]
    assert list(reader.poll()) == []


def test_item_erased_before_it_was_given_is_not_given(ring: Keyring, spool: Path) -> None:
    writer = ring.writer(spool)
    reader = ring.reader(spool)
    first, second = put(ring, writer, b"one\r\n"), put(ring, writer, b"two\r\n")
    reader.look()
    reader.erase(first)
    assert [entry.id for entry in reader.poll()] == [second]


def test_item_is_given_once_to_many_threads_that_look_and_poll(ring: Keyring, spool: Path) -> None:
    writer = ring.writer(spool)
    reader = ring.reader(spool)
    given: list[str] = []
    written = threading.Event()

    def poll() -> None:
        while not written.is_set():
            reader.look()
            for entry in reader.poll():
                given.append(entry.id)
                reader.erase(entry.id)

    threads = [threading.Thread(target=poll) for _ in range(4)]
    for thread in threads:
        thread.start()
    ids = [put(ring, writer, b"%d\r\n" % number) for number in range(60)]
    written.set()
    for thread in threads:
        thread.join()
    given += [entry.id for entry in reader.poll()]
    assert sorted(given) == sorted(ids)
    assert reader.repeated == 0


def test_look_in_vain_reads_nothing_and_what_comes_after_it_is_found(
    ring: Keyring, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = ring.writer(spool)
    reader = ring.reader(spool)
    ids = [put(ring, writer, b"one\r\n")]
    os.utime(spool / layout.LOG, (1_000_000, 1_000_000))  # it was made long ago
    given = [entry.id for entry in reader.poll()]
    scans: list[int] = []
    scan = frame.scan
    monkeypatch.setattr(frame, "scan", lambda *where: (scans.append(1), scan(*where))[1])
    monkeypatch.setattr(layout, "segments", lambda *_: pytest.fail("the folder was listed in vain"))
    assert list(reader.poll()) == []
    assert scans == []
    monkeypatch.undo()
    ids.append(put(ring, writer, b"two\r\n"))  # in the same segment
    given += [entry.id for entry in reader.poll()]
    monkeypatch.setattr(committer, "SEGMENT_BYTES", 1)
    ids += [put(ring, writer, b"three\r\n"), put(ring, writer, b"four\r\n")]  # each in one of its own
    given += [entry.id for entry in reader.poll()]
    assert given == ids
