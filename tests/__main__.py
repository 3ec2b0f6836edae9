"""The one door to the tests: `python -m tests fast|full|nightly [pytest arguments]`.

Prints what ran, how long each room took, and what was skipped for want of what. `fast` leaves out what is marked `full`
or `nightly`, `full` leaves out `nightly`. Properties get 50, 500 or 20,000 examples. The exit code is pytest's, but for
a few tests of whole servers that failed beside others and passed alone (`tests/again.py`): those are named as unsteady.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter, defaultdict

import pytest

from tests.again import Failures, room_of

TIERS = {"fast": "not full and not nightly", "full": "not nightly", "nightly": ""}


class Ledger:
    """Counts and seconds per room, and the reasons of skips."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.skipped: Counter[str] = Counter()
        self.slowest: list[tuple[float, str]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        room = room_of(report.nodeid)
        self.seconds[room] += report.duration
        if report.when == "call":
            self.count[room] += 1
            self.slowest.append((report.duration, report.nodeid))
        if report.skipped and isinstance(report.longrepr, tuple):
            self.skipped[str(report.longrepr[2]).removeprefix("Skipped: ")] += 1

    def lines(self, tier: str, seconds: float) -> list[str]:
        """The account, for people."""
        found = [f"tests: tier {tier}, {sum(self.count.values())} ran in {seconds:.0f} s"]
        found += [f"  {self.seconds[room]:7.1f} s  {self.count[room]:5d}  {room}" for room in sorted(self.seconds)]
        found += [f"  slowest: {took:.1f} s {name}" for took, name in sorted(self.slowest, reverse=True)[:5]]
        if self.skipped:
            found += [f"  skipped {count}: {reason}" for reason, count in sorted(self.skipped.items())]
        else:
            found.append("  nothing was skipped")
        return found


def main(arguments: list[str]) -> int:
    """Run one tier; extra arguments go to pytest."""
    tier = arguments[0] if arguments else "fast"
    if tier not in TIERS:
        print(f"usage: python -m tests {'|'.join(TIERS)} [pytest arguments]", file=sys.stderr)
        return 64
    ledger, failures, start = Ledger(), Failures(), time.monotonic()
    # A file at a time in each process, in the order of their names: drills and whole servers, the longest, come first.
    # One process more than there are processors: a third of their time most tests wait for servers they started.
    processes = min(4, len(os.sched_getaffinity(0)) + 1)
    by_hand = bool({"-x", "--pdb"} & set(arguments))
    spread = ["-n", str(processes), "--dist", "loadfile", "--no-loadscope-reorder"]
    side_by_side = [] if by_hand or "-n" in arguments else spread
    options = [f"--hypothesis-profile={tier}", *(["-m", TIERS[tier]] if TIERS[tier] else []), *arguments[1:]]
    code = int(pytest.main([*side_by_side, *options], plugins=[ledger, failures]))
    unsteady = not by_hand and failures.may_try_again(code)
    if unsteady:
        unsteady = failures.try_again(options)
        code = 0 if unsteady else code
        print(failures.closing(time.monotonic() - start, unsteady))
    sys.stdout.flush()
    account = ledger.lines(tier, time.monotonic() - start) + (failures.account() if unsteady else [])
    print("\n".join(account), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
