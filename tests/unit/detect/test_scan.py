"""`sealgate scan` keeps its contract."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.detect.model import SPAN_KINDS
from tests.unit.detect import samples


def lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str) -> tuple[int, list[dict]]:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    code = main(["scan", "--jsonl"])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_line_is_answered_with_exact_character_offsets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {
        "a": "Señora Núñez: Noël Labonté (DOB 3/4/1961) has diabetes, MRN 1234567, tel (212) 555-0123",
        "b": "soft\u00adhyphen Patient: Mary Jones, diabetes",
    }
    code, answers = lines(
        monkeypatch, capsys, "".join(json.dumps({"id": id, "text": text}) + "\n" for id, text in texts.items())
    )
    assert code == 0
    assert [one["id"] for one in answers] == ["a", "b"]
    for answer in answers:
        assert list(answer) == ["id", "phi", "score", "spans", "unread"]
        assert answer["phi"] is True
        assert 0 <= answer["score"] <= 1
        for span in answer["spans"]:
            assert span["type"] in SPAN_KINDS
            assert 0 < span["confidence"] <= 1
    found = {(span["type"], texts["a"][span["start"] : span["end"]]) for span in answers[0]["spans"]}
    assert {("NAME", "Noël Labonté"), ("DATE", "3/4/1961"), ("ID", "1234567"), ("PHONE", "(212) 555-0123")} <= found
    assert ("NAME", "Mary Jones") in {
        (span["type"], texts["b"][span["start"] : span["end"]]) for span in answers[1]["spans"]
    }


def test_offsets_count_in_subject_newline_body(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    subject, body = "Results", "SSN 536-22-8726, HIV positive"
    _, [answer] = lines(monkeypatch, capsys, json.dumps({"id": 7, "subject": subject, "body": body}) + "\n")
    assert answer["id"] == 7
    assert ("SSN", "536-22-8726") in {
        (one["type"], f"{subject}\n{body}"[one["start"] : one["end"]]) for one in answer["spans"]
    }


def test_clean_text_with_identifiers_has_spans_and_is_not_phi(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, [answer] = lines(
        monkeypatch, capsys, json.dumps({"id": 1, "text": "Lunch with Sarah Miller, call 415-555-2671"}) + "\n"
    )
    assert answer["phi"] is False
    assert {one["type"] for one in answer["spans"]} == {"NAME", "PHONE"}


def test_a_line_that_is_no_object_is_named_and_the_rest_is_answered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, answers = lines(monkeypatch, capsys, 'nonsense\n{"id": 2}\n{"id": 3, "text": "hi"}\n')
    assert code == 65
    assert [bool(one["unread"]) for one in answers] == [True, True, False]


def test_files_and_mails_are_scanned_without_a_word_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mail = tmp_path / "one.eml"
    mail.write_bytes(
        b"From: a@example.org\r\nTo: b@example.net\r\nSubject: Hello\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
        b"Mrs. Okonkwo (DOB 3/4/1961) has diabetes and takes metformin.\r\n"
    )
    page, picture = tmp_path / "menu.pdf", tmp_path / "photo.jpg"
    page.write_bytes(samples.pdf("Menu: soup and bread"))
    picture.write_bytes(b"\xff\xd8\xff\xe0" + b"x" * 200)
    assert main(["scan", "--json", str(mail), str(page), str(picture)]) == 0
    out = capsys.readouterr().out
    first, second, third = (json.loads(line) for line in out.splitlines())
    assert first["phi"] is True
    assert (second["phi"], second["unread"]) == (False, [])
    assert third["unread"][0]["reason"] == "a picture"
    assert "Okonkwo" not in out


def test_a_missing_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "/nowhere/at-all.txt"]) == 66
    assert "/nowhere/at-all.txt" in capsys.readouterr().err


def test_people_read_a_line_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    note = tmp_path / "n.txt"
    note.write_text("Patient: Mary Jones, DOB 1/2/1960, diabetes, metformin")
    assert main(["scan", str(note)]) == 0
    assert f"{note}: PHI, score" in capsys.readouterr().out
