"""PostgreSQL: who reads the log waits for what was committed before, or is told what still waits."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.store import waiting
from gateway.store.schema import log_leaves
from tests.unit.audit.conftest import TENANT, House, Node
from tests.unit.audit.test_numbering import checked, numbers, waits

pytestmark = pytest.mark.postgres


def test_a_reader_waits_for_what_was_committed_before_it_began(shared: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "READERS_FOR", waiting.timedelta(seconds=60))
    shared.numbering.start()
    try:
        for count in range(5):
            shared.happen()
            with shared.store.reading(log=TENANT) as conn:
                assert len(conn.execute(select(log_leaves.c.idx).where(log_leaves.c.log == TENANT)).all()) == count + 2
                assert waiting.count(conn, TENANT) == 0
    finally:
        shared.numbering.stop()


def test_a_reader_is_told_what_still_waits(shared: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "READERS_FOR", waiting.timedelta(milliseconds=50))
    shared.happen(count=3)
    with shared.store.reading(log=TENANT) as conn:
        assert waiting.count(conn, TENANT) == 4
        said = waiting.said(conn)
        assert len(conn.execute(select(said.c.entry).where(said.c.log == TENANT)).all()) == 4
    shared.numbering.run_once()
    with shared.store.reading(log=TENANT) as conn:
        assert waiting.count(conn, TENANT) == 0
        assert len(conn.execute(select(waiting.said(conn).c.entry).where(said.c.log == TENANT)).all()) == 4


def test_a_start_drains_what_an_earlier_life_left(shared: House) -> None:
    shared.happen(count=3)
    other = Node(shared, "node-2")
    other.numbering.drain()
    assert waits(shared) == 0
    other.close()


def test_an_export_made_under_load_verifies(shared: House, tmp_path: Path) -> None:
    others = [Node(shared, name) for name in ("node-2", "node-3")]
    stop = threading.Event()

    def load(node: Node) -> None:
        while not stop.is_set():
            node.happen()

    threads = [threading.Thread(target=load, args=(node,)) for node in others]
    for thread in threads:
        thread.start()
    shared.numbering.start()
    try:
        shared.happen(object="before")
        report = checked(shared, tmp_path / "log")
        assert report.holds
        assert b'"object":"before"' in (tmp_path / "log" / "entries.jsonl").read_bytes()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        shared.numbering.stop()
    shared.numbering.run_once()
    report = checked(shared, tmp_path / "again")
    assert report.holds
    for node in others:
        found = numbers(shared, node.audit.node)
        assert found == list(range(1, len(found) + 1))
        node.close()
