"""Working time on a clinic's wall clock: Monday to Friday, 8 am to 5 pm. Pure.

Known limit: holidays are not known, here or anywhere; on a holiday the sender hears as on any other day of the week.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

OPENS, CLOSES = time(8), time(17)
SATURDAY = 5
DAY = timedelta(days=1)


def after_hours(start: datetime, working_for: timedelta, zone: str) -> datetime:
    """When so much working time has passed since `start`. Aware datetimes."""
    left = working_for
    day = start.astimezone(ZoneInfo(zone)).date()
    while True:
        opens, closes = (datetime.combine(day, at, ZoneInfo(zone)) for at in (OPENS, CLOSES))
        if day.weekday() < SATURDAY and start < closes:
            # Compared as moments, not as wall clocks: on the days of the change an hour is missing or twice there.
            begun = max(start.timestamp(), opens.timestamp())
            room = timedelta(seconds=closes.timestamp() - begun)
            if left <= room:
                return datetime.fromtimestamp(begun + left.total_seconds(), ZoneInfo(zone))
            left -= max(room, timedelta())
        day += DAY


def days_before(moment: datetime, days: int, zone: str) -> datetime:
    """The same time of day so many working days earlier."""
    local = moment.astimezone(ZoneInfo(zone))
    day = local.date()
    while days > 0:
        day -= DAY
        if day.weekday() < SATURDAY:
            days -= 1
    return datetime.combine(day, local.time(), ZoneInfo(zone))


def last_opening(moment: datetime, zone: str) -> datetime:
    """The last opening time at or before `moment`: when the day's digest is due."""
    day = moment.astimezone(ZoneInfo(zone)).date()
    while True:
        opens = datetime.combine(day, OPENS, ZoneInfo(zone))
        if day.weekday() < SATURDAY and opens <= moment:
            return opens
        day -= DAY
