"""A log in a bucket with Object Lock: the store refuses to give up what was exported, and what is hidden is still read.

moto's server here; Ceph's RADOS Gateway in tests/e2e/test_story_44_s3.py.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from gateway import s3place
from gateway.audit import growing
from gateway.audit.keeper import Held, Keeper, keeper_at
from gateway.cli import audit as command
from gateway.errors import Misconfigured, Tampered, TryLater
from gateway.section_audit import Audit
from tests.support.between import Between
from tests.support.moto import moto
from tests.support.radosgw import KEY, SECRET, client
from tests.unit.audit.conftest import TENANT, House
from tests.unit.audit.test_command import live, parsed

pytestmark = pytest.mark.full
LOCKED, PLAIN, DAYS = "log-locked", "log-plain", 30


@pytest.fixture(scope="module")
def line() -> Iterator[Between]:
    with moto() as endpoint, Between(int(endpoint.rpartition(":")[2])) as between:
        client(endpoint).create_bucket(Bucket=LOCKED, ObjectLockEnabledForBucket=True)
        client(endpoint).create_bucket(Bucket=PLAIN)
        yield between


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file: Path = tmp_path_factory.mktemp("s3") / "keys"
    file.write_text(f"{KEY}\n{SECRET}\n")
    file.chmod(0o400)
    return file


@pytest.fixture
def s3(line: Between) -> Any:
    return client(f"http://127.0.0.1:{line.port}")


def url(line: Between, keys: Path, bucket: str = LOCKED, prefix: str = "") -> str:
    there = prefix or f"clinic/{secrets.token_hex(4)}"
    return f"s3://{bucket}/{there}?endpoint=http://127.0.0.1:{line.port}&credentials={keys}"


def keeper(line: Between, keys: Path, bucket: str = LOCKED, *, lock: str = "compliance", prefix: str = "") -> Keeper:
    return keeper_at(url(line, keys, bucket, prefix), TENANT, lock=lock, days=DAYS)


def grown(house: House, there: Keeper) -> growing.Grown:
    house.happen(count=5)
    house.sequencer.run_once()
    return growing.grow(there, house.audit, TENANT, house.notary)


@pytest.mark.parametrize("mode", ["compliance", "governance"])
def test_what_is_exported_is_held_until_the_day_and_the_store_says_so(
    house: House, line: Between, keys: Path, s3: Any, mode: str
) -> None:
    done = grown(house, keeper(line, keys, lock=mode, prefix=f"held/{mode}"))
    day = (datetime.now(UTC) + timedelta(days=DAYS)).date()
    assert done.held is not None
    assert done.held.mode == mode
    assert done.held.until in (str(day), str(day - timedelta(days=1)))
    versions = s3.list_object_versions(Bucket=LOCKED, Prefix=f"held/{mode}/")["Versions"]
    assert len(versions) == done.objects
    for one in versions:
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.delete_object(Bucket=LOCKED, Key=one["Key"], VersionId=one["VersionId"])
        with pytest.raises(ClientError, match="PreconditionFailed"):
            s3.put_object(Bucket=LOCKED, Key=one["Key"], Body=b"other", IfNoneMatch="*")


def test_what_somebody_hid_or_wrote_over_is_still_read_and_told(
    house: House, line: Between, keys: Path, s3: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    place = url(line, keys)
    prefix = f"{s3place.parse(place).prefix}/{TENANT}"
    grown(house, keeper_at(place, TENANT, lock="compliance", days=DAYS))
    s3.delete_object(Bucket=LOCKED, Key=f"{prefix}/heads/00000000.json")
    s3.put_object(Bucket=LOCKED, Key=f"{prefix}/log/tile/entries/000.p/6", Body=b"forged")
    there = place.replace("?", f"/{TENANT}?")
    vkey = house.notary.vkeys(TENANT)["log_vkey"]
    assert command.verify_of(there, vkey, None, as_json=True) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["holds"], report["hidden"], report["held"]["mode"]) == (True, 2, "compliance")
    done = grown(house, keeper_at(place, TENANT, lock="compliance", days=DAYS))
    assert (done.number, done.hidden) == (1, 2)
    assert command.verify_of(there, vkey, None, as_json=False) == 0
    assert "removed or written over since: 2" in capsys.readouterr().out


def test_a_bucket_without_object_lock_is_said_and_never_claimed(
    house: House, line: Between, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert grown(house, keeper(line, keys, PLAIN)).held is None
    installation = live(house)
    object.__setattr__(installation, "exports", Audit(export_url=url(line, keys, PLAIN)))
    assert command.run_live(parsed("export"), installation) == 0
    assert "NOT HELD" in capsys.readouterr().out
    object.__setattr__(installation, "exports", Audit(export_url=url(line, keys)))
    assert command.run_live(parsed("export"), installation) == 0
    assert "held by the store: compliance, until 20" in capsys.readouterr().out
    assert grown(house, keeper(line, keys, LOCKED, lock="none")).held is None


def test_what_lies_there_already_is_compared_and_never_replaced(line: Between, keys: Path) -> None:
    prefix = f"x/{secrets.token_hex(4)}"
    first, second = (keeper(line, keys, prefix=prefix) for _ in range(2))
    first.put("a/b", b"one")
    second.put("a/b", b"one")
    with pytest.raises(Tampered, match="other bytes lie at a/b"):
        second.put("a/b", b"two")
    assert first.read("a/b") == second.read("a/b") == b"one"
    assert first.names() == {"a/b"}
    with pytest.raises(Tampered, match="missing"):
        first.read("a/c")


def test_a_store_that_is_away_is_named_without_its_words_and_nothing_is_lost(
    house: House, line: Between, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = keeper(line, keys)
    grown(house, there)
    monkeypatch.setattr(s3place, "TRIES", 1)
    line.spoil("refuse")
    try:
        with pytest.raises(TryLater) as caught:
            grown(house, keeper_at(url(line, keys), TENANT, lock="compliance", days=DAYS))
    finally:
        line.spoil("pass")
    assert "127.0.0.1" not in caught.value.detail
    done = grown(house, there)
    assert isinstance(done.held, Held)
    assert done.number == 1


def test_a_bucket_that_is_not_there_is_the_configurations_fault(house: House, line: Between, keys: Path) -> None:
    with pytest.raises(Misconfigured, match=r"\[audit\] export_url: .*NoSuchBucket"):
        grown(house, keeper(line, keys, "no-such-bucket"))
