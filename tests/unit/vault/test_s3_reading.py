"""An object of an S3 store is read in few round trips by whoever reads on, and in none too many before that."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from gateway.vault import s3reader
from gateway.vault.blobstores.s3 import MARKER_TEXT
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


class Boundless(http.server.BaseHTTPRequestHandler):
    """A store that answers with far more than it was asked for. `sent` is what a client let it send."""

    protocol_version = "HTTP/1.1"
    MOST: ClassVar[int] = 512 << 20
    honest: ClassVar[bool] = True
    sent: ClassVar[list[int]] = []
    ended: ClassVar[threading.Semaphore] = threading.Semaphore(0)

    def do_HEAD(self) -> None:
        self._head(200, 300_000)

    def do_GET(self) -> None:
        if self.honest:
            self._head(200, len(MARKER_TEXT))
            self.wfile.write(MARKER_TEXT)
            return
        asked = self.headers.get("range", "")
        self._head(206 if asked else 200, self.MOST, asked)
        sent = 0
        try:
            while sent < self.MOST:
                sent += self.wfile.write(b"\0" * (1 << 20))
        except OSError:
            self.close_connection = True
        self.sent.append(sent)
        self.ended.release()

    def _head(self, status: int, length: int, asked: str = "") -> None:
        self.send_response(status)
        if asked:
            self.send_header("content-range", f"bytes {asked.removeprefix('bytes=')}/300000")
        for name, value in (("content-length", str(length)), ("etag", '"1"'),
                            ("last-modified", "Mon, 16 Nov 2026 09:00:00 GMT")):  # fmt: skip
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def test_a_bucket_that_sends_without_end_fills_no_memory_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys").write_text(f"{KEY}\n{SECRET}\n")
    (tmp_path / "keys").chmod(0o400)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Boundless)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        store = BLOBSTORES.get("s3").open(f"s3://bucket/v?endpoint={endpoint}&credentials={tmp_path / 'keys'}")
        assert store.healthy(), "the twin"
        monkeypatch.setattr(Boundless, "honest", False)
        assert not store.healthy(), "its marker"
        reader = store.open("a" * 40)
        assert reader.read(0, 100) == bytes(100), "a range"
        for _ in range(2):
            assert Boundless.ended.acquire(timeout=60)
        assert max(Boundless.sent) < Boundless.MOST // 4, "it could not even send it"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
