"""For processes under libfaketime 0.9, which refuses an absolute clock_nanosleep: `time.sleep` by `select`.

Python finds it by PYTHONPATH; nothing else of a role is changed.
"""

from __future__ import annotations

import select
import time


def _sleep(seconds: float) -> None:
    select.select([], [], [], seconds)


time.sleep = _sleep  # type: ignore[assignment]
