"""What a process that holds keys asks of Linux: no core dump, no tracing by equals, no new privileges. DESIGN §2."""

from __future__ import annotations

import ctypes
import os
import resource
import signal

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38


def harden(*, die_with_parent: bool = False) -> None:
    """Apply to this process, for good. Raises OSError when the kernel refuses: a keyholder does not run without."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1)
    if die_with_parent:
        _prctl(libc, _PR_SET_PDEATHSIG, int(signal.SIGTERM))
    _prctl(libc, _PR_SET_DUMPABLE, 0)


def _prctl(libc: ctypes.CDLL, option: int, value: int) -> None:
    if libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
