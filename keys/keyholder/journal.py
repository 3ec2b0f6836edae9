"""The keyholder's own log lines: one JSON object a line on standard error, fixed words under fixed keys.

Promises: no id of a person, no code, token, number or key, and no text of an exception: its class and lines only. What
must be kept for proof goes to the release log instead.
"""

from __future__ import annotations

import json
import sys
import threading
import traceback
from datetime import UTC, datetime

_KEYS = frozenset({"role", "method", "state", "count", "uid", "pid", "check", "error"})
_LOCK = threading.Lock()


def line(event: str, **data: str | int) -> None:
    """Write one line. A key outside the list is left out."""
    record: dict[str, str | int] = {"event": event}
    record.update((key, value) for key, value in data.items() if key in _KEYS)
    _write(record)


def failure(event: str, error: BaseException, **data: str | int) -> None:
    """Write what went wrong: class and places, never the words."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    places = " ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in frames)
    line(event, error=f"{type(error).__name__} at {places}", **data)


def _write(record: dict[str, str | int]) -> None:
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
    text = json.dumps({"ts": stamp, "logger": "keys.keyholder"} | record, separators=(",", ":"))
    with _LOCK:
        try:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            pass  # nobody reads any more; refusing to work for that would help no one
