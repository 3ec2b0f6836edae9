"""Sealed objects: nothing leaves that does not hold, nothing is made that is not durable."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Misconfigured, Tampered, TryLater
from gateway.vault import Stored, Vault
from keys import floe
from keys.datakey import DataKey

SEGMENT = floe.SEGMENT_PLAIN_BYTES
NAMES = {"tenant": "tnt_a", "object_id": "obj_a", "kind": "file"}
KEY = DataKey(b"k" * 32)
LATER = datetime.now(UTC) + timedelta(days=2)


def content(size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "vault"


@pytest.fixture
def vault(root: Path) -> Vault:
    return Vault.create(f"file://{root}")


def seal(vault: Vault, data: bytes, **names: str) -> Stored:
    return vault.seal(KEY, **{**NAMES, **names}, chunks=iter([data]))


def opened(vault: Vault, stored: Stored, key: DataKey = KEY, **changes: Any) -> bytes:
    pinned: dict[str, Any] = {
        **NAMES, "blob": stored.blob, "header_tag": stored.header_tag, "sealed_bytes": stored.sealed_bytes, **changes
    }  # fmt: skip
    with vault.open(key, **pinned) as reader:
        return b"".join(reader.read())


def blobs(root: Path) -> list[Path]:
    return sorted(root.glob("??/*"))


@pytest.mark.parametrize("size", [0, 1, 1000, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, 3 * SEGMENT + 7])
def test_what_was_sealed_comes_back(vault: Vault, size: int) -> None:
    stored = seal(vault, content(size))
    assert stored.plain_bytes == size == Vault.plain_bytes(stored.sealed_bytes)
    assert opened(vault, stored) == content(size)


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, 0), (0, 1), (5, 9), (SEGMENT - 1, SEGMENT + 1), (SEGMENT, SEGMENT), (7, 2 * SEGMENT + 9), (2 * SEGMENT, None)],
)
def test_a_range_is_exactly_its_bytes(vault: Vault, start: int, stop: int | None) -> None:
    data = content(2 * SEGMENT + 100)
    stored = seal(vault, data)
    with vault.open(
        KEY, **NAMES, blob=stored.blob, header_tag=stored.header_tag, sealed_bytes=stored.sealed_bytes
    ) as r:
        assert b"".join(r.read(start, stop)) == data[start:stop]


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (6, 5), (0, 11), (11, 11)])
def test_a_range_outside_is_refused(vault: Vault, start: int, stop: int) -> None:
    stored = seal(vault, content(10))
    with (
        vault.open(KEY, **NAMES, blob=stored.blob, header_tag=stored.header_tag, sealed_bytes=stored.sealed_bytes) as r,
        pytest.raises(ValueError),
    ):
        r.read(start, stop)


def test_chunks_of_any_size_make_one_stream(vault: Vault) -> None:
    data = content(SEGMENT + 50)
    chunks = (data[at : at + 977] for at in range(0, len(data), 977))
    stored = vault.seal(KEY, **NAMES, chunks=chunks)
    assert opened(vault, stored) == data


def test_the_blob_holds_nothing_in_clear(vault: Vault, root: Path) -> None:
    seal(vault, b"MARKED-PATIENT-NAME" * 1000)
    assert b"MARKED" not in blobs(root)[0].read_bytes()


@pytest.mark.parametrize("change", [{"tenant": "tnt_b"}, {"object_id": "obj_b"}, {"kind": "body"}])
def test_an_object_opens_only_under_its_own_name(vault: Vault, change: dict[str, str]) -> None:
    stored = seal(vault, content(100))
    assert opened(vault, stored) == content(100)
    with pytest.raises(Tampered):
        opened(vault, stored, **change)


def test_an_object_opens_only_with_its_key_and_its_pinned_tag(vault: Vault) -> None:
    stored = seal(vault, content(100))
    with pytest.raises(Tampered):
        opened(vault, stored, key=DataKey(b"x" * 32))
    with pytest.raises(Tampered):
        opened(vault, stored, header_tag=b"\0" * 32)


def test_another_object_of_the_same_key_and_name_does_not_pass_for_it(vault: Vault, root: Path) -> None:
    first = seal(vault, content(100))
    first_path = blobs(root)[0]
    second = seal(vault, content(100))
    second_path = next(path for path in blobs(root) if path != first_path)
    shutil.copy(second_path, first_path)
    with pytest.raises(Tampered):
        opened(vault, first)
    assert opened(vault, second) == content(100)


def flip(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


BODY = floe.HEADER_BYTES
SEALED = floe.SEGMENT_BYTES
BREAKS: dict[str, Callable[[bytes], bytes]] = {
    "flip in header": flip(3),
    "flip in header tag": flip(BODY - 1),
    "flip in first segment": flip(BODY + 50),
    "flip in last segment": flip(-1),
    "cut by a byte": lambda data: data[:-1],
    "cut at a segment": lambda data: data[: BODY + SEALED],
    "cut to the header": lambda data: data[:BODY],
    "empty": lambda _data: b"",
    "longer": lambda data: data + b"\0",
    "segments swapped": lambda data: (
        data[:BODY] + data[BODY + SEALED : BODY + 2 * SEALED] + data[BODY : BODY + SEALED] + data[BODY + 2 * SEALED :]
    ),
    "segment left out": lambda data: data[:BODY] + data[BODY + SEALED :],
    "segment twice": lambda data: data[: BODY + SEALED] + data[BODY:],
}


@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_blob_is_refused_and_none_of_the_broken_bytes_leave(vault: Vault, root: Path, how: str) -> None:
    data = content(2 * SEGMENT + 1000)
    stored = seal(vault, data)
    path = blobs(root)[0]
    path.write_bytes(BREAKS[how](path.read_bytes()))
    got: list[bytes] = []
    with (
        pytest.raises(Tampered, match="obj_a"),
        vault.open(KEY, **NAMES, blob=stored.blob, header_tag=stored.header_tag, sealed_bytes=stored.sealed_bytes) as r,
    ):
        got.extend(r.read())
    # Only whole segments that held may have left: none when the first is hit, none for anything that changes the size.
    assert data.startswith(b"".join(got))
    assert got == []


def test_a_flip_in_a_middle_segment_stops_there(vault: Vault, root: Path) -> None:
    data = content(3 * SEGMENT)
    stored = seal(vault, data)
    path = blobs(root)[0]
    path.write_bytes(flip(BODY + SEALED + 9)(path.read_bytes()))
    got: list[bytes] = []
    with (
        vault.open(KEY, **NAMES, blob=stored.blob, header_tag=stored.header_tag, sealed_bytes=stored.sealed_bytes) as r,
        pytest.raises(Tampered),
    ):
        got.extend(r.read())
    assert b"".join(got) == data[:SEGMENT]


def test_a_size_changed_in_the_row_is_refused_even_with_a_blob_cut_to_fit(vault: Vault, root: Path) -> None:
    stored = seal(vault, content(2 * SEGMENT))
    path = blobs(root)[0]
    cut = floe.HEADER_BYTES + floe.SEGMENT_BYTES
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(Tampered):
        opened(vault, stored, sealed_bytes=cut)


def test_a_missing_blob_looks_like_a_forged_one(vault: Vault, root: Path) -> None:
    stored = seal(vault, content(10))
    path = blobs(root)[0]
    forged = path.read_bytes()[:-1] + b"\0"
    with pytest.raises(Tampered) as missing:
        path.unlink()
        opened(vault, stored)
    with pytest.raises(Tampered) as changed:
        path.write_bytes(forged)
        opened(vault, stored)
    assert missing.value.public == changed.value.public
    assert missing.value.detail != changed.value.detail


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "a" * 39, "A" * 40, "aa/" + "a" * 37, "a" * 40 + "\n"])
def test_a_blob_name_cannot_lead_out_of_the_vault(vault: Vault, name: str) -> None:
    stored = seal(vault, content(10))
    with pytest.raises(Tampered):
        opened(vault, stored, blob=name)


def test_a_reader_keeps_reading_the_file_it_verified(vault: Vault, root: Path) -> None:
    data = content(2 * SEGMENT + 5)
    stored = seal(vault, data)
    path = blobs(root)[0]
    with vault.open(
        KEY, **NAMES, blob=stored.blob, header_tag=stored.header_tag, sealed_bytes=stored.sealed_bytes
    ) as r:
        path.rename(path.with_suffix(".gone"))
        path.write_bytes(b"other")
        assert b"".join(r.read()) == data


def test_a_file_cut_under_a_reader_is_refused(vault: Vault, root: Path) -> None:
    stored = seal(vault, content(3 * SEGMENT))
    with vault.open(
        KEY, **NAMES, blob=stored.blob, header_tag=stored.header_tag, sealed_bytes=stored.sealed_bytes
    ) as r:
        os.truncate(blobs(root)[0], floe.HEADER_BYTES + floe.SEGMENT_BYTES + 5)
        pieces = r.read()
        assert len(next(pieces)) == SEGMENT
        with pytest.raises(Tampered):
            next(pieces)


# writing


def test_an_abandoned_writer_leaves_nothing(vault: Vault, root: Path) -> None:
    class Stop(Exception):
        pass

    def chunks() -> Iterator[bytes]:
        yield content(SEGMENT + 1)
        raise Stop

    with pytest.raises(Stop):
        vault.seal(KEY, **NAMES, chunks=chunks())
    with vault.writer(KEY, **NAMES) as writer:
        writer.write(b"x")
    assert blobs(root) == []
    assert list((root / "unfinished").iterdir()) == []


def test_a_commit_syncs_file_and_directories_before_it_returns(
    vault: Vault, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    real_fsync, real_rename = os.fsync, Path.rename

    def fsync(descriptor: int) -> None:
        calls.append("sync " + os.path.relpath(Path(f"/proc/self/fd/{descriptor}").readlink(), root).split("/")[0])
        real_fsync(descriptor)

    def rename(self: Path, target: Path) -> Path:
        calls.append("rename")
        return real_rename(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", rename)
    stored = seal(vault, b"x")
    shard = stored.blob[:2]
    assert calls == ["sync unfinished", "sync .", "rename", f"sync {shard}"]


@pytest.mark.parametrize("at", ["fsync", "directory"])
def test_a_failed_sync_leaves_no_blob(vault: Vault, root: Path, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    real = os.fsync
    seen: list[int] = []

    def fsync(descriptor: int) -> None:
        seen.append(descriptor)
        if len(seen) == (1 if at == "fsync" else 3):
            raise OSError(5, "I/O error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(TryLater):
        seal(vault, b"x")
    assert blobs(root) == []


def test_a_vault_that_went_away_is_try_later_and_is_not_made_anew(vault: Vault, root: Path) -> None:
    stored = seal(vault, content(10))
    assert vault.healthy()
    root.rename(root.with_name("away"))
    for call in (lambda: seal(vault, b"x"), lambda: opened(vault, stored), lambda: vault.remove(stored.blob)):
        with pytest.raises(TryLater):
            call()
    with pytest.raises(TryLater):
        vault.sweep(lambda names: set(names), LATER)
    assert not vault.healthy()
    assert not root.exists()
    root.mkdir()  # an unmounted disk leaves its empty mount point
    with pytest.raises(TryLater):
        seal(vault, b"x")
    with pytest.raises(TryLater):
        opened(vault, stored)
    assert not vault.healthy()
    assert list(root.iterdir()) == []
    root.rmdir()
    root.with_name("away").rename(root)
    assert vault.healthy()
    assert opened(vault, stored) == content(10)


def test_a_vault_that_goes_away_during_a_write_is_try_later(vault: Vault, root: Path) -> None:
    with vault.writer(KEY, **NAMES) as writer:
        writer.write(b"x")
        root.rename(root.with_name("away"))
        with pytest.raises(TryLater):
            writer.commit()
    assert not root.exists()
    root.with_name("away").rename(root)
    assert blobs(root) == []


def test_a_vault_is_made_once_and_never_by_opening(root: Path) -> None:
    url = f"file://{root}"
    assert Vault.absent(url)
    with pytest.raises(Misconfigured, match=r"\[vault\] url"):
        Vault.at(url)
    assert not root.exists()
    Vault.create(url)
    assert not Vault.absent(url)
    with pytest.raises(Misconfigured, match="not empty"):
        Vault.create(url)
    Vault.at(url)
    assert root.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("url", ["", "/var/x", "ftp:///x", "file://host/x", "file:x", "file:///x?y=1"])
def test_other_vault_urls_are_refused(url: str) -> None:
    with pytest.raises(Misconfigured):
        Vault.at(url)


# removing


def test_removing_is_safe_to_repeat(vault: Vault, root: Path) -> None:
    stored = seal(vault, b"x")
    vault.remove(stored.blob)
    vault.remove(stored.blob)
    vault.remove("../../x")
    assert blobs(root) == []


def test_the_sweep_takes_only_old_blobs_without_a_row(vault: Vault, root: Path) -> None:
    kept, lost = seal(vault, b"kept"), seal(vault, b"lost")
    (root / "unfinished" / "left").write_bytes(b"x")
    now = datetime.now(UTC)
    assert vault.sweep(lambda names: {kept.blob}, now - timedelta(hours=24)) == 0
    assert len(blobs(root)) == 2
    assert vault.sweep(lambda names: {kept.blob} & set(names), LATER) == 2
    assert opened(vault, kept) == b"kept"
    with pytest.raises(Tampered):
        opened(vault, lost)
    assert list((root / "unfinished").iterdir()) == []


@pytest.mark.parametrize("what", ["pipe", "link", "folder", "shard"])
def test_what_is_no_file_in_a_blobs_place_is_refused_and_waited_for_by_nobody(
    vault: Vault, root: Path, what: str
) -> None:
    stored = seal(vault, content(10))
    path = root / stored.blob[:2] / stored.blob
    aside = path.rename(root / "unfinished" / "aside")
    if what == "pipe":
        os.mkfifo(path)
    elif what == "link":
        path.symlink_to(aside)
    elif what == "folder":
        path.mkdir()
    else:
        path.parent.rmdir()
        path.parent.write_bytes(b"")
    with pytest.raises(Tampered):
        opened(vault, stored)
