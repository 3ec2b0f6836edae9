"""`sealgate keys recovery make` and `check`, which need no installation, and what is refused before a code is spent."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.cli._recovered import _plain
from keys import kit


def make(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> tuple[int, str]:
    status = main(["keys", "recovery", "make", "--clinic", "Elm <Street> & Co", "--to", str(folder), "--json", *words])
    out = capsys.readouterr()
    return status, out.out or out.err


def test_a_kit_is_made_in_a_new_folder_that_nobody_else_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "kit"
    status, said = make(capsys, folder, "--shares", "2-of-3")
    assert status == 0
    answer = json.loads(said)
    assert (answer["needed"], answer["sheets"]) == (2, 3)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
    sheets = [kit.parse((folder / f"sheet-{number}.txt").read_text()) for number in (1, 2, 3)]
    public = kit.parse_public((folder / "public.txt").read_text())
    assert kit.joined([one.words for one in sheets[:2]]).public == public.public
    for sheet in sheets:
        assert sheet.words not in said
        page = (folder / f"sheet-{sheet.number}.html").read_text()
        assert "Elm &lt;Street&gt; &amp; Co" in page
        assert all(f"<li>{word}</li>" in page for word in sheet.words.split())
        assert kit.check_words(sheet.check) in page
        assert "<svg" in page
        assert "http" not in page.replace("http://www.w3.org/2000/svg", ""), "nothing is fetched"
    assert not any(one.words.split()[5] in (folder / "public.txt").read_text().split() for one in sheets)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert make(capsys, folder)[0] == 78, "a second kit never takes the place of the first"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_sheets_are_checked_away_from_any_installation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(capsys, tmp_path / "kit", "--shares", "2-of-2")
    one, two = (str(tmp_path / "kit" / f"sheet-{number}.txt") for number in (1, 2))
    assert main(["keys", "recovery", "check", "--kit", one, "--kit", two, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer["checks"]) == {"1", "2"}
    assert main(["keys", "recovery", "check", "--kit", one]) == 78
    assert "2 different sheets are needed, and 1" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--shares", "1-of-3"], ["--shares", "none"]], ids=["each-alone", "word"])
def test_a_split_that_would_protect_nothing_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert make(capsys, tmp_path / "kit", *words)[0] == 78
    assert not (tmp_path / "kit").exists()


def test_a_public_half_that_was_changed_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(capsys, tmp_path / "kit")
    text = (tmp_path / "kit" / "public.txt").read_text()
    at = text.index("public: ") + 8
    for wrong in (
        "",
        text.replace("public-v1", "public-v2"),
        text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :],
    ):
        with pytest.raises(kit.BadKit):
            kit.parse_public(wrong)


@pytest.mark.parametrize(
    ("name", "kind", "kept"),
    [
        ("../../etc/passwd", "file", "passwd"), ("C:\\x\\scan.pdf", "file", "scan.pdf"),
        ("a\nb\u202egpj.exe", "file", "a_b_gpj.exe"),
        ("...", "file", "file"), ("", "body", "body.json"), ("x" * 300, "file", "x" * 100), ("é", "file", "file-é"),
    ],
    ids=["up", "windows", "control", "dots", "body", "long", "one"],
)  # fmt: skip
def test_names_from_a_message_are_never_paths(name: str, kind: str, kept: str) -> None:
    assert _plain(name, kind) == kept
