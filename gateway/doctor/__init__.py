"""Every check of an installation, each with the line that repairs it: `sealgate doctor`.

Promises: works while the gateway runs and when it is down; a check that cannot look says so and is never green; what is
printed names files, hosts and records, and no secret, mail address, file name of a patient or subject. DESIGN §8,
PAGES §2.6.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.doctor.case import Case
from gateway.doctor.finding import CHECKS, GREEN, LEVELS, RED, YELLOW, Check, Finding, red, yellow

__all__ = ["GREEN", "RED", "YELLOW", "Case", "Result", "examine", "refused"]


@dataclass(frozen=True, slots=True)
class Result:
    """A check and what it found."""

    check: Check
    finding: Finding


def examine(case: Case) -> list[Result]:
    """Every check, the worst findings first."""
    found = [Result(one, _look(one, case)) for _, one in CHECKS]
    return sorted(found, key=lambda one: (LEVELS.index(one.finding.level), one.check.id))


def refused(words: str, command: str) -> list[Result]:
    """What is said of a configuration that cannot be read: nothing else can be looked at."""
    why = "serve refuses to start with it; nothing else was looked at"
    one = Check("config.valid", "The configuration can be used", why, lambda case: red(words, ""))
    return [Result(one, red(words, f"correct that line, then: {command}"))]


def _look(one: Check, case: Case) -> Finding:
    try:
        return one.look(case)
    except PermissionError as error:
        return yellow(f"{error.filename or 'a file'} cannot be read by this user", f"as root: {case.command('doctor')}")
    except Exception as error:  # the text of an unforeseen error may quote what must not be printed
        return red(
            f"could not be looked at ({type(error).__name__})", f"report it with: {case.command('doctor --json')}"
        )
