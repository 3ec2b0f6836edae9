"""Stage 1: one Hyperscan database over all anchors and cues, compiled once per process.

Promises: linear time over hostile text; offsets of the folded text; nothing is decided here.
Known limits: Hyperscan's wheel is for x86-64; start-of-match costs some speed, so anchors are short. Health words are
looked up by a set of tokens (`words.py`), because 1,500 more literals took 11 s to compile and saved nothing.

Compiling takes most of a second, so `python -m gateway.detect.engine` leaves the compiled database beside this file
when the environment is made, under a name that says for which patterns and which Hyperscan it is. It is code: whoever
may write there may change the program. Absent, or for another processor, the patterns are compiled at first use.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import hyperscan

from gateway.detect.cues import COUNTED, CUES
from gateway.detect.patterns import EMAIL_TAIL, IDENTIFIERS

_FLAGS = hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_MULTILINE
_EMAIL = len(IDENTIFIERS)
_FIRST_CUE = _EMAIL + 1
_HERE = Path(__file__).parent


@dataclass(slots=True)
class Hits:
    """Where identifier patterns may start, where an e-mail address has its last local letter, how often each cue."""

    anchors: list[tuple[int, int]]
    emails: list[int]
    cues: Counter[str]
    cue_places: list[tuple[str, int]]


class Engine:
    """The compiled database. One per process; scratch space is per thread. `kept` is where one may lie compiled."""

    def __init__(self, kept: Path = _HERE) -> None:
        expressions: list[bytes] = []
        flags: list[int] = []
        for pattern in IDENTIFIERS:
            cased = not pattern.confirm.flags & 2  # re.IGNORECASE
            expressions.append(pattern.anchor.encode())
            flags.append((_FLAGS & ~hyperscan.HS_FLAG_CASELESS if cased else _FLAGS) | hyperscan.HS_FLAG_SOM_LEFTMOST)
        expressions.append(EMAIL_TAIL.encode())
        flags.append(_FLAGS | hyperscan.HS_FLAG_SOM_LEFTMOST)
        self._cue_of: list[str] = []
        for name, cues in CUES.items():
            for cue in cues:
                expressions.append(cue.encode())
                flags.append(_FLAGS if name in COUNTED else _FLAGS | hyperscan.HS_FLAG_SINGLEMATCH)
                self._cue_of.append(name)
        what = repr((expressions, flags, getattr(hyperscan, "__version__", ""))).encode()
        self._kept = kept / f"patterns-{hashlib.sha256(what).hexdigest()[:32]}.hsdb"
        database = _loaded(self._kept)
        if database is None:
            database = hyperscan.Database()
            database.compile(expressions=expressions, ids=list(range(len(expressions))), flags=flags)
        self._database = database
        self._local = threading.local()

    def keep(self) -> Path:
        """Leave the compiled database for later processes, in place of older ones. Raises OSError."""
        new = self._kept.with_suffix(".new")
        new.write_bytes(hyperscan.dumpb(self._database))
        os.replace(new, self._kept)
        for other in self._kept.parent.glob("patterns-*.hsdb"):
            if other != self._kept:
                other.unlink()
        return self._kept

    def scan(self, text: str) -> Hits:
        """All candidates of a folded text."""
        scratch = getattr(self._local, "scratch", None)
        if scratch is None:
            scratch = self._local.scratch = hyperscan.Scratch(self._database)
        raw: list[tuple[int, int, int]] = []
        take = raw.append

        def met(number: int, start: int, end: int, _flags: int, _context: object) -> None:
            take((number, start, end))

        self._database.scan(text.encode("ascii", "replace"), match_event_handler=met, scratch=scratch)
        anchors: set[tuple[int, int]] = set()
        emails: set[int] = set()
        cues: Counter[str] = Counter()
        places: list[tuple[str, int]] = []
        for number, start, end in raw:
            if number < _EMAIL:
                anchors.add((start, number))
            elif number == _EMAIL:
                emails.add(start)
            else:
                name = self._cue_of[number - _FIRST_CUE]
                cues[name] += 1
                places.append((name, end))
        return Hits(sorted(anchors), sorted(emails), cues, places)


def _loaded(kept: Path) -> hyperscan.Database | None:
    """What `keep` left; None where it is absent, damaged, or made on a processor that can do what this one cannot."""
    with contextlib.suppress(OSError, hyperscan.HyperscanError):
        return hyperscan.loadb(kept.read_bytes(), hyperscan.HS_MODE_BLOCK)
    return None


_engine: Engine | None = None
_lock = threading.Lock()


def engine() -> Engine:
    """The process's engine, compiled on first use."""
    global _engine
    if _engine is None:
        with _lock:
            if _engine is None:
                _engine = Engine()
    return _engine


if __name__ == "__main__":
    Engine().keep()
