"""Somebody at a browser without scripts: follows links, fills in forms, keeps cookies. For the demo's own check."""

from __future__ import annotations

import email.message
import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy


@dataclass(frozen=True, slots=True)
class Page:
    """What came back: final address, status, fields and body."""

    url: str
    status: int
    headers: email.message.Message
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def form(self, action: str) -> dict[str, str]:
        """Hidden fields of the form whose action ends with `action`. KeyError when there is no such form."""
        for match in re.finditer(r"<form\b([^>]*)>(.*?)</form>", self.text, re.DOTALL | re.IGNORECASE):
            found = re.search(r'action="([^"]*)"', match[1])
            if found and found[1].split("?")[0].endswith(action):
                return {
                    "_action": found[1].replace("&amp;", "&"),
                    **{
                        name: value
                        for tag in re.findall(r"<input\b[^>]*>", match[2])
                        if 'type="hidden"' in tag
                        for name, value in [(_attribute(tag, "name"), _attribute(tag, "value"))]
                    },
                }
        raise KeyError(action)


@dataclass(slots=True)
class Visitor:
    """One browser. `agent` is its User-Agent; other visitors share no cookies with it."""

    agent: str = "Mozilla/5.0 (demo visitor)"
    jar: CookieJar = field(default_factory=lambda: CookieJar(DefaultCookiePolicy(strict_ns_domain=0)))

    def get(self, url: str, *, method: str = "GET", headers: dict[str, str] | None = None) -> Page:
        """Follow redirections as a browser does."""
        return self._ask(_request(url, method, headers or {}))

    def post(self, url: str, fields: dict[str, str], *, foreign: bool = False) -> Page:
        """Send a form as the page at the same origin would; or, `foreign`, as somebody else's page would."""
        parts = urllib.parse.urlsplit(url)
        request = _request(url, "POST", {}, urllib.parse.urlencode(fields).encode())
        request.add_header("Origin", "https://elsewhere.test" if foreign else f"{parts.scheme}://{parts.netloc}")
        request.add_header("Sec-Fetch-Site", "cross-site" if foreign else "same-origin")
        request.add_header("Sec-Fetch-Mode", "navigate")
        return self._ask(request)

    def submit(self, page: Page, action: str, **fields: str) -> Page:
        """Fill in the page's form of that action and send it."""
        hidden = page.form(action)
        return self.post(urllib.parse.urljoin(page.url, hidden.pop("_action")), {**hidden, **fields})

    def _ask(self, request: urllib.request.Request) -> Page:
        request.add_header("User-Agent", self.agent)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.jar)
        )
        try:
            with opener.open(request, timeout=60) as answer:
                return Page(answer.geturl(), answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Page(error.geturl(), error.code, error.headers, error.read())


def _request(url: str, method: str, headers: dict[str, str], data: bytes | None = None) -> urllib.request.Request:
    """A request over HTTP; ValueError for any other scheme, so that no file is ever read by a link."""
    if not url.startswith("http://"):
        raise ValueError("the demo's visitors speak HTTP only")
    return urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - checked in the line above


def _attribute(tag: str, name: str) -> str:
    found = re.search(rf'\b{name}="([^"]*)"', tag)
    return found[1].replace("&amp;", "&").replace("&#34;", '"') if found else ""
