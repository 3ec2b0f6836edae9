"""The door to the tests itself: what is skipped is said, and in CI it is an error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT
from tests.support import needs

SAMPLE = """\
import os
import pytest

def test_skipped():
    pytest.skip("prince is not installed (apt-get install prince)")

def test_our_variables_are_gone():
    assert not [name for name in os.environ if name.startswith("SEALGATE_")]
"""


def run(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    file = folder / "test_sample.py"
    file.write_text(SAMPLE)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.conftest",
        "-c",
        os.devnull,
        "--rootdir",
        str(folder),
        str(file),
    ]
    clean = {name: value for name, value in os.environ.items() if name != "CI"} | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=clean | environ, capture_output=True, text=True, check=False)


def test_skip_is_allowed_at_home_and_our_variables_are_removed(tmp_path: Path) -> None:
    done = run(tmp_path, SEALGATE_SMTP__LISTEN="127.0.0.1:1")
    assert done.returncode == 0, done.stdout
    assert "1 passed, 1 skipped" in done.stdout


def test_skip_is_an_error_in_ci_and_says_why(tmp_path: Path) -> None:
    done = run(tmp_path, CI="true")
    assert done.returncode == 1
    assert "apt-get install prince" in done.stdout
    assert "1 failed, 1 passed" in done.stdout


@pytest.mark.parametrize(
    ("value", "answer"), [("", False), ("false", False), ("0", False), ("true", True), ("1", True)]
)
def test_ci_is_read_as_people_write_it(monkeypatch: pytest.MonkeyPatch, value: str, answer: bool) -> None:
    monkeypatch.setenv("CI", value)
    assert needs.in_ci() is answer


def test_bootstrap_names_every_package_the_tests_need() -> None:
    script = (ROOT / "deploy/bootstrap.sh").read_text(encoding="utf-8")
    for package in ("chromium", "postfix", "postgresql", "swaks", "curl", "strace", "procps"):
        assert f"|{package}|" in script
