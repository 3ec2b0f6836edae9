"""Writing back early: the whole file is covered once, small files not at all, and errors stay where they are told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway import writeback
from gateway.spool import layout
from gateway.vault.blobstores.file import FileBlobStore
from gateway.writeback import EVERY_BYTES, Writeback

Begun = list[tuple[int, int]]


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Begun:
    found: Begun = []
    monkeypatch.setattr(writeback, "_begin", lambda _descriptor, start, count: found.append((start, count)))
    return found


def test_what_was_written_is_begun_once_and_in_order(begun: Begun) -> None:
    one = Writeback(-1)
    for _ in range(10):
        one.wrote(EVERY_BYTES // 3 + 1)
    size = EVERY_BYTES // 3 + 1
    assert begun == [(0, 3 * size), (3 * size, 3 * size), (6 * size, 3 * size)]


def test_a_small_file_is_left_to_its_sync(begun: Begun) -> None:
    one = Writeback(-1)
    one.wrote(EVERY_BYTES - 1)
    assert begun == []


def test_a_blob_is_begun_by_what_was_written_and_not_by_what_was_asked(
    begun: Begun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = FileBlobStore().create(f"file://{tmp_path}/vault")
    sound = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: sound(descriptor, data[: EVERY_BYTES // 2]))
    writer = blobs.create()
    writer.write(b"x" * (2 * EVERY_BYTES + 5))
    name = writer.commit()
    assert begun == [(0, EVERY_BYTES), (EVERY_BYTES, EVERY_BYTES)]
    monkeypatch.undo()
    reader = blobs.open(name)
    assert reader.size_bytes == 2 * EVERY_BYTES + 5
    reader.close()


def test_the_kernel_is_asked_and_nothing_of_the_file_changes(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    try:
        one, data = Writeback(descriptor), os.urandom(EVERY_BYTES)
        for _ in range(3):
            one.wrote(layout.write_all(descriptor, [data]))
        os.fdatasync(descriptor)
        assert os.pread(descriptor, 3 * EVERY_BYTES, 0) == data * 3
    finally:
        os.close(descriptor)


def test_a_descriptor_that_cannot_be_written_back_is_no_error() -> None:
    read, write = os.pipe()
    try:
        Writeback(write).wrote(EVERY_BYTES)
    finally:
        os.close(read)
        os.close(write)
