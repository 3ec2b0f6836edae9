"""Room put by on a disk: it is really there, given up when the disk is full, and made again when there is room.

The disk is a small tmpfs where the test may mount one.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from keys.reserve import Reserve, is_full

MB = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def fill(folder: Path, leave_bytes: int = 0) -> Path:
    path = folder / "ballast"
    with open(path, "ab") as file:
        os.posix_fallocate(file.fileno(), file.tell(), free(folder) - leave_bytes)
    return path


@pytest.mark.root
@pytest.mark.full
def test_room_is_there_given_up_and_made_again(disk: Path) -> None:
    told: list[bool] = []
    reserve = Reserve(disk, 4 * MB, told=told.append)
    assert reserve.whole
    assert free(disk) <= 12 * MB
    ballast = fill(disk, 2 * MB)
    assert reserve.look(now=True)  # not full yet
    fill(disk)
    assert not reserve.look(now=True)
    assert free(disk) >= 4 * MB - 65_536
    assert not reserve.look(now=True)  # what it gave up alone does not bring it back
    ballast.unlink()
    assert reserve.look(now=True)
    assert told == [True, False, True]
    assert Reserve(disk, 4 * MB).whole


@pytest.mark.root
@pytest.mark.full
def test_database_that_finds_no_room_goes_on_with_it(disk: Path) -> None:
    reserve = Reserve(disk, 4 * MB)
    conn = sqlite3.connect(disk / "db")
    conn.execute("PRAGMA journal_mode=WAL")
    conn.execute("CREATE TABLE t (x)")
    fill(disk)
    with pytest.raises(sqlite3.OperationalError) as caught:
        conn.execute("INSERT INTO t VALUES (zeroblob(3000000))")
        conn.commit()
    assert reserve.needed(caught.value)
    conn.rollback()
    assert reserve.spend()
    conn.execute("INSERT INTO t VALUES (zeroblob(1000000))")
    conn.commit()
    conn.close()
    assert not reserve.spend()


def test_none_is_always_whole(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path, 0)
    assert reserve.whole
    assert reserve.look(now=True)
    assert not reserve.spend()
    assert list(tmp_path.iterdir()) == []


def test_file_that_somebody_removed_or_emptied_is_made_again(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path, MB)
    path = tmp_path / "reserve"
    assert path.stat().st_blocks * 512 >= MB
    path.unlink()
    assert not reserve.look(now=True)
    assert reserve.look(now=True)
    path.write_bytes(b"")
    os.truncate(path, MB)  # a hole: nothing is put by
    assert not Reserve(tmp_path / "elsewhere", MB).whole
    assert Reserve(tmp_path, MB)._there()


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (OSError(errno.ENOSPC, "x"), True),
        (OSError(errno.EDQUOT, "x"), True),
        (OSError(errno.EIO, "x"), False),
        (ValueError("x"), False),
    ],
    ids=["no-space", "quota", "io", "other"],
)
def test_what_means_full(error: Exception, answer: bool) -> None:
    assert is_full(error) is answer
    wrapped = RuntimeError("x")
    wrapped.__cause__ = error
    assert is_full(wrapped) is answer
