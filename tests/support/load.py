"""Time on a machine that has other things to do.

Waiting for something that must happen, and for which nobody promised a second, takes `PATIENCE`. What the product
promises within so many seconds it promises on a machine that has room for it: `stretched` lengthens those seconds by
what others take away at this moment.
"""

from __future__ import annotations

import os

PATIENCE = 60.0
"""Seconds."""


def stretched(seconds: float) -> float:
    """`seconds`, longer where more processes want to run than there are processors (getloadavg(3), the last minute)."""
    busy = os.getloadavg()[0] / len(os.sched_getaffinity(0))
    return seconds * max(1.0, 1.5 * busy)
