"""What went wrong with a spool item, and how often: whether it is tried again, held whole, or left as evidence.

Promises: only an item whose own content does not verify is given up, with an alarm and a line in the queue; whatever
else is wrong, the item, which was answered 250, is tried again, and after `TRIES_BEFORE_HOLD` tries it is hopeless. A
try that was begun and never ended, in this life or an earlier one, is a failed one.
"""

from __future__ import annotations

import errno
import threading

from gateway.audit.event import GATEWAY, Action, Event
from gateway.errors import Tampered, TryLater
from gateway.flow.begun import Begun
from gateway.flow.records import Records
from gateway.logs import Log
from gateway.mail.source import Source
from gateway.spool.item import Entry
from gateway.spool.reader import SpoolReader
from gateway.store.database import Store

log = Log("gateway.outbound")
TRIES_BEFORE_HOLD = 3
_MACHINE = (
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EFBIG,
)  # fmt: skip


class Doubts:
    """Counts failures and raises alarms, by item. Thread-safe."""

    def __init__(self, store: Store, records: Records, spool: SpoolReader, begun: Begun | None = None) -> None:
        self.begun = begun or Begun()
        self._store = store
        self._records = records
        self._spool = spool
        self._failures: dict[str, int] = dict(self.begun.earlier)
        self._alarmed: set[str] = set()
        self._lock = threading.Lock()

    def hopeless(self, entry: Entry) -> bool:
        """Whether it was tried often enough."""
        with self._lock:
            return self._failures.get(entry.id, 0) >= TRIES_BEFORE_HOLD

    def settled(self, entry: Entry) -> None:
        """It went well after all."""
        with self._lock:
            self._failures.pop(entry.id, None)
        self.begun.forget(entry.id)

    def stuck(self, now: float) -> list[str]:
        """Items whose work has not ended for so long that it counts as a failed try; `now` of time.monotonic."""
        found = self.begun.stuck(now)
        with self._lock:
            for name in found:
                self._failures[name] = self._failures.get(name, 0) + 1
        return found

    def failed(self, entry: Entry) -> int:
        """One more try that failed; how many there were."""
        with self._lock:
            self._failures[entry.id] = self._failures.get(entry.id, 0) + 1
            return self._failures[entry.id]

    def unsound(self, entry: Entry) -> None:
        """The item itself does not verify: never tried again in this life. Raises TryLater, without a database."""
        self._alarm(entry, "spool item")
        self._spool.refuse(entry, "tampered")
        log.error("outbound:tampered", queue=entry.id)

    def elsewhere(self, entry: Entry) -> TryLater:
        """Something else than the item was changed, a row for instance: the mail is not to blame and is not lost."""
        self._alarm(entry, "row")
        log.error("outbound:tampered", queue=entry.id, attempt=self.failed(entry))
        return TryLater("something that processing needs was changed")

    def _alarm(self, entry: Entry, reason: str) -> None:
        """One event for each item in this process's life, however often it is tried."""
        if entry.id in self._alarmed:
            return
        event = Event(Action.TAMPER_FOUND, entry.tenant, entry.id, GATEWAY, outcome="refused", reason=reason)
        self._store.run(lambda tx: self._records.log.append(tx, event))
        self._alarmed.add(entry.id)


def sound(source: Source) -> bool:
    """Whether the whole of it verifies."""
    try:
        for _ in source.chunks(0, source.size):
            pass
    except Tampered:
        return False
    return True


def blameless(error: Exception) -> bool:
    """Whether it is a trouble of the machine: a message that met it is tried until it is over, never held."""
    return isinstance(error, OSError) and error.errno in _MACHINE
