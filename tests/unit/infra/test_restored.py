"""The note that a restore leaves: read back, settled by the worker, taken away, and never half believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import restored
from gateway.errors import Misconfigured
from gateway.restored import Restored

NOTE = Restored("bkp_a", "bkp_b", 2, 1, 3, {"system": 7}, (("tnt_a", "usr_a"),))


def test_a_note_reads_back_until_it_is_done(tmp_path: Path) -> None:
    assert restored.read(tmp_path) is None
    restored.write(tmp_path, NOTE, 0o600)
    found = restored.read(tmp_path)
    assert found is not None
    assert (found.content, found.keyholder, found.began_us, found.logs) == ("bkp_a", "bkp_b", 3, {"system": 7})
    assert [tuple(one) for one in found.disabled] == [("tnt_a", "usr_a")]
    restored.done(tmp_path)
    restored.done(tmp_path)
    assert restored.read(tmp_path) is None


def test_the_worker_settles_this_note_and_no_later_one(tmp_path: Path) -> None:
    own = tmp_path / "worker"
    own.mkdir()
    assert not restored.settled(tmp_path, own)
    restored.write(tmp_path, NOTE, 0o644)
    assert not restored.settled(tmp_path, own)
    restored.settle(tmp_path, own)
    assert restored.settled(tmp_path, own)
    restored.write(tmp_path, Restored("bkp_c", "bkp_b", 2, 1, 9, {}), 0o644)
    assert not restored.settled(tmp_path, own)


def test_a_damaged_note_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / restored.NAME).write_text('{"content": "bkp_a"}')
    with pytest.raises(Misconfigured, match="restore again"):
        restored.read(tmp_path)
