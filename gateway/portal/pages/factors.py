"""After reading: a code app, a remembered browser, signing out. Offered, never in the way."""

from __future__ import annotations

from starlette.responses import Response

from gateway import words
from gateway.audit.event import Action
from gateway.flow.visit import Denial
from gateway.portal import cookies
from gateway.portal.call import Call
from gateway.portal.guards import Rate, Trace, Unlogged, page
from gateway.portal.pages.read import refused
from gateway.portal.qr import qr_svg

ENROL = Trace(Action.FACTOR_ENROLLED, Rate(30))


@page(
    "/m/{token}/app",
    "GET",
    trace=Trace(Unlogged("words that offer a code app; nothing is shown or changed"), Rate(60)),
)
def offer(call: Call) -> Response:
    """What a code app is."""
    return call.page("app.html", base=call.plain_base, done=False, qr="", again=False)


@page("/m/{token}/app", "POST", trace=ENROL)
def begin(call: Call) -> Response:
    """The new secret, as a picture and to type; not in force before its first code."""
    begun = call.deps.visits.totp_begin(call.origin, call.door, call.session)
    if isinstance(begun, Denial):
        return refused(call, begun)
    uri, secret = begun
    groups = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
    picture = qr_svg(uri, words.say("portal.app.qr"))
    return call.page("app.html", base=call.plain_base, done=False, qr=picture, secret=groups, uri=uri, again=False)


@page("/m/{token}/app/confirm", "POST", trace=ENROL)
def confirm(call: Call) -> Response:
    """The first code puts it in force."""
    code = "".join(filter(str.isdigit, call.form.get("code", "")))
    door, session = call.door, call.session
    denial = call.once("app", lambda: call.deps.visits.totp_confirm(call.origin, door, session, code), door.grant, code)
    if denial is None:
        return call.page("app.html", base=call.plain_base, done=True, qr="")
    if denial.reason in ("wrong", "used"):
        # The key stays the one that the app has by now: showing another would make every later code wrong.
        return call.page(
            "app.html", 422, base=call.plain_base, done=False, qr="", again=True, error=words.say("portal.app.wrong")
        )
    if denial.reason == "too-many":
        return call.problem("too_many", 429, reference=call.door.reference)
    return refused(call, denial)


@page("/m/{token}/remember", "POST", trace=ENROL)
def remember(call: Call) -> Response:
    """Keep this browser for 90 days; the link secret stays with it, for the device is useless without."""
    device = call.deps.visits.remember(call.origin, call.door, call.session)
    if isinstance(device, Denial):
        return refused(call, device)
    name = cookies.DEVICE + cookies.short(call.door.person)
    call.jar.set(name, cookies.encode(device), cookies.DEVICE_SECONDS)
    call.jar.keep_link(call.door.grant, call.door.secret, cookies.DEVICE_SECONDS)
    return call.page("device.html", base=call.plain_base, forgotten=False)


@page("/m/{token}/forget", "POST", trace=Trace(Action.FACTOR_REMOVED, Rate(30)))
def forget(call: Call) -> Response:
    """Forget every browser of this person, this one's cookie included."""
    call.deps.visits.forget(call.origin, call.door, call.session)
    call.jar.drop(cookies.DEVICE + cookies.short(call.door.person))
    call.jar.keep_link(call.door.grant, call.door.secret)
    return call.page("device.html", base=call.plain_base, forgotten=True)


@page("/m/{token}/sign-out", "POST", trace=Trace(Action.SESSION_ENDED, Rate(30)))
def sign_out(call: Call) -> Response:
    """End the session and take the link secret out of this browser, unless it is one to be remembered."""
    call.deps.visits.sign_out(call.origin, call.door, call.session)
    call.jar.drop(cookies.SESSION + cookies.short(call.door.grant))
    if not call.jar.get(cookies.DEVICE + cookies.short(call.door.person)):
        call.jar.drop(cookies.LINK + cookies.short(call.door.grant))
    return call.page("signed_out.html")
