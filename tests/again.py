"""The second chance: a few tests of whole servers that failed beside others are run once more, alone.

A test that fails beside others and passes alone says something about the machine or about itself, and nothing about the
product; it is called unsteady in the account, with what it said, and is a defect of the tests that is to be mended.

Promises: only tests of `ROOMS`, at most `MOST` of them, once; a failure that hypothesis made, a crashed process, an
error of collection or of pytest itself gets no second chance, nor does anything beside it; the second run is a fresh
process, one test after the other; a single failure there leaves all as it was.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOMS = frozenset(
    ["e2e", "drills", *(f"unit/{room}" for room in ("portal", "smtp", "courier", "bench", "doctor", "store"))]
)
"""Where servers or browsers are started."""

MOST = 5
NEVER = ("Falsifying example", "crashed while running")
"""What a report says that found a value for which the product is wrong, or that ended its process."""

TAIL_LINES = 25


def room_of(nodeid: str) -> str:
    """The room of a test: the first folder under `tests`, and the next one under `tests/unit`."""
    parts = Path(nodeid.split("::")[0]).parts
    return "/".join(parts[1:3] if parts[1:2] == ("unit",) else parts[1:2])


class Failures:
    """A plugin that keeps what failed, by test, and whether anything but tests did."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}
        self.passed: set[str] = set()
        self.final = False
        self.places: list[str] = []

    def pytest_configure(self, config: pytest.Config) -> None:
        self.places = list(config.option.file_or_dir)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.passed and report.when == "call":
            self.passed.add(report.nodeid)
        if not report.failed:
            return
        whole = "\n".join([report.longreprtext, *(text for _, text in report.sections)])
        self.final = self.final or any(word in whole for word in NEVER)
        self.said.setdefault(report.nodeid, report.longreprtext)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.final = self.final or report.failed

    def pytest_internalerror(self) -> None:
        self.final = True

    def may_try_again(self, code: int) -> bool:
        """Whether all that failed may be run once more; `code` is pytest's exit status."""
        return (
            code == pytest.ExitCode.TESTS_FAILED
            and not self.final
            and 0 < len(self.said) <= MOST
            and all(room_of(test) in ROOMS for test in self.said)
        )

    def try_again(self, options: Sequence[str]) -> bool:
        """Run them alone with these options of pytest; whether all passed. Prints what that run said, indented."""
        kept = [one for one in options if one not in self.places]
        command = [sys.executable, "-m", "pytest", "-q", *kept, "-n", "0", *self.said]
        print(f"\n{len(self.said)} failed beside others; now alone, in a process of their own:", flush=True)
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        print("\n".join(f"  | {line}" for line in done.stdout.splitlines()), flush=True)
        return done.returncode == pytest.ExitCode.OK

    def closing(self, seconds: float, unsteady: bool) -> str:
        """The line that ends the run, in pytest's form, where pytest's own is no longer the last word."""
        held, bad = len(self.passed - set(self.said)), len(self.said)
        words = f"{held + bad} passed, {bad} of them only alone," if unsteady else f"{bad} failed, {held} passed"
        return f"{'=' * 18} {words} in {seconds:.2f}s {'=' * 18}"

    def account(self) -> list[str]:
        """Each with the end of what it said the first time."""
        found = []
        for test, said in sorted(self.said.items()):
            found.append(f"  unsteady: {test} (failed beside others, passed alone)")
            found += [f"    | {line}" for line in said.splitlines()[-TAIL_LINES:]]
        return found
