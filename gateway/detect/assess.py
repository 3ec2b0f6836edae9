"""Texts in, an assessment of the whole message out. The detector's front door for text.

Promises: every part that was handed in gets a verdict; what is unread is said and never clean; findings are given for
parts that are PHI and hold no words. A part alone may be PHI, and so may parts that only together name a person and
their health: then the body is PHI, and every attachment that bears evidence. An exception in one text makes that text
unread, nothing more; what would cost more than `work.BUDGET` is unread too. An attachment that is surely PHI, and has
as many findings as are told, is looked at no further: nothing that may stand in the rest makes it less than PHI.
Clauses: 45 CFR 160.103 (identifiable health information), 164.514(b)(2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.detect.features import features, health_strength, person_strength
from gateway.detect.identify import Evidence, look
from gateway.detect.model import Assessment, Finding, Format, PartVerdict, Text, Unread
from gateway.detect.scorer import Model, model
from gateway.detect.work import BUDGET, OverBudget, Work

CHUNK_CHARS = 262_144
MESSAGE_CHARS = 8 * 1024 * 1024
FINDINGS_PER_PART = 200
BY_NATURE = 0.995
NUMBERED = 0.75
"""Strength of a person's mark that names alone, a greeting among them, do not reach; a labelled number or date does."""

SURE = 0.98
"""Score from which an attachment with `FINDINGS_PER_PART` findings counts as PHI whatever else is in it."""

REPORTED = 0.5
"""Confidence from which a span is a finding."""

_QUOTE = re.compile(
    r"^(?:> ?\S|-{2,} ?(?:original message|forwarded message|mensaje original)|on .{6,120} wrote: *$|"
    r"from: .{3,120}$(?=\n(?:sent|to|date|cc): )|begin forwarded message)",
    re.I | re.M,
)


class _Tally:
    """Counts what one attachment has shown, in order, until it is sure that it is PHI."""

    __slots__ = ("_asked", "_findings", "_next", "_seen", "score", "sure")

    def __init__(self) -> None:
        self._seen: list[Evidence] = []
        self._findings = self._next = 0
        self._asked = 1
        self.sure = False
        self.score = 0.0

    def add(self, seen: Evidence) -> None:
        """The evidence of the next text."""
        self._seen.append(seen)
        self._findings += len(_findings("", seen))
        # Scored again when there is twice as much, so that a long file that is never sure costs no more for it.
        if self._findings >= FINDINGS_PER_PART and len(self._seen) >= self._next:
            self._next = 2 * len(self._seen)
            self.score = model().score(features(self._seen))
            self.sure = self.score >= SURE

    def likely(self) -> bool:
        """Whether all that was added would be PHI by itself; True once. It is asked about at each doubling."""
        if not self._asked or len(self._seen) < self._asked:
            return False
        known = model()
        found = known.score(features(self._seen)) >= known.threshold
        self._asked = 0 if found else 2 * len(self._seen)
        return found


@dataclass(slots=True)
class _Part:
    """What was gathered for one part of the message."""

    name: str
    place: str
    tally: _Tally = field(default_factory=_Tally)
    evidence: list[tuple[str, Evidence]] = field(default_factory=list)
    formats: list[Format] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    score: float = 0.0
    phi: bool = False

    @property
    def seen(self) -> list[Evidence]:
        return [one for _place, one in self.evidence]

    @property
    def telling(self) -> bool:
        """Whether there is any evidence in it; a part without cannot be PHI, and costs nothing."""
        return any(one.spans or one.health.weights for one in self.seen)

    @property
    def natural(self) -> bool:
        return bool(self.formats) or any(one.format is not None and one.format.patient for one in self.seen)


class Ahead:
    """Looks at texts before all of a message is there. One thread; for one message, and within its budget.

    What was looked at in vain is forgotten, and what counts is charged to the message when it is judged: the assessment
    is the same with and without it.
    """

    def __init__(self) -> None:
        self._work = Work(BUDGET)
        self._left = MESSAGE_CHARS
        self._seen: dict[str, tuple[Evidence, int]] = {}
        self._tally = _Tally()

    def attachment(self) -> None:
        """The texts that come from now on are those of another attachment."""
        self._tally = _Tally()

    def look(self, text: str) -> None:
        """A text that will probably be judged. Never raises."""
        self._left -= len(text)
        if self._left < 0 or self._work.left < 0 or self._tally.sure:
            return
        words = model().words
        try:
            for chunk in chunks(text):
                before = self._work.left
                seen = look(chunk, words, work=self._work)
                self._seen[chunk] = (seen, before - self._work.left)
                self._tally.add(seen)
        except Exception:  # it will be raised again where it is counted
            self._left = 0

    def likely(self) -> bool:
        """Whether what was seen of this attachment would be PHI by itself; True once for each. Never raises."""
        try:
            return self._tally.likely()
        except Exception:  # as above
            return False

    def found(self, chunk: str) -> tuple[Evidence, int] | None:
        """The evidence of a text that was looked at, and what it cost."""
        return self._seen.get(chunk)


def _look(chunk: str, known: Model, work: Work, ahead: Ahead | None) -> Evidence:
    found = None if ahead is None else ahead.found(chunk)
    if found is None:
        return look(chunk, known.words, work=work)
    work.spend(found[1])
    return found[0]


def assess_texts(
    texts: Sequence[Text],
    unread: Sequence[Unread] = (),
    formats: Sequence[Format] = (),
    ahead: Ahead | None = None,
) -> Assessment:
    """Judge a message by its texts, by what extraction could not read (`unread`) and by what is PHI by nature.

    `ahead` may have looked at some of the texts already.
    """
    known = model()
    parts: dict[str, _Part] = {}

    def part_of(item: Text | Unread | Format) -> _Part:
        return parts.setdefault(item.owner, _Part(item.owner, item.place.split(", ")[0]))

    left = MESSAGE_CHARS
    work = Work(BUDGET)
    for text in texts:
        part = part_of(text)
        left -= len(text.text)
        if left < 0:
            part.unread.append(Unread(text.part, text.place, "over limits"))
            continue
        try:
            for chunk in chunks(text.text):
                if part.tally.sure:
                    break
                part.evidence.append((text.place, _look(chunk, known, work, ahead)))
                if part.name not in ("subject", "body"):  # these are what the other parts are judged by
                    part.tally.add(part.evidence[-1][1])
            part.texts.append(text.text)
        except OverBudget:
            part.unread.append(Unread(text.part, text.place, "over limits"))
        except Exception:  # a detector that fails has read nothing
            part.unread.append(Unread(text.part, text.place, "the detector failed"))
    for one in unread:
        part_of(one).unread.append(one)
    for known_format in formats:
        part_of(known_format).formats.append(known_format)
    score, own_text = _judge(known, parts, work)
    verdicts = tuple(_verdict(part) for part in parts.values())
    gone = tuple(one for part in parts.values() for one in part.unread)
    return Assessment(
        verdicts, round(score, 6), any(part.phi for part in parts.values()), gone, version(known), own_text
    )


def version(known: Model | None = None) -> str:
    """The detector's name and version, as it stands in decisions."""
    return f"sealgate-{(known or model()).version}"


def chunks(text: str) -> list[str]:
    """Long texts in pieces that end at a line, so that no identifier is cut."""
    if len(text) <= CHUNK_CHARS:
        return [text]
    pieces, at = [], 0
    while at < len(text):
        stop = min(len(text), at + CHUNK_CHARS)
        if stop < len(text):
            line = text.rfind("\n", at + CHUNK_CHARS // 2, stop)
            blank = text.rfind(" ", at + CHUNK_CHARS // 2, stop) if line < 0 else line
            stop = blank + 1 if blank > 0 else stop
        pieces.append(text[at:stop])
        at = stop
    return pieces


def _judge(known: Model, parts: dict[str, _Part], work: Work) -> tuple[float, str]:
    """Scores and PHI marks of all parts; returns the message's score and where PHI of the body stands."""
    every = [one for part in parts.values() for one in part.seen]
    whole = known.score(features(every)) if every else 0.0
    telling = sum(part.telling for part in parts.values())
    for part in parts.values():
        if part.telling:
            part.score = whole if telling == 1 else known.score(features(part.seen))
        if part.tally.sure:
            part.score = max(part.score, part.tally.score)
        if part.natural:
            part.score = max(part.score, BY_NATURE)
        part.phi = part.score >= known.threshold
    score = max([whole, *(part.score for part in parts.values())])
    if score < known.threshold:
        return score, ""
    subject, body = parts.get("subject"), parts.get("body")
    context = (subject.seen if subject else []) + (body.seen if body else [])
    for part in parts.values():
        if part is subject:
            part.phi = part.phi or _person(part) >= 0.3
        elif part is not body and part.seen and not part.phi:
            part.phi = (
                max(_health(part), _person(part)) >= 0.4
                and known.score(features([*part.seen, *context])) >= known.threshold
            )
    if body is not None and not body.phi and not any(part.phi for part in parts.values() if part is not subject):
        # Only together do they name a person and their health. Where the subject does so by itself, it leaves the mail:
        # then what speaks of health or identifies by a number goes with it, and a name under a letter does not.
        alone = subject is not None and subject.score >= known.threshold
        least = NUMBERED if alone else 0.25
        body.phi = not alone
        for part in parts.values():
            part.phi = part.phi or (part is not subject and (_health(part) >= 0.25 or _person(part) >= least))
    if not any(part.phi for part in parts.values()):
        for part in parts.values():
            part.phi = bool(part.seen)
    return score, _own_text(known, body, work) if body is not None and body.phi else ""


def _person(part: _Part) -> float:
    return person_strength([span for one in part.seen for span in one.spans])


def _health(part: _Part) -> float:
    return health_strength(part.seen)


def _own_text(known: Model, body: _Part, work: Work) -> str:
    """Whether what the sender wrote now is PHI by itself, or only what was quoted."""
    fresh, quoted = [], False
    for text in body.texts:
        mark = _QUOTE.search(text)
        quoted = quoted or mark is not None
        fresh.append(text[: mark.start()] if mark else text)
    if not quoted:
        return "new"
    try:
        seen = [look(text, known.words, work=work) for text in fresh if text.strip()]
    except OverBudget:
        return "new"
    return "new" if seen and known.score(features(seen)) >= known.threshold else "quoted"


def _verdict(part: _Part) -> PartVerdict:
    status = "phi" if part.phi else "unread" if part.unread else "clean"
    findings: list[Finding] = []
    if part.phi:
        for one in part.formats:
            findings.append(Finding("FORMAT", one.place, 0.99, 0, 0))
        for place, seen in part.evidence:
            findings += _findings(place, seen)
    return PartVerdict(part.name, part.place, status, round(part.score, 6), tuple(findings[:FINDINGS_PER_PART]))


def _findings(place: str, seen: Evidence) -> list[Finding]:
    """What is told of one text of a part that is PHI."""
    found: list[Finding] = []
    if seen.format is not None and seen.format.patient:
        found.append(Finding("FORMAT", place, 0.99, 0, 0))
    if seen.health.places:
        at, weight = max(seen.health.places, key=lambda hit: hit[1])
        found.append(Finding("HEALTH", place, round(min(0.99, weight / 3.0), 2), at, at))
    found += [
        Finding(span.kind, place, span.confidence, span.start, span.end)
        for span in seen.spans
        if span.confidence >= REPORTED
    ]
    return found
