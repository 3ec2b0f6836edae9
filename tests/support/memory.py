"""What lies in the memory of a running process, as root on its machine reads it (proc_pid_mem(5))."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_CHUNK_BYTES = 16 << 20


def found_in(pid: int, needles: Mapping[str, bytes]) -> set[str]:
    """Names of those needles that stand in memory that the process can write to. The process goes on meanwhile."""
    longest = max(map(len, needles.values()))
    found: set[str] = set()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, stop in _writable(pid):
            kept = b""
            for at in range(start, stop, _CHUNK_BYTES):
                try:
                    memory.seek(at)
                    part = memory.read(min(_CHUNK_BYTES, stop - at))
                except (OSError, ValueError, OverflowError):
                    break  # given back meanwhile, or a page of the kernel's
                text = kept + part
                found.update(name for name, needle in needles.items() if name not in found and needle in text)
                kept = text[-longest:]
    return found


def _writable(pid: int) -> list[tuple[int, int]]:
    """The regions of memory that hold what the program made."""
    regions = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        where, rights, *_ = line.split()
        if rights.startswith("rw"):
            start, stop = (int(one, 16) for one in where.split("-"))
            regions.append((start, stop))
    return regions
