"""The SHA-256 of a message that somebody else reads: made beside the reading, so that it costs no second one.

Of a large message it is made in a thread of its own: hashing leaves the interpreter to the others meanwhile, and a
machine has more than one core. Promises: what was fed in order is what was hashed; at most a few pieces wait.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from types import TracebackType
from typing import Self

BESIDE_BYTES = 1 << 20
_WAITING = 2


class Fingerprint:
    """Feed it, then `finish`; a context, so that its thread ends whatever happens. One thread feeds."""

    def __init__(self, size_bytes: int) -> None:
        self._sha = hashlib.sha256()
        self._waiting: queue.Queue[bytes | None] = queue.Queue(_WAITING)
        self._thread: threading.Thread | None = None
        if size_bytes >= BESIDE_BYTES:
            self._thread = threading.Thread(target=self._run, name="fingerprint", daemon=True)
            self._thread.start()

    def feed(self, chunk: bytes) -> None:
        """The next bytes."""
        if self._thread is None:
            self._sha.update(chunk)
        else:
            self._waiting.put(chunk)

    def finish(self) -> str:
        """In hexadecimal. Safe twice; nothing is fed afterwards."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._waiting.put(None)
            thread.join()
        return self._sha.hexdigest()

    def _run(self) -> None:
        while (chunk := self._waiting.get()) is not None:
            self._sha.update(chunk)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()
