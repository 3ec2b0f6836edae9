"""Enforces the guards: every request passes here before a handler runs, and every error leaves here as a calm page.

Promises: what the guard asks for is there before the handler runs, and before a file is read; forms are ours (Fetch
Metadata, Origin, a token bound to browser and session); whoever shows no valid link secret gets one and the same page;
what must be logged and cannot be gives 503; no traceback, id or reason reaches a page. 45 CFR 164.312(a)(1), DESIGN §4
"The link".
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from gateway import words
from gateway.errors import GatewayError, NotFound, Refused, Tampered, TryLater
from gateway.flow.visit import Stranger
from gateway.logs import Log
from gateway.portal import cookies
from gateway.portal.answers import Away
from gateway.portal.call import Call
from gateway.portal.forms import TooLarge, read_form
from gateway.portal.guards import Guard, Page, Permission
from gateway.portal.headers import REQUEST, ROUTE
from gateway.share.opening import shows_secret
from gateway.share.portal import Session
from gateway.store.scope import acting

log = Log("sealgate.portal")
FORM_BYTES = 16_384
LINK_PER_MINUTE = 120
"""Requests a minute with one link, and as many more with a session: enough for people, too few to fill the log."""
STRANGERS_PER_MINUTE = 60
"""Requests a minute of one network's strangers, on all routes of links and of staff together."""
MISSED_PER_MINUTE = 60
"""Ids that are not there, asked for by one person: each leaves an event."""
_ID = re.compile(r"[a-z]{3}_[0-9A-Za-z]{1,40}", re.ASCII)
R = TypeVar("R")
ENDED = {"revoked": "recalled", "frozen": "frozen"}


class Endpoint:
    """One route as Starlette calls it. `make` builds the Call; `pool` runs the handler, so the loop never waits."""

    def __init__(self, page: Page, make: Callable[[Request, dict[str, str]], Call], pool: Executor) -> None:
        self.page = page
        self._make = make
        self._pool = pool

    async def answer(self, request: Request) -> Response:
        """Read the form, then do everything else in the pool; where a file may come, first see who brings it."""
        request.scope[ROUTE] = self.page.path
        call = self._make(request, {})
        call.area = "staff" if self.page.path.startswith(("/staff", "/audit")) else "portal"
        request.scope[REQUEST] = call.origin.request
        if request.method != "POST":
            return await self._pooled(call, self._guarded)
        if self.page.upload_bytes:
            refusal = await self._pooled(call, self._gate)
            if refusal is not None:
                refusal.headers["connection"] = "close"  # or the server would read on what nobody wants
                return refusal
        try:
            call.form, call.files = await read_form(request, FORM_BYTES, self.page.upload_bytes)
        except TooLarge:
            return await self._pooled(call, lambda call: _problem(call, TooLarge()))
        return await self._pooled(call, self._handled if self.page.upload_bytes else self._guarded)

    async def _pooled(self, call: Call, deed: Callable[[Call], R]) -> R | Response:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._calmly, call, deed)

    def _calmly(self, call: Call, deed: Callable[[Call], R]) -> R | Response:
        with acting(call.origin.tenant):  # on PostgreSQL the database shows this thread no other tenant's rows
            return self._answered(call, deed)

    def _answered(self, call: Call, deed: Callable[[Call], R]) -> R | Response:
        call.deps.again.tidy()
        response: R | Response
        try:
            response = deed(call)
        except GatewayError as error:
            if not isinstance(error, NotFound):
                log.warning("portal:refused", error=type(error).__name__, request=call.origin.request)
            response = _missed(call, error) if isinstance(error, Refused) else _problem(call, error)
        except Exception:
            log.exception("portal:failed", request=call.origin.request, path_kind=self.page.path)
            response = _problem(call, GatewayError())
        if isinstance(response, Response):
            call.jar.write(response)
        return response

    def _gate(self, call: Call) -> Response | None:
        """None for whoever shows what the guard asks for."""
        guard = self.page.guard
        if not isinstance(guard, Guard):
            raise Refused("a route without a guard")
        return _GATES[guard.permission](call, guard, self.page.path)

    def _guarded(self, call: Call) -> Response:
        refusal = self._gate(call)
        return self._handled(call) if refusal is None else refusal

    def _handled(self, call: Call) -> Response:
        if call.origin.method == "POST":
            if not _form_is_ours(call):
                call.deps.visits.refused(call.origin, call.link.grant if call.link else "", "form")
                return call.problem("cookies", 403)
            if not call.jar.has_visitor():  # came with the whole link and no cookie: this browser gets its name now
                call.origin = replace(call.origin, visitor=call.jar.visitor())
            behind = call.link is not None and call.link.row["kind"] == "link"
            if behind and call.link is not None and call.jar.links().get(call.link.grant) != call.link.secret:
                call.jar.keep_link(call.link.grant, call.link.secret)
        return self.page.handler(call)


def endpoint(page: Page, make: Callable[[Request, dict[str, str]], Call], pool: Executor) -> Callable[..., Any]:
    """The route's function, its guard on it for `guards.check`."""
    made = Endpoint(page, make, pool)

    async def answer(request: Request) -> Response:
        return await made.answer(request)

    answer.guard = page.guard  # type: ignore[attr-defined]
    return answer


def _anyone(call: Call, guard: Guard, route: str) -> Response | None:
    return None if _within(call, guard, route) else slow(call)


def _link(call: Call, guard: Guard, route: str) -> Response | None:
    if not call.deps.room():
        return call.problem("later", 503)  # what room is left is for those who take messages back
    found = call.deps.visits.knock(call.origin, call.path.get("token", ""), call.jar.links())
    if isinstance(found, Stranger):
        if not _within(call, guard, route) or not _few_strangers(call):
            return slow(call)
        call.deps.visits.refused(call.origin, "", "no-secret")
        return call.problem("stranger", 404)
    call.link = found
    call.handle = call.jar.get(cookies.SESSION + cookies.short(found.grant))
    if not _link_within(call):
        return slow(call)
    if found.state != "live":
        call.deps.visits.refused(call.origin, found.grant, found.state)
        return ended(call, found.state)
    return None


def _reader(call: Call, guard: Guard, route: str) -> Response | None:
    refusal = _link(call, guard, route)
    if refusal is not None:
        return refusal
    session = _session(call)
    if session is None or session["proof"] < guard.strength:
        call.deps.visits.refused(call.origin, call.door.grant, "no-session")
        again = {"href": call.base, "words": words.say("portal.problem.session.again")}
        return call.problem("session", 401, primary=again)
    call.proved = session
    return None


def _inbox(call: Call, guard: Guard, route: str) -> Response | None:
    if not call.deps.room():
        return call.problem("later", 503)
    call.handle = call.jar.get(cookies.INBOX)
    sealed = cookies.decode(call.jar.get(cookies.INBOX_KEY), cookies.SEALED_BYTES)
    found = call.deps.inboxes.entered(call.face.tenant, call.handle, sealed) if call.handle and sealed else None
    if found is None or found.session["proof"] < guard.strength:
        if not _within(call, guard, route) or (call.handle and not _few_strangers(call)):
            return slow(call)
        if call.handle:
            call.jar.drop(cookies.INBOX)
            call.jar.drop(cookies.INBOX_KEY)
            call.deps.visits.refused(call.origin, "", "no-session")
        return Away("/inbox/sign-in")
    call.proved, call.open_inbox = found.session, found
    if not call.deps.limits.take("inbox", found.session["inbox"], LINK_PER_MINUTE):
        return slow(call)
    if "grant" in call.path:
        call.link = call.deps.inboxes.door(call.origin, found, "lnk_" + call.path["grant"])
        if call.link.state != "live":
            call.deps.visits.refused(call.origin, call.link.grant, call.link.state)
            return ended(call, call.link.state)
    return None


def _staff(call: Call, guard: Guard, route: str) -> Response | None:
    call.handle = call.jar.get(cookies.STAFF)
    session = call.deps.desk.session(call.face.tenant, call.handle) if call.handle else None
    if session is None or session["proof"] < guard.strength:
        if not _within(call, guard, route) or (call.handle and not _few_strangers(call)):
            return slow(call)
        if call.handle:
            call.jar.drop(cookies.STAFF)
            call.deps.visits.refused(call.origin, "", "no-session")
        if call.origin.method == "GET":  # a link in a notice leads to its message, with the sign-in on the way
            call.jar.want(route.format_map(call.path))
        return Away("/staff/sign-in")
    call.proved = session
    if session["role"] not in guard.roles:
        call.deps.visits.refused(call.origin, session["user"] or "", "role")
        return call.staff_problem(words.say("staff.problem.denied"), 403)
    per_user = guard.rate.per_user
    if per_user and not call.deps.limits.take(route, f"user:{session['user']}", per_user):
        return slow(call)
    return None


_GATES: dict[Permission, Callable[[Call, Guard, str], Response | None]] = {
    Permission.ANYONE: _anyone,
    Permission.LINK: _link,
    Permission.READER: _reader,
    Permission.INBOX: _inbox,
    Permission.STAFF: _staff,
}


def ended(call: Call, state: str) -> Response:
    """The page for a valid link whose grant is no longer live: what happened, and whom to call."""
    kind = ENDED.get(state, "ended")
    return call.problem(
        kind,
        423 if kind == "frozen" else 410,
        when=call.face.words_of_time(call.door.ends_at),
        reference=call.door.reference,
    )


def _within(call: Call, guard: Guard, route: str) -> bool:
    return call.deps.limits.take(route, call.origin.network, guard.rate.per_minute)


def _few_strangers(call: Call) -> bool:
    """Each of them leaves an event: with a count for each route alone, one network could write 650 a minute."""
    return call.deps.limits.take("strangers", call.origin.network, STRANGERS_PER_MINUTE)


def _link_within(call: Call) -> bool:
    """Nearly every request with a valid link leaves an event, so whoever holds one could grow the log at will.

    Readers have a count of their own: a link that was passed on and is asked for all the time keeps nobody from
    reading on.
    """
    take, grant = call.deps.limits.take, call.door.grant
    if take("link", grant, LINK_PER_MINUTE):
        return True
    return _session(call) is not None and take("link, proved", grant, LINK_PER_MINUTE)


def _session(call: Call) -> Session | None:
    return call.deps.visits.session(call.door, call.handle) if call.handle else None


def slow(call: Call) -> Response:
    """429 for a minute, in calm words."""
    response = call.problem("slow", 429)
    response.headers["retry-after"] = "60"
    return response


def _form_is_ours(call: Call) -> bool:
    """Fetch Metadata where the browser sends it, else Origin; and a token.

    A path that shows the whole link secret is a token itself: who could forge such a form holds the link. Under
    `Referrer-Policy: no-referrer` browsers send `Origin: null` with our own forms, so null proves nothing either way
    and the token decides.
    """
    site = call.fields.get("sec-fetch-site", "")
    if site and site != "same-origin":
        return False
    origin = call.fields.get("origin", "").lower()
    if origin not in ("", "null", call.face.origin):
        return False
    if call.link is not None and shows_secret(call.path.get("token", "")):
        return True
    if not call.jar.has_visitor():
        return False
    return cookies.form_token_holds(call.form.get("csrf", ""), call.jar.visitor(), call.handle)


def _missed(call: Call, error: GatewayError) -> Response:
    """Somebody who proved who they are asked for what is not theirs or not there: one page for both, and the log keeps
    it. What is not a guessed id, such as a form that was sent twice, is kept all the same.
    """
    if call.proved is None:
        return _problem(call, error)
    asked = next((one for name, one in call.path.items() if name != "token" and _ID.fullmatch(one)), "")
    reason = "unknown" if isinstance(error, NotFound) else "not-allowed"
    who = call.proved["user"] or call.proved["person"] or ""
    if not call.deps.limits.take("missed", who, MISSED_PER_MINUTE):
        return slow(call)
    try:
        call.deps.desk.missed(call.origin, call.proved, asked, reason)
    except GatewayError as trouble:
        return _problem(call, trouble)
    return _problem(call, error)


def _problem(call: Call, error: GatewayError) -> Response:
    """The page for an error: by its branch, never by its detail."""
    kind, status = "later", 503
    if isinstance(error, TooLarge):
        kind, status = "large", 413
    elif isinstance(error, Tampered):
        kind, status = "tampered", 503
    elif isinstance(error, Refused):
        kind, status = "missing", 404
    elif not isinstance(error, TryLater):
        kind, status = "later", 500
    if call.area == "staff":
        key = {"large": "missing"}.get(kind, kind)
        return call.staff_problem(words.say(f"staff.problem.{key}"), status)
    return call.problem(kind, status)


__all__ = ["TooLarge", "ended", "endpoint", "slow"]
