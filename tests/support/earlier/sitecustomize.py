"""With this folder on PYTHONPATH, a Python process and its children live SEALGATE_TEST_SECONDS_AGO seconds in the past.

Only the time of day is moved, not the clock by which threads wait. Debian's faketime would move it for any program, but
its `clock_nanosleep` fails where Python sleeps.
"""

import datetime
import os
import time

_AGO = int(os.environ.get("SEALGATE_TEST_SECONDS_AGO", "0"))
_time, _time_ns = time.time, time.time_ns


class _Datetime(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "_Datetime":
        return cls.fromtimestamp(_time() - _AGO, tz)

    @classmethod
    def utcnow(cls) -> "_Datetime":
        return cls.fromtimestamp(_time() - _AGO, datetime.UTC).replace(tzinfo=None)


if _AGO:
    time.time = lambda: _time() - _AGO
    time.time_ns = lambda: _time_ns() - _AGO * 1_000_000_000
    datetime.datetime = _Datetime  # type: ignore[misc]
