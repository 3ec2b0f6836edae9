"""Commands from the process that has them imported: each is a process of its own, and answers as a fresh one does."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.demo.clinic import Clinic, started
from tests.support import warm

ENVIRON = {"PATH": os.environ.get("PATH", "")}


def said(done: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "words",
    [["--version"], ["nonsense"], ["user"], ["check", "--example"], ["check", "--config", "/none.toml"]],
    ids=["version", "unknown", "usage", "output", "error"],
)
def test_a_warm_command_ends_and_speaks_as_a_fresh_one(words: list[str]) -> None:
    command = [*Clinic.program, *words]
    fresh = said(started(command, stdin="", environ=ENVIRON, timeout=60))
    assert said(warm.run(command, stdin="", environ=ENVIRON, timeout=60)) == fresh
    assert fresh[1] + fresh[2]


def test_environment_and_folder_are_the_callers(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(str(tmp_path))
    for name in ("here", "there"):
        with open(f"{name}.toml", "w") as file:
            file.write(f'[tenant]\nname = "{name}!"\n')
    command = [*Clinic.program, "check"]
    first, second = (
        warm.run(command, stdin="", environ={**ENVIRON, "SEALGATE_CONFIG": f"{name}.toml"}, timeout=60)
        for name in ("here", "there")
    )
    assert first.returncode == second.returncode == 78
    assert "here.toml:2" in first.stderr
    assert "there.toml:2" in second.stderr


def test_many_at_once_get_their_own_answers() -> None:
    def asked(name: str) -> str:
        return warm.run([*Clinic.program, name], stdin="", environ=ENVIRON, timeout=60).stderr

    names = [f"unknown-{number}" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for name, answer in zip(names, pool.map(asked, names), strict=True):
            assert f"'{name}'" in answer


def test_another_program_is_started_itself() -> None:
    done = warm.run([sys.executable, "-c", "print(input())"], stdin="told\n", environ=ENVIRON, timeout=60)
    assert said(done) == (0, "told\n", "")
