"""keys.tiles: C2SP tlog-tiles paths and bytes."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import merkle, tiles
from keys.errors import Tampered
from keys.merkle import Frontier, leaf_hash
from keys.tiles import Tile


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 1_234_067), "tile/0/x001/x234/067"),  # the example of the specification
        (Tile(0, 0), "tile/0/000"),
        (Tile(5, 999, 1), "tile/5/999.p/1"),
        (Tile(63, 1000, 255), "tile/63/x001/000.p/255"),
        (Tile(None, 1_000_000, 8), "tile/entries/x001/x000/000.p/8"),
    ],
)
def test_paths_are_those_of_the_specification(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert tiles.parse_path(path) == tile


@given(st.one_of(st.none(), st.integers(0, 63)), st.integers(0, 10**12), st.integers(1, 256))
def test_a_path_gives_back_its_tile(level: int | None, index: int, width: int) -> None:
    assert tiles.parse_path(Tile(level, index, width).path) == Tile(level, index, width)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "checkpoint",
        "tile/0",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/000\n",
        "tile/0/../000",
        "tile/Entries/000",
        "tile/0/٠٠٠",
    ],
)
def test_other_spellings_of_a_path_are_refused(path: str) -> None:
    with pytest.raises(ValueError):
        tiles.parse_path(path)


@pytest.mark.parametrize("tile", [Tile(64, 0), Tile(-1, 0), Tile(0, -1), Tile(0, 0, 0), Tile(0, 0, 257)])
def test_impossible_tiles_have_no_path(tile: Tile) -> None:
    with pytest.raises(ValueError):
        _ = tile.path


def test_a_log_of_seventy_thousand_has_the_tiles_the_specification_counts() -> None:
    found = list(tiles.hash_tiles(70_000))
    assert sum(tile.level == 0 and tile.width == 256 for tile in found) == 273
    assert [tile for tile in found if tile.width < 256 or tile.level == 1] == [
        Tile(0, 273, 112),
        Tile(1, 0),
        Tile(1, 1, 17),
        Tile(2, 0, 1),
    ]
    assert list(tiles.hash_tiles(256)) == [Tile(0, 0), Tile(1, 0, 1)]
    assert list(tiles.hash_tiles(0)) == []
    assert list(tiles.entry_bundles(513)) == [Tile(None, 0), Tile(None, 1), Tile(None, 2, 1)]
    assert list(tiles.entry_bundles(0)) == []


@pytest.fixture(scope="module")
def log() -> tuple[int, merkle.Get]:
    """A log past one full tile of level 1 would be large; 700 leaves make three level-0 tiles and one of level 1."""
    nodes: dict[tuple[int, int], bytes] = {}
    frontier = Frontier(0, [])
    for number in range(700):
        for level, index, value in frontier.append(leaf_hash(number.to_bytes(2, "big"))):
            nodes[level, index] = value
    return 700, lambda level, index: nodes[level, index]


def test_tiles_give_back_every_complete_subtree_and_so_every_root(log: tuple[int, merkle.Get]) -> None:
    size, get = log
    stored = {tile: tiles.render_tile(tile, get) for tile in tiles.hash_tiles(size)}
    again = tiles.get_from_tiles(size, stored.__getitem__)
    for level in range(10):
        for index in range(size >> level):
            assert again(level, index) == get(level, index)
    assert merkle.root(size, again) == merkle.root(size, get)
    for level, index in ((0, 700), (9, 1), (10, 0), (-1, 0), (0, -1)):
        with pytest.raises(ValueError):
            again(level, index)


def test_a_changed_tile_changes_the_root(log: tuple[int, merkle.Get]) -> None:
    size, get = log
    stored = {tile: tiles.render_tile(tile, get) for tile in tiles.hash_tiles(size)}
    root = merkle.root(size, get)
    for tile in (Tile(0, 2, 188), Tile(1, 0, 2)):
        for at in range(0, len(stored[tile]), 32):
            data = bytearray(stored[tile])
            data[at] ^= 1
            assert merkle.root(size, tiles.get_from_tiles(size, {**stored, tile: bytes(data)}.__getitem__)) != root


def test_a_tile_of_the_wrong_size_is_refused() -> None:
    assert tiles.parse_tile(Tile(0, 0, 2), bytes(64)) == [bytes(32)] * 2
    for length in (0, 32, 63, 65, 96):
        with pytest.raises(Tampered):
            tiles.parse_tile(Tile(0, 0, 2), bytes(length))
    with pytest.raises(ValueError):
        tiles.render_tile(Tile(None, 0, 1), lambda *_: bytes(32))


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=20))
def test_a_bundle_gives_back_its_entries(entries: list[bytes]) -> None:
    data = tiles.render_bundle(entries)
    assert tiles.parse_bundle(Tile(None, 0, len(entries)), data) == entries
    for width in {len(entries) - 1, len(entries) + 1} - {0}:
        with pytest.raises(Tampered):
            tiles.parse_bundle(Tile(None, 0, width), data)


def test_a_bundle_is_u16_lengths_and_entries() -> None:
    assert tiles.render_bundle([b"ab", b""]) == b"\x00\x02ab\x00\x00"
    big = os.urandom(65_535)
    assert tiles.parse_bundle(Tile(None, 0, 1), tiles.render_bundle([big])) == [big]


def test_a_cut_or_stretched_bundle_is_refused() -> None:
    data = tiles.render_bundle([b"abc", b"defg"])
    for length in range(len(data)):
        with pytest.raises(Tampered):
            tiles.parse_bundle(Tile(None, 0, 2), data[:length])
    with pytest.raises(Tampered):
        tiles.parse_bundle(Tile(None, 0, 2), data + b"\x00")


@pytest.mark.parametrize("entries", [[], [b""] * 257, [bytes(65_536)]])
def test_a_bundle_that_cannot_be_written_is_not(entries: list[bytes]) -> None:
    with pytest.raises(ValueError):
        tiles.render_bundle(entries)
