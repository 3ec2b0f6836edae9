"""Story 12: a recall before opening proves zero bytes; after a partial download the officer names files, bytes, person,
factor.
"""

from __future__ import annotations

import re
import time

import httpx2
import pytest

from gateway.demo import mails
from gateway.demo.clinic import PHONE, Clinic
from tests.e2e.test_story_11 import Desk

pytestmark = pytest.mark.full
FILE = "attachment-1.pdf"
"""As staff and officers see it: the sender's own name for it may say who the patient is."""


@pytest.fixture(scope="module")
def desks(clinic: Clinic) -> tuple[Desk, Desk]:
    """Amy's and Olga's."""
    return Desk(clinic, clinic.amy), Desk(clinic, clinic.olga)


def sent(clinic: Clinic) -> tuple[str, str]:
    """A lab report to Marguerite: its link, and the id of its message."""
    before = len([one for one in clinic.sink.mails if mails.MARGUERITE in one.recipients])
    mails.submit(clinic, mails.lab_report(), implicit_tls=False)
    link = clinic.sink.wait_for(mails.MARGUERITE, before + 1)[-1].link
    assert link is not None
    return link, str(clinic.search("action:message:secured")[-1]["object"])


def recall(desk: Desk, message: str) -> None:
    path = f"/staff/messages/{message}/recall"
    assert desk.post(path, desk.get(path).text).status_code == 303


def test_recalled_before_opening_means_zero_bytes(clinic: Clinic, desks: tuple[Desk, Desk]) -> None:
    link, message = sent(clinic)
    recall(desks[0], message)
    with httpx2.Client() as browser:
        page = browser.get(link)
    assert page.status_code == 410
    assert PHONE in page.text
    assert FILE not in page.text
    story = desks[1].get(f"/audit/messages/{message}").text
    assert 'data-event="link:revoked"' in story
    for event in ("object:opened", "object:part", "object:completed", "object:failed"):
        assert f'data-event="{event}"' not in story
    assert not clinic.search("action:object", f"object:{message}"), "no entry tells of a byte that went out"


def test_after_a_partial_download_the_officer_sees_exactly_what_went_out(
    clinic: Clinic, desks: tuple[Desk, Desk]
) -> None:
    link, message = sent(clinic)
    with httpx2.Client(follow_redirects=True, timeout=60) as browser:
        texts = len(clinic.texts())
        browser.post(f"{link}/code", data={"last4": "0143"})
        code = re.search(r"\b\d{6}\b", clinic.wait_for_text("+15550100143", texts + 1))
        assert code is not None
        page = browser.post(f"{link}/verify", data={"code": code[0]})
        found = re.search(r'href="(/m/[0-9A-Za-z]{12}/files/obj_[0-9A-Za-z]+)"', page.text)
        assert found is not None
        part = browser.get(clinic.portal + found[1], headers={"Range": "bytes=0-499"})
        assert len(part.content) == 500
    recall(desks[0], message)
    desk = desks[1]
    end = time.monotonic() + 10
    while "500 bytes sent" not in (story := desk.get(f"/audit/messages/{message}").text):
        assert time.monotonic() < end, "the end of the download never reached the log"
        time.sleep(0.1)
    rows = re.findall(r'<tr data-event="object:part"[^>]*>(.*?)</tr>', story, re.DOTALL)
    (row,) = [one for one in rows if "500 bytes sent" in one]
    assert mails.MARGUERITE in row
    assert FILE in row
    assert mails.LAB_FILE not in story
    (entry,) = [one for one in clinic.search(f"object:{message} action:object:part") if one["bytes"] == 500]
    assert entry["proof"] == 2
    assert clinic.search(f"recipient:{mails.MARGUERITE}", "action:object:part", "actor:marguerite@patient.test")
    person = re.search(r'href="/audit/people/(per_[0-9A-Za-z]+)"', row)
    assert person is not None
    page_of = desk.get(f"/audit/people/{person[1]}").text
    form = {"from": "2020-01-01", "to": "2060-01-01"}
    report = desk.post(f"/audit/people/{person[1]}/report", page_of, form="page", **form).text
    for words in (FILE, "500 bytes sent", mails.MARGUERITE, "text-message code", "release "):
        assert words in report, words
    pdf = desk.post(f"/audit/people/{person[1]}/report", page_of, form="pdf", **form)
    assert pdf.content.startswith(b"%PDF-")
