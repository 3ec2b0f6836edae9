"""Whether this machine knows the time, and from whom. DESIGN §4b counts codes, sessions and expiries by it."""

from __future__ import annotations

import shutil
import subprocess
import time
from datetime import UTC, datetime

from gateway.doctor import neighbours
from gateway.doctor.asking import row
from gateway.doctor.case import Case, Refused
from gateway.doctor.finding import Finding, check, green, red, yellow
from gateway.flow import clockwatch

AHEAD_SECONDS, OFF_SECONDS = 3.0, 90.0
CHRONY = "apt-get install chrony && systemctl enable --now chrony && chronyc makestep"


@check(
    "clock.right",
    "This machine's clock is right and kept right",
    "one-time codes, expiries and the log's times follow it; an hour off locks everybody out",
)
def right(case: Case) -> Finding:
    compared, repair = [], _repair()
    now = time.time()
    last = _last_entry(case)
    if last is not None:
        compared.append("the log's last entry")
        if last - now > AHEAD_SECONDS:
            return red(f"the log's last entry is {_span(last - now)} in the future: this clock went back", repair)
    said = neighbours.date_in(case.greeting)
    if said is not None:
        compared.append("the smarthost's greeting")
        off = now - said.timestamp()
        if abs(off) > OFF_SECONDS:
            way = "ahead of" if off > 0 else "behind"
            return red(f"{_span(abs(off))} {way} the smarthost's clock", repair)
    kept = _kept()
    if kept is None:
        if said is None:
            words = ", ".join(compared) or "nothing"
            return yellow(f"nobody keeps it, and it could be compared with {words} only", CHRONY)
        return yellow("right by the smarthost's greeting, and nobody keeps it right", CHRONY)
    if not kept:
        return yellow("its time service is not synchronised", repair)
    return green("kept by a time service" + (f"; agrees with {' and '.join(compared)}" if compared else ""))


@check(
    "clock.steady",
    "This machine's clock went on as time did while the gateway ran",
    "what ends by time ends by this clock; after a leap forward nothing is destroyed or given up for a day",
)
def steady(case: Case) -> Finding:
    path = case.settings.worker_directory / clockwatch.NAME
    try:
        note = case.as_role("gateway", lambda: dict(clockwatch.read(path)))
    except Refused as refused:
        return yellow(f"the gateway's note about it cannot be read: {refused}", case.start())
    if not note["leaps"]:
        return green("no leap since it was started")
    leap = int(note.get("last_seconds", 0))
    often = "once" if note["leaps"] == 1 else f"{note['leaps']} times, last"
    words = f"since the gateway was started it leapt {often} by {_span(abs(leap))} {'forward' if leap > 0 else 'back'}"
    if note["waiting"]:
        return red(f"{words}; nothing is destroyed, given up or returned until it is back, or for a day", _repair())
    return yellow(f"{words}; nothing waits because of it", _repair())


def _last_entry(case: Case) -> float | None:
    """Time of the newest entry of the log, in seconds since 1970."""
    try:
        (found,) = row(case, "SELECT max(ts) FROM log_leaves")
    except Refused:
        return None
    return None if found is None else int(found) / 1e6


def _kept() -> bool | None:
    """Whether a time service says that it is synchronised; None when none answers."""
    for command, yes in (
        (["chronyc", "-n", "-c", "tracking"], "Normal"),
        (["timedatectl", "show", "-p", "NTPSynchronized", "--value"], "yes"),
    ):
        program = shutil.which(command[0])
        if program is None:
            continue
        try:
            done = subprocess.run(
                [program, *command[1:]],
                capture_output=True,
                text=True,
                timeout=4,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip().rpartition(",")[2] == yes
    return None


def _repair() -> str:
    if shutil.which("chronyc"):
        return "systemctl restart chrony && chronyc makestep"
    return "timedatectl set-ntp true" if shutil.which("timedatectl") and _kept() is not None else CHRONY


def _span(seconds: float) -> str:
    whole = datetime.fromtimestamp(seconds, UTC) - datetime.fromtimestamp(0, UTC)
    return (
        f"{whole.days} days"
        if whole.days > 1
        else f"{seconds / 3600:.1f} hours"
        if seconds > 5400
        else f"{seconds:.0f} s"
    )
