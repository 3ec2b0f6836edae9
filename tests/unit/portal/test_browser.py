"""The pages in a real browser: without script, on a small phone, in the dark, for a screen reader, for a robot."""

from __future__ import annotations

import hashlib
import http.server
import mimetypes
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, sync_playwright

from gateway.assets import web_dir
from gateway.portal.headers import LOOK_CSP, PAGE_CSP, PASSKEY_CSP
from tests.support import needs
from tests.support.axe import SCHEMES, violations
from tests.support.keyholder import PHONE
from tests.unit.portal.samples import rendered
from tests.unit.portal.world import PDF, World, plain

pytestmark = [pytest.mark.browser, pytest.mark.full]
PAGE_BYTES = 60_000
NARROW, WIDE = 320, 1280


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """The system's Chromium."""
    found = needs.chromium()
    if found is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


class _Samples(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # one connection for all of them
    pages: ClassVar[dict[str, str]] = {}
    files: ClassVar[dict[str, bytes]] = {}

    def do_GET(self) -> None:
        name = self.path.strip("/")
        page = self.pages.get(name, "")
        body = self.files.get(name, page.encode())
        policy = PASSKEY_CSP if "<script" in page else LOOK_CSP if name == "look-picture" else PAGE_CSP
        self.send_response(200)
        self.send_header("content-type", mimetypes.guess_type(name)[0] or "text/html; charset=utf-8")
        self.send_header("content-security-policy", policy)
        self.send_header("cache-control", "max-age=600" if name in self.files else "no-store")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def samples() -> Iterator[tuple[str, list[str]]]:
    """Every page with made-up values, served with the portal's policy."""
    _Samples.pages = rendered()
    _Samples.files = {f"static/{one.name}": one.read_bytes() for one in (web_dir() / "static").iterdir()}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Samples)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", list(_Samples.pages)
    server.shutdown()
    server.server_close()
    thread.join()


_TOO_SMALL = """() => [...document.querySelectorAll('button, .button, input:not([type=hidden]):not([type=radio])')]
    .map(one => [one.outerHTML.slice(0, 80), one.getBoundingClientRect().height]).filter(one => one[1] < 44)"""
_WIDTH = "document.documentElement.scrollWidth"
_LETTERS = "parseFloat(getComputedStyle(document.querySelector('main')).fontSize)"
_TWICE = "size => { document.documentElement.style.fontSize = size }"


@dataclass
class Walk:
    """What was seen on all pages: violations by scheme, what did not fit by width, and the browser's complaints."""

    violations: dict[str, list[Any]] = field(default_factory=lambda: {"light": [], "dark": []})
    misfits: dict[int, list[Any]] = field(default_factory=lambda: {NARROW: [], WIDE: []})
    forced: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    pages: int = 0


@pytest.fixture(scope="module")
def walk(chromium: Chromium, samples: tuple[str, list[str]]) -> Walk:
    """Every page opened once and looked at in each shape, under the portal's own policy."""
    base, names = samples
    seen = Walk()
    page = chromium.new_page(viewport={"width": NARROW, "height": 800})
    page.on("console", lambda message: seen.complaints.append(message.text))
    for name in names:
        page.goto(base + name)
        for width in (WIDE, NARROW):
            page.set_viewport_size({"width": width, "height": 800})
            if page.evaluate(_WIDTH) > width or page.evaluate(_LETTERS) < 19 or page.evaluate(_TOO_SMALL):
                seen.misfits[width].append((name, page.evaluate(_TOO_SMALL)))
        for scheme, rule, nodes in violations(page):
            seen.violations[scheme].append((name, rule, nodes))
        page.emulate_media(color_scheme="light", forced_colors="active")
        page.set_viewport_size({"width": 2 * NARROW, "height": 800})
        page.evaluate(_TWICE, "200%")
        if page.evaluate(_WIDTH) > 2 * NARROW:
            seen.forced.append(name)
        page.emulate_media(forced_colors="none")
        page.set_viewport_size({"width": NARROW, "height": 800})
        seen.pages += 1
    page.close()
    return seen


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_no_violation_on_any_page(walk: Walk, scheme: str) -> None:
    assert walk.violations[scheme] == []


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_pages_fit_the_screen_with_large_text_and_large_buttons(walk: Walk, width: int) -> None:
    assert walk.misfits[width] == []


def test_every_page_is_light_and_obeys_its_policy(walk: Walk) -> None:
    loaded = sum(map(len, _Samples.files.values()))
    heavy = [name for name, page in _Samples.pages.items() if len(page.encode()) + loaded >= PAGE_BYTES]
    assert heavy == []
    assert walk.pages == len(_Samples.pages)
    assert [one for one in walk.complaints if "favicon" not in one and "404" not in one] == []


def test_pages_survive_forced_colours_and_twice_the_text_size(walk: Walk) -> None:
    assert walk.forced == []


def test_ink_that_cannot_be_read_at_night_is_seen(chromium: Chromium, samples: tuple[str, list[str]]) -> None:
    page = chromium.new_page(viewport={"width": NARROW, "height": 800})
    page.goto(samples[0] + "open")
    assert list(violations(page)) == []
    page.evaluate("document.documentElement.style.setProperty('--ink', '#30404d')")
    assert {(scheme, rule) for scheme, rule, _ in violations(page)} == {("dark", "color-contrast")}
    page.close()


_REACHABLE = """() => {
  const all = [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary')]
    .filter(one => !one.disabled && one.getClientRects().length && one.tabIndex >= 0);
  const groups = new Map();  // of radio buttons with one name the keyboard stops at one (HTML 4.10.5.1.17)
  all.forEach((one, at) => { one.dataset.stop = one.type === 'radio'
    ? (groups.has(one.name) ? groups.get(one.name) : (groups.set(one.name, at), at)) : at; });
  return [...new Set(all.map(one => Number(one.dataset.stop)))]; }"""
_STOPPED_AT = """() => { const one = document.activeElement, look = getComputedStyle(one);
  const seen = (look.outlineStyle !== 'none' && parseFloat(look.outlineWidth) >= 2) || look.boxShadow !== 'none';
  return 'stop' in one.dataset ? [Number(one.dataset.stop), seen, one.outerHTML.slice(0, 80)] : null; }"""


def test_the_keyboard_reaches_everything_in_order_and_shows_where_it_is(
    chromium: Chromium, samples: tuple[str, list[str]]
) -> None:
    base, names = samples
    page = chromium.new_page(viewport={"width": WIDE, "height": 800}, reduced_motion="reduce")
    for name in names:
        page.goto(base + name)
        wanted: list[int] = page.evaluate(_REACHABLE)
        stops: list[int] = []
        # A page with an error begins in its middle, and the round goes by the browser's own bar, which takes a press or
        # more: it goes on until it was everywhere, and at most twice round.
        for _ in range(2 * len(wanted) + 4):
            if len(stops) > len(wanted) and set(stops) == set(wanted):
                break
            page.keyboard.press("Tab")
            at = page.evaluate(_STOPPED_AT)
            if at is not None:
                assert at[1], (name, at[2])
                stops.append(at[0])
        assert set(stops) == set(wanted), name
        first = stops.index(min(stops))
        assert stops[:first] == sorted(stops[:first]), name
        assert stops[first : first + len(wanted)] == sorted(set(stops[first : first + len(wanted)])), name
    page.close()


def test_an_error_takes_the_focus_without_script(chromium: Chromium, samples: tuple[str, list[str]]) -> None:
    base, _ = samples
    page = chromium.new_context(java_script_enabled=True).new_page()
    page.goto(base + "code-wrong")
    assert page.evaluate("document.activeElement.className") == "errors"
    page.close()


def _patient(world: World) -> str:
    return f"b{secrets.token_hex(6)}@mail.example"


def test_the_whole_way_without_script(world: World, chromium: Chromium) -> None:
    who = _patient(world)
    mail = world.send(who)
    context = chromium.new_context(java_script_enabled=False, viewport={"width": NARROW, "height": 800})
    page = context.new_page()
    pages = 0

    def count(response: Any) -> None:
        nonlocal pages
        pages += response.request.resource_type == "document" and response.status == 200

    page.on("response", count)
    page.goto(f"{world.base}/m/{mail.token(who)}")
    page.get_by_label("Last four digits").fill(PHONE[-4:])
    page.locator('[data-action="ask-text"]').click()
    page.get_by_label("Code", exact=True).fill(world.text_code())
    page.locator('[data-action="verify"]').click()
    assert page.url == f"{world.base}{plain(mail, who)}"
    assert "your results." in page.locator('[data-part="body"]').inner_text()
    assert pages == 3
    with page.expect_download() as waiting:
        page.locator('[data-action="download"]').click()
    saved = waiting.value
    assert saved.suggested_filename == "Maria's röntgen 2026.pdf"
    assert hashlib.sha256(saved.path().read_bytes()).digest() == hashlib.sha256(PDF).digest()
    page.locator('[data-action="sign-out"]').click()
    assert "You are signed out" in page.inner_text("h1")
    context.close()


def _press_everything(page: Page, start: str) -> int:
    pressed = 0
    page.goto(start)
    for number in range(page.locator("a, button").count()):
        page.goto(start)
        one = page.locator("a, button").nth(number)
        href = one.get_attribute("href") or ""
        if not href.startswith(("tel:", "#")):
            one.click()
            pressed += 1
    return pressed


def test_a_robot_that_runs_scripts_and_presses_everything_opens_nothing(world: World, chromium: Chromium) -> None:
    who = _patient(world)
    mail = world.send(who)
    context = chromium.new_context()
    page = context.new_page()
    assert _press_everything(page, f"{world.base}/m/{mail.token(who)}") >= 4
    assert _press_everything(page, f"{world.base}/m/{mail.token(who)}/code") >= 3
    context.close()
    assert world.keyholder.worker.take_texts(10) == []
    for action in ("object:opened", "session:started", "code:asked"):
        assert [one for one in world.events(action) if one["object"] in (mail.grant(who), mail.object(0))] == []
    assert world.events("link:visited", mail.grant(who))
    assert world.browser().get(f"/m/{mail.token(who)}").status_code == 200
