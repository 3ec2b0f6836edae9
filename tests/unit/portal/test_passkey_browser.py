"""Passkeys in Chromium with its virtual authenticator: set up after reading, used with one press, never unverified."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, sync_playwright

from tests.support import needs
from tests.support.keyholder import PASSWORD, PHONE
from tests.support.load import PATIENCE
from tests.unit.portal.world import Mail, World, plain

pytestmark = [pytest.mark.browser, pytest.mark.full]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    found = needs.chromium()
    if found is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Phone:
    """One browser with an authenticator of its own."""

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE * 1000)
        self.complaints: list[str] = []
        self.page.on("console", lambda one: self.complaints.append(one.text))
        self._cdp = context.new_cdp_session(self.page)
        self._cdp.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2", "ctap2Version": "ctap2_1", "transport": "internal", "hasResidentKey": True,
            "hasUserVerification": True, "isUserVerified": True, "automaticPresenceSimulation": True, "hasPrf": True,
        }  # fmt: skip
        self.id = self._cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]

    def verified(self, yes: bool) -> None:
        """Whether the person is known to the device from now on."""
        self._cdp.send("WebAuthn.setUserVerified", {"authenticatorId": self.id, "isUserVerified": yes})

    def credentials(self) -> list[Any]:
        found: list[Any] = self._cdp.send("WebAuthn.getCredentials", {"authenticatorId": self.id})["credentials"]
        return found

    def do(self, action: str) -> None:
        self.page.locator(f'[data-action="{action}"]').first.click()


@contextmanager
def phone(chromium: Chromium, **options: Any) -> Iterator[Phone]:
    context = chromium.new_context(**options)
    try:
        yield Phone(context)
    finally:
        context.close()


def read(world: World, mail: Mail, one: Phone, address: str = "maria@mail.example") -> None:
    """From the link to the message with a text code."""
    one.page.goto(f"{world.base}/m/{mail.token(address)}")
    one.page.fill("#last4", PHONE[-4:])
    one.do("ask-text")
    one.page.wait_for_selector("#code")
    one.page.fill("#code", world.text_code())
    one.do("verify")
    one.page.wait_for_selector('[data-part="body"]')


def test_set_up_after_reading_then_one_press_opens_and_without_verification_nothing_does(
    world: World, chromium: Chromium
) -> None:
    mail, sent = world.send(), []
    with phone(chromium) as one:
        read(world, mail, one)
        one.page.on("request", lambda request: sent.append((request.url, request.post_data or "")))
        one.do("offer-passkey")
        one.page.fill("#called", "My phone")
        one.do("make-passkey")
        one.page.wait_for_selector('[data-action="recovery-codes"]')
        assert len(one.credentials()) == 1
        one.page.goto(f"{world.base}{plain(mail)}")
        one.do("sign-out")
        one.page.goto(f"{world.base}/m/{mail.token()}")
        one.do("use-passkey")
        one.page.wait_for_selector('[data-part="body"]')
        assert [event["proof"] for event in world.events("session:started", mail.grant())] == [2, 3]
        one.do("sign-out")
        one.verified(False)
        one.page.goto(f"{world.base}/m/{mail.token()}")
        one.do("use-passkey")
        one.page.wait_for_selector('[data-part="failed"]:visible')
        one.do("ask-passkey")
        one.page.wait_for_selector('[data-part="failed"]:visible')
        assert one.page.locator('[data-part="body"]').count() == 0
        assert len(world.events("session:started", mail.grant())) == 2
        # What the extension gave is in its own field of both forms, the same each time, and in no address.
        given = [found for _, data in sent for name, found in fields(data) if name == "prf"]
        assert len(given) == 2
        assert len(given[0]) == 43
        assert given[0] == given[1]
        assert not [url for url, _ in sent if given[0] in url or "answer" in url]
        assert [text for text in one.complaints if "favicon" not in text and "401" not in text] == []


def test_a_member_adds_one_with_a_code_and_signs_in_with_password_and_passkey(world: World, chromium: Chromium) -> None:
    member = world.member("quinn@clinic.test", "staff")
    with phone(chromium) as one:
        one.page.goto(f"{world.base}/staff/sign-in")
        one.page.fill("#address", "quinn@clinic.test")
        one.page.fill("#password", PASSWORD)
        one.page.fill("#code", member.code())
        one.do("sign-in")
        one.page.wait_for_url(f"{world.base}/staff")
        one.page.goto(f"{world.base}/staff/passkeys/new")
        one.page.fill("#code", member.code())
        one.do("make-passkey")
        one.page.wait_for_selector('[data-action="remove-passkey"]')
        one.do("sign-out")
        one.page.wait_for_selector('[data-action="with-passkey"]')
        one.do("with-passkey")
        one.page.fill("#address", "quinn@clinic.test")
        one.page.fill("#password", PASSWORD)
        one.do("sign-in")
        one.page.wait_for_url(f"{world.base}/staff")
        assert world.events("session:started", member.user)[-1]["reason"] == "password+passkey"


def test_without_script_the_pages_say_so_and_codes_work(world: World, chromium: Chromium) -> None:
    mail = world.send("per9@mail.example")
    with phone(chromium, java_script_enabled=False) as one:
        read(world, mail, one, "per9@mail.example")
        one.do("offer-passkey")
        assert "needs JavaScript" in one.page.inner_text("main")
        assert not one.page.locator('[data-action="make-passkey"]').is_visible()


def fields(data: str) -> list[tuple[str, str]]:
    from urllib.parse import parse_qsl

    return parse_qsl(data)
