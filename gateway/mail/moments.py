"""Days and times in words, the same in every mail and on every page: `Friday 4 December 2026, 5:00 pm Central time`.

Promises: the machine's locale changes nothing; a moment is said on the wall clock that it carries, and with its zone in
words where people have words for it (PAGES 2.2).
"""

from __future__ import annotations

from datetime import datetime

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
           "December")  # fmt: skip
_ZONES = {
    "EST": "Eastern time", "EDT": "Eastern time", "CST": "Central time", "CDT": "Central time",
    "MST": "Mountain time", "MDT": "Mountain time", "PST": "Pacific time", "PDT": "Pacific time",
    "AKST": "Alaska time", "AKDT": "Alaska time", "HST": "Hawaii time",
}  # fmt: skip


def whole(there: datetime) -> str:
    """`Friday 4 December 2026, 5:00 pm Central time`."""
    return f"{day(there)}, {clock(there)} {zone(there)}"


def day(there: datetime) -> str:
    """`Friday 4 December 2026`."""
    return f"{_DAYS[there.weekday()]} {there.day} {_MONTHS[there.month - 1]} {there.year}"


def brief(there: datetime) -> str:
    """`Fri 4 Dec 2026, 5:00 pm`, where the zone is said beside it."""
    return f"{_DAYS[there.weekday()][:3]} {there.day} {_MONTHS[there.month - 1][:3]} {there.year}, {clock(there)}"


def clock(there: datetime) -> str:
    """`5:00 pm`."""
    return f"{there.hour % 12 or 12}:{there.minute:02d} {'am' if there.hour < 12 else 'pm'}"


def zone(there: datetime) -> str:
    """The moment's zone in words, or as it is called where there are none; an offset is said as such."""
    name = there.tzname() or ""
    return _ZONES.get(name, f"UTC{name}" if name[:1] in ("+", "-") else name)


def zone_in_words(there: datetime) -> str:
    """The zone in words that are right all year; empty where people have none."""
    return _ZONES.get(there.tzname() or "", "")
