"""The archive of all files: names that no system refuses, a length known before the first byte, equal bytes."""

from __future__ import annotations

import io
import random
import zipfile
from datetime import UTC, datetime
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Tampered
from gateway.flow.bundle import NAME_BYTES, Bundle, length_of, safe_names
from gateway.flow.counting import Left
from gateway.flow.opened import Opened
from gateway.flow.running import Running
from gateway.flow.sending import DownloadStopped, Sending
from gateway.vault import Vault
from keys.datakey import DataKey

MOMENT = datetime(2026, 11, 3, 14, 5, 6, tzinfo=UTC)
FORBIDDEN = set('<>:"/\\|?*')


class Shelf:
    """Files in a vault, opened as a download would open them; `ends` is what would stand in the log."""

    def __init__(self, vault: Vault) -> None:
        self.vault = vault
        self.ends: list[Left] = []
        self.running = Running()

    def open(self, name: str, data: bytes) -> Opened:
        key = DataKey.random()
        names = {
            "tenant": "tnt_1",
            "object_id": f"obj_{len(name)}{random.Random(name).randrange(10**9)}",
            "kind": "file",
        }
        stored = self.vault.seal(key, chunks=[data], **names)
        reader = partial(
            self.vault.open,
            key,
            blob=stored.blob,
            header_tag=stored.header_tag,
            sealed_bytes=stored.sealed_bytes,
            **names,
        )
        stop = self.running.begin("lnk_1")

        def part(start: int, end: int) -> Sending:
            return Sending(
                (names["object_id"], stored.header_tag, len(data)), (start, end), opened=reader, stop=stop,
                still=lambda: None, alarm=lambda: None, record=lambda left: self.ends.append(left),
            )  # fmt: skip

        return Opened(name, "application/pdf", len(data), '"e"', part, stop.over, self.ends.extend)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(Vault.create(f"file://{tmp_path_factory.mktemp('bundle') / 'vault'}"))


def taken(bundle: Bundle, most: int | None = None) -> bytes:
    """Everything that it sends, as an answer takes it; no more than `most` bytes."""
    got = b""
    while batch := bundle.read():
        for piece in batch:
            if most is not None and len(got) >= most:
                bundle.end(well=False)
                return got
            bundle.left(len(piece))
            got += piece
    bundle.end(well=True)
    return got


FILES = [
    ("Befund.pdf", random.Random(1).randbytes(700_000)), ("befund.PDF", b"second"), ("leer.txt", b""),
    ("Röntgen 検査.png", random.Random(2).randbytes(300_000)), ("con.txt", b"third"),
]  # fmt: skip


def test_its_files_equal_the_originals_and_its_length_was_known_before(shelf: Shelf) -> None:
    shelf.ends.clear()
    before = shelf.running.count()
    bundle = Bundle([shelf.open(*one) for one in FILES], MOMENT)
    promised = bundle.length
    got = taken(bundle)
    assert len(got) == promised
    with zipfile.ZipFile(io.BytesIO(got)) as archive:
        assert archive.testzip() is None
        assert [one.date_time for one in archive.infolist()] == [(2026, 11, 3, 14, 5, 6)] * 5
        assert archive.namelist() == ["Befund.pdf", "befund (2).PDF", "leer.txt", "Röntgen 検査.png", "_con.txt"]
        assert [archive.read(name) for name in archive.namelist()] == [data for _, data in FILES]
    assert [(left.well, left.start, left.stop) for left in shelf.ends] == [(True, 0, len(data)) for _, data in FILES]
    assert shelf.running.count() == before


@pytest.mark.parametrize("limit", [0, 5, 400_000, 800_000])
def test_large_files_and_late_ones_have_64_bits(shelf: Shelf, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", limit)
    bundle = Bundle([shelf.open(*one) for one in FILES], MOMENT)
    promised = bundle.length
    got = taken(bundle)
    assert len(got) == promised
    monkeypatch.undo()
    with zipfile.ZipFile(io.BytesIO(got)) as archive:
        assert [archive.read(name) for name in archive.namelist()] == [data for _, data in FILES]


def test_more_files_than_the_short_record_counts_have_a_known_length_too() -> None:
    count = 65_536
    assert length_of([("a", 0)] * count) - length_of([("a", 0)] * (count - 1)) == 30 + 1 + 16 + 46 + 1 + 76


@pytest.mark.parametrize("cut", [0, 100_000, 700_050, 700_200, 1_000_000])
def test_what_was_cut_goes_on_where_it_was_and_each_file_is_told_apart(shelf: Shelf, cut: int) -> None:
    opened = [shelf.open(*one) for one in FILES]
    whole = taken(Bundle(opened, MOMENT))
    shelf.ends.clear()
    got = taken(Bundle(opened, MOMENT), cut)
    failed = list(shelf.ends)
    shelf.ends.clear()
    again = Bundle(opened, MOMENT)
    again.only(len(got), again.size_bytes)
    assert again.length == len(whole) - len(got)
    assert got + taken(again) == whole
    for before, after, (_, data) in zip(failed, shelf.ends, FILES, strict=True):
        assert before.object == after.object
        assert after.well
        assert (before.start, after.stop) == (0, len(data))
        assert before.stop >= after.start, "no byte is missing between the two"


def test_a_part_in_the_middle_is_those_bytes(shelf: Shelf) -> None:
    opened = [shelf.open(*one) for one in FILES]
    whole = taken(Bundle(opened, MOMENT))
    shelf.ends.clear()
    bundle = Bundle(opened, MOMENT)
    bundle.only(300_000, 700_100)
    assert taken(bundle) == whole[300_000:700_100]
    assert all(left.well for left in shelf.ends)
    assert (shelf.ends[0].start, shelf.ends[0].stop) == (300_000 - 30 - len("Befund.pdf"), 700_000)


def test_the_way_to_a_late_part_is_taken_in_steps_so_that_it_keeps_no_thread_for_long(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for the last byte of a large archive again and again must not stop the pages of all others."""
    monkeypatch.setattr("gateway.flow.bundle.PASSED_BYTES", 300_000)
    whole = taken(Bundle([shelf.open(*one) for one in FILES], MOMENT))
    for start in (*range(0, len(whole), 100_003), len(whole) - 1):
        bundle = Bundle([shelf.open(*one) for one in FILES], MOMENT)
        bundle.only(start, len(whole))
        batches = []
        while batch := bundle.read():
            batches.append(batch)
            bundle.left(sum(map(len, batch)))
        bundle.end(well=True)
        assert b"".join(piece for batch in batches for piece in batch) == whole[start:]
        steps = batches.count([b""])
        assert batches[:steps] == [[b""]] * steps
        assert steps >= start // 600_000


def test_a_file_that_does_not_hold_ends_the_archive_short(shelf: Shelf) -> None:
    opened = [shelf.open(*one) for one in FILES]
    broken = opened[3].part(0, opened[3].size_bytes)
    broken.read = lambda: (_ for _ in ()).throw(Tampered("forged"))  # type: ignore[method-assign]
    bundle = Bundle(
        [*opened[:3], Opened("x", "", 300_000, "", lambda *_: broken, opened[3].close, shelf.ends.extend)], MOMENT
    )
    got = 0
    with pytest.raises(Tampered):
        while batch := bundle.read():
            bundle.left(sum(map(len, batch)))
            got += sum(map(len, batch))
    shelf.ends.clear()
    bundle.end(well=False)
    assert got < bundle.length
    assert not shelf.ends[-1].well


def test_a_recall_stops_it_and_says_what_had_left_of_each(shelf: Shelf) -> None:
    shelf.ends.clear()
    before = shelf.running.count()
    large = ("scan.bin", bytes(3_000_000))
    bundle = Bundle([shelf.open(*one) for one in (large, *FILES[1:])], MOMENT)
    bundle.left(sum(map(len, bundle.read())))
    shelf.running.cut("lnk_1")
    with pytest.raises(DownloadStopped):
        while batch := bundle.read():
            bundle.left(sum(map(len, batch)))
    bundle.end(well=False)
    assert [left.well for left in shelf.ends] == [False] * len(FILES)
    assert shelf.ends[0].reason().startswith("stopped 0-")
    assert 0 < shelf.ends[0].stop < 3_000_000
    assert [left.stop for left in shelf.ends[1:]] == [0] * 4
    assert shelf.running.count() == before


@given(st.lists(st.text(max_size=260), min_size=1, max_size=12))
def test_names_are_safe_for_every_system_and_stand_once(names: list[str]) -> None:
    safe = safe_names(names)
    assert len({name.casefold() for name in safe}) == len(names)
    for name in safe:
        assert name
        assert not FORBIDDEN & set(name)
        assert name.isprintable()
        assert name == name.strip(" .")
        assert len(name.encode()) <= NAME_BYTES
        assert zipfile.ZipInfo(name).filename == name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "_.._etc_passwd"), ("a:b?.pdf", "a_b_.pdf"), ("NUL", "_NUL"),
        ("Com1.tar.gz", "_Com1.tar.gz"),
        ("  . ", "file"), ("a\u202efdp.exe", "a_fdp.exe"), ("x" * 300 + ".pdf", "x" * 196 + ".pdf"), ("", "file"),
    ],
)  # fmt: skip
def test_a_name_that_could_do_harm_becomes_a_plain_one(name: str, safe: str) -> None:
    assert safe_names([name]) == [safe]
