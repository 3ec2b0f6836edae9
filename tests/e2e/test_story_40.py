"""Story 40: a legal hold blocks expiry and deletion; after lifting, deletion yields a certificate, and restoring last
week's backup does not bring the file back. In Chromium, with three officers: each signs in and decides once.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page

from gateway.demo import mails
from gateway.demo.clinic import DOMAIN, PEOPLE, Clinic, Member
from gateway.errors import TryLater
from tests.e2e.conftest import running
from tests.e2e.test_pages import chromium, do, look
from tests.support.patient import Patient
from tests.support.stolen import open_copy

pytestmark = [pytest.mark.full, pytest.mark.browser]
__all__ = ["chromium"]
WAIT_SECONDS = 60.0
PARTS = ("db", "vault")
"""What last week's backup of content holds."""


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Clinic, Member, Member]]:
    """A clinic of its own, for it is stopped and put back, with two more officers."""
    for one in running(tmp_path_factory.mktemp("forty")):
        more = Member(f"pete@{DOMAIN}", "officer", "Pete Lund"), Member(f"rosa@{DOMAIN}", "officer", "Rosa Weiss")
        for member in more:
            one._join(member)
        yield one, *more


def poll(what: Callable[[], Any]) -> Any:
    """Until it is true. Raises AssertionError."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen")


def signed_in(chromium: Chromium, clinic: Clinic, member: Member) -> Page:
    """An officer's browser, at the page of the message."""
    page = chromium.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True).new_page()
    page.set_default_timeout(WAIT_SECONDS * 1000)
    page.goto(f"{clinic.portal}/staff/sign-in")
    page.fill("#address", member.address)
    page.fill("#password", member.password)
    page.fill("#code", member.code())
    page.locator("main form button").click()
    page.wait_for_url("**/staff")
    return page


def decide(page: Page, member: Member, reason: str) -> None:
    page.fill("#reason", reason)
    page.fill("#code", member.code())
    do(page, "decide")


def count(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


def copied(clinic: Clinic, target: Path) -> None:
    """The content as last week's backup has it, taken while nothing runs."""
    for part in PARTS:
        shutil.copytree(clinic.data / part, target / part)


def put_back(clinic: Clinic, source: Path) -> None:
    for part in PARTS:
        shutil.rmtree(clinic.data / part)
        shutil.copytree(source / part, clinic.data / part)


def test_by_command_a_hold_is_set_and_lifted_and_lists_show_no_reason(clinic: tuple[Clinic, Member, Member]) -> None:
    """An officer who is not signed in: password and code on standard input, each code for one act."""
    house = clinic[0]
    sara = Member(f"sara@{DOMAIN}", "officer", "Sara Holm")
    house._join(sara)

    def decided(*words: str) -> dict[str, Any]:
        said = ("--as", sara.address, "--reason", "Case 26-1183", "--json")
        found: dict[str, Any] = json.loads(
            house.command(*words, *said, stdin=f"{sara.password}\n{sara.code()}\n")
        )  # fmt: skip
        return found

    hold = decided("hold", "tenant")
    listed = house.command("hold", "list", "--json")
    assert [one["id"] for one in json.loads(listed)] == [hold["id"]]
    assert "26-1183" not in listed
    lifted = decided("hold", "lift", hold["id"])
    assert (lifted["complete"], lifted["done"]) == (True, True)
    assert json.loads(house.command("hold", "list", "--json")) == []
    assert [one["kind"] for one in json.loads(house.command("erase", "list", "--json"))] == ["lift"]


def test_story_40(clinic: tuple[Clinic, Member, Member], chromium: Chromium, tmp_path: Path) -> None:
    house, pete, rosa = clinic
    mails.submit(house, mails.lab_report(), implicit_tls=False)
    link = house.sink.wait_for(mails.MARGUERITE)[0].link
    assert link is not None
    (secured,) = poll(lambda: house.search("action:message:secured"))
    message = str(secured["object"])

    # Last week: the message opens, and a backup of the content is made.
    patient = Patient(house, link, PEOPLE[0][2])
    files = patient.files(patient.open())
    assert files, "before erasing, it opens"
    house.stop_gateway()
    copied(house, tmp_path / "backup")
    assert message in open_copy(house.data / "keys", house.data / "kek", tmp_path).shares
    house.serve()

    # An officer sets a hold; the page of the message says so, to the officer and to the sender.
    olga = signed_in(chromium, house, house.olga)
    olga.goto(f"{house.portal}/audit/messages/{message}")
    do(olga, "hold")
    decide(olga, house.olga, "Case 26-1183, letter of the attorney")
    olga.wait_for_selector("[data-hold]")
    assert "Case 26-1183" in olga.content()
    olga.goto(f"{house.portal}/staff/messages/{message}")
    assert olga.locator("[data-part=on-hold]").count() == 1

    # On hold nobody erases it: the keyholder refuses before a code is spent.
    with_rosa = signed_in(chromium, house, rosa)
    with_rosa.goto(f"{house.portal}/audit/retention/erase-message/{message}")
    with_rosa.fill("#reason", "asked for")
    with_rosa.fill("#code", "000000")
    do(with_rosa, "decide")
    assert "A legal hold keeps this" in with_rosa.inner_text(".errors")
    (refused,) = house.search("action:act:refused", f"object:{message}")
    assert refused["reason"] == "on-hold"

    # Another officer lifts it. The message still has time, so it lives on.
    with_pete = signed_in(chromium, house, pete)
    with_pete.goto(f"{house.portal}/audit/retention")
    do(with_pete, "lift")
    decide(with_pete, pete, "The case is settled")
    with_pete.wait_for_url("**/audit/retention?note=lifted")
    assert with_pete.locator("[data-hold]").count() == 0
    poll(lambda: house.search("action:hold:lifted"))

    # Erased: the certificate is shown, and it holds against an export of the log with nothing of ours.
    before = count(house.data / "vault")
    with_rosa.goto(f"{house.portal}/audit/retention/erase-message/{message}")
    decide(with_rosa, rosa, "The patient asked in writing")
    with_rosa.wait_for_url("**/audit/certificates/dsp_*")
    look(with_rosa, "certificate")
    with with_rosa.expect_download() as saved:
        do(with_rosa, "text")
    certificate = tmp_path / "certificate.txt"
    saved.value.save_as(certificate)
    poll(lambda: house.search("action:certificate:issued"))
    (erased,) = poll(lambda: house.search("action:message:erased", f"object:{message}"))
    assert erased["receipt"]
    assert erased["actor"]["kind"] == "user"
    assert poll(lambda: count(house.data / "vault") < before), "its blobs are gone"
    key = house.command("audit", "key").strip()
    house.command("audit", "export", str(tmp_path / "export"))
    checked = json.loads(
        house.command("erase", "verify", str(certificate), str(tmp_path / "export"), "--key", key, "--json")
    )
    assert (checked["holds"], checked["problems"]) == (True, [])
    assert ["about", message] in checked["lines"]
    text = certificate.read_text(encoding="utf-8")
    assert house.command("erase", "certificate", dict(checked["lines"])["certificate"]) == text
    assert re.search(r"^final on: 20\d\d-\d\d-\d\dT00:00:00Z$", text, re.MULTILINE)
    certificate.write_text(text.replace("messages destroyed: 1", "messages destroyed: 2"), encoding="utf-8")
    house.command("erase", "verify", str(certificate), str(tmp_path / "export"), "--key", key, status=1)

    # It does not open, and last week's backup of the content does not bring it back: its share is nowhere any more.
    assert not patient.files(Patient(house, link, PEOPLE[0][2]).knock())
    house.stop_gateway()
    put_back(house, tmp_path / "backup")
    assert count(house.data / "vault") == before, "the sealed bytes are back"
    assert message not in open_copy(house.data / "keys", house.data / "kek", tmp_path).shares
    with pytest.raises(TryLater, match="did not start"):  # nor is an older log taken for the whole one
        house.serve()
