"""Steps 4 and 5 of an outgoing message together: what it holds, whether malware is in it, what the detector says.

Promises: malware is looked for before any parser sees the parts; mail with malware is held, and held mail with malware
is not released; what cannot be read is an error, which the caller tries again, except for held mail that an officer
releases: then the officer's word decides, and still the scanner is asked first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gateway.detect.model import Assessment
from gateway.errors import Refused, Tampered, TryLater
from gateway.flow.isolate import Isolated
from gateway.flow.reading import Reading, read
from gateway.flow.scanning import HELD, Scanned, scan
from gateway.mail.model import Message
from gateway.mail.source import Source
from gateway.policy import Decision
from gateway.scan import Scanner
from gateway.steps import reached
from gateway.words import Words

UNREAD = Reading((), (), (), (), frozenset())
NOT_SCANNED = Scanned()


class Harmful(Refused):
    """Something in this message looks like malware, so it stays held. It can be dropped."""

    http_status = 409


@dataclass(frozen=True, slots=True)
class Looked:
    """`forced` decides for every recipient when it is there; otherwise there is an assessment."""

    reading: Reading = UNREAD
    assessment: Assessment | None = None
    forced: Decision | None = None
    scanned: Scanned = NOT_SCANNED


class Looker:
    """Reads, scans and assesses. Thread-safe. `scan_seconds` is the scanner's time for one message."""

    def __init__(self, isolated: Isolated, words: Words, scanner: Scanner | None, scan_seconds: float) -> None:
        self._isolated = isolated
        self._words = words
        self._scanner = scanner
        self._scan_seconds = scan_seconds

    def look(
        self,
        message: Message,
        source: Source,
        *,
        release: Decision | None,
        suspect: bool,
        likely: Callable[[Reading, str], None] = lambda reading, part: None,
    ) -> Looked:
        """`release` is what an officer's release makes of mail that cannot be read; `suspect`: it is held for malware,
        and goes out only when a scanner says today that there is none. `likely` hears of an attachment that is PHI by
        what was seen of it so far, after the scanner.

        Raises Harmful (held mail only), TryLater, Tampered, and for mail that comes in whatever reading it raised.
        """
        reading = self._read(message, source, release)
        scanned = scan(self._scanner, message, source, reading or UNREAD, self._words, self._scan_seconds)
        if scanned.hits:
            if release is not None:
                raise Harmful("malware found at release")
            return Looked(reading or UNREAD, scanned.assessment(), HELD, scanned)
        if suspect and (self._scanner is None or scanned.unscanned):
            raise TryLater("held for malware, and not scanned now")
        if reading is None:
            return Looked(forced=release, scanned=scanned)
        try:
            unread = (*reading.unread, *scanned.unscanned)
            assessment = self._isolated.assess(reading.inputs, unread, partial(likely, reading))
        except (TryLater, Tampered):
            raise
        except Exception:
            if release is None:
                raise
            return Looked(reading, None, release, scanned)
        return Looked(reading, assessment, None, scanned)

    def glance(self, message: Message, source: Source) -> Looked | None:
        """What `look` says of a message that needs neither a scanner nor a parser's child; None for any other, and
        nothing slow was done then. The caller has reached step 4. Raises whatever reading or detection raises.
        """
        if self._scanner is not None:
            return None
        reading = read(message, source, self._words)
        assessment = self._isolated.assess_here(reading.inputs, reading.unread)
        return None if assessment is None else Looked(reading, assessment)

    def _read(self, message: Message, source: Source, release: Decision | None) -> Reading | None:
        try:
            found = read(message, source, self._words)
        except (TryLater, Tampered):
            raise
        except Exception:
            if release is None:
                raise
            return None
        reached(4)
        return found
