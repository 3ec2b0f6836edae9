"""Which operating-system user each role runs as, and how a child process is bound to its parent.

Promises: started as root, every role drops to its own user, with no group but its own, before it runs a line of ours;
started by an ordinary user or with `--single-user`, all roles share that user and `enforced` is False, which `doctor`
and the start line say. Every child has NoNewPrivileges and ends when its parent does. DESIGN §2.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import Misconfigured

NAMES = {"smtp": "sealgate-smtp", "gateway": "sealgate-gateway", "keyholder": "sealgate-keys"}
APART = {
    "smtp": "sealgate-smtp", "worker": "sealgate-worker", "portal": "sealgate-portal", "keyholder": "sealgate-keys",
}  # fmt: skip
"""On PostgreSQL, where worker and portal are processes of their own. What belongs to "gateway" is then the worker's."""
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Identity:
    """User and group of one role; None of both means: whoever we are."""

    uid: int | None
    gid: int | None
    more: tuple[int, ...] = ()
    """Further groups: the keyholder's, to hand the portal's socket to the portal's group."""


@dataclass(frozen=True, slots=True)
class Identities:
    """Who each role is. `enforced` is True when they are different users."""

    of: dict[str, Identity]
    enforced: bool

    @property
    def apart(self) -> bool:
        """Whether the portal is another user than the worker."""
        return self.enforced and self.of.get("portal", self.of["gateway"]) != self.of["gateway"]

    def uid(self, role: str) -> int:
        """Numeric user of the role."""
        uid = self.of[role].uid
        return os.geteuid() if uid is None else uid

    def gid(self, role: str) -> int:
        """Numeric group of the role."""
        gid = self.of[role].gid
        return os.getegid() if gid is None else gid


def identities(single_user: bool, *, apart: bool = False, keyholder_alone: bool = False) -> Identities:
    """Raises Misconfigured when root starts us, the users are missing and --single-user was not given.

    `apart`: worker and portal are users of their own. `keyholder_alone`: this machine runs the keyholder and nothing
    else, so that no other user is asked for.
    """
    names = {"keyholder": NAMES["keyholder"]} if keyholder_alone else APART if apart else NAMES
    if os.geteuid() != 0 or single_user:
        return Identities({role: Identity(None, None) for role in (*NAMES, *APART)}, enforced=False)
    found: dict[str, Identity] = {}
    missing: list[str] = []
    for role, name in names.items():
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
    if len({one.uid for one in found.values()} | {0}) != len(names) + 1:
        raise Misconfigured(f"the users {', '.join(names.values())} must be different ones, and none of them root")
    if keyholder_alone:
        return Identities(dict.fromkeys((*NAMES, *APART), found["keyholder"]), enforced=True)
    if apart:
        keys = found["keyholder"]
        found["gateway"] = found["worker"]
        found["keyholder"] = Identity(keys.uid, keys.gid, tuple(filter(None, (found["portal"].gid,))))
    else:
        found["worker"] = found["portal"] = found["gateway"]
    return Identities(found, enforced=True)


def user_name(uid: int) -> str:
    """Name of a user, or its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def number_as(identity: Identity, count: Callable[[], int]) -> int | None:
    """What `count` (0 or more) gives in a child that is that user; None when it raised there. Raises Misconfigured when
    nobody here may become that user.

    What a role can write to, root looks at as that role: a link or a damaged file then leads nowhere new.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        answer = b"?"
        try:
            if identity.uid is not None and identity.gid is not None:
                os.setgroups([])
                os.setgid(identity.gid)
                os.setuid(identity.uid)
            answer = b"!"
            answer = str(count()).encode()
        finally:
            os.write(writer, answer)
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    if answer != b"!" and not answer.isdigit():
        raise Misconfigured(
            "this process may not become the users of the roles; start it as root, or add --single-user"
        )
    return int(answer) if answer.isdigit() else None


def first_unreadable(identity: Identity, paths: Sequence[Path]) -> Path | None:
    """The first of these files that this user could not open for reading; asked of the kernel, as that user."""

    def count() -> int:
        return next((n for n, path in enumerate(paths) if not os.access(path, os.R_OK)), len(paths))

    found = number_as(identity, count) or 0
    return paths[found] if found < len(paths) else None


def own_tree(top: Path, who: Identities) -> None:
    """An empty vault becomes the gateway's; where the portal is another user, what is made there has its group."""
    for _, _, files, here in os.fwalk(top, topdown=False):
        for name in (*files, "."):
            one = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=here)
            if who.enforced:
                os.fchown(one, who.uid("gateway"), who.gid("portal" if who.apart else "gateway"))
            if who.apart:
                os.fchmod(one, 0o2750 if name == "." else 0o640)
            os.close(one)


PRIVATE, GROUP_READS = 0o077, 0o027


def child_setup(umask: int = PRIVATE) -> Callable[[], None]:
    """To run in the child between fork and exec: die with the parent, gain no privileges, keep files private.

    `GROUP_READS` is for the two roles that hand files to each other through a folder of the reader's group.
    """

    def prepare() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        os.umask(umask)

    return prepare


def harden_self() -> None:
    """For each role at its start: no core dump, not traceable by another process of the same user."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _LIBC.prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: /proc/<pid>/mem is closed to the same user as well
