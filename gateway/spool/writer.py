"""Writes sealed items: seals as bytes arrive, small mail as a log record, large mail as its own file.

Promises: nothing but sealed bytes reaches the disk; the future of `finish` answers with the item's id only when
content, record and the names of their files are lasting; an item that is aborted or never finished is not in the log.
DESIGN §3a, §4a "Spool item"; the bytes are listed in FORMAT.md.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from gateway.clock import Clock, SystemClock
from gateway.errors import TryLater
from gateway.logs import Log
from gateway.spool import frame, item, layout
from gateway.spool.committer import Committer, Settle, Waiting
from gateway.spool.envelope import Envelope
from gateway.writeback import Writeback
from keys.boxes import seal_box
from keys.datakey import DataKey
from keys.floe import SEGMENT_PLAIN_BYTES, Sealer
from keys.signing import SigningKey

_log = Log("gateway.spool")
_U32 = struct.Struct(">I")
MAX_ENVELOPE_BYTES = 4 << 20
SYNC_EVERY_BYTES = 64 << 20
"""A large item is synced this often while it arrives, so that the sync before its 250 is short."""


def _at_once(deed: Callable[[], None]) -> None:
    deed()


class SpoolWriter:
    """One direction's writer on one node: `smtp` for ``in``, the worker for ``out``. One process at a time.

    `epoch_public` gives the current epoch and its public key and raises TryLater when there is none. `settle` decides
    where futures are answered (an event loop's ``call_soon_threadsafe``); by default in the committing thread.
    """

    def __init__(
        self,
        directory: Path,
        node: str,
        signing_key: SigningKey,
        direction: str,
        epoch_public: Callable[[], tuple[int, bytes]],
        *,
        clock: Clock | None = None,
        settle: Settle = _at_once,
    ) -> None:
        if direction not in item.DIRECTIONS:
            raise ValueError("direction is 'in' or 'out'")
        layout.require(directory)
        self.directory = directory
        self.node = node
        self.direction = direction
        self.role = "smtp" if direction == "in" else "worker"
        self.clock = clock or SystemClock()
        self._key = signing_key
        self._epoch_public = epoch_public
        self._lock = layout.lock(directory, "writer.lock")
        self._drop_partials()
        self.committer = Committer(directory, self.clock, settle)

    def begin(self, envelope: Envelope) -> Item:
        """Start an item with the id `envelope.queue`. ValueError for an envelope of another node or over 4 MiB."""
        if envelope.node != self.node:
            raise ValueError("an envelope of another node")
        return Item(self, envelope)

    def close(self) -> None:
        """Commit what is queued and let the folder go."""
        self.committer.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def record(self, envelope: Envelope, bound: bytes, key: DataKey, header: bytes) -> tuple[bytes, int]:
        """The record of an item without its content, and until when it may be committed."""
        epoch, public = self._epoch_public()
        parts = (envelope.tenant, envelope.queue, self.direction, self.node)
        box = seal_box(public, item.box_context(*parts, epoch), key.raw())
        signature = self._key.sign(item.SIGNATURE, bound, header[-32:], box)
        body = item.encode_item(
            tenant=envelope.tenant, role=self.role, epoch=epoch, header=header, box=box, signature=signature
        )
        return body, (epoch + 1) * item.HOUR_US + item.COMMIT_GRACE_US

    def _drop_partials(self) -> None:
        """Files of uploads that an earlier life did not finish: nobody was told 250 for them."""
        for path in (self.directory / layout.LARGE).glob("*.part"):
            path.unlink(missing_ok=True)


class Item:
    """One message on its way into the spool. One thread at a time.

    While `small` is true `write` and `finish` touch no disk; afterwards they do, and belong in a thread.
    """

    def __init__(self, writer: SpoolWriter, envelope: Envelope) -> None:
        head = envelope.to_json()
        if len(head) > MAX_ENVELOPE_BYTES:
            raise ValueError("an envelope over 4 MiB")
        self._writer = writer
        self._envelope = envelope
        self._key = DataKey.random()
        self._context = item.context(envelope.tenant, envelope.queue, writer.direction, writer.node)
        self._pieces: list[bytes | memoryview] = [_U32.pack(len(head)), head]
        self._plain_bytes = 4 + len(head)
        self._sealer: Sealer | None = None
        self._descriptor = -1
        self._writeback: Writeback | None = None
        self._sealed_bytes = 0
        self._unsynced_bytes = 0
        self._over = False

    @property
    def id(self) -> str:
        return self._envelope.queue

    def small(self, coming_bytes: int = 0) -> bool:
        """Whether the item still is a log record after that many more bytes."""
        return self._descriptor < 0 and self._plain_bytes + coming_bytes <= SEGMENT_PLAIN_BYTES

    def write(self, data: bytes | memoryview) -> None:
        """Take more of the message; `data` must not change afterwards. OSError or TryLater: abort the item."""
        if self._over:
            raise ValueError("this item is finished")
        small = self.small(len(data))
        self._plain_bytes += len(data)
        self._pieces.append(data)
        if not small:
            self._spill()

    def write_all(self, pieces: list[bytes]) -> None:
        """Several in order, as `write`."""
        for piece in pieces:
            self.write(piece)

    def finish(self) -> Future[str]:
        """No more comes. The future answers the id once everything is durable, or raises TryLater."""
        if self._over:
            raise ValueError("this item is finished")
        future: Future[str] = Future()
        try:
            if self._descriptor < 0:
                record, not_after_us = self._inline()
            else:
                record, not_after_us = self._close_large()
        except OSError as error:
            self.abort()
            raise TryLater(f"spool cannot be written: errno {error.errno}") from error
        except BaseException:
            self.abort()
            raise
        self._over = True
        self._writer.committer.submit(Waiting(self.id, record, not_after_us, future))
        return future

    def abort(self) -> None:
        """Forget the item; nothing of it stays on the disk. Safe to call twice and after `finish`."""
        if self._over:
            return
        self._over = True
        self._pieces.clear()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            for path in (layout.partial_path, layout.large_path):
                path(self._writer.directory, self.id).unlink(missing_ok=True)

    def _start(self) -> Sealer:
        return self._key.sealer(self._context)

    def _inline(self) -> tuple[bytes, int]:
        sealer = self._start()
        sealer.update(b"".join(self._pieces))
        body, not_after_us = self._writer.record(self._envelope, self._context, self._key, sealer.header)
        self._pieces.clear()
        return frame.encode(item.INLINE, self.id, body + sealer.finish()), not_after_us

    def _spill(self) -> None:
        if self._sealer is None:
            self._sealer = self._start()
            path = layout.partial_path(self._writer.directory, self.id)
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, layout.FILE_MODE)
            self._writeback = Writeback(self._descriptor)
        for piece in self._pieces:
            self._append(self._sealer.update_pieces(piece))
        self._pieces.clear()
        if self._unsynced_bytes >= SYNC_EVERY_BYTES:
            os.fdatasync(self._descriptor)
            self._unsynced_bytes = 0

    def _append(self, pieces: list[bytes]) -> None:
        count = layout.write_all(self._descriptor, pieces)
        self._sealed_bytes += count
        self._unsynced_bytes += count
        if self._writeback is not None:
            self._writeback.wrote(count)

    def _close_large(self) -> tuple[bytes, int]:
        """Content first, then its name, then (by the committer) the record that points there."""
        sealer = self._sealer
        if sealer is None:
            raise ValueError("a large item without content")
        self._append(sealer.finish_pieces())
        os.fdatasync(self._descriptor)
        directory = self._writer.directory
        os.replace(layout.partial_path(directory, self.id), layout.large_path(directory, self.id))
        layout.sync_folder(directory / layout.LARGE)
        body, not_after_us = self._writer.record(self._envelope, self._context, self._key, sealer.header)
        os.close(self._descriptor)
        self._descriptor = -1
        return frame.encode(item.LARGE, self.id, body + item.encode_size(self._sealed_bytes)), not_after_us
