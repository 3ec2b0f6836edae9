"""The recovery key of each clinic: chosen, its kit kept apart, and tried elsewhere. DESIGN §4 (`recovery`), §4a.

Check values were read from the paper, and a message was opened on another machine, or nobody knows that what was kept
opens anything. 45 CFR 164.308(a)(7)(ii)(A), (D).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from gateway.doctor.case import Case
from gateway.doctor.finding import Finding, check, green, per_clinic, red, yellow
from gateway.settings import Settings
from keys.errors import Tampered

DAY_US = 86_400_000_000
TRIED_DAYS = 365
CHANGED = "its row in the keyholder's store was changed by somebody else: new mail of this clinic waits"
REPAIR = "bring back the keyholder's store from a copy (deploy/BACKUP.md), and look for who could write there"


@check(
    "recovery.kit",
    "Each clinic has a recovery key whose kit is kept away from this machine, or chose to go without one",
    "without one a lost link stays lost, and mail under a legal hold can be kept but not read",
)
def kit(case: Case) -> Finding:
    return per_clinic(case, lambda own: _kit(case, own))


@check(
    "recovery.opened",
    "One message was opened on another machine, with a backup and the recovery kit",
    "a kit and a backup that nobody ever tried together are a hope",
)
def opened(case: Case) -> Finding:
    return per_clinic(case, lambda own: _opened(case, own))


def _kit(case: Case, own: Settings) -> Finding:
    try:
        found = case.recovery(own.tenant.name)
    except Tampered:
        return red(CHANGED, REPAIR)
    if found is None:
        return _unknown(case)
    make = (
        "on the officer's own machine: sealgate keys recovery make --clinic NAME --to DIR; then here: "
        f"{case.command('keys recovery propose public.txt')}, or to go without one: "
        f"{case.command('keys recovery without')}"
    )
    if found["waiting"] is not None:
        return yellow(
            "a choice waits for an officer's approval and a day", f"{case.command('tenant approve')} with its id"
        )
    if found["key"] == "none":
        return yellow(
            "this clinic chose to go without a recovery key: a lost link stays lost, and mail on legal hold is kept "
            "but nobody can read it",
            f"to change that, {make}",
        )
    if not found["key"]:
        return _level(case)("there is no recovery key, and nobody chose to go without one", make)
    confirm = f"read the check values from the paper where it is kept, then here: {case.command('keys confirm VALUE')}"
    kept, sheets, needed = len(found["confirmed"]), found["sheets"], found["needed"]
    if kept < needed:
        return _level(case, found)(f"{kept} of {sheets} sheets of the kit were confirmed; {needed} open it", confirm)
    if kept < sheets:
        return yellow(f"{kept} of {sheets} sheets of the kit were confirmed", confirm)
    return green(f"all sheets confirmed ({sheets}); {needed} open it")


def _opened(case: Case, own: Settings) -> Finding:
    try:
        found = case.recovery(own.tenant.name)
    except Tampered:
        return red(CHANGED, REPAIR)
    if found is None:
        return _unknown(case)
    try_it = (
        "on another machine: sealgate restore, sealgate serve, then sealgate keys recovery open MESSAGE --kit FILE "
        f"--to DIR; then here: {case.command('keys confirm')} with the line that it printed"
    )
    if found["key"] in ("", "none"):
        return yellow("without a recovery key there is nothing to try", "see recovery.kit")
    if found["opened_us"] is None:
        return _level(case, found)("nobody opened a message elsewhere with this kit yet", try_it)
    days = (time.time_ns() // 1000 - found["opened_us"]) // DAY_US
    if days > TRIED_DAYS:
        return yellow(f"the last one was opened {days} days ago", try_it)
    return green(f"{days} days ago")


def _level(case: Case, found: dict[str, Any] | None = None) -> Callable[[str, str], Finding]:
    """Red once messages hang on it, as for the root key's copy."""
    counts = (case.keyholder or {}).get("counts") or {}
    return red if (found["messages"] if found is not None else counts.get("messages", 0)) else yellow


def _unknown(case: Case) -> Finding:
    return yellow("not known while the keyholder does not answer, or not to this user", case.start())
