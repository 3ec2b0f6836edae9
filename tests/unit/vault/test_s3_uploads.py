"""Uploads in parts that a killed process left are found and ended after a day; nobody else's are.

moto says of every upload that it was begun in 2010; Ceph's RADOS Gateway, which says the true time, was tried by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway import s3place
from gateway.vault import s3uploads
from gateway.vault.port import BLOBSTORES
from tests.support.between import Between
from tests.support.moto import moto
from tests.support.radosgw import KEY, SECRET, client

pytestmark = pytest.mark.full
BUCKET, PREFIX = "vault-of-uploads", "clinic/vault"
BEFORE, YESTERDAY = datetime(2009, 1, 1, tzinfo=UTC), datetime.now(UTC) - timedelta(days=1)


@pytest.fixture(scope="module")
def line() -> Iterator[Between]:
    with moto() as endpoint, Between(int(endpoint.rpartition(":")[2])) as between:
        client(endpoint).create_bucket(Bucket=BUCKET)
        yield between


@pytest.fixture(scope="module")
def url(line: Between, tmp_path_factory: pytest.TempPathFactory) -> str:
    keys: Path = tmp_path_factory.mktemp("s3") / "keys"
    keys.write_text(f"{KEY}\n{SECRET}\n")
    keys.chmod(0o400)
    return f"s3://{BUCKET}/{PREFIX}?endpoint=http://127.0.0.1:{line.port}&credentials={keys}"


def begun(line: Between) -> list[str]:
    found: Any = client(f"http://127.0.0.1:{line.port}").list_multipart_uploads(Bucket=BUCKET)
    return sorted(one["Key"] for one in found.get("Uploads", []))


def test_those_of_our_blobs_are_ended_when_they_are_a_day_old_and_others_left(
    line: Between, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = sorted([f"other/cc/{'c' * 40}", f"{PREFIX}/somebody", f"{PREFIX}/aa/{'b' * 40}"])
    for key in (f"{PREFIX}/aa/{'a' * 40}", *theirs):
        client(f"http://127.0.0.1:{line.port}").create_multipart_upload(Bucket=BUCKET, Key=key)
    store = BLOBSTORES.get("s3").create(url)
    assert store.remove_unfinished(BEFORE) == 0, "it may still be under way"
    monkeypatch.setattr(s3uploads.importlib.util, "find_spec", lambda name: None)
    assert store.remove_unfinished(YESTERDAY) == 0
    assert "boto3" in s3uploads.unseen(s3place.parse(url), YESTERDAY)
    monkeypatch.undo()
    assert s3uploads.unseen(s3place.parse(url), YESTERDAY) == ""
    assert store.remove_unfinished(YESTERDAY) == 1
    assert begun(line) == theirs


def test_a_store_that_does_not_list_them_keeps_nothing_else_from_being_swept(
    line: Between, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3place, "TRIES", 1)
    line.spoil("refuse")
    try:
        assert s3uploads.Uploads(s3place.parse(url)).end(YESTERDAY) == 0
        said = s3uploads.unseen(s3place.parse(url), YESTERDAY)
    finally:
        line.spoil("pass")
    assert said.startswith("the store does not list them (")
    assert "127.0.0.1" not in said
