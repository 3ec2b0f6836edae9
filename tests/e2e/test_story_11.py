"""Story 11: held mail, decided over HTTP by an officer, delivered within ten seconds, both people in the log."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser as Chromium

from gateway.assets import policies_dir
from gateway.demo import mails
from gateway.demo.clinic import DOMAIN, Clinic, Member
from tests.e2e.conftest import running
from tests.e2e.test_pages import chromium, do, look
from tests.support.archives import locked_zip
from tests.support.load import PATIENCE, stretched

pytestmark = pytest.mark.full
__all__ = ["chromium"]
NO_CODE = "000000"
"""Where the answer must not hang on the code."""
FORM = {"origin": "null", "sec-fetch-site": "same-origin"}


class Desk:
    """A signed-in browser without script."""

    def __init__(self, clinic: Clinic, member: Member) -> None:
        self.member = member
        self.client = httpx2.Client(base_url=clinic.portal, timeout=60)
        answer = self.post(
            "/staff/sign-in", self.get("/staff/sign-in").text, address=member.address, password=member.password,
            code=member.code(),
        )  # fmt: skip
        assert answer.status_code == 303, answer.text

    def get(self, path: str) -> httpx2.Response:
        return self.client.get(path)

    def post(self, path: str, page: str, **form: str) -> httpx2.Response:
        token = re.search(r'name="csrf" value="([^"]*)"', page)
        return self.client.post(path, data={"csrf": token[1] if token else ""} | form, headers=FORM)

    def decide(
        self, path: str, act: str, reason: str = "asked for by phone", code: str | None = None
    ) -> httpx2.Response:
        page = self.get(path).text
        return self.post(path, page, act=act, reason=reason, code=code or self.member.code())

    def wait_for(self, path: str, state: str, seconds: float = PATIENCE) -> str:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            page = self.get(path).text
            if f'data-state="{state}"' in page:
                return page
            time.sleep(0.1)
        raise AssertionError(f"never {state}: {re.findall(r'data-state=.([a-z]+)', page)}")


def hold(clinic: Clinic, recipient: str) -> str:
    """A message of Amy's that the policy holds; its id, from the log."""
    mail = mails.newsletter()
    mail.replace_header("To", recipient)
    mail.add_attachment(locked_zip(), maintype="application", subtype="zip", filename="secret-name.zip")
    before = len([one for one in clinic.sink.mails if clinic.amy.address in one.recipients])
    mails.submit(clinic, mail, implicit_tls=False)
    notice = clinic.sink.wait_for(clinic.amy.address, before + 1)[-1]
    assert "held" in notice.parsed["Subject"]
    return str(clinic.search("action:message:held")[-1]["object"])


@pytest.fixture(scope="module")
def desks(strict: Clinic) -> tuple[Desk, Desk]:
    """Olga's and Amy's. Each signs in once: the third code in a row would have to be waited for."""
    return Desk(strict, strict.olga), Desk(strict, strict.amy)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Clinic, Desk, Desk, Member]]:
    """A clinic whose policy asks for two officers; desks of Olga and Pete, and Rosa, who has a browser."""
    folder: Path = tmp_path_factory.mktemp("two")
    policy = folder / "two.toml"
    policy.write_text((policies_dir() / "strict.toml").read_text() + "\n[release]\nsecond_person = true\n")
    for clinic in running(folder, str(policy)):
        pete = Member(f"pete@{DOMAIN}", "officer", "Pete Lund")
        rosa = Member(f"rosa@{DOMAIN}", "officer", "Rosa Weiss")
        clinic._join(pete)
        clinic._join(rosa)
        yield clinic, Desk(clinic, clinic.olga), Desk(clinic, pete), rosa


def test_an_officer_releases_over_http_and_the_log_names_both_people(strict: Clinic, desks: tuple[Desk, Desk]) -> None:
    message = hold(strict, "eleven@outside.test")
    desk = desks[0]
    listed = desk.get("/audit/held").text
    assert f'data-held="{message}"' in listed
    shown = desk.get(f"/audit/held/{message}").text
    assert "attachment 1" in shown
    assert "eleven@outside.test" in shown
    assert "secret-name" not in shown
    assert "parking lot" not in shown
    began = time.monotonic()
    answer = desk.decide(f"/audit/held/{message}", "release")
    assert answer.headers["location"] == f"/audit/held/{message}"
    copy = strict.sink.wait_for("eleven@outside.test", seconds=stretched(10))[0]
    assert time.monotonic() - began < stretched(10)
    assert copy.link is not None
    assert locked_zip()[:40] not in copy.everything()
    desk.wait_for(f"/audit/held/{message}", "done")
    (accepted,) = strict.search("action:message:accepted", f"object:{message}")
    (recorded,) = strict.search("action:act:recorded", f"object:{message}")
    (released,) = strict.search("action:message:released", f"object:{message}")
    assert recorded["actor"] == released["actor"] != accepted["actor"]
    assert recorded["receipt"]
    story = desk.get(f"/audit/messages/{message}").text
    assert strict.amy.address in story
    assert strict.olga.address in story
    assert desk.decide(f"/audit/held/{message}", "release", code=NO_CODE).status_code == 409


def test_wrong_codes_missing_reasons_and_other_roles_decide_nothing(strict: Clinic, desks: tuple[Desk, Desk]) -> None:
    message = hold(strict, "nobody@outside.test")
    desk, amy = desks
    assert amy.get("/audit/held").status_code == 403
    assert amy.post(f"/audit/held/{message}", amy.get("/staff").text, act="release").status_code == 403
    assert amy.decide(f"/staff/held/{message}", "release", code=NO_CODE).status_code == 422
    own = amy.get(f"/staff/held/{message}").text
    assert "attachment 1" in own
    assert "ask your compliance officer" in own
    assert desk.decide(f"/audit/held/{message}", "release", code=NO_CODE).status_code == 422
    assert desk.decide(f"/audit/held/{message}", "release", reason=" ", code=NO_CODE).status_code == 422
    assert desk.decide(f"/audit/held/{message}", "publish", code=NO_CODE).status_code == 422
    assert [one["reason"] for one in strict.search("action:act:refused", f"object:{message}")] == ["wrong"]
    assert not strict.search("action:act:recorded", f"object:{message}")
    assert not [one for one in strict.sink.mails if "nobody@outside.test" in one.recipients]


def test_the_sender_cancels_their_own_held_mail(strict: Clinic, desks: tuple[Desk, Desk]) -> None:
    message = hold(strict, "cancel@outside.test")
    amy = desks[1]
    assert f'data-held="{message}"' in amy.get("/staff/held").text
    answer = amy.decide(f"/staff/held/{message}", "drop", "wrong recipient")
    assert answer.headers["location"] == f"/staff/held/{message}"
    assert "Carried out" in amy.wait_for(f"/staff/held/{message}", "done")
    assert f'data-held="{message}"' not in amy.get("/staff/held").text
    (dropped,) = strict.search("action:message:dropped", f"object:{message}")
    (accepted,) = strict.search("action:message:accepted", f"object:{message}")
    assert dropped["actor"] == accepted["actor"]
    assert not [one for one in strict.sink.mails if "cancel@outside.test" in one.recipients]


def test_two_officers_release_where_the_policy_says_so(two: tuple[Clinic, Desk, Desk, Member]) -> None:
    clinic, olga, pete, _ = two
    message = hold(clinic, "second@outside.test")
    path = f"/audit/held/{message}"
    assert "wants two officers" in olga.get(path).text
    olga.decide(path, "release")
    assert 'data-state="waiting"' in olga.get(path).text
    assert olga.decide(path, "release", "again", code=NO_CODE).status_code == 409
    assert not [one for one in clinic.sink.mails if "second@outside.test" in one.recipients]
    assert "You confirm what your colleague decided" in pete.get(path).text
    pete.decide(path, "release", "seen and agreed")
    assert clinic.sink.wait_for("second@outside.test", seconds=stretched(10))[0].link is not None
    page = pete.wait_for(path, "done")
    for words in (olga.member.address, pete.member.address, "asked for by phone", "seen and agreed"):
        assert words in page
    (first,) = clinic.search("action:act:recorded", f"object:{message}")
    (confirmed,) = clinic.search("action:act:confirmed", f"object:{message}")
    assert first["actor"] != confirmed["actor"]


@pytest.mark.browser
def test_the_officers_pages_in_a_real_browser(two: tuple[Clinic, Desk, Desk, Member], chromium: Chromium) -> None:
    clinic, _, _, rosa = two
    message = hold(clinic, "browser@outside.test")
    page = chromium.new_context(viewport={"width": 1280, "height": 800}, bypass_csp=True).new_page()
    page.goto(f"{clinic.portal}/audit")
    page.fill("#address", rosa.address)
    page.fill("#password", rosa.password)
    page.fill("#code", rosa.code())
    do(page, "sign-in")
    page.goto(f"{clinic.portal}/audit")
    page.fill("#q", f"recipient:browser@outside.test action:message:held object:{message}")
    do(page, "search")
    assert page.url == f"{clinic.portal}/audit"
    assert page.locator('[data-event="message:held"]').count() == 1
    look(page, "found")
    do(page, "entry")
    assert '"action":"message:held"' in page.inner_text('[data-part="raw"]')
    page.goto(f"{clinic.portal}/audit/verify")
    assert page.inner_text('[data-part="outside"]').startswith(tuple("123456789"))
    with page.expect_download() as waiting:
        do(page, "export")
    assert waiting.value.suggested_filename == "sealgate-log.zip"
    page.goto(f"{clinic.portal}/audit/held")
    page.locator(f'[data-held="{message}"] [data-action="held-details"]').click()
    look(page, "held")
    do(page, "decide")
    assert "Choose what to do." in page.inner_text("main")
    page.check("#act-drop")
    page.fill("#reason", "sent twice")
    page.fill("#code", rosa.code())
    do(page, "decide")
    assert "Drop" in page.inner_text("main")
    for _ in range(100):
        if page.locator('[data-state="done"]').count():
            break
        page.wait_for_timeout(100)
        page.reload()
    assert "Carried out" in page.inner_text("main")
    look(page, "settled")
