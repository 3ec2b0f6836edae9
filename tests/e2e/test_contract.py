"""The recipient's contract from outside (DESIGN §8), by a client that knows routes and field names and nothing else."""

from __future__ import annotations

import hashlib
import re

import httpx2
import pytest

from gateway.demo import documents, mails
from gateway.demo.clinic import Clinic

pytestmark = pytest.mark.full


def test_link_code_verify_read_download_without_reading_the_page(clinic: Clinic) -> None:
    mails.submit(clinic, mails.lab_report(), implicit_tls=False)
    link = clinic.sink.wait_for(mails.MARGUERITE)[-1].link
    assert link is not None
    with httpx2.Client(follow_redirects=True) as browser:
        assert browser.get(link).status_code == 200
        browser.post(f"{link}/code", data={"last4": "0000"})
        assert clinic.texts() == [], "three wrong digits must not cost a text message"
        browser.post(f"{link}/code", data={"last4": "0143"})
        code = re.search(r"\b\d{6}\b", clinic.wait_for_text("+15550100143"))
        assert code is not None
        page = browser.post(f"{link}/verify", data={"code": code[0]})
        assert page.status_code == 200
        found = re.search(r'href="(/m/[0-9A-Za-z]{12}/files/obj_[0-9A-Za-z]+)"', page.text)
        assert found is not None
        address = httpx2.URL(clinic.portal).join(found[1])
        whole = browser.get(address)
        assert hashlib.sha256(whole.content).digest() == hashlib.sha256(documents.lab_report()).digest()
        part = browser.get(address, headers={"Range": "bytes=100-199"})
        assert part.status_code == 206
        assert part.content == documents.lab_report()[100:200]
    with httpx2.Client(follow_redirects=True) as stranger:
        assert stranger.get(address).status_code in (401, 404)
        assert stranger.post(f"{link}/verify", data={"code": code[0]}).status_code in (400, 401, 403, 422)
    opened = clinic.search("action:object:opened")
    assert opened
    assert all(entry["proof"] == 2 for entry in opened)


def test_a_form_from_another_site_is_refused(clinic: Clinic) -> None:
    link = clinic.sink.wait_for(mails.MARGUERITE)[-1].link
    with httpx2.Client() as browser:
        before = len(clinic.texts())
        answer = browser.post(f"{link}/code", data={"last4": "0143"}, headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403
        answer = browser.post(f"{link}/code", data={"last4": "0143"}, headers={"Origin": "https://evil.example"})
        assert answer.status_code == 403
    assert len(clinic.texts()) == before
