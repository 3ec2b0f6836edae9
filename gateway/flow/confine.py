"""What a parser child gives up before it reads its first foreign byte.

Promises, on Linux x86-64: no new socket, no process, no signal to others, no file opened for writing, no change of the
file system, by a seccomp filter; memory, processor time, file size and descriptors bounded by rlimits; no core dump, no
new privileges, not traceable. `confine` returns which of these hold, and the pool tells the operator.
Known limits: files that the user may read can still be read (Python imports lazily), but nothing leaves except over the
one socket to the parent. On other machines there is no filter; then a network namespace is tried, else "none" is said.
Clauses: 45 CFR 164.312(a)(1); seccomp(2), prctl(2), setrlimit(2).
"""

from __future__ import annotations

import ctypes
import platform
import resource
import struct

_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 4, 22, 38
_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_THREAD = 0x10000000, 0x40000000, 0x10000
_WRITING = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND
_ALLOW, _EPERM, _ENOSYS, _KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
_LOAD, _EQUAL, _ANY_BIT, _GREATER, _RETURN = 0x20, 0x15, 0x45, 0x25, 0x06
_ARCH_X86_64 = 0xC000003E
# Numbers of the x86-64 table: sockets, processes, signals, priorities, shared memory, tracing, mounts, namespaces, and
# every change of a file system.
_DENIED = (
    41, 42, 43, 49, 50, 53, 288, 57, 58, 59, 322, 62, 200, 234, 424, 434, 438, 101, 310, 311, 165, 166, 155, 272, 308,
    321, 323, 298, 425, 426, 427, 248, 249, 250, 304, 85, 87, 263, 82, 264, 316, 83, 258, 84, 86, 265, 88, 266, 90,
    91, 268, 92, 93, 94, 260, 76, 77, 133, 259, 105, 106, 113, 114, 117, 119, 161, 169, 175, 313, 188, 189, 190, 280,
    235, 132, 29, 64, 68, 240, 129, 297, 141, 142, 144, 203, 314, 251, 238, 256, 279, 312, 30, 31, 65, 66, 69, 70, 71,
    220, 428, 429, 430, 431, 432, 433, 442, 443, 440, 448, 109, 112,
)  # fmt: skip
_OPEN, _OPENAT, _CLONE, _PRLIMIT, _MISSING = 2, 257, 56, 302, (435, 437)
_NEWEST = 451
"""The last number that was looked at: what later kernels add is not there for a parser, whatever it does."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _filter() -> bytes:
    """The BPF program: each instruction is code, jump if true, jump if false, operand."""
    code: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, _ARCH_X86_64),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
        (_GREATER, 0, 1, 0x3FFFFFFF),
        (_RETURN, 0, 0, _KILL),  # the x32 table would be a second door
    ]
    code += [(_GREATER, 0, 1, _NEWEST), (_RETURN, 0, 0, _ENOSYS)]
    for number in _DENIED:
        code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _EPERM)]
    for number in _MISSING:
        code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ENOSYS)]  # glibc falls back to clone and openat
    for number, argument in ((_OPEN, 1), (_OPENAT, 2)):
        code += [
            (_EQUAL, 0, 4, number),
            (_LOAD, 0, 0, 16 + 8 * argument),
            (_ANY_BIT, 0, 1, _WRITING),
            (_RETURN, 0, 0, _EPERM),
            (_RETURN, 0, 0, _ALLOW),
        ]
    code += [
        (_EQUAL, 0, 4, _PRLIMIT),
        (_LOAD, 0, 0, 16),
        (_EQUAL, 1, 0, 0),  # one's own limits, by the pid 0; never those of another process of the same user
        (_RETURN, 0, 0, _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code += [
        (_EQUAL, 0, 3, _CLONE),
        (_LOAD, 0, 0, 16),
        (_ANY_BIT, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *one) for one in code)


def apart() -> bool:
    """Leave the machine's network for an empty one; whether that was allowed. Children inherit it."""
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.unshare(_CLONE_NEWNET) == 0 or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0)


def confine(*, memory_bytes: int, descriptors: int = 32, alone: bool | None = None) -> dict[str, bool]:
    """Take the rights away for good. Returns {"limits", "network", "files"}: which of them hold.

    `alone`: what `apart` said in the process that forked this one; None calls it here.
    """
    for kind, limit in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, descriptors),
    ):
        resource.setrlimit(kind, (limit, limit))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if alone is None:
        alone = apart()
    quiet = libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    filtered = False
    if quiet and platform.machine() == "x86_64":
        code = _filter()
        held = ctypes.create_string_buffer(code, len(code))
        program = _Program(len(code) // 8, ctypes.addressof(held))
        filtered = libc.prctl(_PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0) == 0
    return {"limits": True, "network": filtered or alone, "files": filtered}


def allow_seconds(seconds: float) -> None:
    """Processor time for the next job: what was used so far, plus this many seconds. Beyond it the kernel kills."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + seconds) + 1, hard))
