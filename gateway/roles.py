"""Which operating-system user each role runs as, and how a child process is bound to its parent.

Promises: started as root, every role drops to its own user before it runs a line of ours; started by an ordinary user
or with `--single-user`, all roles share that user and `enforced` is False, which `doctor` and the start line say.
Every child has NoNewPrivileges and ends when its parent does. DESIGN §2.
"""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
import signal
from collections.abc import Callable
from dataclasses import dataclass

from gateway.errors import Misconfigured

NAMES = {"smtp": "sealgate-smtp", "gateway": "sealgate-gateway", "keyholder": "sealgate-keys"}
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Identity:
    """User and group of one role; None of both means: whoever we are."""

    uid: int | None
    gid: int | None
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Identities:
    """Who each role is. `enforced` is True when they are different users."""

    of: dict[str, Identity]
    enforced: bool

    def uid(self, role: str) -> int:
        """Numeric user of the role."""
        uid = self.of[role].uid
        return os.geteuid() if uid is None else uid

    def gid(self, role: str) -> int:
        """Numeric group of the role."""
        gid = self.of[role].gid
        return os.getegid() if gid is None else gid


def identities(single_user: bool) -> Identities:
    """Raises Misconfigured when root starts us, the users are missing and --single-user was not given."""
    if os.geteuid() != 0 or single_user:
        return Identities({role: Identity(None, None) for role in NAMES}, enforced=False)
    found: dict[str, Identity] = {}
    missing: list[str] = []
    for role, name in NAMES.items():
        try:
            entry = pwd.getpwnam(name)
            found[role] = Identity(entry.pw_uid, entry.pw_gid)
        except KeyError:
            missing.append(name)
    if missing:
        lines = "; ".join(f"useradd --system --user-group --shell /usr/sbin/nologin {name}" for name in missing)
        raise Misconfigured(
            f"started as root, but these users are missing: {', '.join(missing)}. Make them ({lines}), "
            "or add --single-user, which leaves the boundary between the roles unenforced"
        )
    # The keyholder hands its sockets to the gateway's group, for which it must be a member of it.
    keyholder = found["keyholder"]
    found["keyholder"] = Identity(keyholder.uid, keyholder.gid, (found["gateway"].gid or 0,))
    return Identities(found, enforced=True)


def group_name(gid: int) -> str:
    """Name of a group, or its number."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def child_setup() -> Callable[[], None]:
    """To run in the child between fork and exec: die with the parent, gain no privileges, keep files private."""

    def prepare() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        os.umask(0o077)

    return prepare


def harden_self() -> None:
    """For each role at its start: no core dump, not traceable by another process of the same user."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _LIBC.prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: /proc/<pid>/mem is closed to the same user as well
