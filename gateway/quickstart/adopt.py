"""An installation of one user becomes one whose roles are users: `sealgate unit adopt`, as root, while nothing runs.

Promises: contents are not touched, only owners and rights; it may be repeated after an interruption; what it would have
to open of folders that are not the installation's own is refused and named instead, and so is a link in a folder of the
user whose installation it was: root follows none (`belongings`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from gateway import install, rootkeys
from gateway.errors import Misconfigured
from gateway.quickstart.belongings import give, only_one, opened
from gateway.roles import Identities
from gateway.settings import Settings


def adopt(settings: Settings, who: Identities) -> None:
    """Give everything to the roles' users. Raises Misconfigured; BlockingIOError while the gateway runs."""
    if settings.on_postgres:
        raise Misconfigured("an installation on PostgreSQL is set up with its roles as users from the start")
    locks = [install.lock(settings, name) for name in install.LOCKS]
    try:
        _open_ways(settings)
        for path, role, group in _owned(settings):
            give(path, who.uid(role), who.gid(group))
        _keys_of_tls(settings, who)
        install.node_directory(settings, who)
        install.node_folders(settings, who)
        install.sockets(settings, who)
        install.spool(settings, who)
    finally:
        for lock in locks:
            os.close(lock)


def _owned(settings: Settings) -> list[tuple[Path, str, str]]:
    """Whole trees with their role and its group, the outer ones first."""
    spool = settings.spool.directory
    vault = [(Path(settings.vault.url.removeprefix("file://")), "gateway", "gateway")]
    return [
        (spool / "in", "smtp", "gateway"),
        (spool / "in" / "marks", "gateway", "gateway"),
        (spool / "out", "gateway", "gateway"),
        (settings.smtp_directory, "smtp", "smtp"),
        (settings.worker_directory, "gateway", "gateway"),
        (settings.snapshot_directory, "gateway", "smtp"),
        (Path(settings.store.url.removeprefix("sqlite:///")).parent, "gateway", "gateway"),
        *(vault if settings.vault.url.startswith("file://") else []),
        (settings.keys.directory, "keyholder", "keyholder"),
        (settings.sockets_directory, "keyholder", "gateway"),
        *([(path, "keyholder", "keyholder")] if (path := rootkeys.on_this_machine(settings)) else []),
    ]


def _keys_of_tls(settings: Settings, who: Identities) -> None:
    """Each door's key becomes readable for its role's group."""
    keys = {"smtp": settings.smtp.tls_key_file, "gateway": settings.portal.tls_key_file}
    if keys["smtp"] is not None and keys["smtp"] == keys["gateway"]:
        raise Misconfigured(
            f"{keys['smtp']} is read by both doors, which become two users: give [portal] a tls_key_file of its own"
        )
    for role, path in keys.items():
        if path is not None:
            with opened(path) as file:
                only_one(file, path)
                os.fchown(file, 0, who.gid(role))
                os.fchmod(file, 0o640)


def _open_ways(settings: Settings) -> None:
    """The folders that hold the installation's own may be passed through, and those above that hold nothing else."""
    holders = {settings.spool.directory.parent, settings.keys.directory.parent}
    if (key := rootkeys.on_this_machine(settings)) is not None:
        holders.add(key.parent)
    holders |= {path.parent for path, role, _ in _owned(settings) if role == "gateway"} - set(_inner(settings))
    for holder in holders:
        for below, above in zip((holder, *holder.parents), holder.parents, strict=False):
            with opened(above) as folder:
                if not os.fstat(folder).st_mode & 0o001:
                    if set(os.listdir(folder)) != {below.name}:
                        raise Misconfigured(f"{above} is closed to other users; run: chmod a+x {above}")
                    os.fchmod(folder, 0o711)
        with opened(holder) as folder:
            os.fchmod(folder, stat.S_IMODE(os.fstat(folder).st_mode) | 0o011)


def _inner(settings: Settings) -> Iterable[Path]:
    """Folders of the installation itself, which get their rights elsewhere."""
    spool = settings.spool.directory
    return (spool, spool / "in", settings.node_directory)
