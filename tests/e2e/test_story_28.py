"""Story 28: "Download all" yields one ZIP of files equal to the originals, each with its own entry; a look as one."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium

from gateway.demo import documents, mails
from gateway.demo.clinic import Clinic
from tests.e2e.test_pages import chromium, do, look
from tests.e2e.test_story_27 import known, until
from tests.support.patient import Patient

__all__ = ["chromium"]
pytestmark = pytest.mark.full
ADDRESS, NUMBER = "story28@patient.test", "+15550100128"
OTHER, OTHER_NUMBER = "story28b@patient.test", "+15550100129"
NOTE = b"Patient: Maria Oyelaran, DOB 03/14/1948, MRN 00482915\nDiagnosis: type 2 diabetes, A1c 7.9 %\n"


def sent(clinic: Clinic, address: str, number: str) -> tuple[str, dict[str, bytes]]:
    """A link to a message with three files, two of them of one name; and what they were."""
    known(clinic, address, number)
    mail = mails.lab_report(address)
    mail.add_attachment(documents.photographed_form(), maintype="image", subtype="png", filename=mails.LAB_FILE.upper())
    mail.add_attachment(NOTE, maintype="text", subtype="plain", filename="Überweisung 3.txt")
    mails.send(clinic, mail)
    link = clinic.sink.wait_for(address)[-1].link
    assert link is not None
    second = mails.LAB_FILE.upper().replace(".PDF", " (2).PDF")
    return link, {
        mails.LAB_FILE: documents.lab_report(),
        second: documents.photographed_form(),
        "Überweisung 3.txt": NOTE,
    }


def unpacked(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_all_files_are_one_archive_each_with_its_own_release(shared: Clinic) -> None:
    link, originals = sent(shared, ADDRESS, NUMBER)
    patient = Patient(shared, link, NUMBER)
    page = patient.open()
    files = patient.files(page)
    assert len(files) == 3
    whole = patient.browser.get(f"{patient.plain}/files")
    assert whole.status == 200
    assert len(whole.body) == int(whole.headers["content-length"])
    assert unpacked(whole.body) == originals
    receipts = set()
    for name, data in zip(files, originals.values(), strict=True):
        (done,) = until(shared, 1, f"object:{name}", "action:object:completed")
        assert done["bytes"] == len(data)
        (opened,) = shared.search(f"object:{name}", "action:object:opened")
        assert opened["reason"] == "text zip"
        receipts.add(opened["receipt"])
    assert len(receipts) == 3
    note = list(files)[-1]
    assert "type 2 diabetes" in patient.browser.get(f"{files[note]}/look").text
    found = until(shared, 2, f"object:{note}", "action:object:opened")
    assert found[-1]["reason"] == "text look"


@pytest.mark.browser
def test_the_buttons_save_one_file_and_all_of_them(shared: Clinic, chromium: Chromium) -> None:
    link, originals = sent(shared, OTHER, OTHER_NUMBER)
    context = chromium.new_context(viewport={"width": 320, "height": 800}, bypass_csp=True)
    page = context.new_page()
    page.goto(link)
    page.fill("#last4", OTHER_NUMBER[-4:])
    do(page, "ask-text")
    code = re.search(r"\b\d{6}\b", shared.wait_for_text(OTHER_NUMBER))
    assert code is not None
    page.fill("#code", code[0])
    do(page, "verify")
    assert "Your browser shows how far a download is" in page.inner_text("main")
    look(page, "read with files")
    with page.expect_download() as single:
        do(page, "download")
    assert single.value.suggested_filename == mails.LAB_FILE
    assert Path(single.value.path()).read_bytes() == originals[mails.LAB_FILE]
    with page.expect_download() as every:
        do(page, "download-all")
    assert re.fullmatch(r"message-\d{6}\.zip", every.value.suggested_filename)
    assert unpacked(Path(every.value.path()).read_bytes()) == originals
    context.close()
