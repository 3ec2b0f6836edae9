"""One text in, its evidence out: identifiers with offsets, names with roles, health words, cues, format.

Promises: offsets are those of the original text; a validated pattern beats a parsed field, which beats a name; the
costly looks (names, places) happen only where there is health context or the text is short, or when all is asked for.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from gateway.detect import formats, locations, names, tables
from gateway.detect.engine import engine
from gateway.detect.normalise import fold
from gateway.detect.patterns import EMAIL, IDENTIFIERS
from gateway.detect.words import HealthHits, health
from gateway.detect.work import BUDGET, CHARS, CHARS_IN_FULL, Work

SHORT = 500
"""Characters; a text this short always gets the full look."""

GATE = 2.2
"""Health weight from which a longer text gets the full look."""


WIDE = 9.0
"""Health weight from which the whole of a longer text gets the full look; below, the surroundings of health words."""

AROUND = 320
"""Characters before and behind a health word that get the full look."""


@dataclass(frozen=True, slots=True)
class Span:
    """An identifier in the original text. `source` is the pattern's name, a name's role, "place" or "field"."""

    start: int
    end: int
    kind: str
    confidence: float
    source: str
    labelled: bool = False


@dataclass(slots=True)
class Evidence:
    """All that one text shows."""

    spans: list[Span]
    health: HealthHits
    cues: Counter[str]
    cue_places: list[tuple[str, int]]
    format: formats.Recognised | None
    length: int
    full: bool
    text: str


def _confirmed(text: str, anchors: list[tuple[int, int]]) -> list[Span]:
    spans: list[Span] = []
    for start, number in anchors:
        pattern = IDENTIFIERS[number]
        match = pattern.confirm.match(text, start)
        if match is None or (pattern.check is not None and not pattern.check(match)):
            continue
        begin, end = match.span("v")
        spans.append(Span(begin, end, pattern.kind, pattern.confidence, pattern.name, pattern.labelled))
    return spans


def _emails(text: str, places: list[int]) -> list[Span]:
    spans: list[Span] = []
    seen = -1
    for place in places:
        if place < seen:
            continue
        begin = place
        while begin > 0 and place - begin < 64 and (text[begin - 1].isalnum() or text[begin - 1] in ".+_%-'"):
            begin -= 1
        match = EMAIL.match(text, begin)
        if match is not None:
            spans.append(Span(match.start(), match.end(), "EMAIL", 0.95, "email"))
            seen = match.end()
    return spans


_ID_BEHIND = re.compile(r" ?[(\[](?:[A-Z]{0,3}[- #]{0,2})?(\d{5,12})[)\]]")


def _people(text: str, work: Work) -> list[Span]:
    """Names, and the number in brackets right behind one."""
    spans: list[Span] = []
    for hit in names.find(text, work):
        spans.append(Span(hit.start, hit.end, "NAME", hit.confidence, hit.role))
        number = _ID_BEHIND.match(text, hit.end)
        if number is not None:
            spans.append(Span(number.start(1), number.end(1), "ID", 0.7, "behind a name"))
    return spans


def _windows(text: str, words: HealthHits) -> list[tuple[int, int]]:
    """Where a text with little health context is worth the full look, ends at line or word breaks."""
    windows: list[tuple[int, int]] = []
    for at, weight in words.places:
        if weight < 1.0:
            continue
        start, end = max(0, at - AROUND), min(len(text), at + AROUND)
        if windows and start <= windows[-1][1]:
            windows[-1] = (windows[-1][0], end)
        else:
            windows.append((start, end))
    return [
        (max(0, text.rfind(" ", 0, start) + 1), len(text) if (stop := text.find(" ", end)) < 0 else stop)
        for start, end in windows
    ]


def merge(spans: list[Span]) -> list[Span]:
    """No two spans overlap: the surer one stays, at equal confidence the longer one."""
    order = sorted(
        spans, key=lambda one: (-one.confidence - (0.2 if one.labelled else 0.0), -(one.end - one.start), one.start)
    )
    if not order:
        return []
    taken = bytearray(max(one.end for one in order) + 1)
    kept: list[Span] = []
    for one in order:
        if one.end <= one.start or taken.find(1, one.start, one.end) >= 0:
            continue
        taken[one.start : one.end] = b"\1" * (one.end - one.start)
        kept.append(one)
    return sorted(kept, key=lambda one: one.start)


def look(text: str, weights: dict[str, float], *, full: bool = False, work: Work | None = None) -> Evidence:
    """Look at one text. `weights` are the trained health-word weights; `full` skips the gate.

    Raises OverBudget when `work`, the message's, does not suffice; without, each text has a budget of its own.
    """
    work = work or Work(BUDGET)
    work.spend(len(text) // CHARS)
    folded = fold(text)
    plain = folded.text
    hits = engine().scan(plain)
    work.spend(len(hits.anchors) + len(hits.emails))
    words = health(plain, weights)
    known = formats.recognise(plain)
    spans = _confirmed(plain, hits.anchors) + _emails(plain, hits.emails)
    if known is not None:
        spans += [Span(start, end, kind, 0.97, "field", True) for start, end, kind in known.spans]
    if hits.cues["header"]:
        spans += [Span(start, end, kind, 0.93, "field", True) for start, end, kind in tables.fields(plain)]
    whole = full or len(plain) < SHORT or words.total >= WIDE
    full = full or len(plain) < SHORT or words.total >= GATE
    if full and (known is None or not known.patient):
        for begin, stop in [(0, len(plain))] if whole else _windows(plain, words):
            part = plain[begin:stop]
            work.spend(len(part) // CHARS_IN_FULL)
            spans += [
                Span(begin + start, begin + end, "LOCATION", confidence, "place")
                for start, end, confidence in locations.find(part)
            ]
            spans += [
                Span(begin + one.start, begin + one.end, one.kind, one.confidence, one.source)
                for one in _people(part, work)
            ]
    spans = merge(spans)
    if folded.origin is not None:
        spans = [
            Span(*folded.back(one.start, one.end), one.kind, one.confidence, one.source, one.labelled) for one in spans
        ]
    return Evidence(spans, words, hits.cues, hits.cue_places, known, len(plain), full, text)
