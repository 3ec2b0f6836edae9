"""Story 44 where the sealed files lie in an S3 store (Ceph's RADOS Gateway), and the log goes to a bucket with Object
Lock each day: backup, everything lost but that bucket, restore into an empty prefix, the same log, the old link opens.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from gateway.demo import mails
from gateway.demo.clinic import PEOPLE, Clinic
from gateway.doctor import GREEN
from gateway.settings import load
from tests.e2e.conftest import running
from tests.support import doctoring
from tests.support.letters import contents
from tests.support.patient import Patient
from tests.support.radosgw import KEY, SECRET, Radosgw, client
from tests.support.spool import eventually

pytestmark = pytest.mark.full
VAULT, LOGS = "clinic-vault", "clinic-log"
LOCAL = ("db", "keys", "spool")
PHONE = PEOPLE[0][2]


@dataclass
class Drill:
    """The clinic that came back, and what was said before and by the restore."""

    clinic: Clinic
    s3: Any
    environ: dict[str, str]
    link: str
    head: dict[str, Any]
    said: dict[str, Any]

    def objects(self, prefix: str) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=VAULT, Prefix=prefix).get("Contents", [])
        return sorted(one["Key"].removeprefix(prefix) for one in found)

    @property
    def log_url(self) -> str:
        return self.environ["SEALGATE_AUDIT__EXPORT_URL"].replace("?", f"/{self.clinic.tenant}?")


def kept(clinic: Clinic) -> list[dict[str, Any]]:
    return [one for one in clinic.search("action:log:kept") if one["outcome"] == "ok"]


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    folder = tmp_path_factory.mktemp("s3")
    keys = folder / "s3-keys"
    keys.write_text(f"{KEY}\n{SECRET}\n")
    keys.chmod(0o400)
    with Radosgw() as server:
        s3, more = client(server.endpoint), f"?endpoint={server.endpoint}&credentials={keys}"
        s3.create_bucket(Bucket=VAULT)
        s3.create_bucket(Bucket=LOGS, ObjectLockEnabledForBucket=True)
        environ = {
            "SEALGATE_VAULT__URL": f"s3://{VAULT}/first{more}", "SEALGATE_AUDIT__EXPORT_URL": f"s3://{LOGS}/logs{more}",
        }  # fmt: skip
        for clinic in running(folder, environ=environ):
            mails.submit(clinic, mails.lab_report(), implicit_tls=False)
            link = clinic.sink.wait_for(mails.MARGUERITE)[0].link
            assert link is not None
            eventually(lambda clinic=clinic: kept(clinic), 60)  # type: ignore[misc]
            clinic.command("backup", "keyholder", str(folder / "far" / "k"))
            clinic.command("backup", "content", str(folder / "near" / "c"))
            head = kept(clinic)[-1]
            clinic.stop_gateway()
            for name in LOCAL:
                shutil.rmtree(clinic.data / name)
            for one in s3.list_objects_v2(Bucket=VAULT, Prefix="first/")["Contents"]:
                s3.delete_object(Bucket=VAULT, Key=one["Key"])
            environ["SEALGATE_VAULT__URL"] = f"s3://{VAULT}/second{more}"  # the clinic reads the same dictionary
            halves = (str(folder / "near" / "c"), str(folder / "far" / "k"))
            said = json.loads(clinic.command("restore", *halves, "--verify", "--json", *clinic.options))
            clinic.serve()
            yield Drill(clinic, s3, environ, link, head, said)


def test_the_sealed_files_come_back_into_the_bucket_and_the_old_link_opens_them(drill: Drill) -> None:
    assert (drill.said["verified"], drill.said["missing"], drill.said["needed"]) == (True, 0, [])
    assert drill.objects("first/") == []
    back = drill.objects("second/")
    assert len(back) == drill.said["files"] + 1, "and the marker of the vault"
    patient = Patient(drill.clinic, drill.link, PHONE)
    (part,) = mails.lab_report().iter_attachments()
    assert part.get_payload(decode=True) in contents(patient, patient.open()).values()
    assert not list(drill.clinic.data.glob("vault*"))


def test_the_log_goes_on_where_it_was_in_the_bucket_too(drill: Drill) -> None:
    clinic = drill.clinic
    logs = drill.said["logs"][clinic.tenant]
    (back,) = clinic.search("action:backup:restored")
    assert back["entry"] == logs["size"]
    assert not clinic.search("action:log:rotated"), "it states its keys once"
    said = clinic.command("audit", "export")
    assert "held by the store: compliance, until 20" in said
    key = clinic.command("audit", "key").strip()
    report = json.loads(clinic.command("audit", "verify", drill.log_url, "--key", key, "--json"))
    assert report["holds"] is True
    assert report["exports"] == 2
    assert report["sizes"]["log"] > logs["size"]
    assert report["held"]["mode"] == "compliance"
    assert report["hidden"] == 0


def test_the_store_refuses_to_give_up_what_was_exported(drill: Drill) -> None:
    words = drill.head["reason"].split()
    assert (words[4], words[6:]) == ("compliance", ["hidden", "0"])
    versions = drill.s3.list_object_versions(Bucket=LOGS, Prefix="logs/")["Versions"]
    assert len(versions) > 6
    for one in versions[:3]:
        with pytest.raises(ClientError, match="AccessDenied"):
            drill.s3.delete_object(Bucket=LOGS, Key=one["Key"], VersionId=one["VersionId"])
        with pytest.raises(ClientError, match="AccessDenied"):
            drill.s3.put_object_retention(
                Bucket=LOGS, Key=one["Key"], VersionId=one["VersionId"],
                Retention={"Mode": "GOVERNANCE", "RetainUntilDate": "2026-12-01T00:00:00Z"},
            )  # fmt: skip


def test_the_doctor_sees_that_it_left_and_until_when_it_is_held(drill: Drill) -> None:
    settings = load(drill.clinic.config, drill.environ)
    found = doctoring.look("export.kept", settings, drill.clinic.config)
    assert found.level == GREEN
    assert f"held until {drill.head['reason'].split()[5]}" in found.found
    assert doctoring.look("vault.uploads", settings, drill.clinic.config).level == GREEN


def test_copies_of_the_bucket_verify_without_it(drill: Drill, tmp_path: Path) -> None:
    prefix = f"logs/{drill.clinic.tenant}/"
    for one in drill.s3.list_objects_v2(Bucket=LOGS, Prefix=prefix)["Contents"]:
        path = tmp_path / one["Key"].removeprefix(prefix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(drill.s3.get_object(Bucket=LOGS, Key=one["Key"])["Body"].read())
    key = drill.clinic.command("audit", "key").strip()
    assert "holds" in drill.clinic.command("audit", "verify", str(tmp_path), "--key", key)
