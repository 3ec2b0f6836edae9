"""What the smtp process counted, for the figures: a small file beside the spool that it writes and the worker reads.

Promises: numbers only; a file that is missing, old, or not exactly of this form counts as none. It is a hint and no
source of trust: who can write it can show wrong figures, nothing more. It is not synced. DESIGN §2 (the roles).
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

NAME = "figures.json"
FRESH_FOR_US = 5_000_000
_MOST = 2**53
_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Doors:
    """Since the process started: messages answered 250, commands and messages answered 5xx, and 4xx; and at `time_us`
    (microseconds) the open connections.
    """

    time_us: int
    accepted: int
    refused: int
    later: int
    connections: int


def write(spool: Path, doors: Doors) -> None:
    """Replace the file by rename. Raises OSError."""
    fresh = spool / (NAME + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    try:
        os.write(descriptor, json.dumps({"v": 1, **asdict(doors)}).encode("ascii"))
    finally:
        os.close(descriptor)
    os.replace(fresh, spool / NAME)


def read(spool: Path, now_us: int) -> Doors | None:
    """What the file says, or None. Never raises."""
    try:
        descriptor = os.open(spool / NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            value = json.loads(file.read(_BYTES))
        names = [one.name for one in fields(Doors)]
        if not isinstance(value, dict) or set(value) != {"v", *names} or value["v"] != 1:
            return None
        numbers = [value[name] for name in names]
    except (OSError, ValueError, RecursionError):
        return None
    if any(type(number) is not int or not 0 <= number < _MOST for number in numbers):
        return None
    found = Doors(*numbers)
    return found if abs(now_us - found.time_us) <= FRESH_FOR_US else None
