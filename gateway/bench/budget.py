"""Part of `sealgate bench vault`: others' downloads while one patient's budget of releases is spent and asked for on.

The one has a message of more files than an hour's budget, and asks the keyholder for all of them again and again from
four threads, as somebody who owns a portal could; the other downloads beside it, through the portal. DESIGN §4b 4.
"""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from gateway.bench import letters
from gateway.bench.contenders import Sealgate
from gateway.bench.load import StampedSink, transfer
from gateway.bench.measure import Figure, Spread, percentile, say
from gateway.bench.portal import Target, files_of, walk
from gateway.bench.readers import fetch
from gateway.demo.clinic import PEOPLE
from gateway.errors import TryLater
from keys.client import PortalClient
from keys.errors import Denied

OURS, ALONE = "Sealgate", "Sealgate with nobody beside"
FILES, THREADS = 64, 4
OTHER = PEOPLE[1][0]
_PAUSE_SECONDS = 0.35  # a link has so many requests a minute


def figure(ours: Sealgate, sink: StampedSink, target: Target, data: Path, *, quick: bool) -> Figure:
    """p99 of small openings by others. Raises TryLater when the budget was not spent, so that nothing was shown."""
    assert ours.clinic is not None
    count = 10 if quick else 100
    _, arrival = transfer(ours.port, sink, letters.many(OTHER, FILES))
    visitor, page, _ = walk(ours.clinic, arrival.link, OTHER)
    files = files_of(ours.clinic, visitor, page)
    pause = 0.02 if quick else _PAUSE_SECONDS
    alone = _taken(target, count, pause)
    greedy = _Greedy(data, files)
    try:
        greedy.spent()
        beside = _taken(target, count, pause)
    finally:
        asked = greedy.stop()
    say(f"vault, beside a spent budget: p99 {percentile(beside, 0.99):.0f} ms, {asked} refusals")
    return Figure(
        f"others' openings beside one patient who asks on past the budget ({len(files)} files, {THREADS} threads): p99",
        "ms", {OURS: Spread.of([percentile(beside, 0.99)]), ALONE: Spread.of([percentile(alone, 0.99)])},
        "≤ 1000 ms", False,
    )  # fmt: skip


class _Greedy:
    """Asks for every file without end."""

    def __init__(self, data: Path, files: list[Target]) -> None:
        (place,) = data.rglob("portal.sock")
        self._keyholder = PortalClient(place)
        cookies = dict(one.strip().split("=", 1) for one in files[0][1]["Cookie"].split(";"))
        self._handle = next(
            value for name, value in cookies.items() if name.removeprefix("__Host-").startswith("session-")
        )
        self._parts = [urlsplit(url).path.split("/") for url, _ in files]
        self._end, self._refused = threading.Event(), threading.Event()
        self._count = 0
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(n,), daemon=True) for n in range(THREADS)]
        for one in self._threads:
            one.start()

    def spent(self) -> None:
        """Wait until the keyholder refuses. Raises TryLater."""
        if not self._refused.wait(60):
            raise TryLater("the budget of the benchmark's patient was never spent")

    def stop(self) -> int:
        """Ask no more; how many refusals there were."""
        self._end.set()
        for one in self._threads:
            one.join()
        self._keyholder.close()
        return self._count

    def _ask(self, thread: int) -> None:
        number = 0
        while not self._end.is_set():
            for parts in self._parts:
                number += 1
                try:
                    request = f"req_greedy{thread}x{number}"
                    self._keyholder.release(self._handle, f"lnk_{parts[2]}", parts[4], "greed", request)
                except Denied as denied:
                    if denied.reason == "person-budget":
                        self._refused.set()
                        with self._lock:
                            self._count += 1


def _taken(target: Target, count: int, pause_seconds: float) -> list[float]:
    """Milliseconds to the last byte of a first KiB, again and again."""
    taken = []
    for _ in range(count):
        with contextlib.suppress(OSError):
            taken.append(fetch(target[0], target[1]["Cookie"], "Range: bytes=0-1023\r\n")[2] * 1000)
        time.sleep(pause_seconds)
    if len(taken) < count * 0.9:
        raise TryLater("others' downloads failed beside a spent budget")
    return taken
