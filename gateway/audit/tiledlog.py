"""One exported log, checked: every byte of its files is accounted for, and what does not fit is named by its entry.

Pure but for reading the directory: no database, no network, no clock. Each entry lies in the directory three times
(bundle, readable copy, and as a hash in the tiles). The signed checkpoint decides which of them is right, so that a
change is laid at the door of the file it was made in.
Clauses: C2SP tlog-tiles, tlog-checkpoint; RFC 6962 2.1.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.audit.event import parse
from keys.errors import Tampered
from keys.merkle import Frontier, Get, leaf_hash, node_hash, root
from keys.notes import Checkpoint, Verifier, open_note, parse_checkpoint
from keys.tiles import HEIGHT, WIDTH, Tile, entry_bundles, hash_tiles

CHECKPOINT, VKEY, ENTRIES = "checkpoint", "vkey", "entries.jsonl"
_HASH = 32


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that does not hold: in which log ("" the tenant's own), at which entry, and what."""

    log: str
    entry: int | None
    what: str

    def __str__(self) -> str:
        where = f"{self.log}: " if self.log else ""
        return where + (f"entry {self.entry}: " if self.entry is not None else "") + self.what


@dataclass(slots=True)
class CheckedLog:
    """What one directory holds. `fields` has None for an entry that could not be read."""

    name: str
    checkpoint: Checkpoint | None = None
    note: str = ""
    entries: list[bytes | None] = field(default_factory=list)
    fields: list[dict[str, Any] | None] = field(default_factory=list)
    levels: list[list[bytes]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, entry: int | None, what: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(self.name, entry, what))

    @property
    def size(self) -> int:
        """How many entries the checkpoint covers."""
        return self.checkpoint.size if self.checkpoint else 0

    def root_at(self, size: int) -> bytes:
        """The root of the first `size` entries."""
        get: Get = lambda level, index: self.levels[level][index]  # noqa: E731
        return root(size, get)


def check_log(directory: Path, name: str, verifier: Verifier, vkey: str, beside: frozenset[str]) -> CheckedLog:
    """Check the files of one log. `beside` names files and folders at its top that belong to somebody else."""
    log = CheckedLog(name)
    _open_checkpoint(log, directory, verifier)
    if log.checkpoint is None:
        return log
    if _read(directory / VKEY) != vkey.encode() + b"\n":
        log.wrong(None, "vkey: not the key this export was checked with")
    _no_other_files(log, directory, beside)
    _choose_entries(log, directory)
    _build(log)
    _compare_tiles(log, directory)
    for index, entry in enumerate(log.entries):
        log.fields.append(_fields(log, index, entry))
    return log


def _open_checkpoint(log: CheckedLog, directory: Path, verifier: Verifier) -> None:
    data = _read(directory / CHECKPOINT)
    if data is None:
        log.wrong(None, "checkpoint: missing")
        return
    try:
        log.note = data.decode()
        log.checkpoint = parse_checkpoint(open_note(log.note, verifier))
    except (Tampered, UnicodeDecodeError) as error:
        lines = len((_read(directory / ENTRIES) or b"").splitlines())
        log.wrong(lines - 1 if lines else None, f"checkpoint: not signed by the given key ({error})")
        return
    if log.checkpoint.origin != verifier.name:
        log.wrong(None, "checkpoint: of another origin than the key's")


def _no_other_files(log: CheckedLog, directory: Path, beside: frozenset[str]) -> None:
    """Nothing is missing and nothing is there that nobody vouches for."""
    wanted = {tile.path for tile in (*hash_tiles(log.size), *entry_bundles(log.size))} | {CHECKPOINT, VKEY, ENTRIES}
    there = set()
    for path in sorted(directory.rglob("*")):
        relative = path.relative_to(directory).as_posix()
        if relative.split("/")[0] in beside:
            continue
        if path.is_symlink() or not path.is_dir():
            there.add(relative)
    for relative in sorted(there - wanted):
        log.wrong(None, f"{relative}: not part of an export")
    for relative in sorted(wanted - there):
        log.wrong(None, f"{relative}: missing")


def _choose_entries(log: CheckedLog, directory: Path) -> None:
    """Find the hashes that were signed, then name in each place the first entry that does not have its hash."""
    lines = (_read(directory / ENTRIES) or b"").split(b"\n")
    copies: list[bytes | None] = [*lines[: log.size], *[None] * (log.size - len(lines))]
    bundled, tiled = _bundles(log.size, directory), _leaf_tiles(log.size, directory)
    places = {"bundle": [_hash(entry) for entry in bundled], "tile": tiled, "copy": [_hash(entry) for entry in copies]}
    signed = _signed(log, list(places.values()))
    log.levels = [signed]
    told: set[str] = set()
    for index, value in enumerate(signed):
        both = (bundled[index], copies[index])
        log.entries.append(next((entry for entry in both if _hash(entry) == value), None))
        for place, hashes in places.items():
            # A length that was changed shifts everything after it: only the first entry of a file is named.
            path = ENTRIES if place == "copy" else _path(None if place == "bundle" else 0, index, log.size)
            if hashes[index] != value and path not in told:
                told.add(path)
                log.wrong(index, f"{path} does not hold this entry as it was signed")
    if len(lines) != log.size + 1 or lines[-1] != b"":
        log.wrong(max(0, log.size - 1), f"{ENTRIES} has other lines than the log's entries")


def _signed(log: CheckedLog, places: list[list[bytes | None]]) -> list[bytes]:
    """The leaf hashes under the signed root, from one place or from what most places say of each entry.

    When none gives that root, what most places say is returned and the log does not hold.
    """
    most: list[bytes | None] = []
    for values in zip(*places, strict=True):
        votes = Counter(value for value in values if value is not None).most_common(1)
        most.append(votes[0][0] if votes else None)
    for hashes in (most, *places):
        found = [value for value in hashes if value is not None]
        if len(found) == log.size and log.checkpoint and _root(found) == log.checkpoint.root:
            return found
    doubtful = next((at for at, values in enumerate(zip(*places, strict=True)) if len(set(values)) > 1), 0)
    log.wrong(doubtful, f"the {log.size} entries are not those that were signed; this is the first in doubt")
    return [value or b"\0" * _HASH for value in most]


def _build(log: CheckedLog) -> None:
    """Every complete subtree."""
    while len(log.levels[-1]) > 1:
        row = log.levels[-1]
        log.levels.append([node_hash(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)])


def _compare_tiles(log: CheckedLog, directory: Path) -> None:
    """Hash tiles above the leaves: all follow from the entries."""
    for tile in hash_tiles(log.size):
        if not tile.level:
            continue
        first = tile.index * WIDTH
        row = log.levels[HEIGHT * tile.level][first : first + tile.width]
        data = _read(directory / tile.path)
        if data is None or data == b"".join(row):
            continue
        pieces = [data[at * _HASH : (at + 1) * _HASH] for at in range(tile.width)]
        offset = next((at for at in range(tile.width) if pieces[at] != row[at]), tile.width - 1)
        covered = 1 << (HEIGHT * tile.level)
        start = (first + offset) * covered
        log.wrong(start, f"{tile.path} holds another hash of entries {start} to {start + covered - 1}")


def _fields(log: CheckedLog, index: int, entry: bytes | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    try:
        return parse(entry)
    except ValueError as error:
        log.wrong(index, f"not an entry of this format: {error}")
        return None


def _bundles(size: int, directory: Path) -> list[bytes | None]:
    """Entries out of the bundles; None from where a bundle cannot be read."""
    entries: list[bytes | None] = []
    for tile in entry_bundles(size):
        data, at = _read(directory / tile.path) or b"", 0
        for offset in range(tile.width):
            stop = at + 2 + int.from_bytes(data[at : at + 2], "big")
            whole = at + 2 <= len(data) and stop <= len(data)
            if whole and offset == tile.width - 1 and stop != len(data):
                whole = False  # something follows the last entry
            entries.append(data[at + 2 : stop] if whole else None)
            at = stop if whole else len(data)
    return entries


def _leaf_tiles(size: int, directory: Path) -> list[bytes | None]:
    hashes: list[bytes | None] = []
    for tile in hash_tiles(size):
        if tile.level != 0:
            break
        data = _read(directory / tile.path) or b""
        good = len(data) == tile.width * _HASH
        for at in range(tile.width):
            piece = data[at * _HASH : (at + 1) * _HASH]
            # A tile of the wrong length is wrong at its last hash, whatever stands in the others.
            hashes.append(piece if len(piece) == _HASH and (good or at < tile.width - 1) else None)
    return hashes


def _hash(entry: bytes | None) -> bytes | None:
    return None if entry is None else leaf_hash(entry)


def _root(hashes: list[bytes]) -> bytes:
    tree = Frontier(0, [])
    for value in hashes:
        tree.append(value)
    return tree.root()


def _path(level: int | None, index: int, size: int) -> str:
    return Tile(level, index // WIDTH, min(WIDTH, size - index // WIDTH * WIDTH)).path


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
