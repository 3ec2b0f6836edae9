"""What has been waiting, what has left, and what this program runs on."""

from __future__ import annotations

import importlib.util
import platform
import sqlite3
import ssl
import sys
import time

from gateway.doctor.asking import row
from gateway.doctor.case import Case, Refused
from gateway.doctor.finding import Finding, check, green, red, worst, yellow

HOUR = 3600.0
OUTSIDE_DAYS = 7
WAITING_SECONDS, WAITING_LONG_SECONDS = 10.0, 60.0
FAULT_DAYS = 30
ALARM_DAYS, ALARM_FORGOTTEN_DAYS = 7, 90
EXTRAS = (("psycopg", "PostgreSQL"), ("weasyprint", "reports as PDF"))


def _number(case: Case, statement: str) -> tuple[int | None, int]:
    """A time in microseconds (None: no row) and a count, from the database. Raises Refused."""
    at, count = row(case, statement)
    return at, int(count)


def _unknown(case: Case) -> Finding:
    return yellow("the database cannot be asked", f"see database.sound; as root: {case.command('doctor')}")


@check(
    "queue.moves",
    "No mail has been waiting long for the smarthost",
    "after five days a message returns to its sender; people wait for it long before",
)
def queue(case: Case) -> Finding:
    statement = "SELECT min(created_at), count(*) FROM deliveries WHERE state IN ('ready', 'deferred')"
    try:
        oldest, count = _number(case, statement)
    except Refused:
        return _unknown(case)
    if oldest is None:
        return green("nothing waits")
    age = time.time() - oldest / 1e6
    words = f"{count} deliveries wait, the oldest for {age / HOUR:.1f} hours"
    if age < 0.25 * HOUR:
        return green(words)
    repair = f"see smarthost.takes, then: {case.command('queue retry')}"
    return red(words, repair) if age > 4 * HOUR else yellow(words, repair)


@check(
    "held.looked-at",
    "Held mail is decided on within two days",
    "held mail returns to its sender after the days that [policy] hold_days says",
)
def held(case: Case) -> Finding:
    try:
        oldest, count = _number(case, "SELECT min(received_at), count(*) FROM messages WHERE state = 'held'")
    except Refused:
        return _unknown(case)
    if oldest is None:
        return green("nothing is held")
    days = (time.time() - oldest / 1e6) / (24 * HOUR)
    words = f"{count} messages are held, the oldest for {days:.1f} days"
    if days < 2:
        return green(words)
    return yellow(words, f"ask an officer to decide: {case.command('queue list')}")


@check(
    "log.numbered",
    "Every entry of the log gets its number at once, and none was missing when its turn came",
    "an entry without a number is committed and safe, but no search shows it and no checkpoint covers it",
)
def numbered(case: Case) -> Finding:
    if not case.settings.on_postgres:
        return green("an entry has its number when its change is committed")
    try:
        oldest, count = _number(case, "SELECT min(ts), count(*) FROM outbox")
        fault, faults = _number(case, "SELECT max(found_at), count(*) FROM outbox_faults")
    except Refused:
        return _unknown(case)
    findings = []
    if fault is not None:
        days = (time.time() - fault / 1e6) / (24 * HOUR)
        words = f"{faults} times entries were missing, changed or refused at their turn, last {days:.0f} days ago"
        repair = (
            f"keep the database as it is; {case.command('audit export DIR')} and audit verify DIR name them; ask who "
            "could write to the database"
        )
        findings.append((red if days < FAULT_DAYS else yellow)(words, repair))
    age = 0.0 if oldest is None else time.time() - oldest / 1e6
    words = f"{count} entries wait for their number, the oldest for {age:.0f} s"
    if age > WAITING_SECONDS:
        repair = case.start("worker")
        findings.append((red if age > WAITING_LONG_SECONDS else yellow)(words, repair))
    return worst(findings, words if count else "none waits")


@check(
    "log.alarms",
    "No seal, row or proof of ours was found broken lately",
    "somebody wrote to our stores, or a disk fails; what does not hold is refused, and stays closed until it is mended",
)
def alarms(case: Case) -> Finding:
    statement = (
        "SELECT max(ts), count(*) FROM log_leaves WHERE action = 'tamper:found' "
        "AND log IN (SELECT id FROM tenants UNION SELECT 'system')"  # so that the index over both is used
    )
    try:
        last, count = _number(case, statement)
    except Refused:
        return _unknown(case)
    if last is None:
        return green("none was found")
    days = (time.time() - last / 1e6) / (24 * HOUR)
    words = f"{count} times something did not hold, last {days:.1f} days ago"
    repair = (
        f"{case.command('audit search action:tamper:found')} names what; keep the disks as they are, ask who could "
        "write to them, and bring that part back from a backup"
    )
    if days > ALARM_FORGOTTEN_DAYS:
        return green(words)
    return (red if days < ALARM_DAYS else yellow)(words, repair)


@check(
    "checkpoint.outside",
    "A checkpoint of the log has left this machine lately",
    "only a copy elsewhere shows that the whole machine was set back to an earlier state",
)
def checkpoint(case: Case) -> Finding:
    try:
        last, count = _number(case, "SELECT max(at), count(*) FROM outside_checkpoints")
    except Refused:
        return _unknown(case)
    elsewhere = f"{case.command('audit export DIR')}, and keep DIR on another machine"
    if last is None:
        return yellow("none has left yet: they travel in notices of protected mail", elsewhere)
    days = (time.time() - last / 1e6) / (24 * HOUR)
    words = f"{count} in recipients' mailboxes, the last {days:.1f} days ago"
    return yellow(words, elsewhere) if days > OUTSIDE_DAYS else green(words)


@check(
    "versions.known",
    "Python and OpenSSL are of a kind that still gets repairs",
    "holes in them are holes in us",
)
def versions(case: Case) -> Finding:
    extras = [f"{words} {'yes' if importlib.util.find_spec(name) else 'no'}" for name, words in EXTRAS]
    words = f"Python {platform.python_version()}, {ssl.OPENSSL_VERSION}, SQLite {sqlite3.sqlite_version}"
    words = f"{words}; {', '.join(extras)}"
    if sys.version_info < (3, 11) or ssl.OPENSSL_VERSION_INFO < (3, 0):
        return yellow(words, "apt-get update && apt-get upgrade, then start again")
    return green(words)
