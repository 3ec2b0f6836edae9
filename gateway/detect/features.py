"""Evidence of a whole message as about forty numbers: counts, densities, proximities.

Promises: pure, bounded (each number lies in 0..1 or a little above), independent of the order of parts; the names in
`FEATURES` are the columns of `model.json`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from gateway.detect import names
from gateway.detect.identify import Evidence, Span

_STRENGTH = {
    names.PATIENT: 1.0,
    names.TITLED: 0.75,
    names.FULL: 0.6,
    names.WEAK: 0.25,
    names.CORRESPONDENT: 0.12,
    names.CLINICIAN: 0.05,
}
_RECORD = {
    "SSN": 1.0,
    "ID": 0.9,
    "ACCOUNT": 0.85,
    "DEVICE": 0.6,
    "AGE90": 0.5,
    "PHONE": 0.3,
    "EMAIL": 0.25,
    "LOCATION": 0.2,
    "IP": 0.1,
    "URL": 0.05,
    "DATE": 0.12,
}
_NAMED = (names.PATIENT, names.TITLED, names.FULL)
_CUE_FEATURES = (
    "patient",
    "chart",
    "population",
    "reader",
    "research",
    "business",
    "market",
    "listmail",
    "policy",
    "family",
    "first",
    "blank",
    "header",
)

FEATURES = (
    "health",
    "health_density",
    "health_strong",
    "length",
    "short",
    "n_patient",
    "n_titled",
    "n_full",
    "n_weak",
    "n_clinician",
    "n_correspondent",
    "h_patient",
    "h_titled",
    "h_full",
    "h_weak",
    "h_clinician",
    "h_correspondent",
    "h_dob",
    "h_date",
    "h_part_date",
    "h_phone",
    "h_email",
    "h_ssn",
    "h_id",
    "h_account",
    "h_place",
    "h_age90",
    "h_url",
    "h_ip",
    "h_device",
    "person",
    "h_person",
    "near_name",
    "near_record",
    "together",
    "repeated",
    "no_person",
    *(f"c_{name}" for name in _CUE_FEATURES),
    "h_person_general",
    "h_person_chart",
    "format_no_patient",
)


def _many(count: float, top: float = 6.0) -> float:
    return min(1.0, math.log1p(count) / math.log1p(top)) if count else 0.0


def person_strength(spans: Sequence[Span]) -> float:
    """How surely some person other than clinician and writer is named or numbered, 0..1 (noisy or)."""
    missing = 1.0
    seen: Counter[str] = Counter()
    for span in spans:
        if span.kind == "NAME":
            worth = _STRENGTH.get(span.source, 1.0 if span.source == "field" else 0.6) * span.confidence
        elif span.source == "dob":
            worth = 0.8
        elif span.source in ("licence", "zip"):
            worth = 0.3
        else:
            worth = _RECORD.get(span.kind, 0.0) * span.confidence
        key = span.kind + span.source
        seen[key] += 1
        if seen[key] <= 3:
            missing *= 1.0 - min(0.98, worth)
    return 1.0 - missing


def health_strength(texts: Sequence[Evidence]) -> float:
    """How much health context there is, 0..1."""
    words: dict[str, float] = {}
    for one in texts:
        words.update(one.health.weights)
    return 1.0 - math.exp(-sum(words.values()) / 6.0)


def features(texts: Sequence[Evidence]) -> list[float]:
    """The numbers of one message, in the order of `FEATURES`."""
    length = sum(one.length for one in texts)
    tokens = sum(one.health.tokens for one in texts) or 1
    words: dict[str, float] = {}
    cues: Counter[str] = Counter()
    spans: list[Span] = []
    near_name = near_record = 0.0
    together = 0
    repeated = False
    for one in texts:
        words.update(one.health.weights)
        cues.update(one.cues)
        spans += one.spans
        near_name, near_record, together = _proximity(one, near_name, near_record, together)
        named = Counter(
            one.text[span.start : span.end].lower()
            for span in one.spans
            if span.kind == "NAME" and span.source in _NAMED
        )
        repeated = repeated or max(named.values(), default=0) > 1
    total = sum(words.values())
    health = 1.0 - math.exp(-total / 6.0)
    hits = sum(len(one.health.places) for one in texts)
    count = Counter(span.source if span.kind == "NAME" else span.kind for span in spans if span.confidence >= 0.3)
    dob = sum(span.source == "dob" for span in spans)
    part = sum(span.source in ("date-part", "date-month-year") for span in spans)
    identifiers = sum(span.source != "licence" and span.kind == "ID" for span in spans)
    person = person_strength(spans)
    row: dict[str, float] = {
        "health": health,
        "health_density": min(1.0, 8.0 * hits / tokens),
        "health_strong": _many(sum(weight >= 1.8 for weight in words.values()), 20),
        "length": min(1.0, math.log1p(length) / 10.0),
        "short": 1.0 if length < 400 else 0.0,
        "h_dob": health * _many(dob, 2),
        "h_date": health * _many(count["DATE"] - dob - part),
        "h_part_date": health * _many(part),
        "h_phone": health * _many(count["PHONE"], 3),
        "h_email": health * _many(count["EMAIL"], 3),
        "h_ssn": health * _many(count["SSN"], 1),
        "h_id": health * _many(identifiers, 2),
        "h_account": health * _many(count["ACCOUNT"], 2),
        "h_place": health * _many(count["LOCATION"], 4),
        "h_age90": health * _many(count["AGE90"], 1),
        "h_url": health * _many(count["URL"], 3),
        "h_ip": health * _many(count["IP"], 1),
        "h_device": health * _many(count["DEVICE"], 1),
        "person": person,
        "h_person": health * person,
        "near_name": near_name,
        "near_record": near_record,
        "together": _many(together, 4),
        "repeated": health * (1.0 if repeated else 0.0),
        "no_person": health * (1.0 if person < 0.15 else 0.0),
        "format_no_patient": 1.0 if any(one.format is not None and not one.format.patient for one in texts) else 0.0,
    }
    for role in names.ROLES:
        extra = count["field"] if role == names.PATIENT else 0
        row[f"n_{role}"] = _many(count[role] + extra, 5)
        row[f"h_{role}"] = health * row[f"n_{role}"]
    scale = max(1.0, tokens / 150.0)
    for name in _CUE_FEATURES:
        row[f"c_{name}"] = min(1.0, cues[name] / scale / 6.0)
    general = min(
        1.0,
        row["c_population"]
        + row["c_reader"]
        + row["c_research"]
        + row["c_market"]
        + row["c_policy"]
        + row["c_business"],
    )
    row["h_person_general"] = health * person * general
    row["h_person_chart"] = health * person * min(1.0, row["c_patient"] + row["c_chart"] + row["c_first"])
    return [row[name] for name in FEATURES]


def _proximity(one: Evidence, near_name: float, near_record: float, together: int) -> tuple[float, float, int]:
    """Nearest person to nearest health word (weight decays over 150 characters), and windows that hold both."""
    places = one.health.places
    if not places:
        return near_name, near_record, together
    starts = sorted(places)
    windows: set[int] = set()
    health_windows = {at // 200 for at, weight in starts if weight >= 0.8}
    for span in one.spans:
        if span.kind == "NAME":
            strength = _STRENGTH.get(span.source, 0.9) * span.confidence
        else:
            strength = (0.9 if span.source == "dob" else _RECORD.get(span.kind, 0.0)) * span.confidence
        if strength < 0.1:
            continue
        best = _nearest(starts, span.start, span.end)
        if span.kind == "NAME":
            near_name = max(near_name, strength * best)
        else:
            near_record = max(near_record, strength * best)
        window = span.start // 200
        if strength >= 0.35 and not health_windows.isdisjoint((window - 1, window, window + 1)):
            windows.add(window)
    return near_name, near_record, together + len(windows)


def _nearest(places: list[tuple[int, float]], start: int, end: int) -> float:
    low, high = 0, len(places)
    while low < high:
        middle = (low + high) // 2
        if places[middle][0] < start:
            low = middle + 1
        else:
            high = middle
    best = 0.0
    for at, weight in places[max(0, low - 3) : low + 4]:
        distance = max(0, at - end, start - at)
        best = max(best, min(1.0, weight / 2.0) * math.exp(-distance / 150.0))
    return best
