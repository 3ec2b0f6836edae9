"""The form of a decision, the same for held mail and for changes that wait: what, why, and a fresh code.

Promises: what is missing is named field by field before anybody is asked; a code is never given back to a page.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from gateway import words
from gateway.portal.call import Call

REASON_CHARACTERS = 500
CODE_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Decided:
    """What was sent. `missing` is the field that lacks, with what to say there; empty when all is there."""

    act: str
    reason: str = field(repr=False)
    code: str = field(repr=False)
    missing: tuple[str, str] | None

    @property
    def given(self) -> dict[str, str]:
        """What a page shows again."""
        return {"act": self.act, "reason": self.reason}


def decided(call: Call, allowed: Collection[str], first: str) -> Decided:
    """The form of this request; `allowed` are the acts that may be chosen, `first` the id of their first field."""
    act, reason = call.form.get("act", ""), call.form.get("reason", "").strip()[:REASON_CHARACTERS]
    code = "".join(filter(str.isdigit, call.form.get("code", "")))
    missing = (
        (first, "choose") if act not in allowed
        else ("reason", "reason_missing") if not reason
        else ("code", "code_missing") if len(code) != CODE_DIGITS
        else None
    )  # fmt: skip
    return Decided(act, reason, code, missing and (missing[0], words.say(f"officer.held.{missing[1]}")))
