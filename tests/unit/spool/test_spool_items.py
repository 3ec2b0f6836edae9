"""What goes into the spool comes out, and nothing else does."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from gateway.errors import Tampered, TryLater
from gateway.spool import item
from gateway.spool.envelope import Envelope, Identity, Recipient
from keys.floe import SEGMENT_PLAIN_BYTES
from tests.support.spool import HOUR_US, NODE, TENANT, Keyring, put, segment_files


@pytest.mark.parametrize(
    "size", [0, 1, 5000, SEGMENT_PLAIN_BYTES - 1, SEGMENT_PLAIN_BYTES, 3 * SEGMENT_PLAIN_BYTES + 7]
)
def test_what_was_written_is_read_back(ring: Keyring, spool: Path, size: int) -> None:
    content = os.urandom(size)
    writer = ring.writer(spool)
    queue = put(ring, writer, content)
    writer.close()
    reader = ring.reader(spool)
    (entry,) = list(reader.replay())
    with reader.open(entry) as opened:
        assert opened.envelope.queue == entry.id == queue
        assert opened.envelope.recipients == (Recipient("b@example.test"),)
        assert opened.source.size == size
        assert opened.source.read(0, size) == content
        assert b"".join(opened.source.chunks(3, size)) == content[3:]
        assert opened.source.read(size // 2, size // 2 + 10) == content[size // 2 : size // 2 + 10]
    assert reader.refused == []


def test_envelope_keeps_every_field_and_shows_none_in_its_repr() -> None:
    envelope = Envelope(
        tenant=TENANT,
        queue="spl_0123456789abcdef",
        mail_from="jürgen@klinik.test",
        recipients=(
            Recipient("x@y.test", (("NOTIFY", "FAILURE"), ("ORCPT", "rfc822;x@y.test"))),
            Recipient("z@y.test"),
        ),
        identity=Identity("app-password", "usr_1", "scanner"),
        arrived_us=1_790_000_000_000_000,
        node=NODE,
        mail_params=(("RET", "HDRS"), ("SMTPUTF8", "")),
        client_ip="2001:db8::1",
        helo="[192.0.2.1]",
        tls="TLSv1.3 TLS_AES_256_GCM_SHA384",
    )
    assert Envelope.from_json(envelope.to_json()) == envelope
    for secret in ("jürgen", "y.test", "scanner", "2001:db8", "192.0.2.1"):
        assert secret not in repr(envelope)


@pytest.mark.parametrize(
    "change", [(b'"v":1', b'"v":2'), (b'"tls":""', b'"tls":0'), (b'"helo":"",', b""), (b"{", b" {")]
)
def test_envelope_of_another_shape_is_refused(ring: Keyring, change: tuple[bytes, bytes]) -> None:
    data = ring.envelope().to_json()
    assert change[0] in data
    with pytest.raises(ValueError):
        Envelope.from_json(data.replace(*change, 1))


def test_nothing_of_a_message_is_readable_on_the_disk(ring: Keyring, spool: Path) -> None:
    mark = b"PLANTED-MARK-7731"
    writer = ring.writer(spool)
    put(ring, writer, mark * 10)
    put(ring, writer, mark * 100_000)
    unfinished = writer.begin(ring.envelope())
    unfinished.write(mark * 100_000)
    for path in spool.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert mark not in content
            assert b"clinic.test" not in content
            assert b"example.test" not in content
    unfinished.abort()
    assert [path.suffix for path in (spool / "large").iterdir()] == [".item"]
    writer.close()


def test_items_come_in_the_order_in_which_they_were_finished(ring: Keyring, spool: Path) -> None:
    writer = ring.writer(spool)
    futures = []
    expected = []
    for number in range(300):
        entry = writer.begin(ring.envelope())
        entry.write(b"x" * (400_000 if number % 60 == 5 else 100))
        futures.append(entry.finish())
        expected.append(entry.id)
    assert [future.result(20) for future in futures] == expected
    writer.close()
    assert writer.committer.batches < 300
    assert [entry.id for entry in ring.reader(spool).replay()] == expected


def test_batches_of_many_threads_lose_nothing(ring: Keyring, spool: Path) -> None:
    writer = ring.writer(spool)
    done: list[str] = []

    def send() -> None:
        for _ in range(25):
            done.append(put(ring, writer, b"small"))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert sorted(entry.id for entry in ring.reader(spool).replay()) == sorted(done)
    assert len(done) == 200


def test_poll_gives_each_item_once_and_restart_gives_unerased_ones_again(ring: Keyring, spool: Path) -> None:
    writer = ring.writer(spool)
    reader = ring.reader(spool)
    first = put(ring, writer, b"one")
    assert [entry.id for entry in reader.replay()] == [first]
    second, third = put(ring, writer, b"two"), put(ring, writer, b"3" * 500_000)
    assert [entry.id for entry in reader.poll()] == [second, third]
    assert list(reader.poll()) == []
    reader.erase(second)
    reader.close()
    again = ring.reader(spool)
    assert [entry.id for entry in again.replay()] == [first, third]
    again.erase(third)
    assert list((spool / "large").iterdir()) == []
    with pytest.raises(Tampered):
        again.open(again.waiting()[0].__class__(**{**_fields(again.waiting()[0]), "id": third, "large": True}))
    writer.close()


def _fields(entry: item.Entry) -> dict:
    return {name: getattr(entry, name) for name in entry.__dataclass_fields__}


def test_segment_is_removed_when_its_last_item_is_erased_and_a_newer_one_exists(ring: Keyring, spool: Path) -> None:
    writer = ring.writer(spool)
    ids = [put(ring, writer, b"a"), put(ring, writer, b"b")]
    writer.close()
    reader = ring.reader(spool)
    assert [entry.id for entry in reader.replay()] == ids
    for one in ids:
        reader.erase(one)
    assert len(segment_files(spool)) == 1  # still the newest: a writer could go on there
    writer = ring.writer(spool)
    put(ring, writer, b"c")
    assert len(list(reader.poll())) == 1
    assert len(segment_files(spool)) == 1
    reader.close()
    again = ring.reader(spool)
    assert len(list(again.replay())) == 1
    assert (spool / "marks" / "marks.log").stat().st_size == 0  # marks of removed segments are forgotten
    writer.close()


def test_reboxed_items_open_after_the_old_key_is_destroyed_and_others_do_not(ring: Keyring, spool: Path) -> None:
    writer = ring.writer(spool)
    small, large = put(ring, writer, b"small"), put(ring, writer, b"L" * 400_000)
    reader = ring.reader(spool)
    assert len(list(reader.replay())) == 2
    old, _ = ring.public()
    ring.clock.ahead_us += HOUR_US
    new, public = ring.public()
    assert reader.rebox({old}, new, public) == 2
    assert reader.rebox({old}, new, public) == 0
    late_ring_key = ring.epochs.pop(old)
    assert reader.open(reader.waiting()[0]).source.read(0, 9) == b"small"
    reader.close()
    again = ring.reader(spool)
    entries = list(again.replay())
    assert [(entry.id, entry.epoch) for entry in entries] == [(small, new), (large, new)]
    assert again.open(entries[1]).source.size == 400_000
    again.close()
    (spool / "marks" / "marks.log").write_bytes(b"")  # the twin: without the new boxes nothing opens
    bare = ring.reader(spool)
    for entry in list(bare.replay()):
        with pytest.raises(Tampered):
            bare.open(entry)
    bare.close()
    ring.epochs[old] = late_ring_key
    writer.close()


def test_commit_after_the_epochs_grace_is_not_promised(ring: Keyring, spool: Path) -> None:
    writer = ring.writer(spool)
    entry = writer.begin(ring.envelope())
    entry.write(b"late")
    record = writer.record

    def late(*args):
        answer = record(*args)
        ring.clock.ahead_us += HOUR_US + item.COMMIT_GRACE_US + 1
        return answer

    writer.record = late  # type: ignore[method-assign]
    with pytest.raises(TryLater):
        entry.finish().result(10)
    writer.close()
    assert item.EPOCH_GRACE_US > item.COMMIT_GRACE_US


def test_without_an_epoch_key_nothing_is_promised_and_nothing_stays(ring: Keyring, spool: Path) -> None:
    writer = ring.writer(spool)

    def none() -> tuple[int, bytes]:
        raise TryLater("no key for this epoch")

    writer._epoch_public = none
    for size in (10, 700_000):
        entry = writer.begin(ring.envelope())
        entry.write(bytes(size))
        with pytest.raises(TryLater):
            entry.finish()
    assert list((spool / "large").iterdir()) == []
    writer.close()
