"""An object of an S3 store is read in few round trips by whoever reads on, and in none too many before that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.vault import s3reader
from gateway.vault.port import BLOBSTORES, BlobStore
from tests.support.moto import moto
from tests.support.radosgw import KEY, SECRET, client

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlobStore]:
    keys: Path = tmp_path_factory.mktemp("s3") / "keys"
    keys.write_text(f"{KEY}\n{SECRET}\n")
    keys.chmod(0o400)
    with moto() as endpoint:
        client(endpoint).create_bucket(Bucket="vault-to-read")
        yield BLOBSTORES.get("s3").create(f"s3://vault-to-read/v?endpoint={endpoint}&credentials={keys}")


@pytest.mark.parametrize("start", [0, 1 << 20])
def test_who_reads_on_from_anywhere_needs_few_round_trips(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch, start: int
) -> None:
    data = os.urandom(6 << 20)
    asked: list[int] = []
    fetch = s3reader.S3Reader._fetch

    def counted(self: s3reader.S3Reader, begin: int, stop: int) -> bytes:
        asked.append(stop - begin)
        return fetch(self, begin, stop)

    monkeypatch.setattr(s3reader.S3Reader, "_fetch", counted)
    writer = store.create()
    writer.write(data)
    reader = store.open(writer.commit())
    head, last = reader.read(0, 100), reader.read(len(data) - 100, 100)
    assert (head, last) == (data[:100], data[-100:])
    assert asked == [100, 100]  # nobody reads on yet
    got = [reader.read(at, 262_144) for at in range(start, len(data), 262_144)]
    assert b"".join(got) == data[start:]
    assert len(asked) <= 3 + len(data) // s3reader.AHEAD_BYTES
    reader.close()
