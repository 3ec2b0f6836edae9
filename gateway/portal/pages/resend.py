"""Sending a message again, or to one person more, without its sender: where the clinic's policy lets staff do it."""

from __future__ import annotations

from starlette.responses import Response

from gateway import words
from gateway.audit.event import Action
from gateway.errors import NotFound
from gateway.mail.address import check_address, routed
from gateway.portal.answers import Away
from gateway.portal.call import Call
from gateway.portal.guards import Rate, Trace, page
from gateway.portal.pages.staff import staff_page

RESEND = Trace(Action.ACT_RECORDED, Rate(30))
REASON_CHARACTERS = 300
WRONG = {
    "wrong": "staff.resend.code", "used": "staff.resend.code", "too-many": "staff.resend.many",
    "address": "staff.resend.address_wrong", "reason": "staff.resend.reason_missing",
}  # fmt: skip


@page("/staff/messages/{message}/resend", "GET", trace=RESEND)
def form(call: Call) -> Response:
    """To whom, why, and a code."""
    return _form(call, "")


@page("/staff/messages/{message}/resend", "POST", trace=RESEND)
def resend(call: Call) -> Response:
    """Recorded; the worker does the rest in a moment."""
    message, reason = call.path["message"], call.form.get("reason", "").strip()[:REASON_CHARACTERS]
    chosen = call.form.get("to", "")
    address = (call.form.get("address", "") if chosen in ("", "other") else chosen).strip()[:254]
    if check_address(address) or routed(address):
        return _form(call, "address")
    if not reason:
        return _form(call, "reason")
    code = "".join(filter(str.isdigit, call.form.get("code", "")))
    denial = call.once(
        "resend", lambda: call.deps.resends.ask(call.origin, call.session, message, address, reason, code),
        message, address, code,
    )  # fmt: skip
    if denial is None:
        return Away(f"/staff/messages/{message}?note=resent")
    if denial.reason in WRONG:
        return _form(call, denial.reason)
    return call.staff_problem(words.say("staff.problem.denied"), 403)


def _form(call: Call, wrong: str) -> Response:
    if not call.deps.resends.possible(call.session, call.path["message"]):
        raise NotFound("nothing to send again by this person")
    found = call.deps.mail.message(call.origin, call.session, call.path["message"]).message
    people = list(dict.fromkeys(person.address for person in found.people if person.address))
    return staff_page(
        call, "staff/resend.html", status=422 if wrong else 200, message=found, people=people,
        chosen=call.form.get("to", ""), address=call.form.get("address", ""), reason=call.form.get("reason", ""),
        error=words.say(WRONG[wrong]) if wrong else "",
    )  # fmt: skip
