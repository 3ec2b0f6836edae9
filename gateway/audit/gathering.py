"""What a keeper holds of a log, as the directory that `verify` checks; and every earlier head held against it.

Promises: nothing is believed here: bytes are copied, and what cannot be is left out, so that `verify` names it; memory
does not grow with the log. An earlier head that is not the beginning of the last one is a problem by its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.audit.export import CHECKPOINT, ENTRIES, OUTSIDE, VKEY
from gateway.audit.growing import LOG, LOGS, Head, heads, outside_items, read_head
from gateway.audit.keeper import FolderKeeper, Keeper
from gateway.audit.tiledlog import Problem
from gateway.errors import Misconfigured, Tampered
from keys.encoding import canonical
from keys.errors import Tampered as Broken
from keys.merkle import Frontier, leaf_hash
from keys.tiles import WIDTH, Tile, entry_bundles, hash_tiles, parse_bundle, parse_path


def keeps(directory: Path) -> bool:
    """Whether a directory is a copy of what a keeper holds, and not a single export."""
    return (directory / "heads").is_dir() and not (directory / CHECKPOINT).exists()


def copy_of(directory: Path) -> Keeper:
    """Such a copy, to be read."""
    return FolderKeeper(directory)


def gather(keeper: Keeper, directory: Path) -> tuple[Head, list[Problem]]:
    """Write the last export that can be read to a new directory; its head, and what is wrong with the others.

    Raises Misconfigured where there is none, TryLater.
    """
    numbers = heads(names := keeper.names())
    found: list[Head] = []
    problems = []
    for number in numbers:
        try:
            found.append(read_head(keeper, number))
        except Tampered as error:
            problems.append(Problem("", None, error.detail))
    missing = sorted(set(range(numbers[-1] if numbers else 0)) - set(numbers))
    problems += [Problem("", None, f"heads/{number:08d}.json is missing") for number in missing]
    if not found:
        raise Misconfigured(f"{keeper.words} holds no export; 'sealgate audit export URL' makes one")
    last = found[-1]
    for log in LOGS:
        folder = directory if log == LOG else directory / log
        folder.mkdir(mode=0o700, parents=True)
        (folder / CHECKPOINT).write_text(last.notes[log], "utf-8")
        (folder / VKEY).write_text(last.vkeys[log] + "\n", "utf-8")
        roots = _copy(keeper, log, folder, last, found, names)
        problems += _earlier(log, last, found[:-1], roots)
        problems += _smaller(keeper, log, folder, names)
    try:
        items = outside_items(keeper, sorted(name for name in names if name.startswith("outside/")))
    except Tampered as error:
        problems.append(Problem("", None, error.detail))
        items = []
    wanted = {head.outside for head in found} - {""}
    problems += [Problem("", None, f"{name} is missing") for name in sorted(wanted - names)]
    (directory / OUTSIDE).write_bytes(canonical(items) + b"\n")
    return last, problems


def _copy(
    keeper: Keeper, log: str, folder: Path, last: Head, found: Sequence[Head], names: frozenset[str]
) -> Mapping[int, bytes]:
    """Tiles and entries of one log; the roots at the sizes of every head, as the entries give them."""
    try:
        size = last.checkpoint(log).size
    except Tampered:
        return {}  # `verify` says so of the copied checkpoint
    sizes = {_size(head, log) for head in found}
    tree, roots = Frontier(0, []), {}
    for tile in hash_tiles(size):
        _one(keeper, f"{log}/{tile.path}", folder / tile.path, names)
    with open(folder / ENTRIES, "wb") as readable:
        for tile in entry_bundles(size):
            data = _one(keeper, f"{log}/{tile.path}", folder / tile.path, names)
            try:
                entries = parse_bundle(tile, data)
            except Broken:
                entries = []
            for entry in entries:
                readable.write(entry + b"\n")
                tree.append(leaf_hash(entry))
                if tree.size in sizes:
                    roots[tree.size] = tree.root()
    return roots


def _earlier(log: str, last: Head, earlier: Sequence[Head], roots: Mapping[int, bytes]) -> list[Problem]:
    problems = []
    for head in earlier:
        try:
            checkpoint = head.checkpoint(log)
        except Tampered as error:
            problems.append(Problem("", None, error.detail))
            continue
        if head.vkeys[log] != last.vkeys[log]:
            problems.append(Problem("", None, f"{head.name}: of {log} it names another key than the last one"))
        elif roots.get(checkpoint.size) != checkpoint.root:
            what = f"its checkpoint of {log} is not that of the first {checkpoint.size} entries"
            problems.append(Problem("", None, f"{head.name}: {what}"))
    return problems


def _smaller(keeper: Keeper, log: str, folder: Path, names: frozenset[str]) -> list[Problem]:
    """Unfinished tiles of earlier exports are the beginnings of what stands in their place now; nothing else is there.

    One that an export left which was cut may be wider than its successor's finished word, and is looked at by nobody.
    """
    problems = []
    for name in sorted(name for name in names if name.startswith(f"{log}/")):
        path = name.removeprefix(f"{log}/")
        if (folder / path).exists():
            continue
        try:
            tile = parse_path(path)
        except ValueError:
            problems.append(Problem("", None, f"{name}: not part of an export"))
            continue
        stem = Tile(tile.level, tile.index).path
        now = [folder / stem, *(folder / (stem + ".p")).glob("*")]
        whole = next((one.read_bytes() for one in now if one.is_file()), None)
        if whole is not None and not _begins(whole, keeper.read(name), wider=tile.width > _width(now)):
            problems.append(Problem("", None, f"{name} is not the beginning of what followed it"))
    return problems


def _width(now: Sequence[Path]) -> int:
    found = next(one for one in now if one.is_file())
    return int(found.name) if found.parent.name.endswith(".p") else WIDTH


def _begins(whole: bytes, part: bytes, *, wider: bool) -> bool:
    return part.startswith(whole) if wider else whole.startswith(part)


def _size(head: Head, log: str) -> int:
    try:
        return head.checkpoint(log).size
    except Tampered:
        return -1


def _one(keeper: Keeper, name: str, path: Path, names: frozenset[str]) -> bytes:
    """Copy one file; nothing where it is missing."""
    if name not in names:
        return b""
    data = keeper.read(name)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(data)
    return data
