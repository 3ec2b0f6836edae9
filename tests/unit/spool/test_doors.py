"""What smtp counts reaches the worker as numbers, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.spool import doors
from gateway.spool.doors import FRESH_FOR_US, NAME, Doors

NOW = 1_800_000_000_000_000
SAID = Doors(NOW, accepted=7, refused=2, later=1, connections=3)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert doors.read(tmp_path, NOW) is None
    doors.write(tmp_path, SAID)
    assert doors.read(tmp_path, NOW + FRESH_FOR_US) == SAID
    assert doors.read(tmp_path, NOW + FRESH_FOR_US + 1) is None  # smtp is gone, or stands still


@pytest.mark.parametrize(
    "change",
    [{"accepted": -1}, {"accepted": "7"}, {"refused": True}, {"later": 1.5}, {"connections": 2**60}, {"v": 2},
     {"who": "amy@clinic.test"}],
    ids=["negative", "text", "truth", "fraction", "huge", "version", "more"],
)  # fmt: skip
def test_a_file_of_another_form_is_none(tmp_path: Path, change: dict[str, Any]) -> None:
    doors.write(tmp_path, SAID)
    value = json.loads((tmp_path / NAME).read_text())
    (tmp_path / NAME).write_text(json.dumps(value | change))
    assert doors.read(tmp_path, NOW) is None


@pytest.mark.parametrize("raw", [b"", b"[]", b"[" * 900, b"\xff" * 50, b"{" + b" " * 2000 + b"}"], ids=range(5))
def test_rubbish_is_none_and_a_link_is_not_followed(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / NAME).write_bytes(raw)
    assert doors.read(tmp_path, NOW) is None
    (tmp_path / NAME).unlink()
    (tmp_path / "elsewhere").mkdir()
    doors.write(tmp_path / "elsewhere", SAID)
    (tmp_path / NAME).symlink_to(tmp_path / "elsewhere" / NAME)
    assert doors.read(tmp_path, NOW) is None
