"""What tests need of the machine: where it is, and in words what to install when it is absent."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Callable

import pytest

_SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def in_ci() -> bool:
    """Whether skips are errors."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")


def program(name: str) -> str | None:
    """The full path of a program, system folders included."""
    return shutil.which(name, path=_SYSTEM_PATH)


def need(name: str, package: str | None = None) -> str:
    """The full path of a program; skips the test, saying what to install, when it is absent."""
    found = program(name)
    if found is None:
        pytest.skip(f"{name} is not installed (apt-get install {package or name})")
    return found


def postgres_bin() -> str | None:
    """The folder with initdb and postgres of the newest PostgreSQL here."""
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda folder: int(folder.split("/")[4].split(".")[0]))
    return next((folder for folder in reversed(folders) if os.access(f"{folder}/initdb", os.X_OK)), None)


def chromium() -> str | None:
    """The system's Chromium."""
    return program("chromium") or program("chromium-browser")


def _without(found: Callable[[], object], sentence: str) -> Callable[[], str]:
    return lambda: "" if found() else sentence


MARKERS: dict[str, Callable[[], str]] = {
    "browser": _without(chromium, "Chromium is not installed (apt-get install chromium)"),
    "root": _without(lambda: os.geteuid() == 0, "needs root, to become other users"),
    "postfix": _without(lambda: program("postfix"), "Postfix is not installed (apt-get install postfix)"),
    "postgres": _without(postgres_bin, "PostgreSQL's server programs are not installed (apt-get install postgresql)"),
}
"""Marker to a function giving the reason to skip, or nothing."""
