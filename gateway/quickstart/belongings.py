"""Files and folders of another user, as root may touch them: by descriptor, never by a name that can be made to point
elsewhere meanwhile.

Promises: a link counts only in a folder that root alone may write to; any other one is refused by name, with what to
do; so is a file of another owner that has a second name elsewhere: it need not be this installation's. CWE-59, CWE-367.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import Misconfigured

_LINKS = 10
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor of that file or folder. Raises Misconfigured for a link that somebody else than root may have made,
    FileNotFoundError.
    """
    descriptor = _open(path.absolute())
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def give(path: Path, uid: int, gid: int) -> None:
    """Make a file, or a folder with all that is in it, that user's and group's. Raises Misconfigured."""
    with opened(path) as top:
        _give(top, path, uid, gid, os.fstat(top).st_uid)


def _open(path: Path) -> int:
    parts, here, followed = list(path.parts[1:]), os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), 0
    try:
        while parts:
            name = parts.pop(0)
            if name == "..":
                raise Misconfigured(f"{path} is reached through '..': name it without")
            try:
                below = os.open(name, _FLAGS | (os.O_DIRECTORY if parts else 0), dir_fd=here)
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                    raise
                followed += 1
                target = _target(name, here, path, followed)
                parts = list(target.parts[1 if target.is_absolute() else 0 :]) + parts
                below = os.open("/" if target.is_absolute() else ".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
            os.close(here)
            here = below
    except BaseException:
        os.close(here)
        raise
    return here


def _target(name: str, folder: int, path: Path, followed: int) -> Path:
    """Where a link leads that only root can have made."""
    info = os.fstat(folder)
    if info.st_uid != 0 or info.st_mode & 0o022:
        raise Misconfigured(
            f"{path} is reached through the link '{name}', in a folder that others than root may write to: put the "
            "file or folder itself in its place"
        )
    if followed > _LINKS:
        raise Misconfigured(f"{path} is reached through too many links")
    try:
        return Path(os.readlink(name, dir_fd=folder))
    except OSError as error:
        raise Misconfigured(f"{path}: '{name}' is no folder") from error


def _give(descriptor: int, path: Path, uid: int, gid: int, owner: int) -> None:
    info = os.fstat(descriptor)
    if not stat.S_ISDIR(info.st_mode):
        _ordinary(info, path, (owner, uid))
        os.fchown(descriptor, uid, gid)
        return
    # The folder last: while it is still another one's, what is found in it is looked at by descriptor all the same.
    for name in sorted(os.listdir(descriptor)):
        kind = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
        if stat.S_ISSOCK(kind):  # of a keyholder that ended; it cannot be opened, and nothing can be read in it
            os.chown(name, uid, gid, dir_fd=descriptor, follow_symlinks=False)
            continue
        try:
            inner = os.open(name, _FLAGS, dir_fd=descriptor)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise Misconfigured(f"{path / name} is a link; nothing of an installation is one: take it away") from error
        try:
            _give(inner, path / name, uid, gid, owner)
        finally:
            os.close(inner)
    os.fchown(descriptor, uid, gid)


def only_one(descriptor: int, path: Path) -> None:
    """Raises Misconfigured unless this is an ordinary file without another name."""
    _ordinary(os.fstat(descriptor), path, ())


def _ordinary(info: os.stat_result, path: Path, known: tuple[int, ...]) -> None:
    if not stat.S_ISREG(info.st_mode):
        raise Misconfigured(f"{path} is neither a file nor a folder: take it away")
    if info.st_nlink != 1 and info.st_uid not in known:
        raise Misconfigured(f"{path} has another name elsewhere (a hard link), so it may be another one's: copy it")
