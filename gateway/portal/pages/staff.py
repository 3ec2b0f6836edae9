"""Staff pages: signing in, sent mail with its true state, one message, taking it back."""

from __future__ import annotations

import re
from typing import Any

from starlette.responses import Response

from gateway import words
from gateway.audit.event import Action
from gateway.flow.desk import MAY_RECALL_ALL
from gateway.flow.sent import METHODS, PURPOSES, SHOWS, Place, Step
from gateway.flow.visit import Denial
from gateway.portal import cookies
from gateway.portal.answers import Away
from gateway.portal.call import Call
from gateway.portal.door import slow
from gateway.portal.face import size_words
from gateway.portal.guards import Rate, Trace, Unlogged, page

PLACE = re.compile(r"([0-9]{1,17})-(msg_[0-9A-Za-z]{1,40})", re.ASCII)
NOTES = {
    "recalled": "staff.recall.done",
    "resent": "staff.resend.done",
    "ended": "staff.sign_in.ended",
    "out": "staff.sign_in.out",
}


@page(
    "/staff/sign-in",
    "GET",
    trace=Trace(Unlogged("an empty form, the same for everybody"), Rate(60)),
)
def form(call: Call) -> Response:
    """The sign-in form."""
    return call.page("staff/sign_in.html", note=note(call))


@page("/staff/sign-in", "POST", trace=Trace(Action.SESSION_STARTED, Rate(20)))
def sign_in(call: Call) -> Response:
    """Password and code at once; one answer for whatever was wrong."""
    address, password = call.form.get("address", "").strip(), call.form.get("password", "")
    code = "".join(filter(str.isdigit, call.form.get("code", "")))
    if not (address and password and code) or max(len(address), len(password)) > 256:
        return call.page("staff/sign_in.html", 403, error=words.say("staff.sign_in.wrong"))
    session = call.once(
        "sign-in", lambda: call.deps.desk.sign_in(call.origin, address, password, code), address, password, code
    )
    if isinstance(session, Denial):
        if session.reason == "busy":
            return slow(call)
        many = session.reason == "too-many"
        closed = session.reason == "closed"
        error = words.say(f"staff.sign_in.{'too_many' if many else 'closed' if closed else 'wrong'}")
        return call.page("staff/sign_in.html", 429 if many else 403, error=error)
    call.jar.set(cookies.STAFF, session["handle"])
    return Away(call.jar.wanted())


@page("/staff/sign-out", "POST", trace=Trace(Action.SESSION_ENDED, Rate(30)))
def sign_out(call: Call) -> Response:
    """End the session at the keyholder."""
    call.deps.desk.sign_out(call.origin, call.session)
    call.jar.drop(cookies.STAFF)
    return Away("/staff/sign-in?note=out")


@page("/staff", "GET", trace=Trace(Action.META_OPENED, Rate(60)))
def sent(call: Call) -> Response:
    """Protected messages, newest first, with the state of each person."""
    if call.is_head:
        return Response(media_type="text/html")
    before = _place(call.query.get("before", ""))
    show = call.query.get("show", "")
    show = show if show in SHOWS else ""
    messages, older, broken = call.deps.mail.sent(call.origin, call.session, before, show)
    return staff_page(
        call,
        "staff/sent.html",
        messages=messages,
        broken=broken,
        older="{}-{}".format(*older) if older else "",
        newer=before is not None,
        note=note(call),
        show=show,
        shows=SHOWS,
        changes=call.deps.audit.changes.waiting(call.origin, call.session),
    )


@page("/staff/messages/{message}", "GET", trace=Trace(Action.META_OPENED, Rate(60)))
def message(call: Call) -> Response:
    """One message: its people, its timeline, what can be done."""
    if call.is_head:
        return Response(media_type="text/html")
    details = call.deps.mail.message(call.origin, call.session, call.path["message"])
    shown = details.message
    role, own = call.session["role"], shown.user == call.session["user"]
    return staff_page(
        call,
        "staff/message.html",
        message=shown,
        subject=details.subject,
        files=[{"name": one["name"], "size_words": size_words(one["bytes"])} for one in details.files],
        timeline=[_step(step) for step in details.timeline],
        may_act=own or role in MAY_RECALL_ALL,
        any_live=any(person.live for person in shown.people),
        zone=call.face.zone(shown.received_at),
        note=note(call),
        retained=call.deps.audit.retention.state(call.session, shown.id),
        may_resend=call.may("GET /staff/messages/{message}/resend")
        and call.deps.resends.possible(call.session, shown.id),
    )


RECALL = Trace(Action.LINK_REVOKED, Rate(30))


@page("/staff/messages/{message}/recall", "GET", trace=RECALL)
def confirm(call: Call) -> Response:
    """What taking it back stops, and what it cannot undo; a press away from doing it."""
    grant = call.query.get("grant") or None
    found = call.deps.desk.recallable(call.origin, call.session, call.path["message"], grant)
    concerned = [person for person in found.people if grant in (None, person.grant)]
    return staff_page(
        call,
        "staff/recall.html",
        message=found,
        only=concerned[0] if grant else None,
        live=sum(person.live for person in concerned),
        opened=[person for person in concerned if person.opened_at],
    )


@page("/staff/messages/{message}/recall", "POST", trace=RECALL)
def recall(call: Call) -> Response:
    """Take it back, at the keyholder first."""
    identifier = call.path["message"]
    denial = call.deps.desk.recall(call.origin, call.session, identifier, call.form.get("grant") or None)
    if denial is not None:
        return call.staff_problem(words.say("staff.problem.denied"), 403)
    return Away(f"/staff/messages/{identifier}/recalled?note=recalled")


@page(
    "/staff/messages/{message}/recalled",
    "GET",
    trace=Trace(Action.META_OPENED, Rate(60)),
)
def recalled(call: Call) -> Response:
    """What it stopped, and what it could not: exact files, bytes, person, proof and time."""
    if call.is_head:
        return Response(media_type="text/html")
    report = call.deps.recalls.of(call.origin, call.session, call.path["message"])
    left = [
        {
            "address": one.address or words.say("staff.report.unknown"),
            "what": one.name or words.say(f"staff.report.{'body' if one.kind == 'body' else 'thing'}"),
            "size": size_words(one.bytes),
            "at": one.at,
            "proof": words.say(f"staff.proof.{one.proof}"),
            "end": one.end,
        }
        for one in report.left
    ]
    return staff_page(
        call,
        "staff/recalled.html",
        message=report.message,
        stopped=report.stopped,
        left=left,
        cut=len(report.cut),
        total=size_words(report.bytes),
        note=note(call),
    )


def staff_page(call: Call, template: str, **values: Any) -> Response:
    """A page with the staff's navigation."""
    audit_page = next((path for path in ("/audit", "/audit/overview") if call.may(f"GET {path}")), "")
    given: dict[str, Any] = {
        "who": True, "may_help": call.may("GET /staff/help"), "may_people": call.may("GET /staff/people"),
        "may_hold": call.may("GET /staff/held") and not call.may("GET /audit/held"), "audit_page": audit_page,
    } | values  # fmt: skip
    return call.page(template, **given)


def _place(text: str) -> Place | None:
    """Where a page of the list begins; None for the first page and for what is no place."""
    found = PLACE.fullmatch(text)
    return (int(found[1]), found[2]) if found else None


def note(call: Call) -> str:
    """The sentence that a redirect left, from a fixed list."""
    key = NOTES.get(call.query.get("note", ""))
    return words.say(key) if key else ""


def _step(step: Step) -> dict[str, Any]:
    """A line of the timeline: the event in words, then who, with which proof, and why not."""
    key = f"event.{step.action}"
    details = [step.person] if step.person else []
    word, _, more = step.reason.partition(" ")
    if step.reason == "scanner-likely":
        details.append(words.say("event.scanner"))
    elif word in METHODS:
        details.append(words.say(f"staff.proof.{word}"))
        details += [words.say(f"event.purpose.{more}")] if more in PURPOSES else []
    elif step.outcome != "ok" and step.reason:
        known_reason = f"staff.reason.{word}"  # which bytes they were may follow
        details.append(words.say(known_reason) if known_reason in words.language() else f"({step.reason})")
    known = key in words.language()
    return {
        "action": step.action,
        "at": step.at,
        "words": words.say(key) if known else words.say("event.other"),
        "details": " ".join(details),
    }
