"""Drains a spool: finds what waits, opens it, erases it, and gives what is left a new box when an epoch ends.

Promises: items come in the order in which they were committed; an item is given by `poll` once per life of the reader,
whoever else looked before, and after a restart again until it was erased; a record that is unsigned, swapped, cut or
flipped is refused, named in `refused` and kept as evidence until `erase`, and the others go on; a torn tail is counted,
never guessed at. DESIGN §3a, §4a.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gateway.logs import Log
from gateway.spool import frame, item, layout
from gateway.spool.arrivals import Arrivals
from gateway.spool.item import Entry
from gateway.spool.marks import COMPACT_BYTES, Marks, boxed, erased
from gateway.spool.opening import OpenBox, OpenItem, open_item
from keys.boxes import seal_box
from keys.errors import Tampered as SealBroken
from keys.signing import SigningKey

_log = Log("gateway.spool")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that was not accepted: where it lies, its id where readable, and why in a machine word or two."""

    id: str | None
    segment: int
    offset: int
    reason: str


@dataclass(slots=True)
class _Segment:
    position: int = 0
    final: bool = False
    ids: set[str] = field(default_factory=set)  # waiting or refused here: while there are any, the file stays
    done: set[str] = field(default_factory=set)  # erased, but still to be read in this file after a restart


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the last look saw: the log folder's time, and how far its only unfinished segment was read."""

    folder_ns: int = -1
    path: str = ""
    size: int = 0


class SpoolReader:
    """The worker's hand on one direction of its node's spool. Methods may be called from several threads.

    `public_keys` are the node's signing keys by role; `open_box(epoch, context, box)` opens a box with that epoch's
    private key; `signing_key` is the worker's own, for `rebox`.
    """

    def __init__(
        self,
        directory: Path,
        node: str,
        public_keys: dict[str, bytes],
        open_box: OpenBox,
        *,
        direction: str = "in",
        signing_key: SigningKey | None = None,
    ) -> None:
        if direction not in item.DIRECTIONS:
            raise ValueError("direction is 'in' or 'out'")
        layout.require(directory)
        self._directory = directory
        self._node = node
        self._direction = direction
        self._public_keys = dict(public_keys)
        self._open_box = open_box
        self._signing_key = signing_key
        self._lock = threading.RLock()
        self._scanning = threading.Lock()
        self._folder_lock = layout.lock(directory / layout.MARKS, "reader.lock")
        self._marks = Marks(directory)
        self._segments: dict[int, _Segment] = {}
        self._entries: dict[str, Entry] = {}
        self._ungiven: dict[str, None] = {}  # found and not given by `poll` yet, oldest first
        self._erased: dict[str, bytes] = {}
        self._boxes: dict[str, frame.Frame] = {}
        self._box_records: dict[str, bytes] = {}
        self._log_folder = str(directory / layout.LOG)
        self._seen = _Seen()
        self._started = False
        self._tidied = False
        self.refused: list[Refusal] = []
        self.bad_tails = 0
        self.repeated = 0

    # -- finding

    def replay(self) -> Iterator[Entry]:
        """Everything that waits, oldest first. Call once, at start; `poll` goes on from there."""
        return self.poll()

    def poll(self) -> Iterator[Entry]:
        """What has come since the last call. Cheap when nothing has."""
        self.look()
        while True:
            with self._lock:
                item_id = next(iter(self._ungiven), None)
                if item_id is None:
                    return
                del self._ungiven[item_id]
                entry = self._entries.get(item_id)
            if entry is not None:
                yield entry

    def look(self) -> None:
        """Find what has come, for `entry` and `waiting`; `poll` will still give each of it once."""
        # One at a time: two that read the same segment could find an item again which was erased between.
        with self._scanning:
            seen = self._changed()
            if seen is None:
                return
            with self._lock:
                self._start()
                numbers = layout.segments(self._directory)
                for number in numbers:
                    self._segments.setdefault(number, _Segment())
                # The list was taken first: a segment with a successor in it was complete before we read it now.
                waiting = [number for number in sorted(self._segments) if not self._segments[number].final]
            for number in waiting:
                self._read(number, final=bool(numbers) and number < numbers[-1])
            with self._lock:
                if not self._tidied:
                    self._tidied = True
                    self._compact()
                newest = max(self._segments, default=None)
                others = any(not one.final for number, one in self._segments.items() if number != newest)
                if newest is not None and not others:
                    segment = self._segments[newest]
                    path = str(layout.segment_path(self._directory, newest))
                    self._seen = _Seen(seen, path, segment.position)

    def _changed(self) -> int | None:
        """The log folder's time, or None where nothing can have come since the last look: a worker looks fifty times a
        second, and mostly in vain. A folder that changed within the last second may change again unseen.
        """
        try:
            changed_ns = os.stat(self._log_folder).st_mtime_ns
            if self._seen.folder_ns == changed_ns and time.time_ns() - changed_ns > 1_000_000_000:
                return changed_ns if os.stat(self._seen.path).st_size != self._seen.size else None
        except FileNotFoundError:
            return 0
        return changed_ns

    def arrivals(self) -> Arrivals:
        """What to wait with between two looks. Its caller closes it."""
        return Arrivals(self._directory)

    def entry(self, item_id: str) -> Entry | None:
        """The item of that id if it was found and not erased."""
        with self._lock:
            return self._entries.get(item_id)

    def waiting(self) -> list[Entry]:
        """Every item found and not erased, oldest first."""
        with self._lock:
            return list(self._entries.values())

    def _start(self) -> None:
        if self._started:
            return
        self._started = True
        for mark in self._marks.read():
            if mark.kind == item.ERASED:
                self._erased[mark.id] = erased(mark.id)
            elif mark.kind == item.BOX:
                self._boxes[mark.id] = mark

    def _read(self, number: int, *, final: bool) -> None:
        segment = self._segments[number]
        try:
            descriptor = os.open(layout.segment_path(self._directory, number), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            with self._lock:
                self._segments.pop(number, None)
            return
        try:
            if os.fstat(descriptor).st_size > segment.position:
                for found in frame.scan(descriptor, segment.position):
                    with self._lock:
                        self._take(number, segment, found)
                        segment.position = found.stop
            with self._lock:
                if final and not segment.final:
                    segment.final = True
                    if os.fstat(descriptor).st_size > segment.position:
                        self.bad_tails += 1
                        _log.warning("spool:bad-tail", count=self.bad_tails)
                    self._drop(number)
        finally:
            os.close(descriptor)

    def _take(self, number: int, segment: _Segment, found: frame.Frame | frame.Damage) -> None:
        if isinstance(found, frame.Damage):
            self._refuse(Refusal(found.id, number, found.start, "damaged"), segment)
            return
        if found.id in self._erased:
            segment.done.add(found.id)
            return
        if found.id in self._entries:
            self.repeated += 1
            return
        if found.kind not in (item.INLINE, item.LARGE):
            self._refuse(Refusal(found.id, number, found.start, "unknown kind"), segment)
            return
        try:
            entry, at = item.decode_item(
                found.body,
                item=found.id,
                large=found.kind == item.LARGE,
                direction=self._direction,
                node=self._node,
                public_keys=self._public_keys,
            )
            entry = item.placed(entry, number, found.start + frame.HEAD_BYTES + at)
            mark = self._boxes.pop(found.id, None)
            if mark is not None:
                entry = item.decode_box(mark.body, entry, self._direction, self._node, self._public_keys)
                self._box_records[found.id] = frame.encode(item.BOX, mark.id, mark.body)
        except SealBroken as error:
            self._refuse(Refusal(found.id, number, found.start, str(error)), segment)
            return
        segment.ids.add(entry.id)
        self._entries[entry.id] = entry
        self._ungiven[entry.id] = None

    def _refuse(self, refusal: Refusal, segment: _Segment) -> None:
        if refusal.id is not None:
            segment.ids.add(refusal.id)
        self.refused.append(refusal)
        _log.error("spool:refused", queue=refusal.id or "unreadable", reason=refusal.reason)

    def refuse(self, entry: Entry, reason: str) -> None:
        """Name an item whose record was sound and whose content is not. It stays as evidence until `erase`."""
        with self._lock:
            if any(one.id == entry.id for one in self.refused):
                return
            self.refused.append(Refusal(entry.id, entry.segment, entry.offset, reason))
        _log.error("spool:refused", queue=entry.id, reason=reason)

    # -- opening

    def open(self, entry: Entry) -> OpenItem:
        """The item's envelope and message. Raises gateway.errors.Tampered naming the item; what `open_box` raises."""
        with self._lock:
            entry = self._entries.get(entry.id, entry)
        return open_item(self._directory, self._direction, self._node, self._open_box, entry)

    # -- settling

    def erase(self, *item_ids: str) -> None:
        """The items are done with: delivered, held in the vault, returned, or looked at as refused ones.

        A segment's file goes when its last item is erased; a large item's at once.
        """
        with self._lock:
            records = [erased(item_id) for item_id in item_ids]
            self._marks.append(records)
            for item_id, record in zip(item_ids, records, strict=True):
                self._forget(item_id, record)
            if self._tidied and self._marks.size > COMPACT_BYTES:
                self._compact()

    def _forget(self, item_id: str, record: bytes) -> None:
        entry = self._entries.pop(item_id, None)
        self._ungiven.pop(item_id, None)
        self._erased[item_id] = record
        self._box_records.pop(item_id, None)
        self._boxes.pop(item_id, None)
        if entry is not None and entry.large:
            # Mark before file: a mark lost to a power cut would otherwise leave a record whose content is missing.
            self._marks.sync()
            layout.large_path(self._directory, item_id).unlink(missing_ok=True)
        for number, segment in list(self._segments.items()):
            if item_id in segment.ids:
                segment.ids.discard(item_id)
                segment.done.add(item_id)
                self._drop(number)

    def rebox(self, old: Collection[int], current: int, public: bytes) -> int:
        """Give every waiting item of the epochs `old` a box for `current`; lasting when it returns. How many.

        Afterwards, and after `EPOCH_GRACE_US`, the old private keys may be destroyed. An item that does not open is
        refused and named. Raises what `open_box` raises, ValueError without a signing key.
        """
        if self._signing_key is None:
            raise ValueError("reboxing needs the worker's signing key")
        with self._lock:
            records: list[bytes] = []
            changed: list[Entry] = []
            for entry in list(self._entries.values()):
                if entry.epoch not in old or entry.epoch == current:
                    continue
                parts = (entry.tenant, entry.id, self._direction, self._node)
                try:
                    key = self._open_box(entry.epoch, item.box_context(*parts, entry.epoch), entry.box)
                except SealBroken as error:
                    del self._entries[entry.id]
                    self._refuse(
                        Refusal(entry.id, entry.segment, entry.offset, str(error)), self._segments[entry.segment]
                    )
                    continue
                box = seal_box(public, item.box_context(*parts, current), key)
                signature = self._signing_key.sign(item.SIGNATURE, item.context(*parts), entry.header[-32:], box)
                records.append(boxed(entry.id, epoch=current, box=box, signature=signature))
                changed.append(entry.reboxed(current, box, "worker"))
            self._marks.append(records)
            # Erase marks before this point become lasting with it, so no erased item comes back without a key.
            self._marks.sync()
            for entry, record in zip(changed, records, strict=True):
                self._entries[entry.id] = entry
                self._box_records[entry.id] = record
            return len(changed)

    def sweep(self, before_us: int) -> int:
        """Remove content of large items that no record names, last written before that time (microseconds). How many.

        Such files are left by a crash between content and record: nobody was told 250 for them.
        """
        count = 0
        with self._lock:
            refused = {refusal.id for refusal in self.refused}
            for path in (self._directory / layout.LARGE).glob("*.item"):
                known = path.stem in self._entries or path.stem in refused
                if not known and path.stat().st_mtime_ns // 1000 < before_us:
                    path.unlink(missing_ok=True)
                    count += 1
        return count

    def close(self) -> None:
        """Make marks lasting and let the folder go."""
        with self._lock:
            self._marks.sync()
            self._marks.close()
            if self._folder_lock >= 0:
                os.close(self._folder_lock)
                self._folder_lock = -1

    def _drop(self, number: int) -> None:
        segment = self._segments.get(number)
        if segment is None or not segment.final or segment.ids:
            return
        layout.segment_path(self._directory, number).unlink(missing_ok=True)
        del self._segments[number]
        for done in segment.done:
            self._erased.pop(done, None)

    def _compact(self) -> None:
        """Rewrite the marks with those alone whose record may still be read. Only after everything was read once."""
        readable = set().union(*(segment.done for segment in self._segments.values()))
        for gone in self._erased.keys() - readable:
            del self._erased[gone]
        self._boxes.clear()
        self._marks.rewrite([*self._erased.values(), *self._box_records.values()])
