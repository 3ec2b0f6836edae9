"""A backup's two halves onto an empty machine.

Promises: nothing is written where anything lies; nothing is believed that the keyholder did not sign; an installation
is only there when the last file is, so that a restore that was cut leaves what `serve` refuses, and a restored part is
whole or not there; the log that comes back has the root it had, computed again from its entries; a keyholder's copy
beyond its days is refused, here and by the keyholder itself. The spool begins empty and this node's keys are made anew
at the first start. DESIGN §5 (restore guard), §8 (the exceptions to "nothing is made beside existing data").
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from gateway import install, restored, roles, rootkeys
from gateway.audit.event import SYSTEM
from gateway.audit.log import AuditLog
from gateway.backup import blobs, database, gap
from gateway.backup.manifest import CONTENT, KEYHOLDER, Changed, Failed, Manifest, Part, checked, read
from gateway.clock import SystemClock, from_us
from gateway.doctor.confirm import check_value
from gateway.errors import Misconfigured
from gateway.roles import Identities
from gateway.settings import Settings
from gateway.store import engines
from gateway.store.database import Store
from gateway.store.migrations import HEAD
from gateway.vault import Vault
from keys.merkle import Frontier, leaf_hash

STORE = "keyholder.db"
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Done:
    """What came back, what did not, and what a start still needs, and how many seconds it took."""

    content: Manifest
    keyholder: Manifest
    gap: gap.Gap
    files: int
    missing: int
    logs: dict[str, int]
    needed: tuple[str, ...]
    seconds: float


def restore(
    settings: Settings, who: Identities, content: Path, keyholder: Path, *, verify: bool, progress: Progress
) -> Done:
    """Both halves into the places that the settings name. `verify` computes every log again from its entries.

    Raises Misconfigured (something is there already, halves that do not fit, a copy beyond its days), Changed, Failed.
    """
    clock, began = SystemClock(), time.monotonic()
    began_us = clock.now_us()
    ours, theirs = read(content, CONTENT), read(keyholder, KEYHOLDER)
    _fits(settings, ours, theirs, began_us)
    _empty(settings)
    install.node_directory(settings, who)
    _alone(settings)
    progress("checking the keyholder's copy")
    for _ in checked(keyholder, theirs.part(STORE)):
        pass
    if gap.root_key(keyholder / STORE) != theirs.public_key:
        raise Changed(STORE)  # signed by a key that is not this keyholder's: anybody can sign with one of their own
    _old_enough(ours, gap.signed(keyholder / STORE))
    for part in ours.parts:
        progress(f"checking {part.name}")
        for _ in checked(content, part):
            pass
    try:
        install.node_folders(settings, who)
        install.keys_folder(settings, who)
        install.storage(settings, who)
        tally = blobs.bring_back(content, ours, Vault.at(settings.vault.url), progress)
        missed, logs, since_us = _database(settings, who, content, keyholder, ours, theirs, verify, progress)
        left = restored.Restored(ours.id, theirs.id, ours.made_us, since_us, began_us, logs, missed.disabled)
        restored.write(settings.node_directory, left, 0o644 if who.enforced else 0o600)
        if settings.vault.url.startswith("file://"):
            roles.own_tree(Path(settings.vault.url.removeprefix("file://")), who)
        os.sync()
        _place(keyholder, theirs.part(STORE), settings.keys.directory / STORE, who, "keyholder")
    except OSError as error:
        raise Failed(f"{error.filename or 'the disk'} cannot be written: {error.strerror}. {_AGAIN}") from error
    return Done(
        ours, theirs, missed, tally.files, tally.missing, logs, _needed(settings, theirs), time.monotonic() - began
    )


_AGAIN = "Nothing of this restore counts: empty store, vault, spool and key directory and begin again"


def _fits(settings: Settings, ours: Manifest, theirs: Manifest, now_us: int) -> None:
    where = settings.node.keyholder
    if where != "own":
        raise Misconfigured(f'[node] keyholder is "{where}": restore on the node that runs the keyholder')
    if ours.public_key != theirs.public_key:
        raise Misconfigured("these are halves of two installations: their keyholders are not the same")
    if theirs.expires_us is None or now_us >= theirs.expires_us:
        ended = from_us(theirs.expires_us or 0).isoformat(timespec="minutes")
        raise Misconfigured(
            f"the days of the keyholder's backup {theirs.id} were over at {ended}: what was destroyed since could open "
            "again. Take a younger one"
        )
    dumped = ours.about["database"] == database.TABLES
    if dumped != settings.on_postgres:
        raise Misconfigured(
            f"[store] url: this backup is of {'PostgreSQL' if dumped else 'SQLite'}; restore it into the same kind"
        )
    if ours.about["tables"] != HEAD:
        raise Misconfigured(f"its tables have version {ours.about['tables']}: restore with release {ours.release}")


def _empty(settings: Settings) -> None:
    """Nothing may lie where we write, not even what a set-up or an earlier restore left."""
    there = [name for name, held in install.state(settings).items() if held]
    if install.setup_file(settings).exists() or there:
        raise Misconfigured(
            f"{', '.join(there) or str(install.setup_file(settings))}: not empty. A restore writes onto an empty "
            "machine only: empty store, vault, spool and key directory first, if what lies there is really lost"
        )


def _alone(settings: Settings) -> None:
    try:
        for name in install.LOCKS:
            install.lock(settings, name)  # held until this process ends
    except BlockingIOError as error:
        raise Misconfigured("a serve or another restore runs on this node: stop it first") from error


def _old_enough(ours: Manifest, signed: dict[str, int]) -> None:
    """A database that ends before what the keyholder signed is never served: the guard of each start says so too."""
    sizes = {name: int(one["size"]) for name, one in ours.about["logs"].items()}
    behind = sorted(name for name, size in signed.items() if sizes.get(name, 0) < size)
    if behind:
        raise Misconfigured(
            f"the keyholder's backup is younger than the content's: it has signed more of {', '.join(behind)} than "
            "this database holds. Take the keyholder's backup from before it (each time: keyholder first, then content)"
        )


def _database(
    settings: Settings, who: Identities, content: Path, keyholder: Path, ours: Manifest, theirs: Manifest,
    verify: bool, progress: Progress,
) -> tuple[gap.Gap, dict[str, int], int]:  # fmt: skip
    if settings.on_postgres:
        database.bring_back(settings, content, ours, progress)
    else:
        path = engines.path_of(engines.parse(settings.store.url))
        assert path is not None
        _place(content, ours.part(database.SQLITE), path, who, "gateway")
    store = Store.open(settings.store.url, writing=False)
    try:
        with store.reading() as conn:
            logs = _same_logs(conn, AuditLog(store, settings.node.name, SystemClock()), ours, verify, progress)
            since_us = gap.since_us(conn, keyholder / STORE, theirs.made_us)
            return gap.found(conn, keyholder / STORE, ours.made_us, since_us), logs, since_us
    finally:
        store.close()


def _same_logs(
    conn: Connection, audit: AuditLog, ours: Manifest, verify: bool, progress: Progress
) -> dict[str, int]:  # fmt: skip
    wanted, found = ours.about["logs"], database.heads(conn)
    if wanted != found:
        raise Changed("the log")
    if verify:
        for name, one in found.items():
            size = int(one["size"])
            if (
                base64.b64encode(_root(audit.entries(conn, name, 0, size), name, size, progress)).decode()
                != one["root"]
            ):
                raise Changed(f"log {name}")
    if SYSTEM not in found:
        raise Changed("the log")
    return {name: int(one["size"]) for name, one in found.items()}


def _root(entries: Iterable[bytes], name: str, size: int, progress: Progress) -> bytes:
    """The tree of all entries, from their bytes alone."""
    tree = Frontier(0, [])
    for count, entry in enumerate(entries, 1):
        tree.append(leaf_hash(entry))
        if count % 5000 == 0:
            progress(f"log {name}: {count} of {size} entries")
    return tree.root()


def _place(source: Path, part: Part, path: Path, who: Identities, role: str) -> None:
    """One file of a backup under its own name, whole, durable and its role's; checked as it is written."""
    fresh = path.with_name(path.name + ".restoring")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for chunk in checked(source, part):
            file.write(chunk)
        file.flush()
        os.fsync(descriptor)
    install.own(fresh, who, role)
    os.replace(fresh, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _needed(settings: Settings, theirs: Manifest) -> tuple[str, ...]:
    """What a start still wants: the root key, which is in no backup, and what the configuration names by its files."""
    path, needed = settings.keys.kek_file, []
    if settings.keys.provider != "file":
        sealed = rootkeys.on_this_machine(settings)
        if sealed is None:
            needed.append(f"the root key with check value {theirs.kek} at {settings.keys.provider}, as [keys] names it")
        elif not sealed.exists():
            needed.append(f"the root key with check value {theirs.kek}, sealed to this machine anew, at {sealed}")
    elif not path.exists():
        needed.append(f"the root key with check value {theirs.kek}, from its own copy, at {path} (mode 0400)")
    else:
        try:
            found = check_value(path)
        except Misconfigured:
            needed.append(f"a root key at {path} that can be used (mode 0400), with check value {theirs.kek}")
        else:
            if found != theirs.kek:
                needed.append(f"the root key with check value {theirs.kek} at {path}: the one there has {found}")
    secrets = [one.courier.password_file for one in settings.tenants] + [settings.notify.sms_token_file]
    needed += [f"the secret file {one.path}" for one in secrets if one is not None and not one.path.exists()]
    return tuple(needed)
