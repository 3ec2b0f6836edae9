"""What we build on: each with its reason, pinned by hash, and its licence told."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib

from tests.house.tree import ROOT

PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def locked() -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==([^\s\\;]+)", LOCK, re.MULTILINE))


def test_every_dependency_says_what_it_is_for() -> None:
    lines = re.findall(r'^    "[A-Za-z0-9_.\[\]-]+[<>=~!].*$', PYPROJECT, re.MULTILINE)
    assert len(lines) > 30
    silent = [line.strip() for line in lines if not re.search(r'",\s+# \S.{3,}', line)]
    assert not silent


def test_every_dependency_is_locked_by_hash() -> None:
    project = tomllib.loads(PYPROJECT)["project"]
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    names = {re.split(r"[\[<>=~! ;]", line)[0].lower().replace("_", "-") for line in wanted}
    assert names <= set(locked()), sorted(names - set(locked()))
    for lock in (LOCK, (ROOT / "deploy/uv.lock.txt").read_text(encoding="utf-8")):
        entries = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)[1:]
        assert all("--hash=sha256:" in entry for entry in entries)
        assert not re.search(r"https?:", lock)


def test_environment_is_the_locked_one() -> None:
    other = {}
    for name, version in locked().items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed = "absent"
        if installed != version:
            other[name] = f"{installed} instead of {version}"
    assert not other


def test_notice_names_every_dependency_with_a_copyleft_licence() -> None:
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8").lower()
    missing = []
    for name in locked():
        data = importlib.metadata.metadata(name)
        words = " ".join(
            [data.get("License-Expression") or "", data.get("License") or "", *(data.get_all("Classifier") or [])]
        )
        if re.search(r"\b[LA]?GPL|MPL|Mozilla|GNU ", words[:4000]) and not re.search(
            rf"^\* {re.escape(name)} ", notice, re.MULTILINE
        ):
            missing.append(name)
    assert not missing
