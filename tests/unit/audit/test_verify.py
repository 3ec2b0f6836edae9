"""An export holds, and one changed byte anywhere in it is found and named."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.audit import sequencer as sequencer_module
from gateway.audit.event import SYSTEM, Action, Actor, Event
from gateway.audit.export import export, write_log
from gateway.audit.outside import notice_header
from gateway.audit.verify import Report, read_key, verify
from gateway.errors import Misconfigured, Tampered, TryLater
from keys import notes
from keys.encoding import canonical
from keys.merkle import Frontier, leaf_hash
from keys.tiles import Tile, parse_bundle, render_bundle
from tests.unit.audit.conftest import ORIGIN, TENANT, House


def put_out(house: House, directory: Path) -> Path:
    house.sequencer.run_once()
    export(directory, house.audit, TENANT, house.notary)
    return directory


def key(house: House) -> str:
    return house.notary.vkeys(TENANT)["log_vkey"]


def texts(report: Report) -> list[str]:
    return [str(problem) for problem in report.problems]


@pytest.fixture
def whole(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An export with openings, a notice's checkpoint, and system heads."""
    monkeypatch.setattr(sequencer_module, "HEADS_EVERY", sequencer_module.timedelta(0))
    for number in range(3):
        house.open_object(f"obj_{number}")
    house.open_object("msg_1", action="meta")
    house.happen(count=4)
    house.sequencer.run_once()
    house.sequencer.deposit(TENANT)
    house.happen(count=3)
    house.sequencer.run_once()
    return put_out(house, tmp_path / "export")


def test_an_export_holds(house: House, whole: Path) -> None:
    report = verify(whole, key(house))
    assert texts(report) == []
    assert report.holds
    assert report.disclosures == ()
    assert report.sizes == {"log": 12, "keyholder": 5, "system": 3}
    assert report.outside == 1
    assert report.origin == ORIGIN
    assert read_key(str(whole / "vkey")) == read_key(key(house)) == key(house)


@pytest.mark.parametrize("count", [255, 256, 257, 600])
def test_logs_of_every_shape_hold(house: House, tmp_path: Path, count: int) -> None:
    house.happen(count=count - 1)
    directory = put_out(house, tmp_path / "export")
    assert texts(verify(directory, key(house))) == []
    tile = Tile(None, 0, min(count, 256))
    assert len(parse_bundle(tile, (directory / tile.path).read_bytes())) == tile.width


@pytest.mark.parametrize("head", ["1 a", "1 !!!!", "1", "1 AAAA", "-1 AAAA", "x AAAA", ""])
def test_a_head_in_the_system_log_that_is_none_is_a_problem_of_its_entry(
    house: House, tmp_path: Path, head: str
) -> None:
    house.happen(Action.LOG_CHECKPOINT, tenant=SYSTEM, object=TENANT, reason=head)
    (found,) = texts(verify(put_out(house, tmp_path / "export"), key(house)))
    assert found.startswith("system: entry 1: records a head that ")


def test_it_is_a_tlog_tiles_directory(house: House, whole: Path) -> None:
    files = {path.relative_to(whole).as_posix() for path in whole.rglob("*") if path.is_file()}
    own = {"checkpoint", "vkey", "entries.jsonl", "tile/0/000.p/12", "tile/entries/000.p/12"}
    assert own | {"outside.json"} <= files
    assert {f"keyholder/{name.replace('12', '5')}" for name in own} <= files
    lines = (whole / "entries.jsonl").read_bytes().splitlines()
    assert parse_bundle(Tile(None, 0, 12), (whole / "tile/entries/000.p/12").read_bytes()) == lines


def every_file(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def test_any_one_changed_byte_is_found(house: House, whole: Path) -> None:
    chooser = random.Random(20261122)
    vkey = key(house)
    for path in every_file(whole):
        data = path.read_bytes()
        places = {0, len(data) - 1, len(data) // 2, *(chooser.randrange(len(data)) for _ in range(9))}
        for at in places:
            path.write_bytes(data[:at] + bytes([data[at] ^ (1 << chooser.randrange(8))]) + data[at + 1 :])
            report = verify(whole, vkey)
            assert not report.holds, f"{path.relative_to(whole)} byte {at}"
        path.write_bytes(data)
    assert verify(whole, vkey).holds


@pytest.mark.parametrize("where", ["", "keyholder", "system"])
@pytest.mark.parametrize("file", ["tile/entries", "tile/0", "entries.jsonl"])
def test_a_changed_byte_is_named_with_its_entry(house: House, whole: Path, file: str, where: str) -> None:
    path = next(
        path for path in every_file(whole / where) if path.relative_to(whole / where).as_posix().startswith(file)
    )
    data = path.read_bytes()
    lines = (whole / where / "entries.jsonl").read_bytes().splitlines()
    for entry in range(len(lines)):
        before = lines[:entry]
        at = {
            "tile/entries": sum(len(line) + 2 for line in before) + 2 + 40,
            "tile/0": 32 * entry + 7,
            "entries.jsonl": sum(len(line) + 1 for line in before) + 40,
        }[file]
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        report = verify(whole, key(house))
        assert f"entry {entry}:" in texts(report)[0]
        assert path.name in texts(report)[0] or "entries" in texts(report)[0]
        assert len(report.problems) == 1
    path.write_bytes(data)


def test_a_changed_length_or_a_cut_is_named_at_the_first_entry_it_hits(house: House, whole: Path) -> None:
    path = whole / "tile/entries/000.p/12"
    data = path.read_bytes()
    lines = (whole / "entries.jsonl").read_bytes().splitlines()
    at = sum(len(line) + 2 for line in lines[:5])
    for changed in (data[:at] + b"\xff" + data[at + 1 :], data[: at + 10]):
        path.write_bytes(changed)
        assert texts(verify(whole, key(house))) == [
            "entry 5: tile/entries/000.p/12 does not hold this entry as it was signed"
        ]
    path.write_bytes(data + b"\0")
    assert texts(verify(whole, key(house)))[0].startswith("entry 11:")


@pytest.mark.parametrize("level", [0, 1])
def test_higher_tiles_are_checked_too(house: House, tmp_path: Path, level: int) -> None:
    house.happen(count=700)
    directory = put_out(house, tmp_path / "export")
    path = directory / ("tile/0/001" if level == 0 else "tile/1/000.p/2")
    data = path.read_bytes()
    path.write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])
    (text,) = texts(verify(directory, key(house)))
    assert text.startswith("entry 257:" if level == 0 else "entry 256:")


@pytest.mark.parametrize("name", ["checkpoint", "vkey", "entries.jsonl", "outside.json", "tile/0/000.p/12"])
def test_a_missing_file_is_found(house: House, whole: Path, name: str) -> None:
    (whole / name).unlink()
    assert not verify(whole, key(house)).holds


@pytest.mark.parametrize("name", ["keyholder", "system"])
def test_a_missing_log_is_found(house: House, whole: Path, name: str) -> None:
    shutil.rmtree(whole / name)
    assert not verify(whole, key(house)).holds


def test_a_file_too_many_is_found(house: House, whole: Path) -> None:
    (whole / "tile" / "0" / "001").write_bytes(b"x")
    assert texts(verify(whole, key(house))) == ["tile/0/001: not part of an export"]


def test_the_key_of_another_log_does_not_pass(house: House, whole: Path) -> None:
    other = house.notary.vkeys(TENANT)["system_vkey"]
    assert "not signed by the given key" in texts(verify(whole, other))[0]


# a whole log rewritten by somebody who holds no key, or even the key


def rewritten(house: House, directory: Path, change: Callable[[list[bytes]], list[bytes]], *, sign: bool) -> None:
    """Everything in the tenant's directory made anew for other entries; signed with the real key on demand."""
    lines = change((directory / "entries.jsonl").read_bytes().splitlines())
    old_note = (directory / "checkpoint").read_text()
    shutil.rmtree(directory / "tile")
    tree = Frontier(0, [])
    for line in lines:
        tree.append(leaf_hash(line))
    text = notes.Checkpoint(ORIGIN, tree.size, tree.root()).text()
    note = notes.sign_note(text, ORIGIN, house.notary.signers[TENANT])
    write_log(directory, note, lines, key(house))
    if not sign:
        (directory / "checkpoint").write_text(old_note)


def alter(index: int, **fields: Any) -> Callable[[list[bytes]], list[bytes]]:
    def change(lines: list[bytes]) -> list[bytes]:
        return [canonical({**json.loads(line), **fields}) if n == index else line for n, line in enumerate(lines)]

    return change


def test_a_log_rewritten_without_the_key_is_found(house: House, whole: Path) -> None:
    rewritten(house, whole, alter(6, outcome="refused"), sign=False)
    assert "are not those that were signed" in texts(verify(whole, key(house)))[0]


def test_a_rewritten_large_log_is_narrowed_down_by_nothing_but_still_found(house: House, tmp_path: Path) -> None:
    house.happen(count=300)
    directory = put_out(house, tmp_path / "export")
    rewritten(house, directory, alter(280, outcome="refused"), sign=False)
    assert not verify(directory, key(house)).holds


def test_two_of_three_copies_changed_alike_do_not_outvote_the_signature(house: House, whole: Path) -> None:
    lines = alter(4, outcome="refused")((whole / "entries.jsonl").read_bytes().splitlines())
    (whole / "entries.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    (whole / "tile/entries/000.p/12").write_bytes(render_bundle(lines))
    assert texts(verify(whole, key(house))) == [
        "entry 4: tile/entries/000.p/12 does not hold this entry as it was signed",
        "entry 4: entries.jsonl does not hold this entry as it was signed",
    ]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda lines: [line for n, line in enumerate(lines) if n != 7], "missing or doubled"),
        (lambda lines: [*lines[:7], *lines[6:]], "missing or doubled"),
        (lambda lines: lines[1:], "does not begin with log:opened"),
        (alter(5, tenant="tnt_b"), "another tenant"),
        (alter(5, nseq=50), "missing or doubled"),
        (alter(0, reason="none"), "states no keys"),
        (alter(2, receipt=""), "ALARM: object:opened without a receipt"),
        (alter(2, object="obj_9"), "of another object"),
        (alter(2, proof=3), "another proof than its receipt"),
        (alter(2, actor={"kind": "person", "id": "per_2"}), "another person"),
        (alter(2, receipt="x#1:" + "q" * 43 + "="), "of another log"),
        (alter(2, receipt=ORIGIN + "/keyholder#1:" + "q" * 43 + "="), "another entry than release 1"),
        (alter(2, receipt=ORIGIN + "/keyholder#99:" + "q" * 43 + "="), "does not have"),
    ],
)
def test_a_log_rewritten_with_its_key_betrays_itself(
    house: House, whole: Path, change: Callable[[list[bytes]], list[bytes]], word: str
) -> None:
    rewritten(house, whole, change, sign=True)
    found = texts(verify(whole, key(house)))
    assert any(word in text for text in found), found
    # Old checkpoints outside, and the system log's record, do not fit it either.
    assert any("outside.json" in text for text in found)
    # (without its first entry, or with that one changed, nothing says which key the system log has)
    stated = (whole / "entries.jsonl").read_bytes().startswith(b'{"action":"log:opened"') and word != "states no keys"
    assert any(text.startswith("system: entry") for text in found) == stated


def test_a_release_log_of_another_clinic_does_not_pass(house: House, whole: Path) -> None:
    line = alter(0, reason="other+key")((whole / "keyholder/entries.jsonl").read_bytes().splitlines())
    shutil.rmtree(whole / "keyholder" / "tile")
    tree = Frontier(0, [])
    for entry in line:
        tree.append(leaf_hash(entry))
    origin = house.notary.release_origin
    note = notes.sign_note(notes.Checkpoint(origin, tree.size, tree.root()).text(), origin, house.notary.release_signer)
    write_log(whole / "keyholder", note, line, house.notary.vkeys(TENANT)["release_vkey"])
    assert "keyholder: entry 0: the release log belongs to a log of another key" in texts(verify(whole, key(house)))


# openings and releases


def test_a_release_without_an_opening_is_listed_and_is_no_fault(house: House, tmp_path: Path) -> None:
    house.open_object("obj_1")
    quoted = house.open_object("obj_2", log=False)
    house.open_object("obj_3", log=False, action="meta")
    house.notary.record("share:resumed", object="obj_1", actor="per_1", proof=2)
    house.notary.record("share:refused", object="obj_4", actor="per_1", outcome="refused")
    event = Event(Action.OPENING_UNCONFIRMED, TENANT, "obj_2", Actor("person", "per_1"), receipt=quoted)
    house.store.run(lambda tx: house.audit.append(tx, event))
    report = verify(put_out(house, tmp_path / "export"), key(house))
    assert texts(report) == []
    found = [(one.entry, one.action, one.object, one.confirmed) for one in report.disclosures]
    assert found == [(2, "share:released", "obj_2", True), (3, "meta:released", "obj_3", False)]


def test_held_mail_given_to_the_worker_is_answered_by_its_release(house: House, tmp_path: Path) -> None:
    house.notary.record("held:released", object="msg_1")
    house.notary.record("held:released", object="msg_2")
    house.happen(Action.MESSAGE_RELEASED, object="msg_1")
    report = verify(put_out(house, tmp_path / "export"), key(house))
    assert report.holds
    assert [one.object for one in report.disclosures] == ["msg_2"]


def test_an_opening_that_was_refused_needs_no_receipt(house: House, tmp_path: Path) -> None:
    house.happen(Action.OBJECT_OPENED, outcome="refused")
    assert verify(put_out(house, tmp_path / "one"), key(house)).holds
    house.happen(Action.OBJECT_OPENED)
    assert "ALARM" in texts(verify(put_out(house, tmp_path / "two"), key(house)))[0]


def test_a_receipt_may_be_quoted_again_by_a_resumed_opening(house: House, tmp_path: Path) -> None:
    receipt = house.open_object("obj_1")
    house.happen(Action.OBJECT_OPENED, object="obj_1", proof=2, receipt=receipt)
    assert verify(put_out(house, tmp_path / "export"), key(house)).holds


# notices and old checkpoints


def notice(header: str, folded: bool) -> bytes:
    value = header.replace("; ", ";\r\n\t") if folded else header
    head = f"From: a@b.example\r\nSealgate-Checkpoint: {value}\r\nSubject: x\r\n"
    return f"{head}\r\nSealgate-Checkpoint: v1; no\r\n".encode()


@pytest.mark.parametrize("folded", [False, True])
def test_an_old_notice_fits_today_s_log(house: House, tmp_path: Path, folded: bool) -> None:
    house.happen(count=3)
    house.sequencer.run_once()
    path = tmp_path / "old.eml"
    path.write_bytes(notice(house.sequencer.deposit(TENANT), folded))
    house.happen(count=30)
    report = verify(put_out(house, tmp_path / "export"), key(house), path)
    assert report.holds
    assert "first 4 entries" in report.notice


def test_a_rewritten_log_does_not_fit_an_old_notice(house: House, whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.eml"
    path.write_bytes(notice(json.loads((whole / "outside.json").read_text())[0]["header"], folded=False))
    assert verify(whole, key(house), path).holds
    rewritten(house, whole, alter(3, outcome="refused"), sign=True)
    (whole / "outside.json").write_bytes(b"[]\n")  # the operator also drops the list
    found = texts(verify(whole, key(house), path))
    assert any("--checkpoint" in text and "rewritten" in text for text in found)


def test_an_old_checkpoint_file_is_compared(house: House, whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "old"
    shutil.copy(whole / "checkpoint", path)
    assert "12 entries" in verify(whole, key(house), path).notice
    path.write_text("nothing")
    assert not verify(whole, key(house), path).holds
    path.unlink()
    assert not verify(whole, key(house), path).holds
    tree = Frontier(2, [b"z" * 32])
    forked = notes.Checkpoint(ORIGIN, tree.size, tree.root()).text()
    path.write_text(notes.sign_note(forked, ORIGIN, house.notary.signers[TENANT]))
    assert "is not that of the first 2 entries" in texts(verify(whole, key(house), path))[0]


def test_a_mail_with_two_headers_or_none_carries_no_checkpoint() -> None:
    assert notice_header(b"Subject: x\r\n\r\nbody") is None
    assert notice_header(b"Sealgate-Checkpoint: a\r\nsealgate-checkpoint: b\r\n\r\n") is None
    assert notice_header(b"sealgate-checkpoint: v1;a;\n b;c;d\n\nx") == "v1; a; b; c; d"


# making an export


def test_an_export_needs_a_new_directory_and_a_signed_head(house: House, tmp_path: Path) -> None:
    with pytest.raises(TryLater):
        export(tmp_path / "export", house.audit, TENANT, house.notary)
    assert list(tmp_path.glob("export*")) == []
    directory = put_out(house, tmp_path / "export")
    with pytest.raises(Misconfigured, match="not empty"):
        export(directory, house.audit, TENANT, house.notary)
    assert verify(directory, key(house)).holds


def test_an_export_of_a_release_log_in_several_pages_is_whole(house: House, tmp_path: Path) -> None:
    for number in range(250):
        house.notary.record("share:refused", object=f"obj_{number}", outcome="refused")
    report = verify(put_out(house, tmp_path / "export"), key(house))
    assert report.holds
    assert report.sizes["keyholder"] == 251


def test_entries_that_do_not_fit_their_checkpoint_are_not_exported(house: House, tmp_path: Path) -> None:
    house.happen(count=3)
    house.sequencer.run_once()
    house.notary.release_log = lambda tenant, start=0: {  # type: ignore[method-assign]
        **type(house.notary).release_log(house.notary, tenant, start), "size": 1, "entries": ["eA=="]
    }  # fmt: skip
    with pytest.raises(Tampered):
        export(tmp_path / "export", house.audit, TENANT, house.notary)
    assert list(tmp_path.glob("export*")) == []


@pytest.mark.parametrize("wrong", ["", "nonsense", "a+b+c", "mail.example+00000000+AAAA"])
def test_a_key_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(Misconfigured, match="--key"):
        read_key(wrong)
