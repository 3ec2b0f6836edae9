"""Where this node's keyholder is reached: a Unix socket for each role here, or another machine by mutual TLS.

Promises: each role's certificate with its private key is a file of its own that only that role's user reads; the
operator's is root's, and where there is none, this machine can change nothing at the keyholder. DESIGN §2 (between
machines).
"""

from __future__ import annotations

import contextlib
import os
from datetime import datetime
from pathlib import Path

from gateway import install
from gateway.errors import Misconfigured
from gateway.roles import Identities
from gateway.settings import Settings
from keys import machines
from keys.client import Connection, Distant

AUTHORITY, OPERATOR = "authority.pem", "operator"
NEW = ".key.new"
ROLES = ("worker", "portal", OPERATOR)


def reach(settings: Settings, role: str, *, timeout_seconds: float = 5.0, size: int = 8) -> Connection:
    """The connection of that role (worker, portal, operator). Nothing is opened yet."""
    if settings.node.keyholder != "apart" or settings.keys.address is None:
        place: Path | Distant = settings.sockets_directory / f"{role}.sock"
    else:
        address = settings.keys.address
        place = Distant(
            address.host, address.port, settings.machine_directory / AUTHORITY, certificate_file(settings, role)
        )
    return Connection(place, timeout_seconds=timeout_seconds, size=size)


def certificate_file(settings: Settings, role: str) -> Path:
    """Certificate and private key of one role on this machine."""
    return settings.machine_directory / f"{role}.pem"


def owner_of(settings: Settings, role: str) -> str | None:
    """Who reads a role's file: the role's user, and for the operator whoever starts us."""
    if role == OPERATOR:
        return None
    return "portal" if role == "portal" and settings.on_postgres else "gateway"


def need(settings: Settings) -> None:
    """Raises Misconfigured when this machine cannot prove itself to the keyholder on the other one."""
    if settings.node.keyholder != "apart":
        return
    for path in (settings.machine_directory / AUTHORITY, *(certificate_file(settings, one) for one in ROLES[:2])):
        if not path.exists():
            raise Misconfigured(
                f"{path} is missing: this machine has no certificate for the keyholder at {settings.keys.address}. "
                "Make a request with 'sealgate keys request FILE', see deploy/KEYHOLDER.md"
            )


def administers(settings: Settings) -> bool:
    """Whether this machine may act as the operator: on the keyholder's own machine always, else with a certificate."""
    return settings.node.keyholder != "apart" or certificate_file(settings, OPERATOR).exists()


def ends(settings: Settings) -> dict[str, datetime]:
    """When each certificate of this machine ends, by role; those that this user may read. Raises Misconfigured."""
    found = {}
    for role in ROLES:
        path = certificate_file(settings, role)
        with contextlib.suppress(FileNotFoundError, PermissionError):
            try:
                found[role] = machines.ends(path.read_bytes())
            except machines.Unfit as error:
                raise Misconfigured(f"{path}: {error}; ask for a new one: sealgate keys request FILE") from error
    return found


def in_words(settings: Settings) -> str:
    """Where the keyholder is, for `sealgate check`; empty where it is as everybody has it."""
    keys, listen = settings.keys, ", ".join(map(str, settings.keys.listen))
    if settings.node.keyholder == "alone":
        return f"keyholder: this machine runs it alone, and listens for others at {listen} (mutual TLS)"
    if settings.node.keyholder == "apart":
        until = [f"{role} until {end.date()}" for role, end in ends(settings).items()]
        have = ", ".join(until) or "none that this user may read; sealgate keys request FILE asks for them"
        return f"keyholder: on another machine, at {keys.address} (mutual TLS); certificates here: {have}"
    return f"keyholder: here, and it listens for others at {listen} (mutual TLS)" if listen else ""


def ask(settings: Settings, who: Identities, roles: tuple[str, ...]) -> dict[str, str]:
    """A new private key for each of these roles, which stays here, and a request for its certificate (PEM) by role."""
    install.machine_folder(settings, who)
    requests = {}
    for role in roles:
        private, requests[role] = machines.request(settings.node.name, role)
        install.write(settings.machine_directory / (role + NEW), private, 0o400)
    return requests


def accept(settings: Settings, who: Identities, authority: str, certificates: dict[str, str]) -> dict[str, datetime]:
    """Put certificates beside the keys that they were asked for; when each ends. A running gateway uses them at once.

    Raises Misconfigured for one that belongs to no request of this machine, to another node, or to another authority.
    """
    kept = settings.machine_directory / AUTHORITY
    if kept.exists() and kept.read_text() != authority:
        raise Misconfigured(
            f"this answer comes from another keyholder than {kept} names. If that is meant, remove that file first"
        )
    files, until = {}, {}
    for role, text in certificates.items():
        path = settings.machine_directory / (role + NEW)
        if role not in ROLES or not path.exists():
            raise Misconfigured(f"there is no open request of this machine for '{role}': sealgate keys request FILE")
        try:
            files[role], until[role] = machines.joined(authority, text, path.read_bytes(), settings.node.name, role)
        except machines.Unfit as error:
            raise Misconfigured(str(error)) from error
    install.write(kept, authority.encode("ascii"), 0o444)
    for role, content in files.items():
        install.write(certificate_file(settings, role), content, 0o400, who, owner_of(settings, role))
        os.unlink(settings.machine_directory / (role + NEW))
    return until


def fingerprint(request: str) -> str:
    """A few letters and digits to compare on both machines. Raises Misconfigured."""
    try:
        return machines.fingerprint(request)
    except machines.Unfit as error:
        raise Misconfigured(str(error)) from error
