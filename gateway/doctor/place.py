"""Where everything lies, whose it must be, and what rights it must have: as gateway/install.py makes it. DESIGN §2."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from gateway import rootkeys
from gateway.doctor.case import Case
from gateway.doctor.finding import Finding, red, yellow
from gateway.roles import user_name
from gateway.spool import nodekey

NODE_KEY = "node.key"
KEK_MODES = (0o400, 0o600)


@dataclass(frozen=True, slots=True)
class Place:
    """A path with the role that owns it (empty: root, or the single user), its group's role and its rights."""

    path: Path
    role: str
    group: str
    modes: tuple[int, ...]


def store_file(case: Case) -> Path | None:
    """The database's file; None for a server."""
    url = case.settings.store.url
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def vault_folder(case: Case) -> Path | None:
    """The vault's folder; None where it is not on this machine."""
    url = case.settings.vault.url
    return Path(url.removeprefix("file://")) if url.startswith("file://") else None


def places(case: Case) -> list[Place]:
    """Folders and key files in the order from the outside in."""
    settings, enforced = case.settings, case.who.enforced
    private = (0o700,)
    passed = (0o711, 0o755) if enforced else private
    shared = (0o2770,) if enforced else private
    spool = settings.spool.directory
    found = [
        Place(spool, "", "", passed),
        Place(settings.node_directory, "", "", passed),
        Place(settings.smtp_directory, "smtp", "smtp", private),
        Place(settings.worker_directory, "gateway", "gateway", private),
        Place(settings.snapshot_directory, "gateway", "smtp", (0o2750,) if enforced else private),
        Place(spool / "in", "smtp", "gateway", shared),
        Place(spool / "in" / "log", "smtp", "gateway", shared),
        Place(spool / "in" / "large", "smtp", "gateway", shared),
        Place(spool / "in" / "marks", "gateway", "gateway", private),
        Place(spool / "out", "gateway", "gateway", private),
    ]
    if (store := store_file(case)) is not None:
        found.append(Place(store.parent, "gateway", "gateway", private))
        found.append(Place(store, "gateway", "gateway", (0o600,)))
    if (vault := vault_folder(case)) is not None:
        apart = case.who.apart  # then the worker writes it, and the portal reads it
        found.append(Place(vault, "gateway", "portal" if apart else "gateway", (0o2750,) if apart else private))
    for role, home in (("smtp", settings.smtp_directory), ("gateway", settings.worker_directory)):
        found.append(Place(home / NODE_KEY, role, role, (0o400, 0o600)))
        found.append(Place(home / nodekey.PINNED_NAME, role, role, (0o444, 0o400)))
    if settings.on_postgres:
        found.append(Place(settings.portal_directory, "portal", "portal", private))
    return found + (_keyholders(case) if settings.runs_keyholder else [])


def _keyholders(case: Case) -> list[Place]:
    settings = case.settings
    passed = 0o2751 if case.who.apart else 0o2750  # the portal passes through to the socket that is its own
    sockets = (passed,) if case.who.enforced else (0o700,)
    return [
        Place(settings.keys.directory, "keyholder", "keyholder", (0o700,)),
        Place(settings.sockets_directory, "keyholder", "gateway", sockets),
        Place(settings.keys.directory / "keyholder.db", "keyholder", "keyholder", (0o600,)),
        *([Place(path, "keyholder", "", KEK_MODES)] if (path := rootkeys.on_this_machine(settings)) else []),
    ]


def wrong(case: Case, place: Place) -> Finding | None:
    """What is wrong with owner or rights of a place; None when nothing is, or when it is not there."""
    try:
        status = os.lstat(place.path)
    except PermissionError:
        return yellow(f"{place.path} cannot be looked at by this user", f"run it as root: {case.command('doctor')}")
    except OSError:
        return None  # whether it must be there is another check's question
    owner = case.who.uid(place.role) if place.role else (0 if case.who.enforced else case.who.uid("gateway"))
    group = case.who.gid(place.group) if place.group and case.who.enforced else None
    mode = stat.S_IMODE(status.st_mode)
    right = user_name(owner)
    names = right if group is None else f"{right}:{_group_name(group)}"
    repair = f"chown {names} {place.path} && chmod {place.modes[0]:04o} {place.path}"
    if stat.S_ISLNK(status.st_mode):
        return red(f"{place.path} is a link, and must be what it leads to", f"mv the target to {place.path}")
    if status.st_uid != owner or (group is not None and status.st_gid != group):
        whose = f"{user_name(status.st_uid)}:{_group_name(status.st_gid)}"
        return red(f"{place.path} belongs to {whose}, not to {names}", repair)
    if mode not in place.modes:
        return red(f"{place.path} has mode {mode:04o}, not {place.modes[0]:04o}", repair)
    return None


def _group_name(gid: int) -> str:
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
