"""`sealgate audit`, run as the command runs it."""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import pytest

from gateway.audit.event import Action
from gateway.cli import audit as command
from gateway.cli import main
from gateway.errors import Misconfigured
from tests.unit.audit.conftest import TENANT, House


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(list(words))


def live(house: House, searched: list[str] | None = None) -> command.Installation:
    notes = searched if searched is not None else []
    return command.Installation(
        audit=house.audit, keyholder=house.notary, default_tenant=None,
        before_export=lambda tenant: house.sequencer.run_once() and None,
        after_search=lambda tenant, query: notes.append(query),
    )  # fmt: skip


def test_export_key_verify(house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    house.open_object("obj_1")
    assert command.run_live(parsed("key"), live(house)) == 0
    vkey = capsys.readouterr().out.strip()
    directory = tmp_path / "export"
    assert command.run_live(parsed("export", str(directory)), live(house)) == 0
    assert "2 entries" in capsys.readouterr().out
    for key in (vkey, str(directory / "vkey")):
        assert main(["audit", "verify", str(directory), "--key", key]) == 0
        assert "holds" in capsys.readouterr().out


def test_one_changed_byte_exits_1_and_names_its_entry(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    house.happen(count=20)
    directory = tmp_path / "export"
    command.run_live(parsed("export", str(directory)), live(house))
    path = directory / "entries.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[13] = lines[13].replace(b"obj_1", b"obj_2")
    path.write_bytes(b"\n".join(lines))
    capsys.readouterr()
    assert main(["audit", "verify", str(directory), "--key", str(directory / "vkey")]) == 1
    out = capsys.readouterr().out
    assert "TAMPERED: entry 13:" in out
    assert "DOES NOT HOLD" in out
    assert main(["audit", "verify", str(directory), "--key", str(directory / "vkey"), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["holds"] is False
    assert report["problems"][0]["entry"] == 13


def test_a_changed_key_file_in_the_export_exits_1(house: House, tmp_path: Path) -> None:
    directory = tmp_path / "export"
    command.run_live(parsed("export", str(directory)), live(house))
    path = directory / "vkey"
    data = path.read_bytes()
    for at in range(len(data) - 1):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert main(["audit", "verify", str(directory), "--key", str(path)]) == 1


def test_wrong_usage_is_not_called_tampered(house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "export"
    command.run_live(parsed("export", str(directory)), live(house))
    assert main(["audit", "verify", str(directory), "--key", "nonsense"]) == 78
    assert "--key" in capsys.readouterr().err
    assert main(["audit", "verify", str(tmp_path / "none"), "--key", "nonsense"]) == 78


def test_disclosures_are_printed_and_the_export_holds(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    house.open_object("obj_7", log=False)
    directory = tmp_path / "export"
    command.run_live(parsed("export", str(directory)), live(house))
    assert main(["audit", "verify", str(directory), "--key", str(directory / "vkey")]) == 0
    assert "disclosure: release without an opening: keyholder entry 1  share:released  obj_7" in capsys.readouterr().out


def test_an_address_to_search_for_is_read_from_standard_input(
    house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("recipient:maria@mail.example\n created:2026-11-01..2026-11-07\n"))
    words = command.words_of(["action:object:opened", "-"])
    assert words == "action:object:opened recipient:maria@mail.example created:2026-11-01..2026-11-07"
    assert capsys.readouterr().err == ""
    assert command.words_of(["proof:2"]) == "proof:2"  # nothing is read that was not asked for
    monkeypatch.setattr("sys.stdin", io.StringIO("action:object:opened\n"))
    house.open_object("obj_1")
    queries: list[str] = []
    assert command.run_live(parsed("search", "-"), live(house, queries)) == 0
    assert queries == ["action:object:opened"]
    assert "object:opened" in capsys.readouterr().out


def test_an_address_on_the_command_line_is_said_to_be_visible_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.words_of(["recipient:maria@mail.example"]) == "recipient:maria@mail.example"
    said = capsys.readouterr().err
    assert "audit search -" in said
    assert "maria" not in said


def test_search_prints_each_event_with_its_proof_level(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.open_object("obj_1", proof=2)
    house.happen(Action.LINK_REFUSED, object="lnk_1", outcome="refused", reason="revoked", proof=0)
    queries: list[str] = []
    assert command.run_live(parsed("search", "action:object:opened"), live(house, queries)) == 0
    out = capsys.readouterr().out
    assert "object:opened  obj_1  by per_1  ok  proof 2 text or staff code, card or TOTP" in out
    assert queries == ["action:object:opened"]
    command.run_live(parsed("search", "--json", "outcome:refused"), live(house))
    (found,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (found["entry"], found["action"], found["reason"], found["proof"]) == (2, "link:refused", "revoked", 0)


def test_a_tenant_is_found_by_name_or_id_and_an_unknown_one_is_refused(house: House) -> None:
    assert command.tenant_of(live(house), None) == TENANT
    assert command.tenant_of(live(house), "clinic") == TENANT
    assert command.tenant_of(live(house), TENANT) == TENANT
    with pytest.raises(Misconfigured, match="did you mean 'clinic'"):
        command.tenant_of(live(house), "clinik")
