"""A recipient with a mail, a phone and a browser without scripts, at the portal of a running clinic."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urljoin

from gateway.demo.clinic import Clinic
from gateway.demo.visitor import Page, Visitor

FILES = re.compile(r'href="(/m/[0-9A-Za-z]{12}/files/(obj_[0-9A-Za-z]+))"')


@dataclass(slots=True)
class Patient:
    """Whoever holds this link and this phone."""

    clinic: Clinic
    link: str
    phone: str
    browser: Visitor = field(default_factory=Visitor)

    @property
    def grant(self) -> str:
        """The grant that the link names."""
        return "lnk_" + self.link.rpartition("/m/")[2][:12]

    @property
    def plain(self) -> str:
        """The page's address once the secret has left it."""
        return f"{self.clinic.portal}/m/{self.grant.removeprefix('lnk_')}"

    def knock(self) -> Page:
        """Follow the link."""
        return self.browser.get(self.link)

    def open(self) -> Page:
        """Follow the link, ask for a code, type it; the message's page."""
        count = sum(text["to"] == self.phone for text in self.clinic.texts())
        asked = self.browser.submit(self.knock(), "/code", last4=self.phone[-4:])
        code = re.search(r"\b\d{6}\b", self.clinic.wait_for_text(self.phone, count + 1))
        assert code is not None
        return self.browser.submit(asked, "/verify", code=code[0])

    def files(self, page: Page) -> dict[str, str]:
        """Object id to address of every file on the message's page."""
        return {name: urljoin(self.clinic.portal, path) for path, name in FILES.findall(page.text)}
