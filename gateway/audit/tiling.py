"""A log's tiles as they are written one after the other: hashes, and bundles of entries. C2SP tlog-tiles.

Pure but for the `put` it is given. Promises: what it puts is determined by the entries alone; it may begin at any
border of 256 entries of a log whose hashes before that are known, and then puts only what that log did not have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from keys.merkle import Frontier, Get, leaf_hash
from keys.tiles import HEIGHT, WIDTH, Tile, render_bundle

Put = Callable[[str, bytes], None]
Rows = list[list[bytes]]


def rows_of(start: int, get: Get) -> Rows:
    """The hashes in the unfinished tile of each level of a log of `start` entries, a multiple of 256."""
    rows: Rows = []
    level = 0
    while count := start >> (HEIGHT * level):
        rows.append([get(HEIGHT * level, index) for index in range(count // WIDTH * WIDTH, count)])
        level += 1
    return rows


def write_tiles(put: Put, tree: Frontier, rows: Rows, entries: Iterable[bytes]) -> None:
    """Put every tile that these entries add to `tree`, which grows by them. Raises what `put` raises."""
    bundle: list[bytes] = []
    for entry in entries:
        bundle.append(entry)
        if len(bundle) == WIDTH:
            put(Tile(None, tree.size // WIDTH).path, render_bundle(bundle))
            bundle = []
        for level, index, value in tree.append(leaf_hash(entry)):
            if level % HEIGHT == 0:
                _hash(put, rows, level // HEIGHT, index, value)
    if bundle:
        put(Tile(None, tree.size // WIDTH, len(bundle)).path, render_bundle(bundle))
    for level, row in enumerate(rows):
        if row:
            count = tree.size >> (HEIGHT * level)
            put(Tile(level, count // WIDTH, len(row)).path, b"".join(row))


def _hash(put: Put, rows: Rows, level: int, index: int, value: bytes) -> None:
    while len(rows) <= level:
        rows.append([])
    rows[level].append(value)
    if len(rows[level]) == WIDTH:
        put(Tile(level, index // WIDTH).path, b"".join(rows[level]))
        rows[level] = []
