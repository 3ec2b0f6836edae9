"""The door's second chance: for a few tests of whole servers, once, alone, said plainly; for nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.again import MOST, NEVER, ROOMS, Failures, room_of
from tests.house.tree import ROOT

UNSTEADY = """\
from pathlib import Path

def test_steady():
    pass

def test_once():
    flag = Path(__file__).with_name("flag")
    if not flag.exists():
        flag.touch()
        assert False, "beside others"
"""
RED = "def test_red():\n    assert 1 == 2\n"
GREEN = "def test_green():\n    pass\n"
PROPERTY = """\
from pathlib import Path
from hypothesis import given, strategies

@given(strategies.integers())
def test_property(number):
    flag = Path(__file__).with_name("flag")
    flag.touch() if not flag.exists() else None
    assert number < 0 or flag.stat().st_size
"""


def door(folder: Path, *options: str, **files: str) -> tuple[int, str, str]:
    """Run the door on a folder with these rooms' tests; exit status, ci's last line, the account."""
    for room, text in files.items():
        place = folder / "tests" / room.replace("_", "/")
        place.mkdir(parents=True)
        (place / f"test_{room}.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "tests", "full", "-p", "tests.conftest", "-p", "no:cacheprovider", "-c", os.devnull,
         "--rootdir", str(folder), *options, str(folder / "tests")],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    pattern = re.search(r"grep -E '(.+?)'", (ROOT / ".ci" / "run").read_text())
    assert pattern is not None
    (*_, last) = [line for line in done.stdout.splitlines() if re.search(pattern[1], line)]
    return done.returncode, last.strip("= "), done.stderr


def test_what_passes_alone_is_green_and_named_as_unsteady(tmp_path: Path) -> None:
    code, last, account = door(tmp_path, e2e=UNSTEADY, unit_keys=GREEN)
    assert code == 0
    assert last.startswith("3 passed, 1 of them only alone, in ")
    assert "unsteady: tests/e2e/test_e2e.py::test_once (failed beside others, passed alone)" in account
    assert "AssertionError: beside others" in account


def test_what_fails_again_is_red(tmp_path: Path) -> None:
    code, last, account = door(tmp_path, "-n", "0", e2e=UNSTEADY, drills=RED)
    assert (code, last.split(" in ")[0]) == (1, "2 failed, 1 passed")
    assert "unsteady" not in account


def test_a_counterexample_is_red_at_once(tmp_path: Path) -> None:
    code, _, account = door(tmp_path, "-n", "0", unit_store=PROPERTY)
    assert code == 1
    assert "unsteady" not in account


def failed(*tests: str, said: str = "AssertionError") -> Failures:
    found = Failures()
    for test in tests:
        report = pytest.TestReport(test, ("", 0, ""), {}, "failed", said, "call")
        found.pytest_runtest_logreport(report)
    return found


def test_only_a_few_of_the_named_rooms_and_no_crash_may_try_again() -> None:
    tests = [f"tests/e2e/test_a.py::test_{number}" for number in range(MOST + 1)]
    assert failed(*tests[:MOST]).may_try_again(1)
    assert not failed(*tests).may_try_again(1)
    assert not failed().may_try_again(1)
    assert [code for code in range(6) if failed(tests[0]).may_try_again(code)] == [1]
    assert not failed(tests[0], "tests/unit/keys/test_b.py::test_c").may_try_again(1)
    uncollected = failed(tests[0])
    uncollected.pytest_collectreport(pytest.CollectReport("tests/e2e/test_d.py", "failed", "ImportError", []))
    assert not uncollected.may_try_again(1)
    assert not any(failed(tests[0], said=f"worker 'gw1' {words} it").may_try_again(1) for words in NEVER)
    assert all((ROOT / "tests" / room).is_dir() for room in ROOMS)
    assert room_of("tests/unit/keys/test_a.py::test_b[c::d]") == "unit/keys"
    assert room_of("tests/house/test_again.py::test_b") == "house"
