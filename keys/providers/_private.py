"""Files that hold a secret of the keyholder's: read only where nobody else could have read or written them.

Promises: a link is followed and judged by what it leads to; a message names the path and the repair, never the content.
"""

from __future__ import annotations

import os
import stat

from keys.errors import Unusable

MODE = 0o400
_TOLERATED = 0o600  # an owner who may write could change the mode anyway
_LONGEST = 65_536


def read_private(
    path: str | os.PathLike[str], what: str, missing: str, *, longest: int = _LONGEST, tolerated: int = _TOLERATED
) -> bytes:
    """What the file holds, at most `longest` bytes. `what` names it and `missing` says where it comes from.

    Raises Unusable for one that is absent, is no regular file, that others than its owner may reach, or that belongs to
    a stranger.
    """
    where = os.fspath(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise Unusable(f"{where}: {what} is missing; {missing}") from error
    except OSError as error:
        raise Unusable(f"{where}: {what} cannot be read: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        mode = stat.S_IMODE(status.st_mode)
        if not stat.S_ISREG(status.st_mode):
            raise Unusable(f"{where}: {what} must be a regular file")
        if mode & ~tolerated:
            raise Unusable(f"{where}: {what} has mode {mode:04o}, others may reach it; run: chmod 0400 {where}")
        if status.st_uid not in (0, os.geteuid()):
            raise Unusable(f"{where}: {what} belongs to user {status.st_uid}, it must be the keyholder's own")
        return os.read(descriptor, longest)
    finally:
        os.close(descriptor)


def secret_line(path: str, what: str, missing: str) -> str:
    """The file's text without its line end. Raises Unusable also for an empty one or several lines."""
    text = read_private(path, what, missing).decode("utf-8", "replace").strip()
    if not text or "\n" in text:
        raise Unusable(f"{path}: {what} must be one line of text")
    return text
