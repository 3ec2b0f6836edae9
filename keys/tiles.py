"""A log as static files: paths and bytes of hash tiles and entry bundles.

Pure: bytes and paths in and out; who stores them is another's business. Promises: a path and a tile have one spelling
each; a tile or bundle of the wrong size is refused. Clauses: C2SP tlog-tiles (Merkle Tree, Partial Tiles, Log entries).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from keys.errors import Tampered
from keys.merkle import HASH_BYTES, Get, node_hash

WIDTH = 256
HEIGHT = 8  # levels of the tree in one tile: 2**8 = WIDTH
MAX_LEVEL = 63
MAX_ENTRY_BYTES = 65_535

_PATH = re.compile(r"tile/(entries|0|[1-9]\d?)/((?:x\d{3}/)*\d{3})(?:\.p/([1-9]\d{0,2}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile: `level` 0 … 63 for hashes, None for an entry bundle; `width` 1 … 256, 256 being a full one."""

    level: int | None
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Such as ``tile/0/x001/x234/067.p/8``, relative to the log's prefix. ValueError for impossible numbers."""
        if self.index < 0 or not 1 <= self.width <= WIDTH:
            raise ValueError("a tile has an index and a width of 1 to 256")
        if self.level is not None and not 0 <= self.level <= MAX_LEVEL:
            raise ValueError("a tile's level is 0 to 63")
        number, groups = self.index, []
        while True:
            number, group = divmod(number, 1000)
            groups.append(f"{group:03d}")
            if number == 0:
                break
        name = "/".join(["x" + group for group in reversed(groups[1:])] + [groups[0]])
        suffix = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{'entries' if self.level is None else self.level}/{name}{suffix}"


def parse_path(path: str) -> Tile:
    """The tile of a path. ValueError for any spelling that `Tile.path` would not give."""
    found = _PATH.fullmatch(path)
    if found is None:
        raise ValueError("not the path of a tile")
    level, name, width = found.groups()
    index = int("".join(part.lstrip("x") for part in name.split("/")))
    tile = Tile(None if level == "entries" else int(level), index, int(width or WIDTH))
    if tile.path != path:  # such as leading groups of zero, or a partial tile of full width
        raise ValueError("not the path of a tile")
    return tile


def hash_tiles(size: int) -> Iterator[Tile]:
    """Every hash tile of a log of that size, level by level, partial ones last on each level."""
    level = 0
    while size >> (HEIGHT * level):
        count = size >> (HEIGHT * level)
        for index in range(count // WIDTH):
            yield Tile(level, index)
        if count % WIDTH:
            yield Tile(level, count // WIDTH, count % WIDTH)
        level += 1


def entry_bundles(size: int) -> Iterator[Tile]:
    """Every entry bundle of a log of that size."""
    for index in range(size // WIDTH):
        yield Tile(None, index)
    if size % WIDTH:
        yield Tile(None, size // WIDTH, size % WIDTH)


def render_tile(tile: Tile, get: Get) -> bytes:
    """The bytes of a hash tile: `width` hashes of complete subtrees. ValueError for an entry bundle."""
    if tile.level is None:
        raise ValueError("an entry bundle holds no hashes")
    first = tile.index * WIDTH
    return b"".join(get(HEIGHT * tile.level, first + offset) for offset in range(tile.width))


def parse_tile(tile: Tile, data: bytes) -> list[bytes]:
    """The hashes of a tile. Raises Tampered unless there are exactly `width`."""
    if len(data) != tile.width * HASH_BYTES:
        raise Tampered("a hash tile has the wrong size")
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def render_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries, each behind its u16 big-endian length. ValueError unless 1 to 256, each of at most 65,535 bytes."""
    if not 1 <= len(entries) <= WIDTH or any(len(entry) > MAX_ENTRY_BYTES for entry in entries):
        raise ValueError("a bundle holds 1 to 256 entries of at most 65,535 bytes")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def parse_bundle(tile: Tile, data: bytes) -> list[bytes]:
    """The entries of a bundle. Raises Tampered unless there are exactly `width` and nothing after them."""
    entries, at = [], 0
    for _ in range(tile.width):
        stop = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or stop > len(data):
            raise Tampered("an entry bundle is cut")
        entries.append(data[at + 2 : stop])
        at = stop
    if at != len(data):
        raise Tampered("an entry bundle has bytes after its last entry")
    return entries


def get_from_tiles(size: int, read: Callable[[Tile], bytes]) -> Get:
    """A `merkle.Get` for a log of that size that reads tiles; `read` may raise, and gets each tile about once.

    The hashes are what the tiles say: whoever must not trust them recomputes them from the entries, or checks a proof
    made from them against a signed root.
    """
    kept: dict[Tile, list[bytes]] = {}

    def hashes(tile: Tile) -> list[bytes]:
        if tile not in kept:
            if len(kept) >= 64:
                kept.pop(next(iter(kept)))
            kept[tile] = parse_tile(tile, read(tile))
        return kept[tile]

    def get(level: int, index: int) -> bytes:
        if level < 0 or index < 0 or (index + 1) << level > size:
            raise ValueError("no such complete subtree in a log of that size")
        tile_level, above = divmod(level, HEIGHT)
        first = index << above
        number = first // WIDTH
        width = min(WIDTH, (size >> (HEIGHT * tile_level)) - number * WIDTH)
        row = hashes(Tile(tile_level, number, width))[first % WIDTH : first % WIDTH + (1 << above)]
        while len(row) > 1:
            row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
        return row[0]

    return get
