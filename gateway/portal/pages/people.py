"""People: recipients listed, found by exact address, added, changed, imported, given a card (PAGES 2.4).

Promises: an address travels in a form, never in an address line; nothing of an import is written before it was shown
with what is wrong in it; a change wants the workforce member's code of this moment, which the keyholder spends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from gateway import words
from gateway.accounts import people_list
from gateway.accounts.people_list import Entry, PeopleList, Wrong
from gateway.audit.event import Action
from gateway.flow.desk import HOW_SURE
from gateway.flow.people import Imported, Person
from gateway.flow.visit import Denial
from gateway.portal.answers import Away
from gateway.portal.call import Call
from gateway.portal.guards import Rate, Trace, Unlogged, page
from gateway.portal.pages.card import printed
from gateway.portal.pages.staff import staff_page

LIST = Trace(Action.PERSON_FOUND, Rate(60))
FIND = Trace(Action.PERSON_FOUND, Rate(60, per_user=30))
ONE = Trace(Unlogged("the list or search that gave its id is logged"), Rate(60))
EMPTY = Trace(Unlogged("an empty form"), Rate(60))
PREVIEW = Trace(Unlogged("nothing is written, and nothing is shown but what was brought"), Rate(30))  # fmt: skip
CHANGE = Trace(Action.PERSON_CHANGED, Rate(30))
WRONG_SHOWN = 20


@page("/staff/people", "GET", trace=LIST)
def listed(call: Call) -> Response:
    """Recipients, newest first."""
    if call.is_head:
        return Response(media_type="text/html")
    people, after = call.deps.people.listed(call.origin, call.session, call.query.get("after", ""))
    return _list(call, people=people, after=after, paged=bool(call.query.get("after")))


@page("/staff/people", "POST", trace=FIND)
def find(call: Call) -> Response:
    """One recipient by exact address."""
    address = call.form.get("address", "").strip()
    found = call.deps.people.find(call.origin, call.session, address) if 0 < len(address) <= 254 else None
    if found is None:
        return _list(call, people=[], after="", paged=True, error=words.say("staff.people.none"), status=404)
    return Away(f"/staff/people/{found.id}")


@page("/staff/people/new", "GET", trace=EMPTY)
def new(call: Call) -> Response:
    """The form for a recipient who is not known yet."""
    return _form(call, None, {"address": "", "name": "", "phone": "", "language": "en"})


@page("/staff/people/save", "POST", trace=CHANGE)
def save(call: Call) -> Response:
    """Add or change one recipient."""
    values = {name: call.form.get(name, "").strip() for name in people_list.COLUMNS}
    known = call.form.get("person", "")
    person = call.deps.people.one(call.origin, call.session, known) if known else None
    if person is not None:
        values["address"] = person.address
    entry = people_list.entry(0, dict(values))
    if isinstance(entry, Wrong):
        return _form(call, person, values, words.say(f"staff.people.wrong.{entry.kind}"), status=422)
    done = _keep(call, [entry])
    if isinstance(done, Denial):
        return _form(call, person, values, _refused(done), status=403)
    found = call.deps.people.find(call.origin, call.session, entry.address)
    return Away(f"/staff/people/{found.id}?note=kept" if found is not None else "/staff/people")


@page("/staff/people/import", "GET", trace=EMPTY)
def choose(call: Call) -> Response:
    """Choose a file."""
    return _import(call)


@page("/staff/people/import", "POST", trace=PREVIEW, upload_bytes=people_list.MOST_BYTES)
def preview(call: Call) -> Response:
    """What the list would do, or what is wrong with it, line by line; nothing is written."""
    data = call.files.get("list", b"")
    found = people_list.read(data) if data else PeopleList((), (Wrong(0, "empty"),))
    if found.wrong:
        return _import(call, wrong=found.wrong, status=422)
    return _preview(call, found.entries)


@page("/staff/people/import/confirm", "POST", trace=CHANGE, upload_bytes=people_list.MOST_BYTES)
def confirm(call: Call) -> Response:
    """Import the list as it was shown."""
    found = people_list.read(call.form.get("list", "").encode())
    if found.wrong:
        return _import(call, wrong=found.wrong, status=422)
    done = _keep(call, found.entries)
    if isinstance(done, Denial):
        return _preview(call, found.entries, _refused(done), status=403)
    return staff_page(call, "staff/people_imported.html", done=done, total=len(found.entries))


@page("/staff/people/{person}", "GET", trace=ONE)
def one(call: Call) -> Response:
    """One recipient: what is known, how to change it, a card to print."""
    person = call.deps.people.one(call.origin, call.session, call.path["person"])
    note = words.say("staff.people.kept") if call.query.get("note") == "kept" else ""
    return _form(call, person, _values(person), note=note)


@page("/staff/people/{person}/card", "POST", trace=Trace(Action.CARD_PRINTED, Rate(30)))
def card(call: Call) -> Response:
    """A front-desk card for this person, who is here."""
    person = call.deps.people.one(call.origin, call.session, call.path["person"])
    how = call.form.get("sure", "")
    if how not in HOW_SURE:
        return _form(call, person, _values(person), words.say("staff.help.sure_missing"), status=400)
    return printed(call, person.id, person.address, how)


def _values(person: Person) -> dict[str, str]:
    return {"address": person.address, "name": person.name, "phone": "", "language": person.language}


def _list(call: Call, **values: Any) -> Response:
    return staff_page(call, "staff/people.html", may_keep=call.may("POST /staff/people/save"), **values)


def _form(
    call: Call, person: Person | None, values: dict[str, str], error: str = "", *, note: str = "", status: int = 200
) -> Response:
    return staff_page(
        call, "staff/person.html", status=status, person=person, values=values, error=error, note=note,
        may_keep=call.may("POST /staff/people/save"), may_print=call.may("POST /staff/people/{person}/card"),
        how_sure=HOW_SURE, later=not call.may("POST /staff/people/{person}/card"),
        numbers=call.deps.people.numbers(call.origin, person.id) if person is not None else [],
    )  # fmt: skip


def _import(call: Call, wrong: tuple[Wrong, ...] = (), status: int = 200) -> Response:
    shown = [
        {"line": one.line, "words": words.say(f"staff.people.wrong.{one.kind}")} for one in wrong[:WRONG_SHOWN]
    ]  # fmt: skip
    error = words.say("staff.people.not_read", count=len(wrong)) if wrong else ""
    return staff_page(
        call, "staff/people_import.html", status=status, wrong=shown, more=max(0, len(wrong) - WRONG_SHOWN),
        error=error, most=people_list.MOST_ROWS,
    )  # fmt: skip


def _preview(call: Call, entries: tuple[Entry, ...], error: str = "", status: int = 200) -> Response:
    changes = call.deps.people.preview(call.origin, entries)
    counts = {kind: sum(one.kind == kind for one in changes) for kind in ("new", "changed", "same")}
    return staff_page(
        call, "staff/people_preview.html", status=status, changes=changes, counts=counts, error=error,
        numbers=sum(one.phone is not None for one in entries), list=people_list.write(entries),
    )  # fmt: skip


def _keep(call: Call, entries: Sequence[Entry]) -> Imported | Denial:
    code = call.form.get("code", "")
    return call.once(
        "people", lambda: call.deps.people.keep(call.origin, call.session, code, entries), code, *map(_said, entries)
    )


def _said(entry: Entry) -> str:
    return "\n".join((entry.address, entry.name, str(entry.phone), entry.language))


def _refused(denial: Denial) -> str:
    if denial.reason == "too-many" or denial.tries_left == 0:
        return words.say("staff.people.code_many")
    if denial.reason in ("wrong", "used"):
        return words.say("staff.people.code_wrong")
    return words.say("staff.problem.denied")
