"""An export that grows: each time only what is new is put, all of it verifies, and a log that was set back is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.audit import gathering, growing
from gateway.audit.export import export
from gateway.audit.keeper import FolderKeeper, keeper_at
from gateway.audit.verify import Report, verify
from gateway.cli import audit as command
from gateway.errors import Misconfigured, Tampered, TryLater
from tests.unit.audit.conftest import TENANT, House
from tests.unit.audit.test_command import live, parsed


def grown(house: House, folder: Path) -> growing.Grown:
    house.sequencer.run_once()
    return growing.grow(FolderKeeper(folder), house.audit, TENANT, house.notary)


def key(house: House) -> str:
    return house.notary.vkeys(TENANT)["log_vkey"]


def gathered(house: House, folder: Path, into: Path) -> tuple[Report, list[str]]:
    shutil.rmtree(into, ignore_errors=True)
    _, problems = gathering.gather(FolderKeeper(folder), into)
    return verify(into, key(house)), [str(one) for one in problems]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_has_grown_is_byte_for_byte_what_one_export_writes(house: House, tmp_path: Path) -> None:
    for count in (1, 250, 3, 300, 0, 700):  # over the borders of bundles, from within one, from nothing new
        house.happen(count=count) if count else None
        house.open_object()
        grown(house, tmp_path / "kept")
    report, problems = gathered(house, tmp_path / "kept", tmp_path / "gathered")
    assert (report.problems, problems) == ((), [])
    export(tmp_path / "once", house.audit, TENANT, house.notary)
    assert files(tmp_path / "gathered") == files(tmp_path / "once")


def test_each_time_only_what_is_new_is_put_and_nothing_is_changed(house: House, tmp_path: Path) -> None:
    house.happen(count=1000)
    grown(house, tmp_path / "kept")
    before = files(tmp_path / "kept")
    house.happen(count=10)
    done = grown(house, tmp_path / "kept")
    after = files(tmp_path / "kept")
    assert after.items() >= before.items()
    assert done.objects == len(after) - len(before) <= 8
    assert (done.number, done.entries, done.held) == (1, 1011, None)
    again = grown(house, tmp_path / "kept")
    assert again.objects == 1, "nothing new but the word that it was looked at"


def test_a_cut_at_every_put_loses_nothing_and_is_made_good_by_the_next(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.happen(count=300)
    grown(house, tmp_path / "kept")
    house.happen(count=300)
    house.open_object()
    put, left = FolderKeeper.put, [0]

    def cut(self: FolderKeeper, name: str, data: bytes) -> None:
        if left[0] == 0:
            raise TryLater("the place is away")
        left[0] -= 1
        put(self, name, data)

    monkeypatch.setattr(FolderKeeper, "put", cut)
    done, number = None, 0
    while done is None:
        shutil.rmtree(tmp_path / "trial", ignore_errors=True)
        shutil.copytree(tmp_path / "kept", tmp_path / "trial")
        left[0] = number
        try:
            done = grown(house, tmp_path / "trial")
        except TryLater:
            left[0] = -1
            report, problems = gathered(house, tmp_path / "trial", tmp_path / "gathered")
            assert (report.holds, problems) == (True, []), "until it is finished the last one counts"
            grown(house, tmp_path / "trial")
        report, problems = gathered(house, tmp_path / "trial", tmp_path / "gathered")
        assert (report.holds, problems) == (True, [])
        number += 1
    assert number > 5


def set_back(house: House, tmp_path: Path) -> House:
    """The same house as it was earlier: its database and what signs for it."""
    return House(f"sqlite:///{tmp_path / 'earlier.db'}", create=False)


def test_a_machine_that_was_set_back_is_found_and_puts_nothing(house: House, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    house.happen(count=20)
    house.sequencer.run_once()
    house.store.close()
    source = next(path for path in tmp_path.rglob("*.db"))
    shutil.copy(source, tmp_path / "earlier.db")
    now = House(house.url, create=False)
    now.notary = house.notary
    now.sequencer._witness = house.notary
    witness = dict(house.notary.last)
    now.happen(count=5)
    grown(now, kept)
    now.store.close()
    back = set_back(house, tmp_path)
    try:
        back.notary = house.notary
        back.notary.last = witness  # the keyholder went back with the machine
        back.sequencer._witness = back.notary
        with pytest.raises(growing.SetBack, match="set back to an earlier day"):
            growing.compare(FolderKeeper(kept), back.audit, TENANT)
        there = files(kept)
        with pytest.raises(Tampered, match="set back"):
            grown(back, kept)
        back.happen(count=30)  # and it goes on beside what is there
        with pytest.raises(growing.SetBack, match="are not those"):
            back.sequencer.run_once()
            growing.compare(FolderKeeper(kept), back.audit, TENANT)
        with pytest.raises(Tampered):
            grown(back, kept)
        assert files(kept) == there
    finally:
        back.store.close()


def test_a_log_that_goes_on_from_what_is_there_may_serve(house: House, tmp_path: Path) -> None:
    kept = FolderKeeper(tmp_path / "kept")
    assert growing.compare(kept, house.audit, TENANT) is None
    house.happen(count=3)
    grown(house, tmp_path / "kept")
    house.happen(count=3)
    assert growing.compare(kept, house.audit, TENANT) == 0


def spoil(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def deed(folder: Path) -> None:
        path = folder / name
        data = change(path.read_bytes())
        path.write_bytes(data)

    return deed


def flip(data: bytes) -> bytes:
    return data[:40] + bytes([data[40] ^ 1]) + data[41:]


@pytest.mark.parametrize(
    ("deed", "named"),
    [
        (spoil("log/tile/entries/000", flip), "entry 0"),
        (spoil("log/tile/0/000", flip), "entry 1"),
        (spoil("heads/00000000.json", flip), "heads/00000000.json"),
        (lambda folder: (folder / "heads/00000001.json").unlink(), "heads/00000001.json is missing"),
        (lambda folder: (folder / "log/tile/entries/001.p/46").unlink(), "missing"),
        (lambda folder: shutil.copy(folder / "heads/00000002.json", folder / "heads/00000001.json"), ""),
        (spoil("keyholder/tile/entries/000.p/4", flip), "keyholder: entry 0"),
        (spoil("keyholder/tile/entries/000.p/3", flip), "keyholder/tile/entries/000.p/3 is not the beginning"),
        (lambda folder: (folder / "log/tile/0/more").write_bytes(b""), "log/tile/0/more: not part of an export"),
    ],
    ids=["bundle", "hashes", "head", "head-gone", "bundle-gone", "head-twice", "keyholder", "smaller", "more"],
)
def test_what_was_changed_there_is_named(house: House, tmp_path: Path, deed: Callable[[Path], Any], named: str) -> None:
    for count in (100, 100, 98):
        house.happen(count=count)
        house.open_object()
        grown(house, tmp_path / "kept")
    deed(tmp_path / "kept")
    report, problems = gathered(house, tmp_path / "kept", tmp_path / "gathered")
    said = [*map(str, report.problems), *problems]
    if named:
        assert any(named in one for one in said), said
    else:
        assert said == [], "the same head twice proves the same"


def test_the_commands_grow_it_and_check_it_there_and_as_a_copy(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"file://{tmp_path}/kept"
    house.open_object("obj_1")
    assert command.run_live(parsed("export", url), live(house)) == 0
    said = capsys.readouterr().out
    assert "NOT HELD" in said
    assert f"audit verify 'file://{tmp_path}/kept/{TENANT}'" in said
    for where in (f"{url}/{TENANT}", str(tmp_path / "kept" / TENANT)):
        assert command.verify_of(where, key(house), None, as_json=False) == 0
        assert "nothing holds it there" in capsys.readouterr().out
    assert command.verify_of(f"{url}/{TENANT}", key(house), None, as_json=True) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["holds"], report["exports"], report["held"]) == (True, 1, None)
    with pytest.raises(Misconfigured, match="holds no export"):
        command.verify_of(f"{url}/tnt_other", key(house), None, as_json=False)
    with pytest.raises(Misconfigured, match="export_url"):
        command.run_live(parsed("export"), live(house))
    with pytest.raises(Misconfigured, match="absolute path"):
        keeper_at("file://host/x")
