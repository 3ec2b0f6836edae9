"""Deeds done as another user of this machine, in a child; needs root."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

from gateway.roles import Identity


def attempt(who: Identity, deed: Callable[[], object], *, group: int | None = None) -> str:
    """``ok``, the name of the errno (``EACCES``), or the class of another error. `group` replaces the user's own."""
    assert who.uid is not None
    assert who.gid is not None
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        told = b"not started"
        try:
            os.close(reader)
            os.setgroups([])
            os.setgid(who.gid if group is None else group)
            os.setuid(who.uid)
            deed()
            told = b"ok"
        except OSError as error:
            told = errno.errorcode.get(error.errno or 0, type(error).__name__).encode()
        except BaseException as error:
            told = (getattr(error, "reason", "") or type(error).__name__).encode()
        finally:
            os.write(writer, told)
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        answer = stream.read().decode()
    os.waitpid(child, 0)
    return answer


def read(path: Path | str) -> Callable[[], object]:
    """Open a file and read from it."""

    def deed() -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            os.read(descriptor, 1)
        finally:
            os.close(descriptor)

    return deed


def write(path: Path | str) -> Callable[[], object]:
    """Open a file for writing, changing nothing."""
    return lambda: os.close(os.open(path, os.O_WRONLY | os.O_APPEND))


def enter(path: Path | str) -> Callable[[], object]:
    """List a folder."""
    return lambda: os.listdir(path)


def make_in(path: Path) -> Callable[[], object]:
    """Make a file in a folder, and take it away again."""

    def deed() -> None:
        os.close(os.open(path / "probe", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        os.unlink(path / "probe")

    return deed


def connect(path: Path) -> Callable[[], object]:
    """Connect to a Unix socket."""

    def deed() -> None:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(path))

    return deed
