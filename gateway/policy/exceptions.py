"""Who may get or send mail as it is: a policy's partners, and whose "[plain]" counts.

Promises: each exception names a person who answers for it, a reason and a last day; a role that nobody has, a proof
that nobody gives, an entry without one of these: refused with the file, the key and what to write.
DESIGN §3 ("recipient's domain is on the tenant's partner list", "sender's word").
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

from gateway.errors import Misconfigured
from gateway.policy.model import Partner
from gateway.registry import nearest

PROOFS = ("declared",)
"""Who says that mail to a partner goes over verified TLS: so far the clinic, of its smarthost's connector."""

ROLES = ("staff", "office", "officer", "admin", "auditor")
_KEYS = ("domain", "who", "why", "until", "proof")
_REASON = re.compile(r"[a-z][a-z-]{1,29}")
_DOMAIN = re.compile(r"(?=.{3,253}\Z)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+")


def partners(rows: Any, where: str) -> tuple[Partner, ...]:
    """`[[partners]]`. Raises Misconfigured."""
    if not isinstance(rows, list):
        raise Misconfigured(f"{where}: partners is not a list of tables: write [[partners]]")
    found = tuple(_partner(row, f"{where}: [[partners]] {number}") for number, row in enumerate(rows, 1))
    domains = [one.domain for one in found]
    for domain in domains:
        if domains.count(domain) > 1:
            raise Misconfigured(f"{where}: two partners have the domain '{domain}'")
    return found


def _partner(row: Any, at: str) -> Partner:
    if not isinstance(row, dict):
        raise Misconfigured(f"{at} is not a table")
    for key in row:
        if key not in _KEYS:
            raise Misconfigured(f"{at}: unknown key '{key}': {nearest(key, list(_KEYS))}")
    domain = str(row.get("domain", "")).lower().rstrip(".")
    if not _DOMAIN.fullmatch(domain):
        raise Misconfigured(f"{at}: domain = {row.get('domain')!r}: write a mail domain, as 'lakeside.example'")
    who, why = row.get("who"), row.get("why")
    for key, value in (("who", who), ("why", why)):
        if not isinstance(value, str) or not value.strip():
            raise Misconfigured(
                f"{at}: {key} is missing: write {'who answers for it' if key == 'who' else 'the reason'}"
            )
    until = row.get("until")
    if not isinstance(until, date) or isinstance(until, datetime):
        raise Misconfigured(f"{at}: until = {until!r}: write the last day without quotes, as 2027-06-30")
    proof = row.get("proof", "declared")
    if proof not in PROOFS:
        raise Misconfigured(f"{at}: proof = {proof!r}: {nearest(str(proof), list(PROOFS))}")
    return Partner(domain, str(who), str(why), until, proof)


def plain(table: Any, where: str) -> tuple[frozenset[str], frozenset[str]]:
    """`[plain] roles` and `reasons`. Raises Misconfigured."""
    if not isinstance(table, dict):
        raise Misconfigured(f"{where}: plain is not a table: write [plain]")
    for key in table:
        if key not in ("roles", "reasons"):
            raise Misconfigured(f"{where}: [plain]: unknown key '{key}': {nearest(key, ['roles', 'reasons'])}")
    roles, reasons = table.get("roles", []), table.get("reasons", [])
    if not isinstance(roles, list) or not isinstance(reasons, list) or bool(roles) != bool(reasons):
        raise Misconfigured(f'{where}: [plain]: needs both, as roles = ["officer"] and reasons = ["consent"]')
    for role in roles:
        if role not in ROLES:
            raise Misconfigured(f"{where}: [plain] roles: {role!r}: {nearest(str(role), list(ROLES))}")
    for reason in reasons:
        if not isinstance(reason, str) or not _REASON.fullmatch(reason):
            raise Misconfigured(f"{where}: [plain] reasons: {reason!r}: write words as 'consent' or 'patient-asked'")
    return frozenset(roles), frozenset(reasons)
