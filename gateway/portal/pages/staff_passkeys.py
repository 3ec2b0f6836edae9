"""Staff: signing in with password and passkey, and one's own passkeys: set up, listed, taken away with a fresh code."""

from __future__ import annotations

from starlette.responses import Response

from gateway import words
from gateway.audit.event import Action
from gateway.flow.visit import Denial
from gateway.flow.ways import Asked
from gateway.portal import cookies
from gateway.portal.answers import Away
from gateway.portal.call import Call
from gateway.portal.door import slow
from gateway.portal.guards import Rate, Trace, Unlogged, page
from gateway.portal.headers import PASSKEY_CSP
from gateway.portal.pages.passkeys import answer_of, asking, named
from gateway.portal.pages.staff import staff_page

ENROL = Trace(Action.FACTOR_ENROLLED, Rate(30))
LIST = Trace(Unlogged("one's own passkeys, by the names that one gave them"), Rate(60))
FAILURES = {
    "used": "staff.passkeys.code_used", "too-many": "staff.passkeys.too_many", "expired": "staff.passkeys.late",
    "taken": "staff.passkeys.taken", "enough": "staff.passkeys.enough",
}  # fmt: skip


@page(
    "/staff/sign-in/passkey",
    "GET",
    trace=Trace(Unlogged("an empty form and a challenge that names nobody, the same for everybody"), Rate(60)),
)
def form(call: Call) -> Response:
    """Address and password, and the device is asked for a passkey instead of a code."""
    return _form(call)


@page("/staff/sign-in/passkey", "POST", trace=Trace(Action.SESSION_STARTED, Rate(20)))
def sign_in(call: Call) -> Response:
    """Password and passkey at once; one answer for whatever was wrong."""
    address, password, answer = call.form.get("address", "").strip(), call.form.get("password", ""), answer_of(call)
    if answer is None or not (address and password) or max(len(address), len(password)) > 256:
        return _form(call, "staff.sign_in.wrong_passkey", 403)
    session = call.once(
        "sign-in", lambda: call.deps.desk.sign_in(call.origin, address, password, "", answer), address, password,
        str(answer.ticket),
    )  # fmt: skip
    if not isinstance(session, Denial):
        call.jar.set(cookies.STAFF, session["handle"])
        return Away(call.jar.wanted())
    if session.reason == "busy":
        return slow(call)
    if session.reason in ("too-many", "closed"):
        many = session.reason == "too-many"
        key = "staff.sign_in.too_many" if many else "staff.sign_in.closed"
        return call.page("staff/sign_in.html", 429 if many else 403, error=words.say(key))
    return _form(call, "staff.sign_in.wrong_passkey", 403)


@page("/staff/passkeys", "GET", trace=LIST)
def listed(call: Call) -> Response:
    """One's own passkeys."""
    return _listed(call)


@page("/staff/passkeys/new", "GET", trace=LIST)
def begin(call: Call) -> Response:
    """Name it, prove it with a code, and the device makes it."""
    return _begin(call)


@page("/staff/passkeys/new", "POST", trace=ENROL)
def enrol(call: Call) -> Response:
    """Keep what the device made."""
    answer, code = answer_of(call), "".join(filter(str.isdigit, call.form.get("code", "")))
    if answer is None or not code:
        return _begin(call, "wrong")
    session, name = call.session, call.form.get("called", "")[:60]
    denial = call.once(
        "staff-enrol", lambda: call.deps.ways.staff_enrol(call.origin, session, code, answer, name), str(answer.ticket),
        code,
    )  # fmt: skip
    return _listed(call, words.say("staff.passkeys.added")) if denial is None else _begin(call, denial.reason)


@page("/staff/passkeys/{passkey}", "GET", trace=LIST)
def confirm(call: Call) -> Response:
    """One of them; a fresh code takes it away."""
    return _confirm(call)


@page("/staff/passkeys/{passkey}", "POST", trace=Trace(Action.FACTOR_REMOVED, Rate(30)))
def remove(call: Call) -> Response:
    """Take it away."""
    code = "".join(filter(str.isdigit, call.form.get("code", "")))
    session, passkey = call.session, call.path["passkey"]
    denial = call.once(
        "staff-remove", lambda: call.deps.ways.staff_remove(call.origin, session, code, passkey), passkey, code
    )
    return _listed(call, words.say("staff.passkeys.removed")) if denial is None else _confirm(call, denial.reason)


def _form(call: Call, error: str = "", status: int = 200) -> Response:
    named(call)
    asked = call.deps.ways.staff_ask(call.origin.tenant, call.origin.visitor)
    if asked is None:
        return call.page("staff/sign_in.html", 409, error=words.say("staff.sign_in.no_passkeys"))
    return asking(call, "staff/passkey_sign_in.html", asked, status, error=words.say(error) if error else "")


def _begin(call: Call, failure: str = "") -> Response:
    asked = call.deps.ways.staff_begin(call.session)
    if not isinstance(asked, Asked):
        return _listed(call, error=words.say(FAILURES.get(asked.reason, "staff.sign_in.no_passkeys")), status=409)
    response = staff_page(
        call, "staff/passkey_new.html", asked=asked, error=_failed(failure), name=call.face.display_name
    )
    response.status_code = 422 if failure else 200
    response.headers["content-security-policy"] = PASSKEY_CSP
    return response


def _confirm(call: Call, failure: str = "") -> Response:
    found = [one for one in call.deps.ways.mine(call.session).passkeys if one.id == call.path["passkey"]]
    if not found:
        return call.staff_problem(words.say("staff.problem.missing"), 404)
    status = 422 if failure else 200
    response = staff_page(call, "staff/passkey_remove.html", passkey=found[0], error=_failed(failure))
    response.status_code = status
    return response


def _failed(reason: str) -> str:
    return words.say(FAILURES.get(reason, "staff.passkeys.wrong")) if reason else ""


def _listed(call: Call, note: str = "", error: str = "", status: int = 200) -> Response:
    response = staff_page(call, "staff/passkeys.html", mine=call.deps.ways.mine(call.session), note=note, error=error)
    response.status_code = status
    return response
