"""Held mail: the officer's desk, and the sender's own page. Why it is held, never what is in it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from starlette.responses import Response

from gateway import words
from gateway.audit.event import Action
from gateway.flow.officer_held import ALL_HELD, KINDS, Act, HeldMail
from gateway.flow.visit import Denial
from gateway.portal.answers import Away
from gateway.portal.call import Call
from gateway.portal.face import size_words
from gateway.portal.guards import Rate, Trace, page
from gateway.portal.pages.decision import decided
from gateway.portal.pages.officer import officer_page, words_of_kind
from gateway.portal.pages.staff import staff_page

ACTION = {"release": "release", "release-as-is": "release_asis", "drop": "drop"}
DENIED = {
    "same-person": 409, "not-held": 409, "under-way": 409, "harmful": 409, "too-many": 429, "not-an-officer": 403,
    "not-your-message": 403, "no-session": 401,
}  # fmt: skip


@page("/audit/held", "GET", trace=Trace(Action.QUEUE_LISTED, Rate(60)))
def listed(call: Call) -> Response:
    """All that is held, and what was decided lately."""
    if call.is_head:
        return Response(media_type="text/html")
    return _list(call, call.deps.audit.held.recent(call.origin, call.session))


@page("/audit/held/{message}", "GET", trace=Trace(Action.QUEUE_SHOWN, Rate(60)))
def shown(call: Call) -> Response:
    """One held message; an auditor sees it and decides nothing."""
    return _one(call)


@page("/audit/held/{message}", "POST", trace=Trace(Action.ACT_RECORDED, Rate(20)))
def decide(call: Call) -> Response:
    """An officer's decision, proved by a code spent on it."""
    return _decide(call, KINDS)


@page("/staff/held", "GET", trace=Trace(Action.QUEUE_LISTED, Rate(60)))
def own(call: Call) -> Response:
    """One's own held mail. An officer's desk is the other page."""
    if call.session["role"] in ALL_HELD:
        return Away("/audit/held")
    if call.is_head:
        return Response(media_type="text/html")
    return _list(call, [])


@page("/staff/held/{message}", "GET", trace=Trace(Action.QUEUE_SHOWN, Rate(60)))
def own_one(call: Call) -> Response:
    """Why it is held, and what can be done."""
    if call.session["role"] in ALL_HELD:
        return Away(f"/audit/held/{call.path['message']}")
    return _one(call)


@page("/staff/held/{message}", "POST", trace=Trace(Action.ACT_RECORDED, Rate(20)))
def cancel(call: Call) -> Response:
    """The sender drops their own mail, proved by a code spent on it; the keyholder decides whose it is."""
    return _decide(call, ("drop",))


def _list(call: Call, recent: list[HeldMail]) -> Response:
    mails = call.deps.audit.held.listed(call.origin, call.session)
    return _page(call, "officer/held_list.html", mails=mails, recent=recent)


def _one(call: Call, status: int = 200, **values: Any) -> Response:
    if call.is_head:
        return Response(media_type="text/html")
    mail = call.deps.audit.held.shown(call.origin, call.session, call.path["message"])
    given: dict[str, Any] = {"field": "", "given": {"act": "", "reason": ""}} | values
    return _page(
        call, "officer/held.html", status, mail=mail, size=size_words(mail.size_bytes), choices=_choices(call, mail),
        state=words.say(f"officer.state.{mail.state}"), words_of_kind=words_of_kind,
        two=call.deps.audit.second_person(call.origin.tenant), **given,
    )  # fmt: skip


def _choices(call: Call, mail: HeldMail) -> list[tuple[str, str, str]]:
    """What this person may try: the words of each choice. The keyholder decides."""
    if call.may("POST /audit/held/{message}"):
        kinds: tuple[str, ...] = ("release", "drop") if mail.harmful else KINDS
    else:
        kinds = ("drop",) if mail.own and call.may("POST /staff/held/{message}") else ()
    waiting = {act.kind: act for act in mail.acts if act.state == "waiting"}
    said = []
    for kind in kinds:
        key, help = f"officer.held.{ACTION[kind]}", words.say(f"officer.held.{ACTION[kind]}_help")
        if kind == "release" and mail.harmful:
            help += " " + words.say("officer.held.harmful")
        if kind in waiting:
            help += " " + words.say("officer.held.not_you" if waiting[kind].mine else "officer.held.confirm_help")
        said.append((kind, words.say(key), help))
    return said


def _decide(call: Call, allowed: tuple[str, ...]) -> Response:
    form = decided(call, allowed, "act-release")
    if form.missing:
        field, error = form.missing
        return _one(call, 422, field=field, error=error, given=form.given)
    identifier = call.path["message"]
    done = call.once(
        "held",
        lambda: call.deps.audit.held.decide(
            call.origin, call.session, identifier, form.act, form.reason, form.code
        ),
        identifier, form.act, form.reason, form.code,
    )  # fmt: skip
    if isinstance(done, Denial):
        key = f"officer.denied.{done.reason}"
        error = words.say(key if key in words.language() else "officer.denied.other")
        return _one(call, DENIED.get(done.reason, 422), field="code", error=error, given=form.given)
    return Away(f"{_where(call)}/{identifier}")


def _where(call: Call) -> str:
    return "/audit/held" if call.session["role"] in ALL_HELD else "/staff/held"


def _page(call: Call, template: str, status: int = 200, **values: Any) -> Response:
    def left(mail: HeldMail) -> str:
        return words_of_left(mail.until - call.now()) if mail.until else ""

    sees_all = call.session["role"] in ALL_HELD
    given: dict[str, Any] = {
        "base": "officer/base.html" if sees_all else "staff/base.html", "own": not sees_all, "sees_names": sees_all,
        "where": _where(call), "left": left, "act_words": words_of_act, "status": status,
    } | values  # fmt: skip
    return officer_page(call, template, **given) if sees_all else staff_page(call, template, **given)


def words_of_left(left: timedelta) -> str:
    """How long until it goes back, rounded down."""
    hours = max(0, int(left.total_seconds() // 3600))
    if hours >= 48:
        return words.say("officer.held.left_days", days=hours // 24)
    return words.say("officer.held.left_hours", hours=hours) if hours > 1 else words.say("officer.held.left_soon")


def words_of_act(act: Act) -> str:
    """The true state of a decision."""
    key = f"officer.failure.{act.failure}"
    why = words.say(key if key in words.language() else "officer.failure.other") if act.failure else ""
    return words.say(f"officer.actstate.{act.state}", why=why)
