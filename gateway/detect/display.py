"""Display names in address fields: most name a correspondent, and some say what a subject would not be let say.

Promises: a name that holds an identifier other than a name or place, or a person's name together with a word of health,
is worth the detector's judgement; a name is harmless only when neither identifiers nor words of health are in it.
"Dr. Bell" and "Elm Hospital" alone are correspondents: judged with every mail, they would make half of it PHI.
Clauses: RFC 5322 3.4; 45 CFR 164.514(b)(2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from gateway.detect.identify import look
from gateway.detect.scorer import model
from gateway.detect.work import BUDGET, Work

_CORRESPONDENT = frozenset({"NAME", "LOCATION", "EMAIL", "URL"})
_SHORT = 200


@dataclass(frozen=True, slots=True)
class _Seen:
    worth_judging: bool
    harmless: bool


def worth_judging(name: str) -> bool:
    """Whether a display name may say something of a patient."""
    return _seen(name).worth_judging


def harmless(name: str) -> bool:
    """Whether it may stand where everybody reads it."""
    return _seen(name).harmless


def _seen(name: str) -> _Seen:
    if not re.search(r"\w{2}", name):
        return _Seen(False, True)
    return _looked(name) if len(name) <= _SHORT else _Seen(True, False)


@lru_cache(4096)
def _looked(name: str) -> _Seen:
    try:
        found = look(name, model().words, work=Work(BUDGET))
    except Exception:  # a detector that fails has read nothing
        return _Seen(True, False)
    numbered = any(span.kind not in _CORRESPONDENT for span in found.spans)
    person = any(span.kind == "NAME" and span.source != "clinician" for span in found.spans)
    health = bool(found.health.weights)
    return _Seen(numbered or (person and health), not numbered and not health)
