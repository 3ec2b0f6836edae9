"""The note that a restore leaves for the first start after it, in a folder that no role can write to.

`serve` registers this node's new keys while it is there, the worker carries out what was destroyed after the
keyholder's half was copied and writes down that the installation came back, and `serve` takes the note away
(where each role is a unit of its own, the next start does). All of that may be repeated. It holds ids and times only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gateway.errors import Misconfigured

NAME = "restored.json"


@dataclass(frozen=True, slots=True)
class Restored:
    """Ids of both halves; when the content's was made, from when on our log may hold what the keyholder's does not, and
    when the restore began (microseconds since 1970 UTC); the size of every log as it was brought back; tenant and id of
    accounts that are to be disabled again.
    """

    content: str
    keyholder: str
    content_us: int
    keyholder_us: int
    began_us: int
    logs: Mapping[str, int]
    disabled: Sequence[Sequence[str]] = ()


def write(folder: Path, restored: Restored, mode: int) -> None:
    """Leave it, durable. `mode` lets the worker's user read it where roles are users."""
    fresh = folder / (NAME + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(asdict(restored)) + "\n")
        file.flush()
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    os.replace(fresh, folder / NAME)


def read(folder: Path) -> Restored | None:
    """What it says; None where there is none. Raises Misconfigured when it cannot be read."""
    try:
        return Restored(**json.loads((folder / NAME).read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise Misconfigured(f"{folder / NAME} cannot be read; restore again onto an empty machine") from error


def settled(folder: Path, own: Path) -> bool:
    """Whether the worker, in its own folder, has written down that it did what this note asks for."""
    try:
        return (own / NAME).read_bytes() == (folder / NAME).read_bytes()
    except OSError:
        return False


def settle(folder: Path, own: Path) -> None:
    """The worker's word: each role as a unit of its own has nobody above it who could take the note away at once."""
    fresh = own / (NAME + ".new")
    fresh.write_bytes((folder / NAME).read_bytes())
    os.replace(fresh, own / NAME)


def done(folder: Path) -> None:
    """Everything it asks for was done."""
    (folder / NAME).unlink(missing_ok=True)
