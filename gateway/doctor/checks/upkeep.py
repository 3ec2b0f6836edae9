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
from gateway.doctor.finding import Finding, check, green, red, yellow

HOUR = 3600.0
OUTSIDE_DAYS = 7
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
