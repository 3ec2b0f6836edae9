"""Blob stores: the same promises, kept by files, by a true S3 server and by moto's; and what S3 alone can do wrong."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Misconfigured, Tampered, TryLater
from gateway.vault import Vault, s3place, s3reader, s3writer
from gateway.vault.port import BLOBSTORES, BlobStore, Missing
from keys.datakey import DataKey
from tests.support.between import Between
from tests.support.moto import moto
from tests.support.radosgw import KEY, SECRET, Radosgw, client

pytestmark = pytest.mark.full
BUCKET = "vault-of-the-tests"
NAMES = {"tenant": "tnt_a", "object_id": "obj_a", "kind": "file"}
DATA_KEY = DataKey(b"k" * 32)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("s3") / "keys"
    file.write_text(f"{KEY}\n{SECRET}\n")
    file.chmod(0o400)
    return file


@pytest.fixture(scope="module")
def rgw() -> Iterator[Radosgw]:
    with Radosgw() as server:
        client(server.endpoint).create_bucket(Bucket=BUCKET)
        yield server


@pytest.fixture(scope="module")
def motos() -> Iterator[str]:
    with moto() as endpoint:
        client(endpoint).create_bucket(Bucket=BUCKET)
        yield endpoint


@pytest.fixture(params=["file", "radosgw", "moto"])
def url(request: pytest.FixtureRequest, tmp_path: Path, keys: Path) -> str:
    """A place where nothing is yet."""
    if request.param == "file":
        return f"file://{tmp_path}/vault"
    endpoint = (
        request.getfixturevalue("rgw").endpoint if request.param == "radosgw" else request.getfixturevalue("motos")
    )
    return place(endpoint, keys)


def place(endpoint: str, keys: Path) -> str:
    return f"s3://{BUCKET}/{secrets.token_hex(8)}/vault?endpoint={endpoint}&credentials={keys}"


@pytest.fixture
def store(url: str) -> BlobStore:
    return made(url)


def made(url: str) -> BlobStore:
    return BLOBSTORES.get(url.partition(":")[0]).create(url)


def opened(url: str) -> BlobStore:
    return BLOBSTORES.get(url.partition(":")[0]).open(url)


def put(store: BlobStore, *pieces: bytes) -> str:
    writer = store.create()
    for piece in pieces:
        writer.write(piece)
    return writer.commit()


def whole(store: BlobStore, blob: str) -> bytes:
    reader = store.open(blob)
    try:
        return reader.read(0, reader.size_bytes)
    finally:
        reader.close()


def listed(store: BlobStore, than: datetime, *shard: int) -> list[str]:
    return sorted(name for page in store.older(than, *shard) for name in page)


def tomorrow() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


# what every store promises


@pytest.mark.parametrize("pieces", [[b""], [b"a"], [b"ab", b"", b"c"], [b"x" * 300_000] * 5], ids=len)
def test_what_was_committed_comes_back(store: BlobStore, pieces: list[bytes]) -> None:
    blob = put(store, *pieces)
    assert whole(store, blob) == b"".join(pieces)


def test_a_blob_is_not_there_before_its_commit_and_never_after_an_abort(store: BlobStore) -> None:
    writer = store.create()
    writer.write(b"half")
    assert listed(store, tomorrow()) == []
    writer.abort()
    writer.abort()
    assert listed(store, tomorrow()) == []
    kept = store.create()
    blob = kept.commit()
    kept.abort()  # as a context does at its end
    assert listed(store, tomorrow()) == [blob]


def test_names_are_new_each_time(store: BlobStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda number: put(store, b"%d" % number), range(24)))
    assert len(set(names)) == 24
    assert [whole(store, name) for name in names] == [b"%d" % number for number in range(24)]


def test_a_blob_comes_back_under_the_name_it_had_and_never_over_another(store: BlobStore) -> None:
    blob = put(store, b"")
    with pytest.raises(ValueError, match="name"):
        store.put_back(blob).commit()
    store.remove(blob)
    assert (store.put_back(blob).commit(), whole(store, blob)) == (blob, b"")


@pytest.mark.parametrize("blob", ["", "0" * 40, "../../etc/passwd", "sealgate-vault", "0" * 39 + "/", "A" * 40])
def test_a_blob_that_is_not_there_is_missing(store: BlobStore, blob: str) -> None:
    with pytest.raises(Missing):
        store.open(blob)
    store.remove(blob)
    assert store.healthy()


def test_what_was_removed_is_missing_and_removing_it_again_is_fine(store: BlobStore) -> None:
    blob, other = put(store, b"a"), put(store, b"b")
    store.remove(blob)
    store.remove(blob)
    with pytest.raises(Missing):
        store.open(blob)
    assert whole(store, other) == b"b"


def test_any_range_comes_back_in_any_order(store: BlobStore) -> None:
    data = os.urandom(3_000_001)
    reader = store.open(put(store, data))
    try:
        ranges = [(0, 10), (2_999_990, 11), (2_999_999, 50), (0, 262_144), (262_144, 262_144), (524_288, 100), (7, 1)]
        assert [reader.read(*one) for one in ranges] == [data[start : start + length] for start, length in ranges]
        assert reader.read(reader.size_bytes, 1) == b""
        steps = [reader.read(at, 262_144) for at in range(0, len(data), 262_144)]
        assert b"".join(steps) == data
    finally:
        reader.close()
        reader.close()


def test_only_what_is_older_is_listed(store: BlobStore) -> None:
    before = datetime.now(UTC) - timedelta(days=1)
    names = sorted(put(store, b"a") for _ in range(3))
    assert listed(store, before) == []
    assert listed(store, tomorrow()) == names
    assert [one for at in range(256) for one in listed(store, tomorrow(), at)] == names


def test_a_vault_is_made_once_and_opened_afterwards(url: str) -> None:
    kind = BLOBSTORES.get(url.partition(":")[0])
    assert kind.absent(url)
    with pytest.raises(Misconfigured, match="no vault"):
        kind.open(url)
    blob = put(kind.create(url), b"a")
    assert not kind.absent(url)
    with pytest.raises(Misconfigured, match="not empty"):
        kind.create(url)
    assert whole(opened(url), blob) == b"a"


def test_the_sweeper_takes_what_has_no_row(url: str) -> None:
    vault = Vault.create(url)
    kept, left = (vault.seal(DATA_KEY, **NAMES, chunks=[b"z" * 300_000]) for _ in range(2))
    assert vault.sweep(lambda names: {kept.blob}, datetime.now(UTC) - timedelta(days=1)) == 0
    assert vault.sweep(lambda names: {kept.blob}, tomorrow()) == 1
    pinned: dict[str, Any] = {**NAMES, "header_tag": kept.header_tag, "sealed_bytes": kept.sealed_bytes}
    with vault.open(DATA_KEY, blob=kept.blob, **pinned) as reader:
        assert b"".join(reader.read()) == b"z" * 300_000
    with pytest.raises(Tampered, match="missing"):
        vault.open(DATA_KEY, blob=left.blob, **pinned)


# S3: its words


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("s3://", "bucket"),
        ("s3://UPPER/x", "bucket"),
        ("s3://key:secret@bucket/x", "bucket"),
        ("s3://bucket/a//b", "prefix"),
        ("s3://bucket/a/../b", "prefix"),
        ("s3://bucket/a b", "prefix"),
        ("s3://bucket/a?endpoint=http://storage.example", "https"),
        ("s3://bucket/a?endpoint=https://key:secret@storage.example", "file"),
        ("s3://bucket/a?endpoint=https://storage.example/path", "https"),
        ("s3://bucket/a?endpoint=https://a.example&endpoint=https://b.example", "once"),
        ("s3://bucket/a?secret=abc", "credentials="),
        ("s3://bucket/a?credentials=keys", "absolute"),
    ],
)
def test_a_url_that_says_too_much_or_too_little_is_refused(url: str, word: str) -> None:
    with pytest.raises(Misconfigured, match=word) as caught:
        s3place.parse(url)
    assert "secret@" not in caught.value.public + caught.value.detail


def test_a_url_without_prefix_and_endpoint_is_the_whole_bucket_at_amazon() -> None:
    assert s3place.parse("s3://bucket?region=eu-central-1") == s3place.Place("bucket", "", "", "eu-central-1", None)


def test_keys_that_the_store_refuses_are_told_without_showing_them(rgw: Radosgw, keys: Path, tmp_path: Path) -> None:
    url = place(rgw.endpoint, keys)
    made(url)
    wrong = tmp_path / "wrong"
    wrong.write_text(f"{KEY}\nnot-the-secret-of-it\n")
    wrong.chmod(0o400)
    with pytest.raises(Misconfigured, match="refuses our keys") as caught:
        opened(url.replace(str(keys), str(wrong)))
    assert "not-the-secret" not in repr(caught.value) + caught.value.public + caught.value.detail
    for text in ("one line\n", "a\nb\nc\n", "a\n \n"):
        wrong.chmod(0o600)
        wrong.write_text(text)
        with pytest.raises(Misconfigured, match="two lines"):
            opened(url.replace(str(keys), str(wrong)))
    wrong.chmod(0o644)
    with pytest.raises(Misconfigured, match="open to everybody"):
        opened(url.replace(str(keys), str(wrong)))


def test_a_bucket_that_is_not_there_is_never_made(rgw: Radosgw, keys: Path) -> None:
    url = place(rgw.endpoint, keys).replace(BUCKET, "no-such-bucket")
    kind = BLOBSTORES.get("s3")
    for deed in (kind.absent, kind.create):
        with pytest.raises(Misconfigured):
            deed(url)
    with pytest.raises(Misconfigured):
        kind.open(url)
    assert [one["Name"] for one in client(rgw.endpoint).list_buckets()["Buckets"]] == [BUCKET]


# S3: objects in parts, conditions


def left_uploads(rgw: Radosgw) -> list[str]:
    return [one["Key"] for one in client(rgw.endpoint).list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]


def test_a_large_object_goes_in_parts_and_an_aborted_one_leaves_nothing(rgw: Radosgw, keys: Path) -> None:
    url = place(rgw.endpoint, keys)
    store = made(url)
    piece = os.urandom(1 << 20)
    blob = put(store, *[piece] * 70)  # above 64 MB
    found = client(rgw.endpoint).head_object(Bucket=BUCKET, Key=f"{s3place.parse(url).prefix}/{blob[:2]}/{blob}")
    assert found["ETag"].strip('"').endswith("-9")  # 70 MiB in parts of 8
    reader = store.open(blob)
    assert all(reader.read(at << 20, 1 << 20) == piece for at in range(70))
    reader.close()
    writer = store.create()
    for _ in range(20):
        writer.write(piece)
    writer.abort()
    assert left_uploads(rgw) == []
    assert listed(store, tomorrow()) == [blob]


def test_a_name_that_is_taken_is_never_written_over(rgw: Radosgw, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = made(place(rgw.endpoint, keys))
    names = iter(["a" * 40, "a" * 40, "b" * 40])
    monkeypatch.setattr(s3writer.secrets, "token_hex", lambda size: next(names))
    assert put(store, b"first") == "a" * 40
    assert put(store, b"second") == "b" * 40
    assert (whole(store, "a" * 40), whole(store, "b" * 40)) == (b"first", b"second")


def test_an_object_exchanged_while_it_is_read_is_refused_and_not_mixed(rgw: Radosgw, keys: Path) -> None:
    url = place(rgw.endpoint, keys)
    vault, blobs = Vault.create(url), opened(url)
    data = os.urandom(2 * s3reader.AHEAD_BYTES)
    stored, other = (vault.seal(DATA_KEY, **NAMES, chunks=[data]) for _ in range(2))
    prefix = s3place.parse(url).prefix
    names = [f"{prefix}/{one.blob[:2]}/{one.blob}" for one in (stored, other)]
    reader = vault.open(
        DATA_KEY, blob=stored.blob, **NAMES, header_tag=stored.header_tag, sealed_bytes=stored.sealed_bytes
    )
    pieces = reader.read()
    got = [next(pieces)]
    client(rgw.endpoint).copy_object(Bucket=BUCKET, CopySource=f"{BUCKET}/{names[1]}", Key=names[0])
    with pytest.raises(Tampered):
        for piece in pieces:
            got.append(piece)
    assert data.startswith(b"".join(got))
    assert sum(map(len, got)) < len(data)
    blobs.remove(other.blob)


# S3: a store that is slow, silent, away


@pytest.fixture
def line(rgw: Radosgw, monkeypatch: pytest.MonkeyPatch) -> Iterator[Between]:
    for name in ("CONNECT_SECONDS", "REQUEST_SECONDS", "RETRY_SECONDS", "LOOK_SECONDS"):
        monkeypatch.setattr(s3place, name, 1)
    with Between(rgw.port) as between:
        yield between


@pytest.fixture
def behind(line: Between, keys: Path) -> BlobStore:
    return made(place(f"http://127.0.0.1:{line.port}", keys))


@pytest.mark.parametrize("mode", ["refuse", "hang"])
def test_a_store_that_is_away_is_waited_for_and_comes_back_by_itself(
    line: Between, behind: BlobStore, mode: str
) -> None:
    blob = put(behind, b"kept")
    reader = behind.open(blob)
    line.spoil(mode)
    deeds: list[Callable[[], object]] = [
        lambda: put(behind, b"new"), lambda: behind.open(blob), lambda: behind.remove(blob), lambda: reader.read(0, 4),
        lambda: listed(behind, tomorrow()),
    ]  # fmt: skip
    for deed in deeds:
        with pytest.raises(TryLater) as caught:
            deed()
        assert BUCKET not in caught.value.detail
    assert not behind.healthy()
    line.spoil("pass")
    assert behind.healthy()
    assert whole(behind, blob) == b"kept"
    assert reader.read(0, 4) == b"kept"


def test_a_slow_store_is_only_slow(line: Between, behind: BlobStore) -> None:
    line.slow_seconds = 0.2
    line.spoil("slow")
    assert whole(behind, put(behind, b"slowly")) == b"slowly"


def test_an_answer_that_is_cut_is_never_taken_for_an_end(line: Between, behind: BlobStore) -> None:
    data = os.urandom(500_000)
    reader = behind.open(put(behind, data))
    line.cut_after = 100_000
    line.spoil("cut")
    with pytest.raises(TryLater):
        reader.read(0, len(data))
    line.spoil("pass")
    assert reader.read(0, len(data)) == data


def test_an_upload_whose_store_goes_away_fails_and_nobody_hangs(line: Between, behind: BlobStore) -> None:
    piece = b"y" * (1 << 20)
    writer = behind.create()
    for _ in range(18):
        writer.write(piece)
    line.spoil("refuse")
    with pytest.raises(TryLater):
        for _ in range(200):
            writer.write(piece)
        writer.commit()
    writer.abort()
    assert not [one for one in threading.enumerate() if one.name == "vault-upload"]
    line.spoil("pass")
    assert listed(behind, tomorrow()) == []


def test_a_bucket_that_was_emptied_is_not_taken_for_a_fresh_vault(rgw: Radosgw, keys: Path) -> None:
    url = place(rgw.endpoint, keys)
    store = made(url)
    blob = put(store, b"a")
    admin, prefix = client(rgw.endpoint), s3place.parse(url).prefix
    for one in admin.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]:
        admin.delete_object(Bucket=BUCKET, Key=one["Key"])
    with pytest.raises(TryLater, match="marker"):
        store.open(blob)
    assert not store.healthy()
    with pytest.raises(Misconfigured, match="no vault"):
        opened(url)
