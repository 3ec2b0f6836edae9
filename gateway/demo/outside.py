"""The demo's outside world as pages: what left the building, a pretend phone, who can sign in.

Promises: served on loopback from another origin than the portal, so that no cookie or script of one reaches the other;
other Host fields get 421 (a page elsewhere cannot read this through its own name); everything shown is escaped; mail is
shown as text only.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any

import pyotp
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.assets import web_dir
from gateway.demo.clinic import PEOPLE, Clinic
from gateway.demo.sink import LINK, Received
from gateway.portal.server import Listen, PortalServer, start

HOST = "127.0.0.1"
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
}
STEP_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Shown:
    """One mail as its pages show it."""

    number: int
    subject: str
    sender: str
    recipients: tuple[str, ...]
    size_bytes: int
    attachments: int
    link: str | None


class Outside:
    """The pages of one running clinic. `port` 0 lets the system choose."""

    def __init__(self, clinic: Clinic, port: int = 0) -> None:
        self._clinic = clinic
        self._port = port
        self._server: PortalServer | None = None
        self._templates = Environment(
            loader=FileSystemLoader(web_dir() / "demo"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        )  # fmt: skip

    @property
    def url(self) -> str:
        """Where the pages are."""
        return f"http://{HOST}:{self._port}"

    def start(self) -> None:
        """Serve in a thread. Raises Misconfigured when the port is taken."""
        app = Starlette()
        app.state.pools = []
        app.router.routes[:] = [
            Route(path, self._guarded(handler))
            for path, handler in (
                ("/", self._home), ("/mail", self._mails), ("/mail/{number:int}", self._mail),
                ("/mail/{number:int}/raw", self._raw), ("/phone", self._phone), ("/sign-in", self._sign_in),
                ("/demo.css", self._css), ("/{rest:path}", self._none),
            )
        ]  # fmt: skip
        self._server = start(app, [Listen(HOST, self._port)])
        self._port = self._server.ports[0]

    def stop(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.stop()

    def _guarded(self, handler: Any) -> Any:
        def answer(request: Request) -> Response:
            if request.headers.get("host", "") not in (f"{HOST}:{self._port}", f"localhost:{self._port}"):
                return PlainTextResponse("This address is not in use here.\n", 421, headers=HEADERS)
            response: Response = handler(request)
            for name, value in HEADERS.items():
                response.headers[name] = value
            return response

        return answer

    def _page(self, template: str, place: str, status: int = 200, **values: Any) -> Response:
        return HTMLResponse(self._templates.get_template(template).render(place=place, **values), status)

    def _home(self, request: Request) -> Response:
        return RedirectResponse("/mail", 303)

    def _mails(self, request: Request) -> Response:
        shown = [shown_mail(number, mail) for number, mail in enumerate(self._clinic.sink.mails, 1)]
        return self._page("mails.html", "/mail", mails=shown[::-1])

    def _mail(self, request: Request) -> Response:
        found = self._found(request)
        if found is None:
            return self._none(request)
        mail = shown_mail(request.path_params["number"], found)
        return self._page("mail.html", "/mail", mail=mail, pieces=pieces(found.text))

    def _raw(self, request: Request) -> Response:
        found = self._found(request)
        return self._none(request) if found is None else PlainTextResponse(found.data.decode("utf-8", "replace"))

    def _phone(self, request: Request) -> Response:
        people = [(address, name, phone) for address, name, phone, _ in PEOPLE]
        return self._page("phone.html", "/phone", texts=self._clinic.texts()[::-1], people=people)

    def _sign_in(self, request: Request) -> Response:
        members = [
            {
                "name": one.name, "role": one.role, "address": one.address, "password": one.password,
                "code": pyotp.TOTP(one.secret).now(),
            }
            for one in (self._clinic.amy, self._clinic.olga)
        ]  # fmt: skip
        seconds = STEP_SECONDS - int(time.time()) % STEP_SECONDS
        return self._page("signin.html", "/sign-in", members=members, seconds=seconds, portal=self._clinic.portal)

    def _css(self, request: Request) -> Response:
        return Response((web_dir() / "demo" / "demo.css").read_bytes(), media_type="text/css")

    def _none(self, request: Request) -> Response:
        return self._page("none.html", "", 404)

    def _found(self, request: Request) -> Received | None:
        number, mails = request.path_params["number"], self._clinic.sink.mails
        return mails[number - 1] if 1 <= number <= len(mails) else None


def shown_mail(number: int, mail: Received) -> Shown:
    """What a list says of a mail; hostile mail gives empty places, never an error."""
    return Shown(
        number=number, subject=mail.header("subject"), sender=mail.header("from") or mail.mail_from or "(no sender)",
        recipients=mail.recipients, size_bytes=len(mail.data), attachments=mail.attachments, link=mail.link,
    )  # fmt: skip


def pieces(text: str) -> list[str]:
    """The text cut at personal links: text, link, text, … so that a template can make the links clickable."""
    return re.split(f"({LINK.pattern})", text)
