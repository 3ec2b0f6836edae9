"""A clinic whose vault is an S3 store: protected mail is sealed there and opened from there; when the store is away,
mail waits and readers are told so; when it comes back, so does everything.
"""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.demo import mails
from gateway.demo.clinic import PEOPLE, Clinic
from gateway.demo.visitor import Page
from gateway.doctor import GREEN
from gateway.doctor.finding import Finding
from gateway.settings import load
from tests.e2e.conftest import running
from tests.support import doctoring
from tests.support.between import Between
from tests.support.letters import contents
from tests.support.moto import moto
from tests.support.patient import Patient
from tests.support.radosgw import KEY, SECRET, client
from tests.support.spool import eventually

pytestmark = pytest.mark.full
BUCKET = "clinic-vault"


@pytest.fixture(scope="module")
def line() -> Iterator[Between]:
    with moto() as endpoint, Between(int(endpoint.rpartition(":")[2])) as between:
        client(endpoint).create_bucket(Bucket=BUCKET)
        yield between


def url(line: Between, folder: Path) -> str:
    return f"s3://{BUCKET}/riverside?endpoint=http://127.0.0.1:{line.port}&credentials={folder}/s3-keys"


@pytest.fixture(scope="module")
def clinic(line: Between, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    folder = tmp_path_factory.mktemp("s3")
    keys = folder / "s3-keys"
    keys.write_text(f"{KEY}\n{SECRET}\n")
    keys.chmod(0o400)
    yield from running(folder, environ={"SEALGATE_VAULT__URL": url(line, folder)})


def objects(line: Between) -> list[str]:
    found = client(f"http://127.0.0.1:{line.port}").list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return [one["Key"] for one in found]


@pytest.fixture(scope="module")
def reader(clinic: Clinic) -> Patient:
    mails.submit(clinic, mails.lab_report(), implicit_tls=False)
    link = clinic.sink.wait_for(mails.MARGUERITE)[0].link
    assert link is not None
    return Patient(clinic, link, PEOPLE[0][2])


@pytest.fixture(scope="module")
def page(reader: Patient) -> Page:
    return reader.open()


def test_a_protected_mail_lies_sealed_in_the_bucket_and_opens_from_there(
    line: Between, clinic: Clinic, reader: Patient, page: Page
) -> None:
    (part,) = mails.lab_report().iter_attachments()
    assert part.get_payload(decode=True) in contents(reader, page).values()
    assert len(objects(line)) > 1  # the marker, and what was sealed
    assert not list(clinic.data.glob("vault*"))


def test_the_doctor_writes_reads_and_removes_there(line: Between, clinic: Clinic) -> None:
    settings = load(clinic.config, {"SEALGATE_VAULT__URL": url(line, clinic.data.parent)})
    assert doctoring.look("vault.works", settings, clinic.config) == Finding(GREEN, "written, read, removed")


def test_while_the_store_is_away_readers_are_told_and_mail_waits_and_goes_on_by_itself(
    line: Between, clinic: Clinic, reader: Patient, page: Page
) -> None:
    (address,) = reader.files(page).values()
    count = len(clinic.sink.wait_for(mails.MARGUERITE))
    line.spoil("refuse")
    refused = reader.browser.get(address)
    assert refused.status == 503
    assert "Nothing is lost" in refused.text
    line.spoil("pass")
    eventually(lambda: reader.browser.get(address).status == 200, 60)
    eventually(lambda: taken(clinic), 60)  # new mail was 451 meanwhile, and may be for a moment longer
    clinic.sink.wait_for(mails.MARGUERITE, count + 1)


def taken(clinic: Clinic) -> bool:
    try:
        mails.submit(clinic, mails.lab_report(), implicit_tls=False)
    except smtplib.SMTPResponseException as error:
        if error.smtp_code != 451:
            raise
        return False
    return True
