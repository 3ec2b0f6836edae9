"""Database, vault, spool and the disks under them."""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gateway import s3place
from gateway.doctor.case import Case, Refused
from gateway.doctor.finding import Finding, check, green, red, unseen, worst, yellow
from gateway.doctor.place import store_file, vault_folder
from gateway.errors import GatewayError
from gateway.store import migrations
from gateway.vault import Vault, s3uploads
from keys.datakey import DataKey
from keys.reserve import NAME

LEAST_BYTES, LOW_BYTES = 64 << 20, 1 << 30
LEAST_SHARE, LOW_SHARE = 0.02, 0.10
LOW_INODES, LEAST_INODES = 0.10, 0.02
PROBE = b"sealgate doctor\n" * 4096


@check(
    "database.sound",
    "The database is whole, of this release's version, and writes ahead",
    "a damaged database loses links, states and the log; mail is answered 451 until it is whole",
)
def sound(case: Case) -> Finding:
    path = store_file(case)
    if path is None:
        return _server(case)

    def look() -> dict[str, Any]:
        os.stat(path)
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=2)) as store:
            store.execute("PRAGMA query_only=ON")
            mode = store.execute("PRAGMA journal_mode").fetchone()[0]
            said = store.execute("PRAGMA quick_check(3)").fetchall()
            version = store.execute("SELECT version_num FROM alembic_version").fetchone()
            return {"mode": mode, "whole": said == [("ok",)], "version": version[0] if version else None}

    bring_back = f"stop sealgate, bring {path} back from the backup, then: {case.start()}"
    try:
        found = case.as_role("gateway", look)
    except Refused as error:
        if str(error) == "Permission denied" and os.geteuid() != 0:
            return unseen(case)
        return red(f"{path.name} cannot be read ({error})", bring_back)
    if not found["whole"]:
        return red(f"{path.name} is damaged: SQLite's check of its pages fails", bring_back)
    if found["version"] != migrations.HEAD:
        return red(
            f"its tables have version {found['version']}, this release needs {migrations.HEAD}",
            f"install the release that belongs to it, or bring {path} forward with that release's notes",
        )
    if found["mode"] != "wal":
        return red(f"its journal is '{found['mode']}', not WAL", f"sqlite3 {path} 'PRAGMA journal_mode=WAL'")
    return green(f"{path.stat().st_size / 1e6:.0f} MB, version {found['version']}, WAL")


def _server(case: Case) -> Finding:
    try:
        migrations.check(case.settings.store.url)
    except GatewayError as error:
        return red(error.public, "start the database server that [store] url names, then look again")
    return green(f"a server, tables of version {migrations.HEAD}")


@check(
    "vault.works",
    "An object can be sealed into the vault, read back and removed",
    "when it cannot, protected mail is answered 451 and nobody can open what was sent",
)
def vault(case: Case) -> Finding:
    url = case.settings.vault.url
    if not case.sees("gateway"):
        return unseen(case)

    def look() -> str:
        try:
            store = Vault.at(url)
            key, name = DataKey.random(), {"tenant": "doctor", "object_id": "obj_doctor", "kind": "file"}
            made = store.seal(key, **name, chunks=[PROBE])
            try:
                with store.open(
                    key, **name, blob=made.blob, header_tag=made.header_tag, sealed_bytes=made.sealed_bytes
                ) as reader:
                    return "" if b"".join(reader.read()) == PROBE else "what was read is not what was written"
            finally:
                store.remove(made.blob)
        except GatewayError as error:
            return error.detail or type(error).__name__

    folder = vault_folder(case)
    there = "the vault" if folder is None else str(folder)
    try:
        trouble = case.as_role("gateway", look)
    except Refused as error:
        trouble = str(error)
    if not trouble:
        return green("written, read, removed")
    if folder is not None and not folder.exists():
        return red(f"{there} is missing", f"mount or bring back {there}; it is never made anew. Then: {case.start()}")
    if "No space" in trouble:
        return red(f"{there}: the disk is full", _room(folder or Path("/")))
    if folder is None:
        return red(f"{there}: {trouble}", "look at the store, and at the keys that [vault] url names")
    right = f"chown -R sealgate-gateway: {there}" if case.who.enforced else f"chmod -R u+rwX {there}"
    return red(f"{there}: {trouble}", right)


@check(
    "vault.uploads",
    "What a killed process left half uploaded at the S3 store is found and ended",
    "left where it is, it costs room that no listing of objects shows, for ever",
)
def uploads(case: Case) -> Finding:
    if not case.settings.vault.url.startswith("s3://"):
        return green("the vault is a folder, where every start of the sweep sees them")
    if not case.sees("gateway"):
        return unseen(case)
    place = s3place.parse(case.settings.vault.url)
    try:
        why = case.as_role("gateway", lambda: s3uploads.unseen(place, datetime.now(UTC) - timedelta(days=1)))
    except Refused as error:
        why = str(error)
    if not why:
        return green("listed each hour; what is a day old is ended")
    return yellow(
        f"{why}: only the bucket's own rule can end them, and whether it has one is not seen from here",
        f"printf '%s' '{s3uploads.RULE}' > rule.json && aws s3api put-bucket-lifecycle-configuration --bucket "
        f"{place.bucket} --lifecycle-configuration file://rule.json",
    )


@check(
    "spool.writable",
    "Mail can be written to the spool in both directions",
    "when it cannot, every message is answered 451",
)
def spool(case: Case) -> Finding:
    findings = []
    for direction, role in (("in", "smtp"), ("out", "gateway")):
        if not case.sees(role):
            return unseen(case)
        folder = case.settings.spool.directory / direction
        try:
            case.as_role(role, lambda folder=folder: _touch(folder))  # type: ignore[misc]
        except Refused as error:
            repair = _room(folder) if "No space" in str(error) else f"chown -R sealgate-{role}: {folder}"
            if not case.who.enforced and "No space" not in str(error):
                repair = f"chmod -R u+rwX {folder}"
            findings.append(red(f"{folder}: {error}", repair))
    return worst(findings, "both directions take a file")


def _touch(folder: Path) -> bool:
    probe = folder / f".doctor-{secrets.token_hex(6)}"
    descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, b"\0" * 4096)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        os.unlink(probe)
    return True


@check(
    "disk.space",
    "Every disk that holds a part of the installation has room",
    "under 32 MB mail is answered 451; a full disk stops sealing, recall and the log",
)
def space(case: Case) -> Finding:
    findings, words = [], []
    for path, status in _disks(case).items():
        free, whole = status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize
        words.append(f"{_size(free)} of {_size(whole)} free at {path}")
        if free < LEAST_BYTES or free < LEAST_SHARE * whole < LOW_BYTES:
            findings.append(red(words[-1], _room(path)))
        elif free < LOW_BYTES or free < LOW_SHARE * whole < 10 * LOW_BYTES:
            findings.append(yellow(words[-1], _room(path)))
    return worst(findings, ", ".join(words))


@check(
    "disk.reserve",
    "Room is put by beside database and keyholder for what must work on a full disk",
    "with it recalls and their entries in the log still work when the disk is full",
)
def reserve(case: Case) -> Finding:
    settings, store = case.settings, store_file(case)
    wanted = [(store.parent, settings.store.reserve_bytes, "gateway")] if store is not None else []
    if settings.runs_keyholder:
        wanted.append((settings.keys.directory, settings.keys.reserve_bytes, "keyholder"))
    findings, sizes = [], []
    for folder, size, role in wanted:
        if not size:
            findings.append(yellow(f"none is kept at {folder}", "take reserve_bytes out of the configuration"))
            continue
        try:
            held = case.as_role(role, lambda path=folder / NAME: os.stat(path).st_blocks * 512)  # type: ignore[misc]
        except Refused as error:
            if "denied" in str(error):
                findings.append(yellow(f"{folder} cannot be looked at", f"run it as root: {case.command('doctor')}"))
                continue
            held = 0
        sizes.append(f"{_size(held)} at {folder}")
        if held < size:
            why = "it was given up, since the disk is full" if case.serving else "it is made when the gateway runs"
            findings.append((red if case.serving else yellow)(f"none at {folder}: {why}", _room(folder)))
    return worst(findings, ", ".join(sizes))


@check(
    "disk.inodes",
    "Every disk of the installation can hold more files",
    "without free inodes no mail and no object can be stored, whatever room is left",
)
def inodes(case: Case) -> Finding:
    findings = []
    for path, status in _disks(case).items():
        if status.f_files and (share := status.f_favail / status.f_files) < LOW_INODES:
            make = red if share < LEAST_INODES else yellow
            findings.append(
                make(
                    f"{share:.0%} of the inodes at {path} are free",
                    f"find {path} -xdev -printf '%h\\n' | sort | uniq -c | sort -n | tail, and remove what is not ours",
                )
            )
    return worst(findings, "enough everywhere")


def _room(path: Path) -> str:
    path = next((one for one in (path, *path.parents) if one.is_mount()), path)
    return f"du -xah --max-depth=2 {path} | sort -h | tail, remove what is not ours, or enlarge the disk under {path}"


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _disks(case: Case) -> dict[Path, os.statvfs_result]:
    """One folder and its figures for each file system that holds a part of the installation."""
    settings = case.settings
    wanted = [settings.spool.directory, settings.keys.directory, settings.node_directory, vault_folder(case)]
    store = store_file(case)
    wanted.append(store.parent if store else None)
    found: dict[int, Path] = {}
    for path in wanted:
        if path is not None:
            there = next((one for one in (path, *path.parents) if one.exists()), Path("/"))
            found.setdefault(there.stat().st_dev, there)
    return {path: os.statvfs(path) for path in found.values()}
