"""The officer's pages: search, the story of a message or a person, one entry with its proof, numbers.

What was typed into the search never stands in an address: a search is a form that is sent, and so is its next page.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from starlette.responses import Response

from gateway import words
from gateway.audit.event import Action
from gateway.audit.query import BadQuery, parse_query
from gateway.errors import NotFound
from gateway.flow.officer import DAYS
from gateway.flow.officer_names import Line, Named
from gateway.flow.sent import PURPOSES
from gateway.portal.call import Call
from gateway.portal.face import reference_words, size_words
from gateway.portal.guards import Rate, Trace, Unlogged, page
from gateway.portal.table import table

LOOK = Trace(Action.LOG_SEARCHED, Rate(60))
EXAMPLES = (
    ("recipient", "recipient:maria@mail.example"), ("domain", "recipient:@insurer.example"),
    ("opened", "action:object:opened"), ("refused", "result:refused created:2026-11-01..2026-11-07"),
    ("actor", "actor:amy"), ("message", "message:402917"), ("proof", "proof:2"),
)  # fmt: skip
TABLE_ROWS = 10_000
METHODS = ("text", "staff", "totp", "device")


@page("/audit", "GET", trace=Trace(Unlogged("an empty form and examples"), Rate(60)))
def form(call: Call) -> Response:
    """What can be asked."""
    return _search(
        call, "", None, changes=0 if call.is_head else call.deps.audit.changes.waiting(call.origin, call.session)
    )


@page("/audit", "POST", trace=LOOK)
def search(call: Call) -> Response:
    """What fits, newest first."""
    text = " ".join(call.form.get("q", "").split())
    try:
        found = call.deps.audit.officer.search(
            call.origin, call.session, text, number(call.form.get("before", "")), zone=ZoneInfo(call.face.timezone)
        )
        chips = [str(term) for term in parse_query(text)]
    except BadQuery as bad:
        return _search(call, text, None, 400, error=words.say("officer.search.bad", detail=bad.public))
    return _search(
        call, text, [row_of(line) for line in found.lines], chips=chips, older=found.older, waiting=found.waiting,
        newer=bool(call.form.get("before")),
    )  # fmt: skip


@page("/audit/table", "POST", trace=Trace(Action.LOG_SEARCHED, Rate(20)))
def as_table(call: Call) -> Response:
    """What fits, as a table to save: the latest `TABLE_ROWS`."""
    text = " ".join(call.form.get("q", "").split())
    try:
        found = call.deps.audit.officer.search(
            call.origin, call.session, text, None, TABLE_ROWS, zone=ZoneInfo(call.face.timezone)
        )
    except BadQuery as bad:
        return _search(call, text, None, 400, error=words.say("officer.search.bad", detail=bad.public))
    return csv_answer("log.csv", [row_of(line) for line in found.lines], found.waiting)


@page("/audit/messages/{message}", "GET", trace=LOOK)
def message(call: Call) -> Response:
    """The story of a message, and why it was treated as it was."""
    if call.is_head:
        return Response(media_type="text/html")
    before = number(call.query.get("before", ""))
    story = call.deps.audit.officer.message(call.origin, call.session, call.path["message"], before)
    return officer_page(
        call, "officer/message.html", story=story, state=words.say(f"officer.state.{story.state}"),
        files=[{"name": one["name"], "size_words": size_words(one["bytes"])} for one in story.files],
        rows=[row_of(line) for line in story.lines.lines], older=story.lines.older,
        waiting=story.lines.waiting,
        zone=call.face.zone(story.received_at), words_of_kind=words_of_kind,
        retained=call.deps.audit.retention.state(call.session, story.id),
        may_retain=call.may("POST /audit/retention/{act}/{object}"),
    )  # fmt: skip


@page("/audit/people/{person}", "GET", trace=LOOK)
def person(call: Call) -> Response:
    """What a person was sent and did."""
    if call.is_head:
        return Response(media_type="text/html")
    return person_page(call)


@page("/audit/entries/{index}", "GET", trace=LOOK)
def entry(call: Call) -> Response:
    """One entry as it stands in the log, with the proof that it does."""
    if call.is_head:
        return Response(media_type="text/html")
    index = number(call.path["index"])
    if index is None:
        raise NotFound("not a number")
    return officer_page(
        call, "officer/entry.html", entry=call.deps.audit.officer.entry(call.origin, call.session, index)
    )


@page(
    "/audit/overview",
    "GET",
    trace=Trace(Unlogged("numbers of this clinic, without a name or an id"), Rate(60)),
)
def overview(call: Call) -> Response:
    """How often things happened: all that an administrator sees."""
    counts = call.deps.audit.officer.counts(call.origin.tenant)
    held = call.deps.audit.held.count(call.origin.tenant)
    changes = call.deps.audit.changes.waiting(call.origin, call.session)
    return officer_page(
        call, "officer/overview.html", counts=list(counts.items()), held=held, days=DAYS, changes=changes
    )


def officer_page(call: Call, template: str, status: int = 200, **values: Any) -> Response:
    """A page with the officer's navigation."""
    given: dict[str, Any] = {"who": True, "sees_names": call.may("POST /audit")} | values
    return call.page(template, status, **given)


def person_page(call: Call, status: int = 200, **values: Any) -> Response:
    """A person's story, with the form for a report."""
    identifier = call.path["person"]
    before = number(call.query.get("before", ""))
    address, lines = call.deps.audit.officer.person(call.origin, call.session, identifier, before)
    today = call.face.local(call.now()).date()
    given: dict[str, Any] = {"first": today.replace(day=1).isoformat(), "last": today.isoformat()} | values
    return officer_page(
        call, "officer/person.html", status, person=identifier, address=address, older=lines.older,
        waiting=lines.waiting, rows=[row_of(line) for line in lines.lines], zone=call.face.zone(call.now()),
        may_retain=call.may("POST /audit/retention/{act}/{object}"), **given,
    )  # fmt: skip


def row_of(line: Line) -> dict[str, Any]:
    """An entry in words, for a table."""
    return {
        "index": line.index, "at": line.at, "action": line.action, "outcome": line.outcome,
        "words": words_of_action(line.action), "details": _sentence(details_of(line)),
        "who": _named(line.who), "what": _named(line.what), "proof": words_of_proof(line),
        "reason": line.reason, "level": line.proof, "bytes": line.bytes,
        "who_id": line.who.id, "what_id": line.what.id,
    }  # fmt: skip


def words_of_action(action: str) -> str:
    """An event in words."""
    key = f"event.{action}"
    return words.say(key) if key in words.language() else words.say("event.other")


def details_of(line: Line) -> list[str]:
    """How it ended and why, and how much was sent."""
    said: list[str] = []
    why = _reason(line)
    if line.outcome != "ok":
        outcome = words.say(f"officer.outcome.{line.outcome}")
        said.append(f"{outcome}: {why}" if why else outcome)
    elif why:
        said.append(why)
    if line.bytes is not None:
        said.append(words.say("officer.story.bytes", size=size_words(line.bytes)))
    return said


def _reason(line: Line) -> str:
    """The entry's reason in words; as the log has it where there are none, and nothing where it says nothing new."""
    if line.reason == "scanner-likely":
        return words.say("event.scanner")
    if line.action.startswith("act:") and f"officer.act.{line.reason}" in words.language():
        return words.say(f"officer.act.{line.reason}")
    if line.action == "person:changed" and f"officer.number.{line.reason}" in words.language():
        return words.say(f"officer.number.{line.reason}")
    if line.action == "object:opened" and (purpose := line.reason.partition(" ")[2]) in PURPOSES:
        return words.say(f"event.purpose.{purpose}")
    if line.outcome == "ok" or not line.reason:
        return ""
    word = line.reason.partition(" ")[0]  # which bytes they were may follow
    key = f"staff.reason.{word}"
    return words.say(key) if key in words.language() else line.reason


def words_of_proof(line: Line) -> str:
    """The proof as it was: the method where the entry names it, else its level."""
    if line.proof is None:
        return ""
    method = line.reason.partition(" ")[0]  # what it was opened for may follow
    if method in METHODS:
        text = words.say(f"staff.proof.{method}")
        return text[:1].upper() + text[1:]
    return words.say(f"officer.proof.{line.proof}")


def words_of_kind(kind: str) -> str:
    """What a detector found, in words."""
    key = f"mail.kind.{kind}"
    return words.say(key if key in words.language() else "mail.kind.other")


def csv_answer(name: str, rows: list[dict[str, Any]], waiting: int) -> Response:
    """Entries as a table to save, times in UTC; a last line says when entries were left out that had no number yet."""
    head = ["entry", "time", "action", "what happened", "who", "who id", "about", "about id", "outcome", "reason",
            "proof", "bytes"]  # fmt: skip
    cells = (
        [row["index"], row["at"].strftime("%Y-%m-%d %H:%M:%SZ"), row["action"], row["words"], row["who"]["words"],
         row["who_id"], row["what"]["words"], row["what_id"], row["outcome"], row["reason"],
         "" if row["level"] is None else row["level"], "" if row["bytes"] is None else row["bytes"]]
        for row in rows
    )  # fmt: skip
    last = [[words_of_waiting(waiting)]] if waiting else []
    return saved(table(head, [*cells, *last]), "text/csv; charset=utf-8", name)


def words_of_waiting(count: int) -> str:
    """That entries are committed and have no number yet, so that they are not among those shown."""
    return words.say("officer.common.waiting_one" if count == 1 else "officer.common.waiting", count=count)


def saved(body: bytes, media_type: str, name: str) -> Response:
    """A file of ours to save; its name is fixed words."""
    return Response(body, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'})


def number(text: str) -> int | None:
    """A count from an address or a form; None for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None


def _search(call: Call, text: str, rows: list[dict[str, Any]] | None, status: int = 200, **values: Any) -> Response:
    given: dict[str, Any] = {
        "chips": [],
        "older": None,
        "newer": False,
        "waiting": 0,
        "examples": EXAMPLES,
        "ready": _ready(call),
        "changes": 0,
    }
    given |= values
    return officer_page(call, "officer/search.html", status, q=text, rows=rows, **given)


def _ready(call: Call) -> list[tuple[str, str]]:
    """Questions that are asked most, one press each."""
    today = call.face.local(call.now()).date()
    return [
        ("opened", "action:object:opened"),
        ("refused", f"result:refused created:{today - timedelta(days=7)}..{today}"),
        ("recent", f"created:{today - timedelta(days=1)}..{today}"),
    ]


def _sentence(parts: list[str]) -> str:
    text = ", ".join(parts)
    return text[:1].upper() + text[1:]


def _named(one: Named) -> dict[str, str]:
    kind = words.say(f"officer.kind.{one.kind}")
    if one.kind in ("person", "user"):
        said = one.text or kind
    elif one.kind == "message":
        said = f"{kind} {reference_words(one.text)}".strip()
    elif one.kind in ("file", "id"):
        said = one.text or kind
    else:
        said = f"{kind} {one.text}".strip()
    where = "people" if one.kind == "person" else "messages"
    return {"words": said, "href": f"/audit/{where}/{one.page}" if one.page else ""}
