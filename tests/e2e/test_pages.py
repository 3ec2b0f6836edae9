"""The running product in Chromium, from the mail as it is shown to the staff's pages, in four shapes of screen."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, sync_playwright

from gateway.demo import mails
from gateway.demo.clinic import PEOPLE, PHONE, Clinic
from tests.support import needs
from tests.support.axe import violations

pytestmark = [pytest.mark.full, pytest.mark.browser]
NUMBER = PEOPLE[0][2]
PAGE_BYTES = 60_000
SMALL = """() => [...document.querySelectorAll('a.button, button, input:not([type=hidden], [type=radio])')]
    .filter(one => one.getBoundingClientRect().height < 44).map(one => one.outerHTML)"""
OF_WHOLE_PAGES = {"landmark-one-main", "page-has-heading-one", "region"}
"""Rules about pages; a mail is shown inside the mail program's page, which has these."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """The system's Chromium."""
    found = needs.chromium()
    if found is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def look(page: Page, name: str, but: frozenset[str] | set[str] = frozenset()) -> None:
    """Axe finds nothing, nothing sticks out, every button is large: on a phone and a desktop, by day and by night."""
    before = page.viewport_size
    for width in (320, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
        assert page.evaluate(SMALL) == [] or but, (name, width)
        found = [one for one in violations(page) if one[1] not in but]
        assert found == [], (name, width)
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    page.set_viewport_size({"width": 320, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320, (name, "200 %")
    page.evaluate("document.documentElement.style.fontSize = ''")
    page.set_viewport_size(before or {"width": 320, "height": 800})


def do(page: Page, action: str) -> None:
    page.locator(f'[data-action="{action}"]').first.click()


@pytest.fixture(scope="module")
def sent(clinic: Clinic) -> tuple[str, str, str]:
    """The notice as HTML, its link and its reference."""
    mail = mails.lab_report()
    mail.replace_header("Subject", "Your blood sugar results")
    mail.get_body(("plain",)).set_content("Dear Marguerite Oyelaran, born 03/14/1948, your A1c is 7.9 percent.\n")  # type: ignore[union-attr]
    mails.submit(clinic, mail, implicit_tls=False)
    got = clinic.sink.wait_for(mails.MARGUERITE)[0]
    shown = got.parsed.get_body(("html",))
    assert shown is not None
    assert got.link is not None
    reference = re.search(r"reference number is (\d{3} \d{3})", got.text)
    assert reference is not None
    assert PHONE in got.text
    return str(shown.get_content()), got.link, reference[1]


def test_marguerite_reads_her_message_and_amy_takes_it_back(
    clinic: Clinic, chromium: Chromium, sent: tuple[str, str, str]
) -> None:
    html, link, reference = sent
    context = chromium.new_context(viewport={"width": 320, "height": 800}, bypass_csp=True)
    page = context.new_page()
    weights: dict[str, int] = {}

    def weigh(response: object) -> None:
        if response.request.resource_type == "document" and response.status < 300:  # type: ignore[attr-defined]
            weights[response.url] = len(response.body())  # type: ignore[attr-defined]

    page.set_content(html)
    look(page, "mail", OF_WHOLE_PAGES)
    page.on("response", weigh)
    page.get_by_role("link", name="Read the message").click()
    assert page.url == link
    assert reference in page.inner_text("main")
    look(page, "open")
    page.fill("#last4", NUMBER[-4:])
    do(page, "ask-text")
    look(page, "code")
    code = re.search(r"\b\d{6}\b", clinic.wait_for_text(NUMBER))
    assert code is not None
    page.fill("#code", f"{code[0][:3]} {code[0][3:]}")
    do(page, "verify")
    assert "A1c" in page.inner_text('[data-part="body"]')
    look(page, "read")
    assert page.locator('[data-action="remember"]').is_visible()
    assert max(weights.values()) < PAGE_BYTES

    desk = chromium.new_context(viewport={"width": 1280, "height": 800}, bypass_csp=True).new_page()
    desk.goto(f"{clinic.portal}/staff")
    desk.fill("#address", clinic.amy.address)
    desk.fill("#password", clinic.amy.password)
    desk.fill("#code", clinic.amy.code())
    do(desk, "sign-in")
    look(desk, "sent")
    do(desk, "details")
    assert "Opened" in desk.inner_text("main")
    look(desk, "message")
    desk.goto(f"{clinic.portal}/staff/help")
    desk.fill("#reference", reference)
    do(desk, "find")
    assert "How are you sure" in desk.inner_text("main")
    desk.goto(f"{clinic.portal}/staff")
    do(desk, "details")
    do(desk, "recall")
    look(desk, "recall")
    do(desk, "confirm-recall")
    assert "taken back" in desk.inner_text("main")
    page.goto(link)
    assert PHONE in page.inner_text("main")
    look(page, "recalled")
