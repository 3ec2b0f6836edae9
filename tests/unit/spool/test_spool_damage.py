"""What is torn, flipped, swapped, forged or missing is refused by name, and the rest goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.errors import Misconfigured, Tampered, TryLater
from gateway.spool import frame, item, layout
from keys.boxes import seal_box
from tests.support.spool import NODE, TENANT, Keyring, fresh, put, segment_files


def test_torn_tail_is_counted_and_later_segments_go_on(ring: Keyring, spool: Path) -> None:
    writer = ring.writer(spool)
    kept = put(ring, writer, b"kept")
    put(ring, writer, b"torn")
    writer.close()
    (path,) = segment_files(spool)
    os.truncate(path, path.stat().st_size - 20)
    writer = ring.writer(spool)
    later = put(ring, writer, b"later")
    reader = ring.reader(spool)
    assert [entry.id for entry in reader.replay()] == [kept, later]
    assert reader.bad_tails == 1
    assert reader.refused == []
    writer.close()


def test_tail_of_zeros_after_a_power_cut_is_a_bad_tail(ring: Keyring, spool: Path) -> None:
    writer = ring.writer(spool)
    kept = put(ring, writer, b"kept")
    writer.close()
    with open(segment_files(spool)[0], "ab") as file:
        file.write(bytes(9000))
    ring.writer(spool).close()
    reader = ring.reader(spool)
    assert [entry.id for entry in reader.replay()] == [kept]
    assert reader.bad_tails == 1


def test_half_written_record_is_waited_for(ring: Keyring, spool: Path) -> None:
    writer = ring.writer(spool)
    first = put(ring, writer, b"first")
    second = put(ring, writer, b"second")
    writer.close()
    (path,) = segment_files(spool)
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    reader = ring.reader(spool)
    assert [entry.id for entry in reader.replay()] == [first]
    with open(path, "ab") as file:
        file.write(whole[-30:])
    assert [entry.id for entry in reader.poll()] == [second]
    assert reader.bad_tails == 0


@pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.nightly)])
def test_every_flipped_byte_of_a_record_is_refused_and_the_next_one_goes_on(
    ring: Keyring, spool: Path, step: int
) -> None:
    writer = ring.writer(spool)
    put(ring, writer, b"first")
    last = put(ring, writer, b"last")
    writer.close()
    (path,) = segment_files(spool)
    whole = path.read_bytes()
    stop = whole.index(frame.MAGIC, 1)
    for at in (*range(frame.HEAD_BYTES), *range(frame.HEAD_BYTES, stop, step)):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        reader = ring.reader(spool)
        assert [entry.id for entry in reader.replay()] == [last], at
        assert len(reader.refused) == 1, at
        reader.close()


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.nightly)])
def test_byte_flipped_by_someone_who_mends_the_checksum_is_refused_too(ring: Keyring, spool: Path, step: int) -> None:
    writer = ring.writer(spool)
    queue = put(ring, writer, b"first")
    writer.close()
    (path,) = segment_files(spool)
    whole = path.read_bytes()
    body = whole[frame.HEAD_BYTES : -4]
    for at in range(0, len(body), step):
        damaged = bytearray(body)
        damaged[at] ^= 0x01
        path.write_bytes(frame.encode(item.INLINE, queue, bytes(damaged)))
        reader = ring.reader(spool)
        entries = list(reader.replay())
        if entries:
            with pytest.raises((Tampered, TryLater)) as caught:
                reader.open(entries[0])
            assert queue in str(caught.value)
        else:
            assert [refusal.id for refusal in reader.refused] == [queue]
        reader.close()


def test_payloads_swapped_between_two_items_are_refused_and_the_third_goes_on(ring: Keyring, spool: Path) -> None:
    writer = ring.writer(spool)
    ids = [put(ring, writer, text) for text in (b"message A", b"message B", b"message C")]
    writer.close()
    (path,) = segment_files(spool)
    descriptor = os.open(path, os.O_RDONLY)
    frames = list(frame.scan(descriptor, 0))
    os.close(descriptor)
    reader = ring.reader(spool)
    sealed = [entry.sealed_bytes for entry in reader.replay()]
    reader.close()
    heads = [found.body[:-size] for found, size in zip(frames, sealed, strict=True)]
    contents = [found.body[-size:] for found, size in zip(frames, sealed, strict=True)]
    path.write_bytes(
        frame.encode(item.INLINE, ids[0], heads[0] + contents[1])
        + frame.encode(item.INLINE, ids[1], heads[1] + contents[0])
        + frame.encode(item.INLINE, ids[2], heads[2] + contents[2])
    )
    reader = ring.reader(spool)
    entries = list(reader.replay())
    for entry in entries[:2]:
        with pytest.raises(Tampered, match=entry.id):
            reader.open(entry)
    assert reader.open(entries[2]).source.read(0, 99) == b"message C"
    reader.close()
    # A whole record under another item's id: the signature names the item it was made for.
    path.write_bytes(
        frame.encode(item.INLINE, ids[0], frames[1].body) + frame.encode(item.INLINE, ids[2], frames[2].body)
    )
    reader = ring.reader(spool)
    assert [entry.id for entry in reader.replay()] == [ids[2]]
    assert [refusal.id for refusal in reader.refused] == [ids[0]]


def test_unsigned_item_is_refused_even_with_a_right_box_and_seal(ring: Keyring, spool: Path, tmp_path: Path) -> None:
    stranger = Keyring(clock=ring.clock, epochs=ring.epochs, worker=ring.worker)
    writer = stranger.writer(spool)
    forged = put(stranger, writer, b"forged")
    writer.close()
    writer = ring.writer(spool)
    true = put(ring, writer, b"true")
    writer.close()
    reader = ring.reader(spool)
    assert [entry.id for entry in reader.replay()] == [true]
    assert [refusal.id for refusal in reader.refused] == [forged]
    assert "signature" in reader.refused[0].reason
    reader.close()
    assert len(list(stranger.reader(spool).replay())) == 1  # its twin: with that key pinned it is accepted


def test_worker_may_not_sign_for_smtp_and_items_do_not_cross_directions(ring: Keyring, tmp_path: Path) -> None:
    out = fresh(tmp_path / "out")
    writer = ring.writer(out, "out")
    put(ring, writer, b"outbound")
    writer.close()
    assert len(list(ring.reader(out, "out").replay())) == 1
    moved = ring.reader(fresh(tmp_path / "in"))
    (segment,) = segment_files(out)
    (tmp_path / "in" / "log" / segment.name).write_bytes(segment.read_bytes())
    assert list(moved.replay()) == []
    assert len(moved.refused) == 1


@pytest.mark.parametrize("harm", ["cut", "longer", "missing", "flip", "swap"])
def test_harmed_large_item_is_refused_before_a_byte_of_it_leaves(ring: Keyring, spool: Path, harm: str) -> None:
    writer = ring.writer(spool)
    queue, other = put(ring, writer, b"m" * 900_000), put(ring, writer, b"n" * 900_000)
    writer.close()
    path, second = layout.large_path(spool, queue), layout.large_path(spool, other)
    content = path.read_bytes()
    if harm == "cut":
        path.write_bytes(content[: 2 * 262_144])
    elif harm == "longer":
        path.write_bytes(content + content[:262_144])
    elif harm == "missing":
        path.unlink()
    elif harm == "flip":
        path.write_bytes(content[:300_000] + bytes((content[300_000] ^ 1,)) + content[300_001:])
    else:
        path.write_bytes(second.read_bytes())
    reader = ring.reader(spool)
    entry, sound = list(reader.replay())
    with pytest.raises(Tampered, match=queue):
        reader.open(entry).source.read(262_144, 900_000)
    assert reader.open(sound).source.size == 900_000


def test_box_mark_that_the_worker_did_not_sign_is_refused(ring: Keyring, spool: Path) -> None:
    writer = ring.writer(spool)
    queue = put(ring, writer, b"x")
    writer.close()
    reader = ring.reader(spool)
    list(reader.replay())
    epoch, public = ring.public()
    box = seal_box(public, item.box_context(TENANT, queue, "in", NODE, epoch), bytes(32))
    reader.close()
    (spool / "marks" / "marks.log").write_bytes(
        frame.encode(item.BOX, queue, item.encode_box(epoch=epoch, box=box, signature=bytes(64)))
    )
    again = ring.reader(spool)
    assert list(again.replay()) == []
    assert [refusal.id for refusal in again.refused] == [queue]


def test_failed_sync_fails_every_waiting_item_and_leaves_the_segment(
    ring: Keyring, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = ring.writer(spool)
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda _: (_ for _ in ()).throw(OSError(5, "I/O error")))
    entry = writer.begin(ring.envelope())
    entry.write(b"x")
    with pytest.raises(TryLater):
        entry.finish().result(10)
    monkeypatch.setattr(os, "fdatasync", real)
    put(ring, writer, b"works again")
    assert len(segment_files(spool)) == 2
    writer.close()


def test_spool_moved_away_under_the_writer_is_not_written_to_any_more(ring: Keyring, spool: Path) -> None:
    writer = ring.writer(spool)
    put(ring, writer, b"before")
    spool.rename(spool.with_name("elsewhere"))
    entry = writer.begin(ring.envelope())
    entry.write(b"after")
    with pytest.raises(TryLater):
        entry.finish().result(10)
    assert not spool.exists()
    spool.with_name("elsewhere").rename(spool)
    put(ring, writer, b"back")
    writer.close()


def test_missing_folder_is_named_and_not_made(ring: Keyring, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="nowhere"):
        ring.writer(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_second_writer_and_second_reader_are_refused(ring: Keyring, spool: Path) -> None:
    writer, reader = ring.writer(spool), ring.reader(spool)
    with pytest.raises(Misconfigured, match="in use"):
        ring.writer(spool)
    with pytest.raises(Misconfigured, match="in use"):
        ring.reader(spool)
    writer.close()
    reader.close()


def test_leftovers_of_a_crash_are_removed_and_nothing_else(ring: Keyring, spool: Path) -> None:
    writer = ring.writer(spool)
    kept = put(ring, writer, b"k" * 400_000)
    writer.close()
    (spool / "large" / "spl_crashedwhilewriti.part").write_bytes(b"x")
    orphan = layout.large_path(spool, "spl_neverrecordedxxx")
    orphan.write_bytes(b"x")
    os.utime(orphan, (1, 1))
    os.utime(layout.large_path(spool, kept), (1, 1))
    ring.writer(spool).close()
    reader = ring.reader(spool)
    list(reader.replay())
    assert reader.sweep(ring.clock.now_us() - 86_400_000_000) == 1
    assert [path.stem for path in (spool / "large").iterdir()] == [kept]
