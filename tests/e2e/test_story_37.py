"""Story 37: the log as an auditor takes it away from the page, checked elsewhere; every tampering is named."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.demo import mails
from gateway.demo.clinic import Clinic
from tests.e2e.test_story_11 import FORM, Desk

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def taken(clinic: Clinic, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, bytes, Desk]:
    """The export from the page, its key as the page shows it, and an old notice; the desk it came from."""
    mails.submit(clinic, mails.lab_report(), implicit_tls=False)
    notice = clinic.sink.wait_for(mails.MARGUERITE)[0].everything()
    desk = Desk(clinic, clinic.olga)
    page = desk.get("/audit/verify").text
    key = re.search(r'data-part="vkey">([^<]+)<', page)
    assert key is not None
    answer = desk.post("/audit/export", page)
    assert answer.headers["content-type"] == "application/zip"
    folder = tmp_path_factory.mktemp("taken")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        archive.extractall(folder)
    return folder / "log", key[1].replace("&#43;", "+"), notice, desk


def check(directory: Path, key: str, *more: str) -> tuple[int, str]:
    """The command as a stranger runs it: no configuration, no network, another folder."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "audit", "verify", "log", "--key", key, *more],
        cwd=directory.parent, capture_output=True, text=True, timeout=120, check=False, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_the_export_holds_with_the_key_on_the_page_and_with_an_old_notice(
    taken: tuple[Path, str, bytes, Desk], tmp_path: Path
) -> None:
    directory, key, notice, desk = taken
    status, said = check(directory, key)
    assert status == 0, said
    (tmp_path / "old.eml").write_bytes(notice)
    status, said = check(directory, key, "--checkpoint", str(tmp_path / "old.eml"))
    assert status == 0, said
    assert "the notice fits" in said
    page = desk.get("/audit/verify").text
    token = re.search(r'name="csrf" value="([^"]*)"', page)
    assert token is not None
    answer = desk.client.post(
        "/audit/verify", data={"csrf": token[1]}, files={"notice": ("old.eml", notice, "message/rfc822")}, headers=FORM
    )
    assert 'data-result="fits"' in answer.text


def _flip(directory: Path) -> None:
    path = next(path for path in sorted((directory / "tile" / "entries").rglob("*")) if path.is_file())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def _row(directory: Path) -> None:
    lines = (directory / "entries.jsonl").read_bytes().splitlines(keepends=True)
    (directory / "entries.jsonl").write_bytes(b"".join(lines[:3] + lines[4:]))


def _head(directory: Path) -> None:
    lines = (directory / "entries.jsonl").read_bytes().splitlines(keepends=True)
    (directory / "entries.jsonl").write_bytes(b"".join(lines[2:]))


def _fork(directory: Path) -> None:
    text = (directory / "checkpoint").read_text().split("\n")
    text[1] = str(int(text[1]) - 1)
    (directory / "checkpoint").write_text("\n".join(text))


@pytest.mark.parametrize("change", [_flip, _row, _head, _fork], ids=["byte", "row", "start", "fork"])
def test_each_tampering_is_detected(
    taken: tuple[Path, str, bytes, Desk], tmp_path: Path, change: Callable[[Path], None]
) -> None:
    import shutil

    directory, key, _, _ = taken
    copy = tmp_path / "log"
    shutil.copytree(directory, copy)
    assert check(copy, key)[0] == 0
    change(copy)
    status, said = check(copy, key)
    assert status == 1, said
    assert "TAMPERED" in said
