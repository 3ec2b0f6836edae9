"""A recipient's own ways in: passkeys used, set up, listed and taken away; recovery codes; what was lost.

Offered after the first reading and never in its way. Only the two pages that ask the device have a script, of their own
file; everything else works without. What the PRF extension gave comes back in the form field `prf` (`prf_of`), is used
here or not at all, and goes neither to the keyholder nor into any log (WebAuthn Level 3 10.1.4; web/README.md).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from starlette.responses import Response

from gateway import words
from gateway.audit.event import Action
from gateway.flow.visit import Denial
from gateway.flow.ways import Answer, Asked, read_answer
from gateway.portal import cookies
from gateway.portal.answers import Away
from gateway.portal.call import Call
from gateway.portal.guards import Rate, Trace, Unlogged, page
from gateway.portal.headers import PASSKEY_CSP
from gateway.portal.pages import open as opening
from gateway.portal.pages.factors import ENROL
from gateway.portal.pages.read import refused

PRF_BYTES = 32
AGAIN = frozenset({"wrong", "expired", "used", "taken", "cloned", "no-passkey"})
"""Refusals after which asking the device once more is the one next step."""


@page("/m/{token}/passkey", "GET", trace=opening.LINK)
def use(call: Call) -> Response:
    """Asks the device for an answer to a challenge for this message; a visit, and nothing more."""
    call.deps.visits.visited(call.origin, call.door)
    return _use(call)


@page("/m/{token}/passkey", "POST", trace=Trace(Action.SESSION_STARTED, Rate(30)))
def opened(call: Call) -> Response:
    """The answer for a session; the address becomes `/m/<id>`."""
    answer = answer_of(call)
    if answer is None:
        return Away(f"{call.plain_base}/passkey")
    door = call.door
    result = call.once(
        "passkey", lambda: call.deps.ways.open(call.origin, door, answer), door.grant, str(answer.ticket)
    )
    if isinstance(result, Denial):
        if result.reason in AGAIN and result.tries_left != 0:
            return _use(
                call, words.say("portal.passkey.late" if result.reason == "expired" else "portal.passkey.wrong")
            )
        return opening.denied(call, result, call.plain_base)
    call.jar.set(cookies.SESSION + cookies.short(door.grant), result["handle"])
    return Away(call.plain_base)


LIST = Trace(Unlogged("one's own ways in, by the names that one gave them; nothing of a message"), Rate(60))


@page("/m/{token}/passkeys", "GET", trace=LIST)
def ways(call: Call) -> Response:
    """What this person set up, and what can be added."""
    return _ways(call)


@page(
    "/m/{token}/passkeys/new",
    "GET",
    trace=Trace(Unlogged("a question to the device; nothing is shown or changed"), Rate(60)),
)
def begin(call: Call) -> Response:
    """Asks the device to make one."""
    return _begin(call)


@page("/m/{token}/passkeys/new", "POST", trace=ENROL)
def enrol(call: Call) -> Response:
    """Keep what the device made."""
    answer, name = answer_of(call), call.form.get("called", "")[:60]
    if answer is None:
        return Away(f"{call.plain_base}/passkeys/new")
    door, session = call.door, call.session
    denial = call.once(
        "enrol", lambda: call.deps.ways.enrol(call.origin, door, session, answer, name), str(answer.ticket)
    )
    if denial is None:
        return call.page("passkey_done.html", base=call.plain_base, codes=call.deps.ways.mine(session).codes)
    return _begin(call, words.say("portal.passkey.not_made")) if denial.reason in AGAIN else too_late(call, denial)


@page("/m/{token}/passkeys/{passkey}", "GET", trace=LIST)
def confirm(call: Call) -> Response:
    """One of them, and a press away from taking it off the list."""
    found = [one for one in call.deps.ways.mine(call.session).passkeys if one.id == call.path["passkey"]]
    if not found:
        return call.problem("missing", 404)
    return call.page("passkey_remove.html", base=call.plain_base, passkey=found[0])


@page("/m/{token}/passkeys/{passkey}", "POST", trace=Trace(Action.FACTOR_REMOVED, Rate(30)))
def remove(call: Call) -> Response:
    """Take it off."""
    denial = call.deps.ways.remove(call.origin, call.door, call.session, call.path["passkey"])
    if denial is None or denial.reason == "unknown":
        return _ways(call, note="" if denial else words.say("portal.passkey.removed"))
    if denial.reason == "last-factor":
        return _ways(call, 409, error=words.say("portal.passkey.last"))
    return too_late(call, denial)


@page("/m/{token}/recovery-codes", "POST", trace=ENROL)
def codes(call: Call) -> Response:
    """Ten codes to print, shown here once. A page that is asked for twice makes ten others, and says so."""
    made = call.deps.ways.codes(call.origin, call.door, call.session)
    if isinstance(made, Denial):
        if made.reason == "no-factor":
            return _ways(call, 409, error=words.say("portal.recovery.first"))
        return too_late(call, made)
    shown = [" ".join(code[at : at + 4] for at in range(0, len(code), 4)) for code in made]
    return call.page("recovery_codes.html", base=call.plain_base, codes=shown, reference=call.door.reference)


@page("/m/{token}/lost", "GET", trace=LIST)
def lost(call: Call) -> Response:
    """What ends for who lost a phone; a press away from doing it."""
    return call.page("lost.html", base=call.plain_base, done=False)


@page("/m/{token}/lost", "POST", trace=Trace(Action.FACTOR_REMOVED, Rate(30)))
def end_lost(call: Call) -> Response:
    """End what was set up before."""
    denial = call.deps.ways.lost(call.origin, call.door, call.session)
    if denial is not None:
        return too_late(call, denial)
    call.jar.drop(cookies.DEVICE + cookies.short(call.door.person))
    return call.page("lost.html", base=call.plain_base, done=True)


def answer_of(call: Call) -> Answer | None:
    """What the device said, from the form; None when the page's script put nothing there."""
    return read_answer(call.form.get("ticket", ""), call.form.get("answer", ""))


def prf_of(call: Call) -> bytes | None:
    """The 32 bytes that the browser's PRF extension gave for this person's salt; None where it gave none."""
    return cookies.decode(call.form.get("prf", ""), PRF_BYTES)


def asking(call: Call, template: str, asked: Asked, status: int = 200, **values: Any) -> Response:
    """A page whose script asks the device."""
    response = call.page(template, status, asked=asked, **values)
    response.headers["content-security-policy"] = PASSKEY_CSP
    return response


def too_late(call: Call, denial: Denial) -> Response:
    """A session that is too old to set anything up is asked to prove itself again; nothing is lost."""
    if denial.reason in ("stale", "not-recovered", "enough", "no-host"):
        stale = denial.reason in ("stale", "not-recovered")
        return _ways(call, 409, error=words.say("portal.passkey.stale" if stale else "portal.passkey.enough"))
    return refused(call, denial)


def named(call: Call) -> None:
    """A browser that comes for the first time gets its name now: a challenge counts in the browser that asked."""
    call.origin = replace(call.origin, visitor=call.jar.visitor())


def _use(call: Call, error: str = "") -> Response:
    named(call)
    asked = call.deps.ways.ask(call.origin, call.door)
    if isinstance(asked, Denial):
        if asked.reason == "no-passkey":
            return Away(call.plain_base)
        return opening.denied(call, asked, call.plain_base)
    return asking(call, "passkey.html", asked, 422 if error else 200, base=call.base, error=error)


def _begin(call: Call, error: str = "") -> Response:
    asked = call.deps.ways.begin(call.origin, call.door, call.session)
    if isinstance(asked, Denial):
        return too_late(call, asked)
    _, address = call.deps.visits.faces(call.door)
    given = {"base": call.plain_base, "name": opening.masked(address), "error": error}
    return asking(call, "passkey_new.html", asked, 422 if error else 200, **given)


def _ways(call: Call, status: int = 200, **values: str) -> Response:
    mine = call.deps.ways.mine(call.session)
    return call.page(
        "passkeys.html", status, base=call.plain_base, mine=mine, now=call.now(), may_add=mine.more,
        recovered=call.session["method"] == "recovery", **values,
    )  # fmt: skip
