"""What a check is, what it may find, and the list of all checks.

Promises: a finding that is not green carries the line that repairs it; no finding holds a secret, a mail address or a
value of a key; the registry takes a name once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.registry import Registry

if TYPE_CHECKING:
    from gateway.doctor.case import Case
    from gateway.settings import Settings

GREEN, YELLOW, RED = "green", "yellow", "red"
AT_ONCE = 8
"""Clinics asked about at the same time: a neighbour that does not answer is waited for."""
LEVELS = (RED, YELLOW, GREEN)
"""Worst first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`found` is one sentence; `repair` a command or a record, or what to write where; empty only for green."""

    level: str
    found: str
    repair: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One question: `what` should hold, `why` it matters, `look` finds out."""

    id: str
    what: str
    why: str
    look: Callable[[Case], Finding]


CHECKS: Registry[Check] = Registry("check", "gateway.doctor.checks")


def check(id: str, what: str, why: str) -> Callable[[Callable[[Case], Finding]], Callable[[Case], Finding]]:
    """Decorator: this function answers the check of that id."""

    def take(look: Callable[[Case], Finding]) -> Callable[[Case], Finding]:
        CHECKS.register(id)(Check(id, what, why, look))
        return look

    return take


def green(found: str) -> Finding:
    """It holds."""
    return Finding(GREEN, found)


def yellow(found: str, repair: str) -> Finding:
    """It works, and should be better."""
    return Finding(YELLOW, found, repair)


def red(found: str, repair: str) -> Finding:
    """It does not hold."""
    return Finding(RED, found, repair)


def unseen(case: Case) -> Finding:
    """This user may not look; root may."""
    return yellow("it cannot be looked at by this user", f"run it as root: {case.command('doctor')}")


def per_clinic(case: Case, look: Callable[[Settings], Finding], between: str = " && ") -> Finding:
    """The same question about every clinic, a few at a time; where there are several, each finding names its clinic.

    `between` stands between the repair lines: commands follow each other, records stand beside each other.
    """
    clinics = case.settings.tenants
    if len(clinics) == 1:
        return look(clinics[0])
    with ThreadPoolExecutor(min(AT_ONCE, len(clinics))) as pool:
        found = list(pool.map(look, clinics))
    named = [replace(one, found=f"{own.tenant.name}: {one.found}") for own, one in zip(clinics, found, strict=True)]
    return worst(named, "; ".join(one.found for one in named), between)


def worst(findings: Iterable[Finding], otherwise: str, between: str = " && ") -> Finding:
    """One finding for several: the worst level, the words of all that are not green. `otherwise` when all are."""
    bad = sorted((one for one in findings if one.level != GREEN), key=lambda one: LEVELS.index(one.level))
    if not bad:
        return green(otherwise)
    return Finding(bad[0].level, "; ".join(one.found for one in bad), _joined((one.repair for one in bad), between))


def _joined(lines: Iterable[str], between: str) -> str:
    """Repairs of several findings, each once, in order."""
    return between.join(dict.fromkeys(lines))
