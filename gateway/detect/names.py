"""People's names, by cues: titles, labels, salutations, credentials, and capitalised words weighed against word lists.

Promises: a name gets a role (whose name it is matters more than that it is one) and a confidence; nothing here is a
decision. Eponyms, drugs, places and organisations in capitals are not people. Works on folded text.
Known limits: names in lower case and names that are common words, without any cue, are not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from gateway.detect.words import has_ending, tiers, word_list

PATIENT, TITLED, FULL, WEAK, CLINICIAN, CORRESPONDENT = "patient", "titled", "full", "weak", "clinician", "correspondent"
LONG = 600
"""Characters from which a lone unknown word with a capital is rather a brand than a person."""

ROLES = (PATIENT, TITLED, FULL, WEAK, CLINICIAN, CORRESPONDENT)

# Every repetition is bounded: hostile text must not make a search quadratic.
_WORD = r"(?:[A-Z]['-])?(?:[A-Z][a-z]{1,3})?[A-Z][a-z]{1,24}(?:['-][A-Z]?[a-z]{1,24}){0,2}|[A-Z]{2,24}(?:['-][A-Z]{1,24}){0,2}"
_PARTICLE = r"(?:van|von|de|del|della|la|las|los|der|den|bin|al|da|dos|du|di|el|ten|y)"
_RUN = re.compile(rf"\b(?:{_WORD})(?:[ \t]+(?:{_PARTICLE}[ \t]+){{0,2}}(?:(?:{_WORD})\b|[A-Z]\b\.?(?!\w)))*")
_PIECE = re.compile(rf"{_WORD}|[A-Z]\.?|[a-z]+")
_INVERTED = re.compile(rf"\b((?:{_WORD})(?:[ -](?:{_WORD}))?), ?((?:{_WORD})(?:[ ](?:(?:{_WORD})|[A-Z]\b\.?))?)")
_TITLE = re.compile(r"(?:mr|mrs|ms|miss|mx|master|madam|sr|sra|srta|senor|senora|don|dona|mme|herr|frau)\Z", re.I)
_DOCTOR = re.compile(r"(?:dr|drs|doctor|prof|professor|dra|nurse|sister|pharmacist|doctora)\Z", re.I)
_CREDENTIAL = re.compile(
    r",? ?(?:\(?(?:M\.?D\.?|D\.?O\.?|R\.?N\.?|N\.?P\.?|PA(?:-C)?|P\.A\.|Ph\.?D\.?|DDS|DMD|DPM|LPN|LVN|FNP|APRN|CRNA|CNM|MBBS|FACP|FACC|FACS|PharmD|RPh|PT|DPT|OT|LCSW|LMFT"
    r"|MPH|MSN|BSN|OD|DC|Psy\.?D|CNP|DNP|MA|CMA|SLP|RD|MS|JD|Esq|CEO|CTO|CIO|CFO)\b)"
)
_CLINICIAN_LABEL = re.compile(
    r"(?:provider|physician|pcp|doctor|attending|referring|surgeon|dictated by|signed by|signed|cc|seen by|reviewed by|ordered by|nurse|pharmacist|therapist|author"
    r"|performed by|interpreted by|consultant|resident|oncologist|cardiologist|radiologist|dentist|medico|technician|by)\s*[:=|-]?\s*(?:Dr\.? )?\Z",
    re.I,
)
_PATIENT_LABEL = re.compile(
    r"(?:\b(?:patient|pt|pat|paciente|member|client|insured|subscriber|guarantor|beneficiary|claimant|decedent|child|mother|father|parent|guardian|spouse"
    r"|emergency contact|next of kin|nombre|apellidos|last name|first name|full name|name|patient'?s? name|patient name)(?:'s name)?\s*(?:[:=|#]|\bis\b| - |-(?= ))?\s*|\bre\s*:\s*|\bre - "
    r"|\b(?:note|results?|report|records?|chart|labs?|update|referral|appointment|follow[- ]?up|followup|refill|prescription|consult|letter|scan|mri|x-?ray) (?:for|on|of|re|regarding|about) (?:patient |pt |our patient )?"
    r"|\b(?:results?|notes?|update|labs?|chart)\s*[-:]\s*|\bcalled |\bmy name is )\Z",
    re.I,
)
_SOFT_LABEL = re.compile(
    r"\b(?:for|of|in|to|about|on|with|regarding|reach|saw|see|seen|met|treat(?:ing|ed)?|giv(?:e|en|ing)|evaluat(?:e|ed|ing)|whether|if|does|can|should|is|has|did|when|that|and|or|call|from) \Z", re.I
)  # fmt: skip
_AFTER = re.compile(
    r"(?:'s)?\s*[(,|;-]?\s*(?:\(?(?:dob|d\.o\.b|mrn|date of birth|birth ?date|born|ssn|member|acct|account|age|tel|ph|phone|cell|chart|id|nhc|pt id)\b"
    r"|(?:(?:is|was) |(?<=,) ?|(?<=\() ?)(?:now |currently )?(?:an? |the |our )?(?:[a-z]+ ){0,2}\d{1,3}[- ]?(?:(?:year|yr|month|week|day)s?[- ]old|y\.?/?o\b|anos)|age[d]? \d|\d{1,3}[ -]?(?:y/?o|yo|[MF])\b"
    r"|(?:(?:is|was|has|had|will|would|should|needs?|wants?) (?:been |be |also |currently |now |still )?(?:admitted|seen|referred|diagnosed|discharged|scheduled|here|being|a (?:patient|pleasant)|complain\w*|doing"
    r"|in (?:for|with|today|the office)|status|now|taking|having|started|prescribed|allergic|due|on|to be seen|no|a history|not had|treated|recovering|experienc\w*|pregnant|call))\b"
    r"|(?:presents?|presented|denies|denied|reports|reported|complains|complained|states|stated|takes|took|underwent|tested|returns|returned|came|comes|suffers|suffered|rates|relates|describes|has had|lives|used to"
    r"|continues|felt|feels|missed|appears|takes|tolerated|developed|received|acude|refiere|presenta)\b|(?:who|that) (?:has|had|is|was|presents|presented|takes|came)\b|\|? ?\d{1,2}/\d{1,2}/\d{2}|\(\w{0,4}-?\d{4,}|visit\b|\(?seen\b|\(\d{1,4}[-/]\d|\((?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]* \d|\(\d{1,2}[- ](?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))",
    re.I,
)  # fmt: skip
_GREETING = re.compile(
    r"(?:(?:^|\n)[> \t]*(?:hi|hello|hey|dear|good (?:morning|afternoon|evening)|greetings|hola|thanks|thank you|thx)[ ,]*(?:there )?"
    r"|(?:^|\n)[> \t]*(?:(?:best|kind|warm) )?(?:regards|wishes|sincerely|cheers|thanks|thank you|best|yours|respectfully|cordially|love|later|atentamente|saludos)(?: again| so much| truly| faithfully)?[,.!]*\s*\n\s*"
    r"|(?:^|\n)[> \t]*(?:from|to|cc|sent by|sender|x-sender|reply-to)\s*:\s*|--+ ?\n)\Z",
    re.I,
)
_SENDER = re.compile(r"\s*(?:<[^>\s]+@|\[?mailto:|\([^)\s]+@|wrote:|writes:|said:)")
_ORGANISATION = frozenset(
    "hospital clinic center centre medical health university institute department dept inc llc ltd corp corporation company co group association"
    " foundation society college school academy church bank street st. road rd ave avenue lane drive blvd boulevard court county city river lake"
    " park building room suite floor team services service systems system solutions technologies technology software international national press"
    " journal magazine times news network networks partners practice pharmacy laboratory laboratories labs insurance plan program project committee"
    " council board office agency administration act bill law treaty award prize day week month year conference disease syndrome sign test score scale"
    " index criteria maneuver procedure classification catheter drain tube splint fracture lymphoma virus reflex phenomenon test cell cells palsy ward"
    " unit wing hall house tower plaza mall store airport station bridge island mountain valley beach bay sea ocean hills care memorial family general"
    " community regional urgent emergency surgery therapy rehab nursing hospice physicians associates specialists imaging radiology oncology".split()
)  # fmt: skip
_EPONYM_AFTER = re.compile(
    r"(?:'s?)? (?:disease|syndrome|sign|test|score|scale|criteria|maneuver|palsy|catheter|drain|fracture|lymphoma|sarcoma|tumou?r|thyroiditis|phenomenon|esophagus|cell|cells|reflex"
    r"|index|classification|procedure|method|stage|grade|hernia|cyst|contracture|neuroma|monitor|study|ultrasound|exponent|gene|virus|infection|fever|law|rule|equation|transform|theorem|algorithm)s?\b",
    re.I,
)
_STOP = frozenset(
    "he she it his her hers him they them their we us our you your my mine me i an a the and or but if in on at to for of by as is was are be been am do did does done has had have"
    " no not yes so than that this these those there then when where which who whom whose what why how all any each some such only own same too very can will shall may might must"
    " should would could now new old out up down over under about after again also just more most other into from with without re fw fwd cc bcc hi hello dear please thanks thank"
    " regards sincerely best mr mrs ms dr miss sir madam med rec no dob mrn ssn pt pts dos acct ref tel fax ph cell phone home work address email mail name date note notes chart"
    " record number id ok let see per via one two three four five six seven eight nine ten first second third last next today yesterday tomorrow mom dad mother father son daughter"
    " brother sister wife husband uncle aunt grandma grandpa patient patients provider doctor god lord king queen president senator colonel general captain sergeant officer inc xyz abc xx xxx xxxx doe's lastname firstname surname"
    " we're they're you're i'm it's that's don't can't let's he's she's what's who's here's there's i've i'll i'd you'll".split()
)  # fmt: skip
_DETERMINER = re.compile(r"\b(?:the|a|an|this|these|its|our|their|your|my|every|each|any|some|no|all) \Z", re.I)
_PLACE_BEFORE = re.compile(r"\b(?:lives? in|living in|moved (?:here )?(?:from|to)|from|born in|travel(?:l?ed)? to|trip to|visit(?:ing|ed)? to|grew up in|located in|based in|at|near|in)\s\Z", re.I)


@dataclass(frozen=True, slots=True)
class NameHit:
    """A name in the folded text, whose it seems to be, and how sure."""

    start: int
    end: int
    role: str
    confidence: float


@dataclass(frozen=True, slots=True)
class _Lists:
    first: frozenset[str]
    last: frozenset[str]
    common: frozenset[str]
    other: frozenset[str]
    health: frozenset[str]
    never: frozenset[str]
    """Words that alone, without a title, are no name."""


@cache
def _lists() -> _Lists:
    common = word_list("common_words.txt")
    other = word_list("places.txt") | word_list("eponyms.txt") | word_list("proper_words.txt")
    first, health = word_list("first_names.txt"), frozenset(tiers())
    return _Lists(first, word_list("surnames.txt"), common, other, health, ((common | other | health) - first) | _STOP)


def _is_health(word: str) -> bool:
    return word in _lists().health or has_ending(word)


def _worth(piece: str) -> float:
    """How much a capitalised word looks like part of a person's name: negative when it is another word."""
    lists = _lists()
    word = piece.lower().removesuffix("'s").rstrip(".'")
    if len(word) == 1:
        return 0.2
    if word in _STOP:
        return -2.0
    parts = word.split("-")
    if len(parts) > 1:
        return max(_worth(one) for one in parts if one) if all(parts) else -1.0
    common = word in lists.common
    if word in lists.first:
        return 1.5 if not common and word not in lists.other else (0.8 if word not in lists.other else 0.5)
    if _is_health(word):
        return -2.0
    if word in lists.other:
        return -0.8 if word not in lists.last else -0.3
    if common or (word.endswith("s") and word[:-1] in lists.common):
        return 0.2 if word in lists.last and not piece.isupper() else -1.5
    if word in lists.last:
        return 1.2
    if word.endswith(("ing", "tion", "ment", "ness", "ity", "ical", "ology", "ative")) or len(word) < 3:
        return -1.0
    if piece.isupper():
        return -0.6 if len(piece) < 6 else 0.4
    return 0.9


def _worths(words: list[str]) -> list[float]:
    """Worth of each word beside the others: after a given name, a surname that is also a word or an eponym is a surname."""
    lists = _lists()
    worth = [_worth(word) for word in words]
    given = False
    for at, word in enumerate(words):
        lower = word.lower().removesuffix("'s")
        if given and lower in lists.last and lower not in _STOP and not _is_health(lower):
            worth[at] = max(worth[at], 0.6)
        if lower in lists.first and worth[at] >= 0.5:
            given = True
    return worth


def _sentence_start(text: str, at: int) -> bool:
    before = text[max(0, at - 4) : at].rstrip(" \t>*-\"'(")
    return not before or before[-1] in ".!?:\n|"


def _spans(text: str) -> Iterator[tuple[int, int, list[str]]]:
    """Runs of capitalised words, trimmed of words in front that are no names; "Surname, Given" as one."""
    for match in _INVERTED.finditer(text):
        last, first = match[1], match[2].split()[0]
        lists = _lists()
        if first.lower() in lists.other or last.lower() in lists.other - lists.last:
            continue
        if _worth(last) >= 0.1 and _worth(first) >= (0.2 if first.lower() in lists.first else 0.9):
            yield match.start(), match.end(), [*match[1].split(), *match[2].split()]
    for match in _RUN.finditer(text):
        yield match.start(), match.end(), []


_LOWER_PAIR = re.compile(r"\b([a-z]{3,}) ([a-z]{3,})\b")
_LOWER_CUE = re.compile(
    r"\b(?:patient|pt|named|called|mr|mrs|ms|miss|hi ?,?|hello ?,?|hey ?,?|good morning ?,?|good afternoon ?,?|thanks ?,?|okay ?,?|alright ?,?|bye ?,?|so ?,|for|whether|can|should|does|is) ([a-z]{3,})\b|\b([a-z]{3,}) (?:is|was) an? \d{1,3}"
)


def _of_lower_case(text: str) -> Iterator[NameHit]:
    """Names in texts whose writer, or transcript, uses no capitals."""
    lists = _lists()
    for match in _LOWER_PAIR.finditer(text):
        first, last = match[1], match[2]
        if first in lists.first and first not in lists.common and first not in lists.other and last in lists.last and last not in lists.common:
            yield NameHit(match.start(), match.end(), PATIENT if _AFTER.match(text, match.end()) else FULL, 0.65)
    for match in _LOWER_CUE.finditer(text):
        word = match[1] or match[2]
        if word in lists.first and word not in lists.common and word not in lists.other and word not in _STOP:
            start, end = match.span(1 if match[1] else 2)
            strong = match[2] is not None or match[0].startswith(("patient", "pt", "named", "mr", "ms", "miss"))
            yield NameHit(start, end, PATIENT if strong else WEAK, 0.7 if strong else 0.55)


def _capitals_are_rare(text: str) -> bool:
    letters = sum(map(text.count, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    return letters * 100 < len(text)


def find(text: str) -> list[NameHit]:
    """All names of a folded text."""
    hits: list[NameHit] = list(_of_lower_case(text)) if _capitals_are_rare(text) else []
    covered = bytearray(len(text))
    never = _lists().never
    for start, end, inverted in _spans(text):
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
    return _TITLE.match(word) is not None or _DOCTOR.match(word) is not None


def _of_run(text: str, start: int, end: int) -> list[NameHit]:
    """The names in one run of capitalised words, which may be a whole line in capitals."""
    pieces = [(one.start(), one.end(), one[0]) for one in _PIECE.finditer(text, start, end)]
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
        hit = _of_group(text, group, title) if _ORGANISATION.isdisjoint(ahead) else None
        if hit is not None:
            hits.append(hit)
        group, title = [], word if _is_title(word) else ""
    return hits


def _belongs(piece: str, group: list[tuple[int, int, str]], title: str) -> bool:
    """Whether a word can go on (or start) a name."""
    bare = piece.rstrip(".")
    if bare.islower() or len(bare) == 1:
        return bool(group) or len(bare) == 1
    if bare.lower() in _ORGANISATION:
        return bool(title) and not group and bare.lower() not in _STOP
    worth = _worth(piece)
    if group or not title:
        return worth > -0.5
    return bare.lower() not in _STOP  # "Mr. Green": after a title even a common word is a name


_INTRODUCES = re.compile(r" (?:presents|presented|denies|denied|reports|complains|complained|states|underwent|tolerated|was (?:seen|admitted|discharged|referred)|is an? \d{1,3}[- ]|, an? \d{1,3}[- ])")


def _introduced(text: str, pieces: list[tuple[int, int, str]]) -> bool:
    """"Jai Rout presents today": two words in capitals that a clinician's verb makes a person."""
    lower = [one[2].lower() for one in pieces]
    common = _lists().common
    if any(len(word) < 3 or word in _STOP or word in _ORGANISATION or _is_health(word) for word in lower) or all(word in common for word in lower):
        return False
    return _INTRODUCES.match(text, pieces[1][1]) is not None


def _is_surname(word: str, group: list[tuple[int, int, str]]) -> bool:
    """"Emily Jones", "Mark Green": behind a given name even an eponym or a common word is the surname."""
    lists = _lists()
    lower = word.lower().removesuffix("'s")
    if not group or lower not in lists.last or lower in _STOP or lower in _ORGANISATION or _is_health(lower):
        return False
    given = group[0][2].lower()
    return len(group) <= 2 and given in lists.first and _worth(given.capitalize()) >= 0.8 and not any(len(one[2]) > 2 for one in group[1:])


def _of_group(text: str, group: list[tuple[int, int, str]], title: str) -> NameHit | None:
    while group and (group[-1][2].islower() or (len(group) > 1 and _worths([one[2] for one in group])[-1] < 0 and not title)):
        group.pop()
    while group and not title and len(group) > 1 and (_worth(group[0][2]) < 0.1 or group[0][2].islower()):
        group.pop(0)
    if not group or len(group) > 5:
        return None
    return _judge(text, group[0][0], group[-1][1], [one[2] for one in group], title=title)


def _judge(text: str, start: int, end: int, words: list[str], *, inverted: bool = False, title: str = "") -> NameHit | None:
    before = text[max(0, start - 48) : start]
    after = text[end : end + 64]
    if text[start:end].endswith("'s"):
        end -= 2
    if _EPONYM_AFTER.match(text[end : end + 30]) and not title:
        return None
    lists = _lists()
    real = [word for word in words if len(word.rstrip(".")) > 1 and not word.islower()]
    if not real:
        return None
    worth = _worths(real)
    total, count = sum(worth), len(real)
    listed = any(word.lower().removesuffix("'s") in lists.first for word in real)
    if (title and _DOCTOR.match(title)) or (_CREDENTIAL.match(after) and count > 1):
        return NameHit(start, end, CLINICIAN, 0.85)
    if title and min(worth) > -1.5:
        return NameHit(start, end, TITLED, 0.9)
    label = _PATIENT_LABEL.search(before)
    if label and "\n" not in label[0].strip(" \t") and total > 0.1 and min(worth) > -1:
        strong = ":" in label[0] or "=" in label[0] or "|" in label[0] or count > 1
        if strong or total >= 0.9:
            return NameHit(start, end, PATIENT, 0.92 if total > 0.5 else 0.7)
    if inverted and not listed and not _AFTER.match(after) and not (worth[0] >= 1.2 and _SOFT_LABEL.search(before)):
        return None
    looks = total >= (1.0 if inverted or count == 1 else 1.6) and min(worth) > -0.5
    if count > 1 and not listed:
        looks = looks and min(worth) >= 0.2
    if _CLINICIAN_LABEL.search(before) and (looks or (listed and total >= 0.6)):
        return NameHit(start, end, CLINICIAN, 0.75)
    if (_GREETING.search(before) or _SENDER.match(after)) and (looks or total >= 0.7):
        return NameHit(start, end, CORRESPONDENT, 0.75 if looks else 0.5)
    if _AFTER.match(after) and total >= 0.7 and min(worth) > -0.5 and (count > 1 or listed or total >= 0.9) and not _DETERMINER.search(before):
        return NameHit(start, end, PATIENT, 0.88 if looks else 0.6)
    if count == 1 and len(words) > 1 and listed and worth[0] >= 0.8 and len(words[-1].rstrip(".")) == 1:
        return NameHit(start, end, FULL, 0.65)
    if count > 1 and looks:
        alone = not after[:1].strip() or after[0] in ",.;)|(-"
        return NameHit(start, end, FULL, 0.8 if listed else (0.6 if alone or _SOFT_LABEL.search(before) else 0.5))
    if count == 1 and not _sentence_start(text, start) and not _DETERMINER.search(before) and not real[0].isupper():
        if _PLACE_BEFORE.search(before) and not listed:
            return NameHit(start, end, WEAK, 0.3) if worth[0] >= 0.9 else None
        if worth[0] >= 0.9:
            if listed:
                return NameHit(start, end, WEAK, 0.55)
            if len(text) > LONG:
                return NameHit(start, end, WEAK, 0.2)  # brands and devices abound in long notes
            return NameHit(start, end, WEAK, 0.55 if _SOFT_LABEL.search(before) else 0.35)
    elif count == 1 and listed and worth[0] >= 1.5 and not real[0].isupper():
        return NameHit(start, end, WEAK, 0.5)
    return None


def propagate(text: str, hits: list[NameHit]) -> list[NameHit]:
    """The same words elsewhere in the document are the same name: "Noel L." after "Noel Labonte", "Labonte" alone."""
    best: dict[str, NameHit] = {}
    lists = _lists()
    for hit in hits:
        if hit.confidence < 0.6 or hit.role in (WEAK, CORRESPONDENT):
            continue
        for word in re.findall(r"[A-Za-z][A-Za-z'-]{2,}", text[hit.start : hit.end]):
            lower = word.lower()
            if lower in lists.common or _is_health(lower) or lower in lists.other:
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
    words = "|".join(re.escape(word) for word in sorted(best, key=len, reverse=True))
    for match in re.finditer(rf"\b(?:{words})\b(?: [A-Z]\.)?", text, re.I):
        if (match[0].islower() and not rare) or taken.find(1, match.start(), match.end()) >= 0:
            continue
        source = best[match[0].lower().split(" ")[0]]
        kept.append(NameHit(match.start(), match.end(), source.role, min(0.75, source.confidence)))
        taken[match.start() : match.end()] = b"\1" * (match.end() - match.start())
    kept += [hit for hit in hits if hit.confidence < 0.6 and taken.find(1, hit.start, hit.end) < 0]
    return sorted(kept, key=lambda one: one.start)
