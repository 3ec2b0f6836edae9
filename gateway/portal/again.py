"""A form that a browser sends twice counts once: a double tap, or a second tap while a slow line still waits.

The browser drops the answer to the first one, and with it the session that a one-time code was spent on; the second
would be told that the code was used before. So it gets what the first one got: the same session, never a further one
(DESIGN §4b 2). Promises: only the same browser with the same words is answered so, and for `SECONDS` after a success;
a refusal is shared by those who wait for it and by nobody after it, so every try is counted. Keys are digests under a
key of this process: no code or password is kept.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

SECONDS = 15.0
WAIT_SECONDS = 30.0
MOST = 512
T = TypeVar("T")


@dataclass(slots=True)
class _Entry:
    """One deed under way or done. `until` is 0 while it is under way."""

    ready: threading.Event = field(default_factory=threading.Event)
    result: Any = field(default=None, repr=False)
    until: float = 0.0


class Again:
    """What was answered a moment ago. Thread-safe."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._secret = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, _Entry] = OrderedDict()

    def once(self, asked: tuple[str, ...], deed: Callable[[], T], succeeded: Callable[[T], bool]) -> T:
        """The deed's result, or that of the same request under way or just done. What it raises goes to its own caller;
        who waited for it then does it.
        """
        words = b"".join(b"%d:%b" % (len(one), one) for one in map(_bytes, asked))
        key = hashlib.blake2b(words, key=self._secret).digest()
        self.tidy()
        with self._lock:
            entry = self._known.get(key)
            first = entry is None
            if entry is None:
                entry = self._known[key] = _Entry()
        if not first:
            if entry.ready.wait(WAIT_SECONDS) and entry.until:
                return entry.result  # type: ignore[no-any-return]
            return deed()
        keep = False
        try:
            result = deed()
            keep = succeeded(result)
            entry.result, entry.until = result, self._now() + SECONDS
            return result
        finally:
            with self._lock:
                if not keep:
                    self._known.pop(key, None)
            entry.ready.set()

    def tidy(self) -> None:
        """Forget what is over. Called with every request, so that no session's handle stays behind."""
        now = self._now()
        with self._lock:
            for key, entry in list(self._known.items()):
                if entry.until and (entry.until <= now or len(self._known) > MOST):
                    del self._known[key]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
