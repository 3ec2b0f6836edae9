"""The port of malware scanners and the three things one can say.

Promises: "clean" is said only by a scanner that read all of it; silence, trouble and limits are `Unscanned`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Clean:
    """All of it was read and nothing was found."""


@dataclass(frozen=True, slots=True)
class Infected:
    """Malware. `name` is the signature's, printable ASCII without spaces, at most 100 characters."""

    name: str


@dataclass(frozen=True, slots=True)
class Unscanned:
    """Nobody knows. `reason` is one of "scanner down", "scanner failed", "took too long", "too large", "over limits",
    "encrypted".
    """

    reason: str


Verdict: TypeAlias = Clean | Infected | Unscanned


class Scanner(Protocol):
    """Reads a stream and says what it is.

    Never raises for what the bytes are or what its neighbour does; what reading `chunks` raises passes through. Called
    from many threads. Returns within its own time limit and `until` (of `time.monotonic`), whichever is earlier. The
    caller decides what an `Unscanned` means, and whether to ask again.
    """

    def scan(self, chunks: Iterable[bytes], until: float) -> Verdict:
        """The verdict on the bytes that the chunks make up."""
