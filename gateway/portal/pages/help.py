"""Help this person: a reference number, how sure we are, a code read out by phone (DESIGN §4 "Doors", d)."""

from __future__ import annotations

from starlette.responses import Response

from gateway import words
from gateway.audit.event import Action
from gateway.flow.desk import HOW_SURE
from gateway.flow.visit import Denial
from gateway.portal.answers import Away
from gateway.portal.call import Call
from gateway.portal.guards import Rate, Trace, Unlogged, page
from gateway.portal.pages.staff import staff_page

FORM = Trace(Unlogged("an empty form"), Rate(60))
FIND = Trace(Action.PERSON_FOUND, Rate(60, per_user=10))
PERSON = Trace(Unlogged("nobody guesses this id: the search that gave it is logged"), Rate(60))
CODE = Trace(Action.CODE_SHOWN, Rate(30))


@page("/staff/help", "GET", trace=FORM)
def form(call: Call) -> Response:
    """Ask for the reference number."""
    return staff_page(call, "staff/help.html", people=[])


@page("/staff/help", "POST", trace=FIND)
def find(call: Call) -> Response:
    """The people of the live messages with that number."""
    people = call.deps.desk.by_reference(call.origin, call.session, call.form.get("reference", ""))
    if not people:
        return staff_page(call, "staff/help.html", people=[], error=words.say("staff.help.none"), status=404)
    if len(people) == 1:
        return Away(f"/staff/help/{people[0].grant}")
    return staff_page(call, "staff/help.html", people=people)


@page("/staff/help/{grant}", "GET", trace=PERSON)
def person(call: Call) -> Response:
    """How are you sure it is them?"""
    return ask(call)


@page("/staff/help/{grant}", "POST", trace=CODE)
def code(call: Call) -> Response:
    """The code, shown on this page and nowhere else."""
    how = call.form.get("sure", "")
    if how not in HOW_SURE:
        return ask(call, words.say("staff.help.sure_missing"), status=400)
    made = call.deps.desk.staff_code(call.origin, call.session, call.path["grant"], how)
    if isinstance(made, Denial):
        return denied(call, made)
    digits, until = made
    found = call.deps.desk.person(call.origin, call.path["grant"])
    return _page(call, found, code=f"{digits[:4]} {digits[4:]}", until=until)


@page("/staff/help/{grant}/unfreeze", "POST", trace=Trace(Action.LINK_UNFROZEN, Rate(30)))
def unfreeze(call: Call) -> Response:
    """Free a message that a second redeemer froze."""
    how = call.form.get("sure", "")
    if how not in HOW_SURE:
        return ask(call, words.say("staff.help.sure_missing"), status=400)
    denial = call.deps.desk.unfreeze(call.origin, call.session, call.path["grant"], how)
    if denial is not None:
        return denied(call, denial)
    return ask(call, note=words.say("staff.help.unfrozen"))


def ask(call: Call, error: str = "", *, note: str = "", status: int = 200) -> Response:
    """The page that asks how sure one is, with what went wrong or well."""
    found = call.deps.desk.person(call.origin, call.path["grant"])
    return _page(call, found, code="", until=None, error=error, note=note, status=status)


def _page(call: Call, found: object, **values: object) -> Response:
    return staff_page(call, "staff/help_person.html", person=found, how_sure=HOW_SURE, **values)


def denied(call: Call, denial: Denial) -> Response:
    """What the keyholder refused, in words."""
    if denial.reason == "too-many":
        return call.staff_problem(words.say("staff.help.too_many"), 429)
    if denial.reason in ("revoked", "expired", "frozen", "destroyed", "unknown"):
        return call.staff_problem(words.say(f"staff.stopped.{denial.reason}"), 409)
    return call.staff_problem(words.say("staff.problem.denied"), 403)
