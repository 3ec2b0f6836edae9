"""Examples beside a policy (`NAME.cases.toml`): what mail, to whom, and what must come out.

Promises: `check` runs every example through the real decision and says in words what differs; unknown keys are errors,
so a misspelt example cannot pass. Used by the tests and by whoever writes a policy of their own.
"""

from __future__ import annotations

import tomllib
from typing import Any

from gateway.detect.model import Assessment, Finding, PartVerdict, Unread
from gateway.errors import Misconfigured
from gateway.policy.decide import decide
from gateway.policy.model import MailFacts, Policy, RecipientFacts

_MAIL = frozenset(
    "subject body attachments decorations null_sender auto_submitted tags sensitivity signed "
    "encrypted malformed may_be_plain unscanned assumed".split()
)
_STATES = ("clean", "phi", "unread")


def _verdict(part: str, place: str, state: str) -> PartVerdict:
    if state not in _STATES:
        raise Misconfigured(f"case: state '{state}' is none of {', '.join(_STATES)}")
    findings = (Finding("NAME", place, 0.9, 0, 1), Finding("HEALTH", place, 0.9, 2, 3)) if state == "phi" else ()
    return PartVerdict(part, place, state, 0.99 if state == "phi" else 0.01, findings)


def mail_of(table: dict[str, Any]) -> MailFacts:
    """A mail from an example's `mail` table. Attachments are numbered "2", "3", … as in a multipart/mixed."""
    unknown = set(table) - _MAIL
    if unknown:
        raise Misconfigured(f"case: unknown key '{sorted(unknown)[0]}'")
    parts = [
        _verdict("subject", "the subject", table.get("subject", "clean")),
        _verdict("body", "the message text", table.get("body", "clean")),
    ]
    names = []
    for number, state in enumerate(table.get("attachments", []), 1):
        names.append(str(number + 1))
        parts.append(_verdict(names[-1], f"attachment {number}", state))
    unread = tuple(Unread(part.part, part.place, "an example") for part in parts if part.status == "unread")
    unscanned = frozenset(table.get("unscanned", []))
    if strange := unscanned - {part.part for part in parts}:
        raise Misconfigured(f"case: unscanned names '{sorted(strange)[0]}', which is no part")
    unread += tuple(Unread(part.part, part.place, "not scanned") for part in parts if part.part in unscanned)
    phi = any(part.status == "phi" for part in parts)
    return MailFacts(
        Assessment(tuple(parts), 0.99 if phi else 0.01, phi, unread, "case", "new"),
        null_sender=table.get("null_sender", False),
        auto_submitted=table.get("auto_submitted", False),
        subject_tags=frozenset(table.get("tags", [])),
        sensitivity=table.get("sensitivity", ""),
        signed=table.get("signed", False),
        encrypted=table.get("encrypted", False),
        malformed=table.get("malformed", False),
        attachments=tuple(names),
        decorations=frozenset(table.get("decorations", [])),
        may_be_plain=table.get("may_be_plain", False),
        unscanned=unscanned,
        assumed=table.get("assumed", False),
    )


def check(policy: Policy, text: str) -> list[str]:
    """What differs, one line an example; empty when all hold. Raises Misconfigured for a file without examples."""
    cases = tomllib.loads(text).get("cases", [])
    if not cases:
        raise Misconfigured(f"{policy.name}.cases.toml: no [[cases]]")
    wrong = []
    for case in cases:
        unknown = set(case) - {"name", "mail", "recipient", "expect"}
        unknown |= set(case["expect"]) - {"then", "rule", "sealed", "neutral_subject"}
        if unknown:
            raise Misconfigured(f"{policy.name}.cases.toml: '{case.get('name')}': unknown key '{sorted(unknown)[0]}'")
        made = decide(policy, mail_of(case.get("mail", {})), RecipientFacts(**case.get("recipient", {})))
        found = {
            "then": made.treatment,
            "rule": made.rule,
            "sealed": sorted(made.sealed_parts),
            "neutral_subject": made.neutral_subject,
        }
        wanted = {"sealed": [], "neutral_subject": False, **case["expect"]}
        for key, value in wanted.items():
            if found[key] != value:
                wrong.append(f"{case['name']}: {key} is {found[key]!r}, expected {value!r}")
    return wrong
