"""The worker's sign of life: a small file, renewed each second, that says whether mail can be taken.

Promises: no file, an old one, one from the future, an unreadable one or one that says no: all mean 451. It is a hint
about health, not a source of trust, so it is unsigned: who can write it can stop mail, nothing more. DESIGN §2, §3a.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

FRESH_FOR_US = 4_500_000
"""Under five seconds, because smtp looks four times a second and 451 is promised within five (DESIGN §3a)."""
_REASON = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")


@dataclass(frozen=True, slots=True)
class Health:
    """`reason` is a machine word such as ``store``, ``log``, ``vault``, ``spool``; empty when all is well."""

    time_us: int
    ok: bool
    reason: str = ""


def write(path: Path, health: Health) -> None:
    """Replace the file by rename. Not synced: after a power cut it is old, and says no, as it should."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        text = json.dumps({"v": 1, "time_us": health.time_us, "ok": health.ok, "reason": health.reason})
        os.write(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)
    os.replace(fresh, path)


def read(path: Path, now_us: int) -> Health:
    """What the file says at this time. Never raises: trouble is a Health that is not ok, with a reason."""
    try:
        with open(path, "rb") as file:
            value = json.loads(file.read(1024))
        time_us, ok, reason = value["time_us"], value["ok"], value["reason"]
        if value["v"] != 1 or type(time_us) is not int or type(ok) is not bool or type(reason) is not str:
            raise ValueError
    except FileNotFoundError:
        return Health(0, False, "no-health-file")
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return Health(0, False, "unreadable-health-file")
    if abs(now_us - time_us) > FRESH_FOR_US:
        return Health(time_us, False, "worker-silent")
    return Health(time_us, ok, reason if ok or _REASON.match(reason) else "unhealthy")
