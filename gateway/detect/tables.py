"""Rows under a header that names a person's columns: "NAME | DOB | MRN", CSV exports, tab-separated lists.

Promises: exact offsets of the cells; only columns whose header is known give spans. Works on folded text.
"""

from __future__ import annotations

import re

_COLUMNS = (
    (
        re.compile(
            r"(?:patient |full |last |first |given |family |sur|middle |member |guarantor )?name|patient|"
            r"nombre|apellidos|pt",
            re.I,
        ),
        "NAME",
    ),
    (
        re.compile(
            r"dob|d\.o\.b\.?|birth ?(?:date|day)?|date of birth|dos|date.*|visit|admi.*|discharge.*|fecha.*|.* date",
            re.I,
        ),
        "DATE",
    ),
    (
        re.compile(r"mrn|mr ?#|med(?:ical)? rec.*|patient ?_?(?:id|no|number|#)|chart.*|id|record.*|nhc|case.*", re.I),
        "ID",
    ),
    (re.compile(r"ssn|ss ?#|social.*", re.I), "SSN"),
    (
        re.compile(
            r"(?:home |cell |work |mobile )?(?:phone|tel|telephone|cell|mobile|fax)(?: ?(?:#|no|number))?", re.I
        ),
        "PHONE",
    ),
    (re.compile(r"e-?mail.*", re.I), "EMAIL"),
    (re.compile(r"address.*|street|city|zip.*|town|postcode", re.I), "LOCATION"),
    (
        re.compile(r"(?:member|policy|plan|insurance|subscriber|account|acct|claim|medicare|medicaid|group).*", re.I),
        "ACCOUNT",
    ),
)
_HEADER = re.compile(r"^[ \t>]*[A-Za-z][A-Za-z .#_/]{0,24}[ \t]*([|,;\t])[^\n]{3,300}$", re.M)


def kind_of(header: str) -> str | None:
    """The span type of a column by its heading, None for one that is no identifier."""
    name = header.strip().strip('"').replace("_", " ")
    return next((kind for pattern, kind in _COLUMNS if pattern.fullmatch(name)), None)


def _cells(line: str, mark: str) -> list[tuple[int, int]]:
    """(start, end) of each cell without blanks and quotes; a quoted comma does not divide."""
    cells: list[tuple[int, int]] = []
    start, quoted = 0, False
    for at, char in enumerate(line + mark):
        if char == '"':
            quoted = not quoted
        elif char == mark and (not quoted or at == len(line)):
            begin, end = start, at
            while begin < end and line[begin] in ' \t">':
                begin += 1
            while end > begin and line[end - 1] in ' \t"\r':
                end -= 1
            cells.append((begin, end))
            start = at + 1
    return cells


def fields(text: str) -> list[tuple[int, int, str]]:
    """Cells under known columns of every table in the text, at most 5,000 of them."""
    found: list[tuple[int, int, str]] = []
    for header in _HEADER.finditer(text):
        mark = header[1]
        kinds = [kind_of(header[0][begin:end]) for begin, end in _cells(header[0], mark)]
        if sum(kind is not None for kind in kinds) < 2 or "NAME" not in kinds:
            continue
        at = header.end() + 1
        while at < len(text) and len(found) < 5_000:
            stop = text.find("\n", at)
            stop = len(text) if stop < 0 else stop
            line = text[at:stop]
            cells = _cells(line, mark)
            if len(cells) < min(2, len(kinds)) or len(cells) > len(kinds) + 1:
                break
            for (begin, end), kind in zip(cells, kinds, strict=False):
                if kind is not None and end > begin:
                    found.append((at + begin, at + end, kind))
            at = stop + 1
    return found
