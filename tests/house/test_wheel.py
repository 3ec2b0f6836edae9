"""The wheel carries what runs, and nothing else; building it twice gives the same bytes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.house.tree import ROOT, product, tracked

_FORBIDDEN = ("tests/", "deploy/", ".ci/", ".git", "web/")


def build(folder: Path) -> Path:
    folder.mkdir()
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel") / "first")


def test_wheel_carries_packages_pages_policies_and_licence(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {str(path.relative_to(ROOT)) for path in product()}
    for path in tracked():
        parts = path.relative_to(ROOT).parts
        if parts[0] == "web":
            expected.add("/".join(["gateway/_assets", *parts]))
        elif parts[:2] in (("deploy", "policies"), ("deploy", "systemd")):
            expected.add("/".join(["gateway/_assets", *parts[1:]]))
        elif parts[0] in ("gateway", "keys"):
            expected.add("/".join(parts))
    assert not expected - names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(_FORBIDDEN) or name.endswith(".pyc")]


def test_wheel_runs_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    script = "import gateway.assets as a; assert (a.web_dir() / 'text').is_dir(), a.web_dir(); print(a.policies_dir())"
    environ = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(tmp_path / "site/gateway/_assets/policies")


def test_command_is_declared(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (entry,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    assert "sealgate = gateway.cli:main" in archive.read(entry).decode()


def test_building_twice_gives_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    first, second = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (wheel, build(tmp_path / "second")))
    assert first == second
