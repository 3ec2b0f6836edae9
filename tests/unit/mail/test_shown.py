"""The link as a mail program shows it: on the page, large enough, in front of everything, readable by day and by night.

Each page of `tests/support/mail_pages.py` gets the block as rewriting puts it there, and Chromium draws it.
"""

from __future__ import annotations

import email
import email.policy
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, sync_playwright

from gateway.mail.html_place import body_start
from tests.support import needs
from tests.support.mail_pages import PAGES
from tests.support.mail_pieces import entity, fields, file, mime, multi
from tests.support.real.judged import text_of
from tests.support.real.letters import TONGUES, WIDE, lettered
from tests.support.real.pieces import Filling

from .test_rewrite import URL, sealed

pytestmark = [pytest.mark.full, pytest.mark.browser]
SHOTS = os.environ.get("MAIL_PICTURES")
"""A folder for pictures, for a person to look at."""

LOOK = """url => {
  const links = [...document.querySelectorAll(`a[href="${url}"]`)];
  if (links.length !== 1) return {links: links.length};
  const link = links[0], numbers = text => text.match(/[\\d.]+/g).map(Number);
  link.scrollIntoView({block: 'center'});
  const box = link.getBoundingClientRect();
  const front = document.elementFromPoint(box.x + Math.min(box.width, innerWidth - box.x) / 2, box.y + box.height / 2);
  const ground = start => {
    for (let one = start; one; one = one.parentElement) {
      const colour = numbers(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const light = colour => colour.map(c => c / 255).map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const contrast = one => {
    const [a, b] = [light(numbers(getComputedStyle(one).color).slice(0, 3)), light(ground(one))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const said = [...link.closest('td').parentElement.closest('td').querySelectorAll('p')];
  return {
    links: 1, front: front === link, width: box.width, height: box.height, left: box.left, right: box.right,
    top: box.top + scrollY, size: parseFloat(getComputedStyle(link).fontSize), inner: innerWidth,
    words: said.map(one => one.innerText.length), sizes: said.map(one => parseFloat(getComputedStyle(one).fontSize)),
    contrasts: [link, ...said].map(contrast), shown: link.innerText,
  };
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    found = needs.chromium()
    if found is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(chromium: Chromium) -> Iterator[Page]:
    """A mail program's window: no scripts of the mail run in it."""
    context = chromium.new_context(java_script_enabled=True)
    yield context.new_page()
    context.close()


def rewritten(name: str) -> str:
    """The HTML of that mail after its attachment was sealed, as another reader decodes it."""
    attached = file("application/pdf", "report.pdf", b"%PDF-1.4 made")
    body = entity("text/html; charset=utf-8", PAGES[name] + "\r\n", "8bit")
    out = sealed(mime(fields(name), multi("mixed", body, attached)), (2,))
    shown = email.message_from_bytes(out, policy=email.policy.default).get_body(("html",))
    assert shown is not None
    return str(shown.get_content())


def serve(page: Page, data: bytes, content_type: str) -> None:
    """Show these bytes under that type."""
    page.unroute_all()
    page.route("**", lambda route: route.fulfill(body=data, content_type=content_type))
    page.goto("https://reader.test/")


def seen(page: Page, html: str, name: str, width: int, scheme: Any) -> dict[str, Any]:
    page.set_viewport_size({"width": width, "height": 700})
    page.emulate_media(color_scheme=scheme)
    serve(page, html.encode(), "text/html; charset=utf-8")
    found: dict[str, Any] = page.evaluate(LOOK, URL)
    if SHOTS:
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=Path(SHOTS) / f"{name}-{width}-{scheme}.png")
    return found


@pytest.mark.parametrize("name", PAGES)
def test_the_link_is_on_the_page_and_can_be_read(page: Page, name: str) -> None:
    html = rewritten(name)
    for width, scheme in ((360, "light"), (360, "dark"), (1000, "light")):
        found = seen(page, html, name, width, scheme)
        assert found["links"] == 1
        assert found["front"], "something lies over it"
        assert found["width"] > 60, found
        assert found["height"] >= 16, found
        assert 0 <= found["left"] < found["right"], found
        assert found["right"] <= found["inner"] or "min-width" in html, found
        assert found["top"] < 600, "it stands at the beginning"
        assert found["size"] >= 14, found
        assert min(found["sizes"]) >= 14, found
        assert min(found["words"]) > 10, found
        assert min(found["contrasts"]) >= 4.5, found
        assert found["shown"].strip()


def test_a_body_that_is_a_row_has_the_block_above_its_text(page: Page) -> None:
    for name in ("flex-body", "flex-by-style", "grid-body"):
        html = rewritten(name)
        for width in (360, 1000):
            found = seen(page, html, name, width, "light")
            rest = page.evaluate(
                "() => document.body.querySelector('body > div').getBoundingClientRect().top + scrollY"
            )
            block = page.evaluate(
                "() => document.body.querySelector('body > table').getBoundingClientRect().bottom + scrollY"
            )
            assert block <= rest + 1, (name, width)
            assert found["width"] > 60


#: Character sets that Chromium does not decode (WHATWG Encoding 4.2, 8): drawn as another reader decodes them. So is
#: text with NUL in it, which a browser takes for a file.
_NOT_IN_BROWSERS = ("utf-7", "utf-32", "hz-gb-2312", "iso-2022-kr", "cp437")
_FEW = Filling("letters", "See you there.\r\n", "map.pdf", "application/pdf", b"%PDF-1.4 made")


_DRAWN_ALWAYS = ("iso-2022-jp", "gb18030", "utf-16", "utf-16le", "utf-7", "utf-32", "windows-1256", "koi8-r")


@pytest.mark.parametrize(
    "charset", [one if one in _DRAWN_ALWAYS else pytest.param(one, marks=pytest.mark.nightly) for one in TONGUES]
)
def test_the_link_is_drawn_in_every_character_set(page: Page, charset: str) -> None:
    encoding = "base64" if charset in WIDE else "quoted-printable"
    out = sealed(lettered(_FEW, charset, encoding), (2,))
    plain, html = [one for one in email.message_from_bytes(out).walk() if one.get_content_maintype() == "text"]
    for part, kind in ((plain, "plain"), (html, "html")):
        data, label = bytes(part.get_payload(decode=True)), charset
        if charset in _NOT_IN_BROWSERS or (kind == "plain" and b"\0" in data):
            data, label = text_of(part).encode(), "utf-8"
        serve(page, data, f"text/{kind}; charset={label}")
        shown = page.evaluate("() => document.body.innerText")
        assert TONGUES[charset] in shown, (charset, kind)
        assert "See you there." in shown
        if kind == "plain":
            assert URL in shown.splitlines()
        else:
            assert page.evaluate(LOOK, URL)["front"]
        if SHOTS:
            page.evaluate("scrollTo(0, 0)")
            page.screenshot(path=Path(SHOTS) / f"letters-{charset}-{kind}.png")


def test_what_outlook_alone_leaves_out_is_no_place_for_the_link() -> None:
    html = PAGES["two-bodies-by-comment"].encode()
    assert html[body_start(html) :].startswith(b"<p>Hello")
    assert html[: body_start(html)].endswith(b"<body><!--<![endif]-->")
