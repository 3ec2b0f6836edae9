"""Exports that lie ready are bounded, however slowly somebody reads them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gateway.errors import TryLater
from gateway.flow.kept import MOST, MOST_BYTES, MOST_PER_TENANT, READ_FOR_SECONDS, Busy, Kept, Pieces


class Shelf:
    """Exports of two pieces, on a clock that stands."""

    def __init__(self) -> None:
        self.now = 0.0
        self.kept = Kept(lambda: self.now)
        self.folders: list[Path] = []

    def export(self, tenant: str, size: int = 10) -> Pieces:
        self.kept.need_room(tenant)
        folder = TemporaryDirectory()
        self.folders.append(Path(folder.name))

        def pieces() -> Iterator[bytes]:
            yield b"one"
            yield b"two"

        try:
            return self.kept.keep(tenant, folder, size, pieces())
        except Busy:
            folder.cleanup()  # what was not kept is its maker's
            raise

    @property
    def lying(self) -> int:
        return sum(one.exists() for one in self.folders)


def test_only_so_many_exports_lie_ready_and_one_tenant_never_takes_all() -> None:
    shelf = Shelf()
    readers = [shelf.export("a") for _ in range(MOST_PER_TENANT)]
    with pytest.raises(Busy):
        shelf.export("a")
    readers += [shelf.export(f"b{number}") for number in range(MOST - MOST_PER_TENANT)]
    with pytest.raises(Busy):
        shelf.export("c")
    assert list(readers[0]) == [b"one", b"two"]  # read to its end: its place is free
    assert shelf.lying == MOST - 1
    readers[1].close()
    shelf.export("a")
    shelf.export("c")


def test_only_so_many_bytes_lie_ready_but_one_export_may_be_of_any_size() -> None:
    shelf = Shelf()
    large = shelf.export("a", MOST_BYTES + 1)
    with pytest.raises(Busy):
        shelf.export("b", 1)
    large.close()
    small = shelf.export("b", 1)
    with pytest.raises(Busy):
        shelf.export("a", MOST_BYTES)
    assert next(small) == b"one"


def test_a_reader_who_went_away_leaves_nothing_behind() -> None:
    shelf = Shelf()
    reader = shelf.export("a")
    next(reader)
    del reader
    gc.collect()
    assert shelf.lying == 0
    for _ in range(MOST_PER_TENANT):
        shelf.export("a").close()


def test_an_export_that_is_read_too_slowly_gives_way_and_never_looks_whole() -> None:
    shelf = Shelf()
    slow = [shelf.export("a") for _ in range(MOST_PER_TENANT)]
    assert next(slow[0]) == b"one"
    shelf.now = READ_FOR_SECONDS + 1
    other = shelf.export("a")
    assert shelf.lying == 1
    with pytest.raises(TryLater):
        next(slow[0])
    assert list(other) == [b"one", b"two"]
