"""Backups: how old each half is, whether it still opens, and when one was last restored. DESIGN §4a, §8.

The keyholder registers every backup before it begins, so it knows what was made; where it lies, and whether it is still
there, only people know. 45 CFR 164.308(a)(7)(ii)(A), (B), (D).
"""

from __future__ import annotations

import time
from typing import Any

from gateway.doctor.case import Case
from gateway.doctor.finding import Finding, check, green, red, worst, yellow

DAY_US = 86_400_000_000
YOUNG_DAYS, OLD_DAYS = 2, 8
RESTORED_DAYS = 180
_WORDS = {"content": "database, vault and settings", "keyholder": "the keyholder's store"}


@check(
    "places.backup",
    "A young backup of each half exists: the content, and apart from it the keyholder's store",
    "without both, a lost disk is lost mail, links and log; a keyholder's copy opens nothing after its days",
)
def backup(case: Case) -> Finding:
    if case.backups is None:
        return _unknown(case)
    now_us = time.time_ns() // 1000
    return worst([_of(case, kind, now_us) for kind in ("keyholder", "content")], _green(case.backups, now_us))


@check(
    "places.restored",
    "A backup was restored onto an empty machine, and its log held",
    "a backup that nobody ever restored is a hope",
)
def restored(case: Case) -> Finding:
    if case.backups is None:
        return _unknown(case)
    last = max((one["verified_us"] for one in case.backups if one["verified_us"] is not None), default=None)
    line = (
        "on another machine: sealgate restore CONTENT KEYHOLDER --verify; then here: "
        f"{case.command('backup verified ID')} with the id that it printed"
    )
    if last is None:
        return yellow("no restore was recorded yet", line)
    days = (time.time_ns() // 1000 - last) // DAY_US
    return green(f"{days} days ago") if days <= RESTORED_DAYS else yellow(f"the last one is {days} days ago", line)


def _of(case: Case, kind: str, now_us: int) -> Finding:
    whole = [one for one in case.backups or [] if one["kind"] == kind and one["signed_us"] is not None]
    make = case.command(f"backup {kind} DIR")
    where = "DIR on another disk" if kind == "content" else "DIR on another medium, away from the content"
    line = f"{make}, with {where}"
    if not whole:
        return yellow(f"no backup of {_WORDS[kind]} was made yet", line)
    days = (now_us - whole[0]["made_us"]) // DAY_US
    if kind == "keyholder" and not any(one["expires_us"] > now_us for one in whole):
        return red("every copy of the keyholder's store is beyond its days: nothing that exists can be restored", line)
    if days >= OLD_DAYS:
        return red(f"the last backup of {_WORDS[kind]} is {days} days old", line)
    if days >= YOUNG_DAYS:
        return yellow(f"the last backup of {_WORDS[kind]} is {days} days old", line)
    return green(_WORDS[kind])


def _green(backups: list[dict[str, Any]], now_us: int) -> str:
    made = {one["kind"]: one["made_us"] for one in reversed(backups) if one["signed_us"] is not None}
    hours = {kind: (now_us - us) // (DAY_US // 24) for kind, us in made.items()}
    return ", ".join(f"{kind} {hours[kind]} hours old" for kind in sorted(hours))


def _unknown(case: Case) -> Finding:
    return yellow("not known while the keyholder does not answer, or not to this user", case.start())
