"""What may be asked of a log, in words: ``actor:amy action:object:opened recipient:@insurer.example result:refused``.

Pure. Promises: every word of a query is understood or refused with the nearest known one; nothing is guessed, and
nothing that was typed is kept here. A day is one on the clock of whoever asks, as they are shown the entries' times:
on the pages the clinic's, at the command line UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from gateway.audit.event import OUTCOMES, Action
from gateway.errors import Refused
from gateway.registry import nearest

QUALIFIERS = (
    "action", "actor", "created", "message", "object", "outcome", "proof", "reason", "recipient", "request",
)  # fmt: skip
ALIASES = {"result": "outcome", "reference": "message", "by": "actor", "to": "recipient"}
LONGEST = 500
FIRST_YEAR, LAST_YEAR = 1970, 2999
"""Times are counted from the first; the day after the last must be one too, in every zone."""
_ADDRESS = re.compile(r"[^@\s]*@[^@\s]+")


class BadQuery(Refused):
    """This search cannot be understood."""

    exit_code = 64
    http_status = 400

    @property
    def public(self) -> str:
        """The detail names the searcher's own word and the nearest known one."""
        return self.detail or super().public


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a query, checked. Its repr names the qualifier only: values name people."""

    key: str
    value: str

    def __repr__(self) -> str:
        return f"Term({self.key})"

    def __str__(self) -> str:
        return f"{self.key}:{self.value}"


def parse_query(text: str) -> tuple[Term, ...]:
    """The terms of a query, in order. Raises BadQuery."""
    if len(text) > LONGEST:
        raise BadQuery(f"a search has at most {LONGEST} characters")
    return tuple(_term(word) for word in text.split())


def keys_of(terms: tuple[Term, ...]) -> str:
    """Which qualifiers a query used, for its entry in the log: never what they asked for."""
    return " ".join(sorted({term.key for term in terms}))


def days(value: str, zone: tzinfo = UTC) -> tuple[datetime | None, datetime | None]:
    """First moment, and first moment after the end, of ``2026-11-01..2026-11-07`` in that zone; one side may be open.

    Raises BadQuery.
    """
    first, dots, last = value.partition("..")
    start = _day(first) if first else None
    end = _day(last or first) if (last or not dots) else None
    if start is None and end is None:
        raise BadQuery("'created:' needs a day, or two with .. between")
    return (
        None if start is None else datetime.combine(start, time(), zone),
        None if end is None else datetime.combine(end + timedelta(days=1), time(), zone),
    )


def is_group(action: str) -> bool:
    """Whether it is the first half of actions: ``object`` for every ``object:…``."""
    return action in {str(one).partition(":")[0] for one in Action}


def _term(word: str) -> Term:
    key, colon, value = word.partition(":")
    key = ALIASES.get(key, key)
    if not colon or key not in QUALIFIERS:
        raise BadQuery(f"unknown search word '{key}': {nearest(key, [*QUALIFIERS, *ALIASES])}")
    if not value:
        raise BadQuery(f"'{key}:' needs a value")
    check = _CHECKS.get(key)
    return Term(key, check(value) if check else value)


def _action(value: str) -> str:
    known = [str(action) for action in Action]
    if value not in known and not is_group(value):
        raise BadQuery(f"unknown action '{value}': {nearest(value, known)}")
    return value


def _outcome(value: str) -> str:
    if value not in OUTCOMES:
        raise BadQuery(f"unknown outcome '{value}': {nearest(value, sorted(OUTCOMES))}")
    return value


def _proof(value: str) -> str:
    if value not in ("0", "1", "2", "3"):
        raise BadQuery("a proof is a level from 0 to 3")
    return value


def _created(value: str) -> str:
    days(value)
    return value


def _message(value: str) -> str:
    digits = value.replace("-", "")
    if re.fullmatch(r"[0-9]{6}", digits, re.ASCII) is None:
        raise BadQuery("'message:' needs a reference number of six digits, such as 402917")
    return digits


def _recipient(value: str) -> str:
    if _ADDRESS.fullmatch(value) is None:
        raise BadQuery("'recipient:' needs a whole address, or @ and a domain")
    return value


_CHECKS = {
    "action": _action, "outcome": _outcome, "proof": _proof, "created": _created, "message": _message,
    "recipient": _recipient,
}  # fmt: skip


def _day(text: str) -> date:
    try:
        found = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise BadQuery(f"'{text}' is not a day such as 2026-11-03") from error
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise BadQuery(f"'{text}' is not a day of the years {FIRST_YEAR} to {LAST_YEAR}")
    return found
