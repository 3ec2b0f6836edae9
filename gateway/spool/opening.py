"""Opens one spooled item: its envelope, and the message by ranges.

Promises: nothing is given out before the last segment verified; an envelope that names another item is refused; a small
item is read and opened once and then lies in memory, a large one is read as it is needed. DESIGN §4a.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gateway.errors import Tampered
from gateway.mail.source import BytesSource, Source
from gateway.spool import item, layout
from gateway.spool.envelope import Envelope
from gateway.spool.item import Entry
from gateway.spool.source import SealedSource
from keys import floe
from keys.datakey import DataKey
from keys.errors import Tampered as SealBroken

_U32 = struct.Struct(">I")
OpenBox = Callable[[int, bytes, bytes], bytes]


@dataclass(slots=True)
class OpenItem:
    """An opened item: its envelope, and the message by ranges. Close it, or use it as a context manager."""

    entry: Entry
    envelope: Envelope
    source: Source = field(repr=False)
    descriptor: int = -1

    @property
    def in_memory(self) -> bool:
        """Whether it holds no file open and needs no closing."""
        return self.descriptor < 0

    def read_often(self) -> None:
        """Keep what is opened of a message that is not too large, for whoever reads it three times or four."""
        if isinstance(self.source, SealedSource):
            self.source.keep()

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1

    def __enter__(self) -> OpenItem:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_item(directory: Path, direction: str, node: str, open_box: OpenBox, entry: Entry) -> OpenItem:
    """The item of that record. Raises gateway.errors.Tampered naming it; what `open_box` raises."""
    parts = (entry.tenant, entry.id, direction, node)
    if entry.large:
        path, base = layout.large_path(directory, entry.id), 0
    else:
        path, base = layout.segment_path(directory, entry.segment), entry.offset
    try:
        key = DataKey(open_box(entry.epoch, item.box_context(*parts, entry.epoch), entry.box))
        opener = key.opener(item.context(*parts), entry.header, entry.header[-32:])
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise Tampered(f"spool item {entry.id}: its content is missing") from error
    except (SealBroken, ValueError) as error:
        raise Tampered(f"spool item {entry.id}: {error}") from error
    kept = False
    try:
        if not entry.large and entry.sealed_bytes <= floe.SEGMENT_BYTES:
            envelope, source = _whole(opener.segment(0, os.pread(descriptor, entry.sealed_bytes, base), final=True))
        else:
            envelope, source = _by_ranges(entry, opener, descriptor, base)
            kept = True
        if (envelope.tenant, envelope.queue, envelope.node) != (entry.tenant, entry.id, node):
            kept = False
            raise SealBroken("its envelope names another item")
    except (SealBroken, ValueError) as error:
        raise Tampered(f"spool item {entry.id}: {error}") from error
    finally:
        if not kept:
            os.close(descriptor)
    return OpenItem(entry, envelope, source, descriptor if kept else -1)


def _whole(plain: bytes) -> tuple[Envelope, Source]:
    """Envelope and message of an item that is one segment."""
    stop = 4 + int.from_bytes(plain[:4], "big")
    if len(plain) < stop:
        raise SealBroken("its content is too short")
    return Envelope.from_json(plain[4:stop]), BytesSource(plain[stop:])


def _by_ranges(entry: Entry, opener: floe.Opener, descriptor: int, base: int) -> tuple[Envelope, Source]:
    if entry.large and os.fstat(descriptor).st_size != entry.sealed_bytes:
        raise SealBroken("its content has another length than its record says")

    def fetch(start: int, stop: int) -> bytes:
        return os.pread(descriptor, stop - start, base + start)

    source = SealedSource(f"spool item {entry.id}", opener, fetch, entry.sealed_bytes)
    head = source.read(0, 4)
    if len(head) != 4:
        raise SealBroken("its content is too short")
    (length,) = _U32.unpack(head)
    if length > source.size - 4:
        raise SealBroken("its content is too short")
    envelope = Envelope.from_json(source.read(4, 4 + length))
    source.skip(4 + length)
    return envelope, source
