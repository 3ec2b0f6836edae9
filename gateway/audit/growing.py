"""A log's export that grows at a keeper: each time only what came since is put, and nothing there is ever changed.

Layout below the keeper's prefix, one for each tenant: `log/tile/…`, `keyholder/tile/…`, `system/tile/…` (C2SP
tlog-tiles, partial tiles of every size that was exported), `outside/N-….json` (heads left in notices, since the last
time), and last `heads/N.json`, which says that all of it is there: the three signed checkpoints. Promises: nothing is
put before the entries were found to give the root that the keyholder signed; a log that is shorter or other than what
the keeper has is refused (it was set back, or rewritten): that is how a whole machine set back to an earlier day is
found. `gathering` makes of it the directory that `verify` checks. FORMAT.md; DESIGN §5 (restore guard).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from gateway.audit.event import SYSTEM
from gateway.audit.export import KEYHOLDER_DIR, SYSTEM_DIR, ReleaseLogs, outside_item, releases
from gateway.audit.keeper import Held, Keeper
from gateway.audit.log import AuditLog, hashes
from gateway.audit.sequencer import latest_note
from gateway.audit.tiling import rows_of, write_tiles
from gateway.errors import Misconfigured, Tampered, TryLater
from gateway.store import waiting
from gateway.store.schema import outside_checkpoints
from keys.encoding import canonical, parse_canonical
from keys.errors import Denied
from keys.errors import Tampered as Broken
from keys.merkle import Frontier, leaf_hash, root
from keys.notes import Checkpoint, open_note, parse_checkpoint, parse_vkey
from keys.tiles import WIDTH, get_from_tiles

LOG = "log"
LOGS = {LOG: "log_vkey", KEYHOLDER_DIR: "release_vkey", SYSTEM_DIR: "system_vkey"}
VERSION = 1
_HEAD = re.compile(r"heads/(\d{8})\.json", re.ASCII)
_PAGE = 1024
_OVERLAP_US = 600_000_000
"""Heads left in notices are listed again from so long before the last one: a slow transaction may come in late."""


class SetBack(Misconfigured):
    """This log ends before what was exported of it: the machine was set back to an earlier day."""


@dataclass(frozen=True, slots=True)
class Head:
    """One export: its number, and of each log the signed checkpoint and the key it is signed with."""

    number: int
    notes: Mapping[str, str]
    vkeys: Mapping[str, str]
    outside: str
    last_us: int

    @property
    def name(self) -> str:
        """Where it lies."""
        return f"heads/{self.number:08d}.json"

    def checkpoint(self, log: str) -> Checkpoint:
        """Raises Tampered unless it is signed by the key it names."""
        try:
            return parse_checkpoint(open_note(self.notes[log], parse_vkey(self.vkeys[log])))
        except (Broken, ValueError, KeyError) as error:
            raise Tampered(f"{self.name}: a checkpoint is not signed by its key") from error

    def data(self) -> bytes:
        """Its bytes: RFC 8785 and a newline."""
        fields = {
            "last": self.last_us, "logs": dict(self.notes), "outside": self.outside, "v": VERSION,
            "vkeys": dict(self.vkeys),
        }  # fmt: skip
        return canonical(fields) + b"\n"


@dataclass(frozen=True, slots=True)
class Grown:
    """What was put: the head's number, entries there now, how many objects were new, and what the store says of it.

    `held` is None where nothing holds it; `hidden`: objects that somebody removed or wrote over, still readable here.
    """

    number: int
    entries: int
    releases: int
    system: int
    objects: int
    held: Held | None
    hidden: int = 0
    waiting: int = field(default=0)


def grow(keeper: Keeper, audit: AuditLog, tenant: str, keyholder: ReleaseLogs) -> Grown:
    """Bring a keeper up to the log's latest checkpoint. May be cut at any moment and done again.

    Raises TryLater, Misconfigured, and Tampered when log and keeper do not agree.
    """
    vkeys = keyholder.vkeys(tenant)
    before = latest(keeper)
    with audit.store.reading(log=tenant) as conn:
        unnumbered = waiting.count(conn, tenant)
        notes = {LOG: latest_note(conn, tenant), SYSTEM_DIR: latest_note(conn, SYSTEM)}
        since = 0 if before is None else before.last_us - _OVERLAP_US
        table = outside_checkpoints
        statement = select(table).where(table.c.log == tenant, table.c.at >= since).order_by(table.c.at, table.c.id)
        outside = [outside_item(row) for row in conn.execute(statement).mappings()]
    if None in notes.values():
        raise TryLater(f"log {tenant} has no signed checkpoint yet")
    start = 0 if before is None else before.checkpoint(KEYHOLDER_DIR).size // WIDTH * WIDTH
    try:
        notes[KEYHOLDER_DIR], released = releases(keyholder, tenant, start)
    except Denied as error:
        raise Tampered("the keeper has a longer release log than the keyholder: that was set back") from error
    sources: dict[str, Callable[[int, int], Iterable[bytes]]] = {
        LOG: lambda first, stop: _entries(audit, tenant, first, stop),
        SYSTEM_DIR: lambda first, stop: _entries(audit, SYSTEM, first, stop),
        KEYHOLDER_DIR: lambda first, stop: released[first - start : stop - start],
    }
    number = 0 if before is None else before.number + 1
    last_us = max([0 if before is None else before.last_us, *(item["at"] for item in outside)])
    listed = canonical(outside) + b"\n"
    name = f"outside/{number:08d}-{hashlib.sha256(listed).hexdigest()[:16]}.json" if outside else ""
    head = Head(number, {log: str(note) for log, note in notes.items()}, _keys(vkeys), name, last_us)
    puts = _Puts(keeper)
    for log, entries in sources.items():
        _grow(puts, log, head, before, entries)
    if name:
        puts(name, listed)
    puts(head.name, head.data())
    sizes = {log: head.checkpoint(log).size for log in LOGS}
    return Grown(
        number, sizes[LOG], sizes[KEYHOLDER_DIR], sizes[SYSTEM_DIR], puts.count, keeper.held(head.name),
        keeper.hidden(), unnumbered,
    )  # fmt: skip


def compare(keeper: Keeper, audit: AuditLog, tenant: str) -> int | None:
    """Whether our logs go on from what the keeper has; the number of its last head, None before the first.

    Raises SetBack, which names both sizes, when ours is shorter or other; what the keeper raises when it cannot be
    asked.
    """
    head = latest(keeper)
    if head is None:
        return None
    for log, name in ((LOG, tenant), (SYSTEM_DIR, SYSTEM)):
        there = head.checkpoint(log)
        size, _ = audit.head(name)
        if size < there.size:
            raise SetBack(
                f"log {name}: the database ends at entry {size - 1}, and {keeper.words} holds entries up to "
                f"{there.size - 1}, signed: this machine was set back to an earlier day, or its database was. Restore "
                "a newer backup"
            )
        with audit.store.reading() as conn:
            if root(there.size, hashes(conn, name)) != there.root:
                raise SetBack(
                    f"log {name}: the database's first {there.size} entries are not those that {keeper.words} holds. "
                    "Do not serve it; keep both, and run 'sealgate audit verify' on what is there"
                )
    return head.number


def folder_of(tenant: str, vkeys: Mapping[str, str]) -> str:
    """Where a tenant's exports lie below a keeper's URL: its id, and after a gap in its log or the system's the number
    of each one's origin, for what is there under the earlier names is never gone on with.
    """
    numbers = [_generation(vkeys[key]) for key in ("log_vkey", "system_vkey")]
    return tenant if numbers == [1, 1] else f"{tenant}-{numbers[0]}-{numbers[1]}"


def _generation(vkey: str) -> int:
    last = parse_vkey(vkey).name.rpartition("/")[2]
    return int(last) if last.isdecimal() else 1


def latest(keeper: Keeper) -> Head | None:
    """The last export that was finished. Raises Tampered when its head cannot be read."""
    numbers = heads(keeper.names())
    return read_head(keeper, numbers[-1]) if numbers else None


def heads(names: Iterable[str]) -> list[int]:
    """Numbers of the heads among these names, in order."""
    return sorted(int(found[1]) for found in map(_HEAD.fullmatch, names) if found)


def read_head(keeper: Keeper, number: int) -> Head:
    """One head. Raises Tampered unless it has exactly our form."""
    name = f"heads/{number:08d}.json"
    data = keeper.read(name)
    try:
        fields = parse_canonical(data[:-1])
        logs, vkeys = dict(fields["logs"]), dict(fields["vkeys"])
        head = Head(number, logs, vkeys, str(fields["outside"]), int(fields["last"]))
        if logs.keys() != LOGS.keys() or vkeys.keys() != LOGS.keys() or head.data() != data:
            raise ValueError("another form")
    except (KeyError, TypeError, ValueError) as error:
        raise Tampered(f"{name} cannot be read as the head of an export") from error
    return head


class _Puts:
    """Counts what is new; what the keeper has already is compared by it."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.there = keeper.names()
        self.count = 0

    def __call__(self, name: str, data: bytes) -> None:
        self.keeper.put(name, data)
        self.count += name not in self.there


def _grow(
    puts: _Puts, log: str, head: Head, before: Head | None, entries: Callable[[int, int], Iterable[bytes]]
) -> None:
    """Put one log's new tiles: first all of it is computed, then, when it gives the signed root, put."""
    now = head.checkpoint(log)
    start, tree, rows = 0, Frontier(0, []), []
    old = None if before is None else before.checkpoint(log)
    if old is not None:
        if old.size > now.size or (old.size == now.size and old.root != now.root):
            raise Tampered(f"{log}: the keeper has {old.size} entries and other ones than our {now.size}: set back")
        if old.size == now.size:
            return
        get = get_from_tiles(old.size, lambda tile: puts.keeper.read(f"{log}/{tile.path}"))
        try:
            if root(old.size, get) != old.root:
                raise Tampered(f"{log}: the keeper's tiles are not those of its checkpoint")
            start = old.size // WIDTH * WIDTH
            tree, rows = Frontier.load(start, get), rows_of(start, get)
        except Broken as error:
            raise Tampered(f"{log}: a tile of the keeper's cannot be read") from error
    trial = tree.copy()
    for entry in entries(start, now.size):
        trial.append(leaf_hash(entry))
        if old is not None and trial.size == old.size and trial.root() != old.root:
            raise Tampered(f"{log}: our first {old.size} entries are not the keeper's: set back, or rewritten")
    if (trial.size, trial.root()) != (now.size, now.root):
        raise Tampered(f"{log}: our entries do not go on from the keeper's to the signed checkpoint")
    write_tiles(lambda path, data: puts(f"{log}/{path}", data), tree, rows, entries(start, now.size))


def _entries(audit: AuditLog, name: str, start: int, stop: int) -> Iterator[bytes]:
    """Page by page, so that no transaction is open while a slow store takes them; entries never change."""
    for first in range(start, stop, _PAGE):
        with audit.store.reading() as conn:
            page = list(audit.entries(conn, name, first, min(stop, first + _PAGE)))
        yield from page


def _keys(vkeys: Mapping[str, str]) -> dict[str, str]:
    return {log: vkeys[key] for log, key in LOGS.items()}


def outside_items(keeper: Keeper, names: Iterable[str]) -> list[dict[str, Any]]:
    """All heads left in notices, each once, in the order of an export's list. Raises Tampered."""
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        try:
            items = parse_canonical(keeper.read(name)[:-1])
            found |= {str(item["id"]): item for item in items}
        except (KeyError, TypeError, ValueError) as error:
            raise Tampered(f"{name} cannot be read") from error
    return sorted(found.values(), key=lambda item: (item["at"], item["id"]))
