"""The link's own pages: what it is, asking for a code, typing it, and the typed-code page.

GET and HEAD change nothing; a text goes out only after the last four digits were typed (PAGES 2.3, DESIGN §4).
"""

from __future__ import annotations

from starlette.responses import Response

from gateway import words
from gateway.audit.event import Action
from gateway.flow.visit import Denial, Stranger
from gateway.portal import cookies
from gateway.portal.answers import Away
from gateway.portal.call import Call
from gateway.portal.door import ended, slow
from gateway.portal.guards import Rate, Trace, page
from gateway.portal.pages import read

LINK = Trace(Action.LINK_VISITED, Rate(60))
NOTES = {
    "last-four": "portal.open.wrong_last4",
    "digits": "portal.open.bad_last4",
    "wrong": "portal.code.wrong",
    "expired": "portal.code.expired",
    "used": "portal.code.used",
    "too-new": "portal.code.too_new",
    "empty": "portal.code.empty",
    "device": "portal.open.device_over",
}
"""Words that an address may carry after a redirect, and the sentences they stand for; nothing else is shown."""
STATES = frozenset({"revoked", "expired", "frozen", "destroyed", "unknown"})


REFUSED = 422
"""Status of the page that tells why a form was refused: it shows after a redirect, and programs read no words."""


@page("/m/{token}", "GET", trace=LINK)
def open_link(call: Call) -> Response:
    """The landing page; or the message itself for who has proved themself and keeps the secret in a cookie."""
    session = call.deps.visits.session(call.door, call.handle) if call.handle else None
    if session is not None and call.base == call.plain_base and call.path["token"] == cookies.short(call.door.grant):
        call.proved = session
        return read.letter(call)
    call.deps.visits.visited(call.origin, call.door)
    if session is None and call.door.tries_left <= 0:
        return call.problem("too_many", 429, reference=call.door.reference)
    sender, address = call.deps.visits.faces(call.door)
    return call.page(
        "open.html",
        REFUSED if _note(call) else 200,
        sender=sender or call.face.display_name,
        address=masked(address),
        doors=call.door.doors,
        base=call.base,
        plain_base=call.plain_base,
        signed_in=session is not None,
        remembered=bool(call.jar.get(cookies.DEVICE + cookies.short(call.door.person))),
        reference=call.door.reference,
        ends_at=call.door.ends_at,
        error=_note(call),
    )


@page("/m/{token}/code", "GET", trace=LINK)
def type_code(call: Call) -> Response:
    """The one input that takes every kind of code."""
    call.deps.visits.visited(call.origin, call.door)
    if call.door.tries_left <= 0:
        return call.problem("too_many", 429, reference=call.door.reference)
    waiting = call.query.get("note") == "too-soon"  # a second tap on "Text me a code" is no mistake: one is on its way
    error = "" if waiting else _note(call)
    return call.page(
        "code.html",
        REFUSED if error else 200,
        base=call.base,
        asked=call.query.get("asked") == "1",
        waiting=waiting,
        card=call.query.get("card") == "1",
        tries_left=call.door.tries_left,
        reference=call.door.reference,
        error=error,
    )


@page("/m/{token}/not-me", "GET", trace=LINK)
def not_me(call: Call) -> Response:
    """What to do with somebody else's mail: words only, for a robot may press anything."""
    call.deps.visits.visited(call.origin, call.door)
    return call.page("not_me.html", base=call.base)


@page("/m/{token}/code", "POST", trace=Trace(Action.CODE_ASKED, Rate(30)))
def ask_code(call: Call) -> Response:
    """Ask for a text; nothing is sent before the last four digits match."""
    digits = "".join(filter(str.isdigit, call.form.get("last4", "")))
    if len(digits) != 4:
        return Away(f"{call.plain_base}?note=digits")
    denial = call.deps.visits.ask_text(call.origin, call.door, digits)
    if denial is None:
        return Away(f"{call.plain_base}/code?asked=1")
    if denial.reason == "too-soon":
        return Away(f"{call.plain_base}/code?note=too-soon")
    return denied(call, denial, call.plain_base)


@page("/m/{token}/verify", "POST", trace=Trace(Action.SESSION_STARTED, Rate(30)))
def verify(call: Call) -> Response:
    """A code of any kind for a session; the address becomes `/m/<id>`."""
    code = "".join(character for character in call.form.get("code", "") if character.isalnum())
    if not code or len(code) > 32:
        return Away(f"{call.plain_base}/code?note=empty")
    door = call.door
    result = call.once("verify", lambda: call.deps.visits.verify(call.origin, door, code), door.grant, code.lower())
    if isinstance(result, Denial):
        # Who typed letters gets the page for letters again: on a phone the other one shows digits only.
        letters = "&card=1" if any(character.isalpha() for character in code) else ""
        return denied(call, result, f"{call.plain_base}/code", letters)
    call.jar.set(cookies.SESSION + cookies.short(call.door.grant), result["handle"])
    return Away(call.plain_base)


@page("/m/{token}/device", "POST", trace=Trace(Action.SESSION_STARTED, Rate(30)))
def use_device(call: Call) -> Response:
    """A remembered browser opens at a press, never by itself."""
    name = cookies.DEVICE + cookies.short(call.door.person)
    device = cookies.decode(call.jar.get(name), cookies.TOKEN_BYTES)
    if device is None:
        return Away(call.plain_base)
    result = call.deps.visits.use_device(call.origin, call.door, device)
    if isinstance(result, Denial):
        if result.reason not in STATES:
            call.jar.drop(name)
            return Away(f"{call.plain_base}?note=device")
        return denied(call, result, call.plain_base)
    call.jar.set(cookies.SESSION + cookies.short(call.door.grant), result["handle"])
    return Away(call.plain_base)


TYPED = Trace(Action.LINK_VISITED, Rate(30))


@page("/m", "GET", trace=TYPED)
def typed_page(call: Call) -> Response:
    """For links cut in two: the reference and the printed code."""
    return call.page("typed.html")


@page("/m", "POST", trace=TYPED)
def typed(call: Call) -> Response:
    """Find the grant by reference; the wrap's commitment decides."""
    found = call.deps.visits.typed(call.origin, call.form.get("reference", ""), call.form.get("printed", ""))
    if isinstance(found, Stranger):
        call.deps.visits.refused(call.origin, "", "typed-code")
        words_of_it = words.say("portal.typed.wrong", clinic=call.face.display_name, phone=call.face.phone)
        return call.page("typed.html", 404, error=words_of_it)
    call.link = found
    call.jar.keep_link(found.grant, found.secret)
    call.deps.visits.visited(call.origin, found)
    return Away(call.plain_base)


def masked(address: str) -> str:
    """`m***@mail.example`: enough to know one's own address, not enough to learn another's."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}***{at}{domain}" if at else "***"


def _note(call: Call) -> str:
    key = NOTES.get(call.query.get("note", ""))
    return words.say(key, clinic=call.face.display_name) if key else ""


def denied(call: Call, denial: Denial, back: str, more: str = "") -> Response:
    """One page or one sentence for each reason; the reason itself is in the log."""
    if denial.reason == "redeemed":
        return call.problem("used", 409, reference=call.door.reference)
    if denial.reason in STATES - {"expired"} or (denial.reason == "expired" and call.door.ends_at <= call.now()):
        return ended(call, denial.reason)
    if denial.reason == "too-many":
        return call.problem("too_many", 429, reference=call.door.reference)
    if denial.reason == "no-phone":
        return call.problem("no_phone", 409, reference=call.door.reference)
    if denial.reason == "busy":
        return slow(call)
    note = denial.reason if denial.reason in NOTES else "wrong"
    if denial.tries_left == 0:
        return call.problem("too_many", 429, reference=call.door.reference)
    return Away(f"{back}?note={note}{more}")
