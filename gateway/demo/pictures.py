"""`sealgate demo --pictures DIR`: the pages as people meet them, taken from the running demo in headless Chromium.

Promises: every picture is of the real product at the end of a real step (a mail that was sent, a code that was typed);
made people and throwaway data only; PNG files of known names, written over what is there.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.demo import browser, mails
from gateway.demo.clinic import PEOPLE, Clinic, Member
from gateway.demo.run import Wanted, ending, folder, refuse_production
from gateway.demo.story import Broken, expect
from gateway.errors import GatewayError

EX_BROKEN, EX_UNAVAILABLE = 1, 69
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1180, "height": 800}
LETTER = "Dear Marguerite Oyelaran, born 03/14/1948, your A1c is 7.9 percent. Please call us about your tablets.\n"
NAMES = ("mail", "open", "code", "read", "sent", "message", "search", "story", "verify")
"""What is taken, in this order: the first four on a phone, the others at a desk."""


def pictures(wanted: Wanted, environ: Mapping[str, str], into: Path) -> int:
    """Start the demo, walk, write one PNG for each of NAMES; the exit status. Raises Misconfigured as `demo` does."""
    refuse_production(environ)
    path, missing = browser.find()
    if path is None:
        print(f"sealgate demo: {missing}", file=sys.stderr)
        return EX_UNAVAILABLE
    with folder(wanted) as data, ending():
        clinic = Clinic(data)
        try:
            clinic.start()
            for mail in (mails.form(), mails.image(), mails.newsletter()):
                mails.send(clinic, mail)
                clinic.sink.wait_for(str(mail["To"]), seconds=60)
            for name in take(clinic, path, into):
                print(into / f"{name}.png")
        except (Broken, GatewayError) as error:
            print(f"sealgate demo: {error if isinstance(error, Broken) else error.detail}", file=sys.stderr)
            return EX_BROKEN
        except KeyboardInterrupt:
            return 130
        finally:
            clinic.stop()
    return 0


def take(clinic: Clinic, chromium: str, into: Path) -> list[str]:
    """The walk through a running clinic; the names of what was written into the folder, which is made if absent.

    Raises Broken when a page does not show what it must.
    """
    into.mkdir(parents=True, exist_ok=True)
    sync: Any = importlib.import_module("playwright.sync_api")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync.sync_playwright() as player:
        started = player.chromium.launch(executable_path=chromium, args=[*browser.FLAGS, *sandbox], headless=True)
        try:
            shown = _Shown(into)
            _patient(clinic, _page(started, PHONE), shown)
            message = _sender(clinic, _page(started, DESK), shown)
            _officer(clinic, _page(started, DESK), shown, message)
        finally:
            started.close()
    expect(shown.names == list(NAMES), "not every picture was taken")
    return shown.names


class _Shown:
    """The pictures so far."""

    def __init__(self, into: Path) -> None:
        self._into, self.names = into, list[str]()

    def add(self, page: Any, name: str, sees: str) -> None:
        """Raises Broken unless the page says these words."""
        expect(sees in page.inner_text("body"), f"picture '{name}': the page does not say '{sees}'")
        page.screenshot(path=str(self._into / f"{name}.png"), animations="disabled")
        self.names.append(name)


def _page(chromium: Any, size: dict[str, int]) -> Any:
    page = chromium.new_context(viewport=size, color_scheme="light", reduced_motion="reduce").new_page()
    page.set_default_timeout(browser.PAGE_SECONDS * 1000)
    return page


def _press(page: Any, action: str) -> None:
    page.locator(f'[data-action="{action}"]').first.click()


def _patient(clinic: Clinic, page: Any, shown: _Shown) -> None:
    """From the mail to the letter."""
    number = PEOPLE[0][2]
    arrived = sum(mails.MARGUERITE in one.recipients for one in clinic.sink.mails)
    texts = sum(one["to"] == number for one in clinic.texts())
    mail = mails.lab_report()
    mail.replace_header("Subject", "Your blood sugar results")
    letter: Any = mail.get_body(("plain",))
    letter.set_content(LETTER)
    mails.submit(clinic, mail, implicit_tls=False)
    html: Any = clinic.sink.wait_for(mails.MARGUERITE, arrived + 1, 60)[-1].parsed.get_body(("html",))
    page.set_content(html.get_content())
    shown.add(page, "mail", "Read the message")
    page.get_by_role("link", name="Read the message").click()
    shown.add(page, "open", "reference number")
    page.fill("#last4", number[-4:])
    _press(page, "ask-text")
    shown.add(page, "code", "code")
    code = re.search(r"\b\d{6}\b", clinic.wait_for_text(number, texts + 1, 60))
    page.fill("#code", code[0] if code else "")
    _press(page, "verify")
    shown.add(page, "read", "A1c")


def _sign_in(page: Any, at: str, member: Member) -> None:
    page.goto(at)
    page.fill("#address", member.address)
    page.fill("#password", member.password)
    page.fill("#code", member.code())
    _press(page, "sign-in")


def _sender(clinic: Clinic, page: Any, shown: _Shown) -> str:
    """What Amy sent, and what became of the letter; its message id."""
    _sign_in(page, f"{clinic.portal}/staff", clinic.amy)
    shown.add(page, "sent", "Opened")
    _press(page, "details")
    shown.add(page, "message", "Opened")
    return str(page.url).rpartition("/")[2]


def _officer(clinic: Clinic, page: Any, shown: _Shown, message: str) -> None:
    _sign_in(page, f"{clinic.portal}/audit", clinic.olga)
    page.goto(f"{clinic.portal}/audit")
    page.fill("#q", f"recipient:{mails.MARGUERITE}")
    _press(page, "search")
    shown.add(page, "search", "Opened")
    page.goto(f"{clinic.portal}/audit/messages/{message}")
    shown.add(page, "story", "Opened")
    page.goto(f"{clinic.portal}/audit/verify")
    shown.add(page, "verify", "Save the log")
