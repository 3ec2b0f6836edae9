"""Where a backup may be written: a folder of its own, away from our data, and never with its other half.

Promises: nothing that is there is written over; content and keyholder are kept apart as far as this machine can see:
not in one folder, not one inside the other, not side by side; the root key lies in neither. DESIGN §4 (what a thief of
one of them opens: nothing).
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from gateway.backup.manifest import CONTENT, KEYHOLDER, kind_of
from gateway.errors import Misconfigured
from gateway.settings import Settings

_NEIGHBOURS = 2000
OTHER = {CONTENT: KEYHOLDER, KEYHOLDER: CONTENT}


def take(directory: Path, kind: str, settings: Settings) -> Path:
    """The folder, made if need be (mode 0700), empty and ours to fill. Raises Misconfigured saying where else to go."""
    target = Path(os.path.abspath(directory))
    _apart(target.resolve(), kind)
    for name, data in data_folders(settings).items():
        if target.resolve() == data.resolve() or data.resolve() in target.resolve().parents:
            raise Misconfigured(f"{target} lies in {data}, which {name} names: write the backup to another disk")
    if settings.keys.kek_file.resolve().parent == target.resolve():
        raise Misconfigured(f"{target} holds the root key: a backup beside its key is no backup. Choose another folder")
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise Misconfigured(
                f"{target} is not empty: each backup has a folder of its own; one that was cut is to be removed first"
            )
    except OSError as error:
        raise Misconfigured(f"{target} cannot be written: {error.strerror}") from error
    return target


def data_folders(settings: Settings) -> dict[str, Path]:
    """The folders of an installation by the setting that names them."""
    found = {
        "[keys] directory": settings.keys.directory,
        "[spool] directory": settings.spool.directory,
        "[node] directory": settings.node_directory,
    }
    if settings.store.url.startswith("sqlite:///"):
        found["[store] url"] = Path(settings.store.url.removeprefix("sqlite:///")).parent
    if settings.vault.url.startswith("file://"):
        found["[vault] url"] = Path(settings.vault.url.removeprefix("file://"))
    return found


def _apart(target: Path, kind: str) -> None:
    other = OTHER[kind]
    words = "whoever has that folder would have both halves. Choose another medium, best another place"
    for above in (target, *target.parents):
        if kind_of(above) is not None:
            raise Misconfigured(f"{target} lies in a backup, or is one: each has a folder of its own")
    try:
        beside = list(itertools.islice(target.parent.iterdir(), _NEIGHBOURS))
    except OSError:
        return  # it is not there yet
    for folder in beside:
        if folder.is_dir() and kind_of(folder) == other:
            raise Misconfigured(f"a backup of the {other} lies beside it, in {folder}: {words}")
