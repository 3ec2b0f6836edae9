"""Making either half of a backup: registered first, written, signed by the keyholder last.

Promises: content holds the database of one moment, the sealed files its rows name, and the configuration, which names
secrets by their files and holds none; never the spool, an epoch key, the keyholder's store or the root key. The
keyholder's half holds its store alone, as `keys.keyholder.copying` writes it. A folder without the signed manifest is
no backup, whatever was written into it. Neither stops anything that serves. DESIGN §4a, §5.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.backup import blobs, database, place
from gateway.backup.manifest import CONTENT, KEYHOLDER, Failed, Manifest, Part, part_of, read, write
from gateway.errors import Misconfigured
from gateway.settings import Settings
from gateway.store.migrations import HEAD
from gateway.vault import Vault
from keys.client import OperatorClient, unb64
from keys.errors import Denied, KeysError
from keys.keyholder import copying

STORE, CONFIG = "keyholder.db", "gateway.toml"
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Made:
    """What was made, where, how long it took (seconds), and of content how many files there are, linked and missing."""

    manifest: Manifest
    directory: Path
    seconds: float
    files: int = 0
    linked: int = 0
    missing: int = 0
    file_bytes: int = 0


def content(
    settings: Settings, config: Path | None, directory: Path, operator: OperatorClient, *, release: str,
    since: Path | None, progress: Progress,
) -> Made:  # fmt: skip
    """A backup of the content, in a folder of its own. `since`: an earlier one of it, whose files are linked.

    Raises Misconfigured, Failed, Changed (of `since`), TryLater.
    """
    began = time.monotonic()
    if since is not None:
        public = unb64(operator.status()["public_key"]).hex()
        before = read(since, CONTENT, public)
        if part_of(since, blobs.LIST) != before.part(blobs.LIST):
            raise Failed(f"{since / blobs.LIST} was changed since it was signed: make a backup without --since")
    target = place.take(directory, CONTENT, settings)
    begun = operator.backup_begin(CONTENT)
    try:
        with database.copied(settings, target, progress) as (names, conn):
            heads = database.heads(conn)
            tally = blobs.copy(conn, Vault.at(settings.vault.url), target, since, progress)
        files = [*names, blobs.LIST, *_configuration(settings, config, target)]
        parts = tuple(part_of(target, one) for one in files)
    except OSError as error:
        raise Failed(f"{target} cannot be written: {error.strerror}") from error
    stored = database.TABLES if settings.on_postgres else database.SQLITE
    about = {
        "blobs": tally.plain(), "database": stored, "logs": heads, "node": settings.node.name, "tables": HEAD,
    }  # fmt: skip
    manifest = _finish(target, CONTENT, begun, operator, release, parts, about)
    return Made(manifest, target, time.monotonic() - began, tally.files, tally.linked, tally.missing, tally.size_bytes)


def keyholder(
    settings: Settings, directory: Path, operator: OperatorClient, *, release: str, days: int, progress: Progress
) -> Made:
    """A backup of the keyholder's store that opens nothing after so many days.

    Raises Misconfigured (too many days; a keyholder on another node), Failed.
    """
    began = time.monotonic()
    if not settings.runs_keyholder:
        where = settings.node.keyholder
        raise Misconfigured(f'[node] keyholder is "{where}": make this backup on the node that runs the keyholder')
    target = place.take(directory, KEYHOLDER, settings)
    try:
        begun = operator.backup_begin(KEYHOLDER, days)
    except Denied as denied:
        if denied.reason == "rotating":
            raise Failed("the root key is being rotated: try again when 'sealgate keys status' says it is") from denied
        if denied.reason != "days":
            raise
        raise Misconfigured(
            f"--days must be between 1 and {denied.data.get('most')}: a copy that lived longer would open what was "
            "destroyed on time"
        ) from denied
    progress("keyholder: store")
    wrapped = {name: unb64(value) for name, value in begun["keys"].items()}
    try:
        copying.copy(settings.keys.directory / STORE, target / STORE, unb64(begun["mark"]), wrapped)
        parts = (part_of(target, STORE),)
    except KeysError as error:
        raise Failed(str(error)) from error
    except OSError as error:
        raise Failed(f"the keyholder's store cannot be copied into {target}: {error.strerror}") from error
    manifest = _finish(target, KEYHOLDER, begun, operator, release, parts, {})
    return Made(manifest, target, time.monotonic() - began)


def _finish(
    target: Path, kind: str, begun: Mapping[str, Any], operator: OperatorClient, release: str, parts: tuple[Part, ...],
    about: Mapping[str, Any],
) -> Manifest:  # fmt: skip
    manifest = Manifest(
        kind=kind, id=begun["id"], made_us=int(begun["made_us"]), expires_us=begun["expires_us"],
        public_key=unb64(begun["public_key"]).hex(), kek=str(begun["kek"]), release=release, parts=parts, about=about,
    )  # fmt: skip
    os.sync()  # thousands of files at once; the manifest that makes them a backup comes after
    write(target, manifest, operator.backup_sign(manifest.id, manifest.digest))
    return manifest


def _configuration(settings: Settings, config: Path | None, target: Path) -> list[str]:
    """The configuration and each policy that is a file of the clinic's own."""
    sources = {CONFIG: config} if config is not None else {}
    for own in settings.tenants:
        policy = str(own.policy.file)
        if "/" in policy or policy.endswith(".toml"):
            sources[f"policy-{own.tenant.name}.toml"] = Path(policy)
    for name, source in sources.items():
        with open(target / name, "xb") as file:
            file.write(source.read_bytes())
    return list(sources)
