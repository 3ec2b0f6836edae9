"""People's names, by cues: titles, labels, salutations, credentials, and capitalised words weighed against word lists.

Promises: a name gets a role (whose name it is matters more than that it is one) and a confidence; nothing here is a
decision. Eponyms, drugs, places and organisations in capitals are not people. Works on folded text.
Known limits: names that are common words, and lone names in lower case, without any cue, are not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.detect.name_cues import (
    AFTER,
    CLINICIAN_LABEL,
    CREDENTIAL,
    DETERMINER,
    DOCTOR,
    EPONYM_AFTER,
    GREETING,
    INTRODUCES,
    INVERTED_FIRST,
    INVERTED_LAST,
    LOWER_AGED,
    LOWER_CUE,
    LOWER_PAIR,
    ORGANISATION,
    PATIENT_LABEL,
    PIECE,
    PLACE_BEFORE,
    RUN,
    SENDER,
    SOFT_LABEL,
    STOP,
    TITLE,
)
from gateway.detect.name_words import is_health, shipped, worth_of, worths
from gateway.detect.work import NAME, Work

PATIENT, TITLED, FULL, WEAK, CLINICIAN, CORRESPONDENT = (
    "patient",
    "titled",
    "full",
    "weak",
    "clinician",
    "correspondent",
)
LONG = 600
"""Characters from which a lone unknown word with a capital is rather a brand than a person."""

ROLES = (PATIENT, TITLED, FULL, WEAK, CLINICIAN, CORRESPONDENT)


@dataclass(frozen=True, slots=True)
class NameHit:
    """A name in the folded text, whose it seems to be, and how sure."""

    start: int
    end: int
    role: str
    confidence: float


def _sentence_start(text: str, at: int) -> bool:
    before = text[max(0, at - 4) : at].rstrip(" \t>*-\"'(")
    return not before or before[-1] in ".!?:\n|"


def _spans(text: str) -> Iterator[tuple[int, int, list[str]]]:
    """Runs of capitalised words, trimmed of words in front that are no names; "Surname, Given" as one."""
    lists = shipped()
    last_end = 0
    comma = text.find(",")
    while comma >= 0:
        behind = text[comma + 1 : comma + 3].lstrip(" ")
        match = None
        if behind[:1].isupper() and text[comma - 1 : comma].isalpha():
            match = INVERTED_FIRST.match(text, comma)
            back = INVERTED_LAST.search(text, max(last_end, comma - 40), comma)
            if match is not None and back is not None:
                first, last = match[1].split()[0], back[0]
                known = first.lower() in lists.first
                place = first.lower() in lists.other or last.lower() in lists.other - lists.last
                if not place and worth_of(last) >= 0.1 and worth_of(first) >= (0.2 if known else 0.9):
                    yield back.start(), match.end(), [*last.split(), *match[1].split()]
                    last_end = match.end()
        comma = text.find(",", comma + 1)
    for match in RUN.finditer(text):
        yield match.start(), match.end(), []


def _of_lower_case(text: str) -> Iterator[NameHit]:
    """Names in texts whose writer, or transcript, uses no capitals."""
    lists = shipped()
    for match in LOWER_PAIR.finditer(text):
        first, last = match[1], match[2]
        if (
            first in lists.first
            and first not in lists.common
            and first not in lists.other
            and last in lists.last
            and last not in lists.common
        ):
            yield NameHit(match.start(), match.end(), PATIENT if AFTER.match(text, match.end()) else FULL, 0.65)
    aged = {match.start(1) for match in LOWER_AGED.finditer(text)}
    for match in [*LOWER_AGED.finditer(text), *LOWER_CUE.finditer(text)]:
        word, start = match[1], match.start(1)
        if word in lists.first and word not in lists.common and word not in lists.other and word not in STOP:
            strong = start in aged or match[0].startswith(("patient", "pt", "named", "mr", "ms", "miss"))
            yield NameHit(start, match.end(1), PATIENT if strong else WEAK, 0.7 if strong else 0.55)


def _capitals_are_rare(text: str) -> bool:
    letters = sum(map(text.count, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    return letters * 100 < len(text)


def find(text: str, work: Work | None = None) -> list[NameHit]:
    """All names of a folded text. Raises OverBudget when `work` does not suffice."""
    if work is not None:
        work.spend(text.count(","))
    hits: list[NameHit] = list(_of_lower_case(text)) if _capitals_are_rare(text) else []
    covered = bytearray(len(text))
    never = shipped().never
    for start, end, inverted in _spans(text):
        if work is not None:
            work.spend(NAME)
        if inverted:
            hit = _judge(text, start, end, inverted, inverted=True)
            if hit is not None:
                hits.append(hit)
                covered[hit.start : hit.end] = b"\1" * (hit.end - hit.start)
            continue
        if covered.find(1, start, end) >= 0:
            continue
        run = text[start:end]
        if " " not in run and run.lower() in never and text[start - 2 : start] != ". " and not _is_title(run):
            continue
        hits += _of_run(text, start, end)
    return propagate(text, hits)


def _is_title(word: str) -> bool:
    return TITLE.match(word) is not None or DOCTOR.match(word) is not None


def _of_run(text: str, start: int, end: int) -> list[NameHit]:
    """The names in one run of capitalised words, which may be a whole line in capitals."""
    pieces = [(one.start(), one.end(), one[0]) for one in PIECE.finditer(text, start, end)]
    words_before = text[max(0, start - 12) : start].rstrip(". \t").split()
    title = words_before[-1] if words_before and text[start - 1 : start] in " ." and _is_title(words_before[-1]) else ""
    hits: list[NameHit] = []
    group: list[tuple[int, int, str]] = []
    for at, piece in enumerate([*pieces, (end, end, "")]):
        word = piece[2].rstrip(".")
        if word and not _is_title(word) and (_belongs(piece[2], group, title) or _is_surname(word, group)):
            group.append(piece)
            continue
        if word and len(pieces) == 2 and not title and not group and at == 0 and _introduced(text, pieces):
            return [NameHit(start, pieces[1][1], PATIENT, 0.6)]
        ahead = [one[2].lower().rstrip(".") for one in pieces[at : at + 2]]
        hit = _of_group(text, group, title) if ORGANISATION.isdisjoint(ahead) else None
        if hit is not None:
            hits.append(hit)
        group, title = [], word if _is_title(word) else ""
    return hits


def _belongs(piece: str, group: list[tuple[int, int, str]], title: str) -> bool:
    """Whether a word can go on (or start) a name."""
    bare = piece.rstrip(".")
    if bare.islower() or len(bare) == 1:
        return bool(group) or len(bare) == 1
    if bare.lower() in ORGANISATION:
        return bool(title) and not group and bare.lower() not in STOP
    worth = worth_of(piece)
    if group or not title:
        return worth > -0.5
    return bare.lower() not in STOP  # "Mr. Green": after a title even a common word is a name


def _introduced(text: str, pieces: list[tuple[int, int, str]]) -> bool:
    """ "Jai Rout presents today": two words in capitals that a clinician's verb makes a person."""
    lower = [one[2].lower() for one in pieces]
    common, first = shipped().common, shipped().first
    if lower[0] in common and lower[0] not in first:
        return False
    if any(len(word) < 3 or word in STOP or word in ORGANISATION or is_health(word) for word in lower) or all(
        word in common for word in lower
    ):
        return False
    return INTRODUCES.match(text, pieces[1][1]) is not None


def _is_surname(word: str, group: list[tuple[int, int, str]]) -> bool:
    """ "Emily Jones", "Mark Green": behind a given name even an eponym or a common word is the surname."""
    lists = shipped()
    lower = word.lower().removesuffix("'s")
    if not group or lower not in lists.last or lower in STOP or lower in ORGANISATION or is_health(lower):
        return False
    given = group[0][2].lower()
    return (
        len(group) <= 2
        and given in lists.first
        and worth_of(given.capitalize()) >= 0.8
        and not any(len(one[2]) > 2 for one in group[1:])
    )


def _of_group(text: str, group: list[tuple[int, int, str]], title: str) -> NameHit | None:
    while group and (
        group[-1][2].islower() or (len(group) > 1 and worths([one[2] for one in group])[-1] < 0 and not title)
    ):
        group.pop()
    while group and not title and len(group) > 1 and (worth_of(group[0][2]) < 0.3 or group[0][2].islower()):
        group.pop(0)
    if not group or len(group) > 5:
        return None
    return _judge(text, group[0][0], group[-1][1], [one[2] for one in group], title=title)


def _judge(
    text: str, start: int, end: int, words: list[str], *, inverted: bool = False, title: str = ""
) -> NameHit | None:
    before = text[max(0, start - 48) : start]
    after = text[end : end + 64]
    if text[start:end].endswith("'s"):
        end -= 2
    if EPONYM_AFTER.match(text[end : end + 30]) and not title:
        return None
    lists = shipped()
    real = [word for word in words if len(word.rstrip(".")) > 1 and not word.islower()]
    if not real:
        return None
    worth = worths(real)
    total, count = sum(worth), len(real)
    listed = any(word.lower().removesuffix("'s") in lists.first for word in real)
    if (title and DOCTOR.match(title)) or (CREDENTIAL.match(after) and count > 1):
        return NameHit(start, end, CLINICIAN, 0.85)
    if title and min(worth) > -1.5:
        return NameHit(start, end, TITLED, 0.9)
    label = PATIENT_LABEL.search(before)
    if label and "\n" not in label[0].strip(" \t") and total > 0.1 and min(worth) > -1:
        strong = ":" in label[0] or "=" in label[0] or "|" in label[0] or count > 1
        if strong or total >= 0.9:
            return NameHit(start, end, PATIENT, 0.92 if total > 0.5 else 0.7)
    if inverted and not listed and not AFTER.match(after) and not (worth[0] >= 1.2 and SOFT_LABEL.search(before)):
        return None
    looks = total >= (1.0 if inverted or count == 1 else 1.6) and min(worth) > -0.5
    if count > 1 and not listed:
        looks = looks and min(worth) >= 0.2
    if CLINICIAN_LABEL.search(before) and (looks or (listed and total >= 0.6)):
        return NameHit(start, end, CLINICIAN, 0.75)
    if (GREETING.search(before) or SENDER.match(after)) and (looks or total >= 0.7):
        return NameHit(start, end, CORRESPONDENT, 0.75 if looks else 0.5)
    if (
        AFTER.match(after)
        and total >= 0.7
        and min(worth) > -0.5
        and (count > 1 or listed or total >= 0.9)
        and not DETERMINER.search(before)
    ):
        return NameHit(start, end, PATIENT, 0.88 if looks else 0.6)
    if count == 1 and len(words) > 1 and listed and worth[0] >= 0.8 and len(words[-1].rstrip(".")) == 1:
        return NameHit(start, end, FULL, 0.65)
    if count > 1 and looks:
        alone = not after[:1].strip() or after[0] in ",.;)|(-"
        return NameHit(start, end, FULL, 0.8 if listed else (0.6 if alone or SOFT_LABEL.search(before) else 0.5))
    if count == 1 and not _sentence_start(text, start) and not DETERMINER.search(before) and not real[0].isupper():
        if PLACE_BEFORE.search(before) and not listed:
            return NameHit(start, end, WEAK, 0.3) if worth[0] >= 0.9 else None
        if worth[0] >= 0.9:
            if listed:
                return NameHit(start, end, WEAK, 0.55)
            if len(text) > LONG:
                return NameHit(start, end, WEAK, 0.2)  # brands and devices abound in long notes
            return NameHit(start, end, WEAK, 0.55 if SOFT_LABEL.search(before) else 0.35)
    elif count == 1 and listed and worth[0] >= 1.5 and not real[0].isupper():
        return NameHit(start, end, WEAK, 0.5)
    return None


_WORD = re.compile(r"\b[A-Za-z][A-Za-z'-]{2,79}")
_WORD_END = re.compile(r"(?<=[A-Za-z])(?!\w)")
_INITIAL = re.compile(r" [A-Za-z]\.")


def _mentions(text: str, best: dict[str, NameHit]) -> Iterator[tuple[int, int, NameHit]]:
    """Every word of `best` in the text, the longest where several begin, with an initial behind it.

    Looked up word by word: one expression of all names takes time by names and by text, and a list has thousands.
    """
    at = 0
    while (match := _WORD.search(text, at)) is not None:
        start = match.start()
        # One character more, as the end of what is searched counts as the end of a word.
        ends = [one.end() for one in _WORD_END.finditer(text, start, match.end() + 1) if one.end() <= match.end()]
        at = max(start + 1, ends[0] if ends else match.end())
        for end in reversed(ends):
            source = best.get(text[start:end].lower())
            if source is not None:
                initial = _INITIAL.match(text, end)
                at = initial.end() if initial else end
                yield start, at, source
                break


def propagate(text: str, hits: list[NameHit]) -> list[NameHit]:
    """The same words elsewhere in the document are the same name: "Noel L." after "Noel Labonte", "Labonte" alone."""
    best: dict[str, NameHit] = {}
    lists = shipped()
    for hit in hits:
        if hit.confidence < 0.6 or hit.role in (WEAK, CORRESPONDENT):
            continue
        for word in re.findall(r"[A-Za-z][A-Za-z'-]{2,}", text[hit.start : hit.end]):
            lower = word.lower()
            if lower in lists.common or is_health(lower) or lower in lists.other:
                continue
            if lower not in best or best[lower].confidence < hit.confidence:
                best[lower] = hit
    if not best:
        return sorted(hits, key=lambda one: one.start)
    rare = _capitals_are_rare(text)
    taken = bytearray(len(text) + 1)
    kept = [hit for hit in hits if hit.confidence >= 0.6]
    for hit in kept:
        taken[hit.start : hit.end] = b"\1" * (hit.end - hit.start)
    for start, end, source in _mentions(text, best):
        if (text[start:end].islower() and not rare) or taken.find(1, start, end) >= 0:
            continue
        kept.append(NameHit(start, end, source.role, min(0.75, source.confidence)))
        taken[start:end] = b"\1" * (end - start)
    kept += [hit for hit in hits if hit.confidence < 0.6 and taken.find(1, hit.start, hit.end) < 0]
    return sorted(kept, key=lambda one: one.start)
