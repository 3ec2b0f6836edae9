"""Check values of root keys, and the record that a copy away from this machine was looked at.

Promises: a check value follows from the key and tells nothing else about it; the key itself is never printed; a copy
is recorded only under the value of the key in use, so that a copy of an older key confirms nothing.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from gateway.errors import Misconfigured
from gateway.settings import Settings
from keys.providers.file import MAGIC, FileProvider, key_of

if TYPE_CHECKING:
    from gateway.doctor.case import Case

RECORD = "kek-copy.json"


def check_value(path: Path) -> str:
    """The check value of the key in that file. Raises Misconfigured, without a byte of it, when there is none."""
    try:
        with open(path, "rb") as file:
            raw = key_of(file.read(200))
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read: {error.strerror}") from error
    if raw is None:
        raise Misconfigured(f"{path} holds no root key: its one line reads '{MAGIC}' and 64 hexadecimal digits")
    return FileProvider(raw, path).check_value


def stored_check_value(case: Case) -> str | None:
    """What the keyholder's store says it was made with; None when it cannot be read."""
    path = case.settings.keys.directory / "keyholder.db"

    def look() -> str | None:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=1)) as store:
            row = store.execute("SELECT value FROM meta WHERE name = 'kek_check'").fetchone()
        return None if row is None else bytes(row[0]).decode("ascii")

    from gateway.doctor.case import Refused

    try:
        found = case.as_role("keyholder", look)
    except Refused:
        return None
    return None if found is None else str(found)


def record(settings: Settings, expected: str, said: str) -> None:
    """Note that a copy with this check value was looked at. Raises Misconfigured for the value of another key."""
    if said.strip().lower() != expected:
        raise Misconfigured(
            f"a key with check value {said.strip()[:64]} is not this installation's; the copy must have {expected}"
        )
    path = settings.node_directory / RECORD
    fresh = path.with_name(path.name + ".new")
    note = {"check_value": expected, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "w") as file:
            file.write(json.dumps(note) + "\n")
            file.flush()
            os.fsync(descriptor)
        os.replace(fresh, path)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be written: {error.strerror}; run it as root") from error


def confirmed(settings: Settings, expected: str) -> str | None:
    """The day on which a copy of the key in use was confirmed."""
    try:
        note = json.loads((settings.node_directory / RECORD).read_text())
        return str(note["at"])[:10] if note["check_value"] == expected else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
