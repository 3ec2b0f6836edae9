"""Holds and erasures: what is kept, what was destroyed, the decision about one thing, and its certificate."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from starlette.responses import Response

from gateway import words
from gateway.audit.event import Action
from gateway.flow.retention import ERASURES, About, Disposal, Hold
from gateway.flow.visit import Denial
from gateway.portal.answers import Away
from gateway.portal.call import Call
from gateway.portal.face import reference_words
from gateway.portal.guards import Rate, Trace, Unlogged, page
from gateway.portal.pages.decision import decided
from gateway.portal.pages.officer import officer_page, saved
from gateway.portal.pdf import Busy, pdf_of

LOOK = Trace(Unlogged("holds and certificates of this clinic; no content of any mail"), Rate(60))
DENIED = {
    "same-person": 409, "destroyed": 409, "not-destroyed": 409, "on-hold": 409, "not-on-hold": 409, "held": 409,
    "too-many": 429, "not-an-officer": 403, "no-session": 401, "unknown": 404,
}  # fmt: skip
NOTES = ("held", "lifted", "waits", "shortened", "begun")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
DAYS = {"hold-period": ("from", "to"), "shorten": ("to",)}
"""The days that a decision needs besides its reason."""


@page("/audit/retention", "GET", trace=LOOK)
def overview(call: Call) -> Response:
    """Holds in force, decisions that wait for a second officer, and every certificate."""
    if call.is_head:
        return Response(media_type="text/html")
    found = call.deps.audit.retention.overview(call.origin, call.session)
    note = call.query.get("note", "")
    return officer_page(
        call, "officer/retention.html", found=found, title_of=title_of, tenant=call.origin.tenant,
        may=call.may("POST /audit/retention/{act}/{object}"),
        note=words.say(f"officer.retention.note_{note}") if note in NOTES else "",
    )  # fmt: skip


@page("/audit/retention/{act}/{object}", "GET", trace=LOOK)
def asked(call: Call) -> Response:
    """What would happen, and what would stay, before anybody decides."""
    return _form(call)


@page("/audit/retention/{act}/{object}", "POST", trace=Trace(Action.ACT_RECORDED, Rate(20)))
def decide(call: Call) -> Response:
    """The decision, proved by a code spent on this one act."""
    act, object = call.path["act"], call.path["object"]
    desk = call.deps.audit.retention
    desk.about(call.origin, call.session, act, object)
    form = decided(call, (act,), "act")
    form = replace(form, missing=None) if form.missing and form.missing[0] == "act" else form
    days, field = _days(call, act)
    if field:
        return _form(call, 422, field=field, error=words.say("officer.retention.day_wrong"), given=_given(call))
    missing = (
        ("reason", "reason_missing") if not form.reason else ("code", "code_missing") if len(form.code) != 6 else None
    )
    if missing:
        error = words.say(f"officer.held.{missing[1]}")
        return _form(call, 422, field=missing[0], error=error, given=_given(call))
    done = call.once(
        "retention",
        lambda: desk.decide(call.origin, call.session, act, object, form.reason, form.code, *days),
        act, object, form.reason, form.code, *map(str, days),
    )  # fmt: skip
    if isinstance(done, Denial):
        return _form(
            call, DENIED.get(done.reason, 422), field="code", error=_words_of_denial(done.reason), given=_given(call)
        )
    if not done["complete"]:
        return Away("/audit/retention?note=waits")
    if act in (*ERASURES, "certify"):
        return Away(f"/audit/certificates/{done['id']}" if done["done"] else "/audit/retention?note=begun")
    note = "lifted" if act == "lift" else "shortened" if act == "shorten" else "held"
    return Away(f"/audit/retention?note={note}")


@page("/audit/certificates/{id}", "GET", trace=LOOK)
def certificate(call: Call) -> Response:
    """One certificate, to read and to print."""
    if call.is_head:
        return Response(media_type="text/html")
    return _certificate(call)


@page("/audit/certificates/{id}/text", "GET", trace=LOOK)
def as_text(call: Call) -> Response:
    """The signed text: what anybody can check without us."""
    found = call.deps.audit.retention.certificate(call.origin, call.session, call.path["id"])
    return saved(found.text.encode(), "text/plain; charset=utf-8", "certificate.txt")


@page("/audit/certificates/{id}/pdf", "GET", trace=Trace(LOOK.event, Rate(20)))
def as_pdf(call: Call) -> Response:
    """The page as a tagged PDF with the signed text in it."""
    html = call.renderer.page(call.face, "officer/certificate_pdf.html", "", **_certified(call))
    try:
        body = pdf_of(html)
    except Busy:
        return _certificate(call, 503, error=words.say("officer.problem.busy"))
    if body is None:
        return _certificate(call, error=words.say("officer.problem.no_pdf"))
    return saved(body, "application/pdf", "certificate.pdf")


def title_of(act: str, about: About) -> str:
    """A decision in one line: what it does, and to what."""
    return _named(f"officer.retention.title_{act.replace('-', '_')}", about)


def _named(key: str, about: About) -> str:
    who = about.address or words.say("officer.retention.somebody")
    reference = reference_words(about.reference) or words.say("officer.retention.no_reference")
    return words.say(key, who=who, reference=reference)


def _form(call: Call, status: int = 200, **values: Any) -> Response:
    if call.is_head:
        return Response(media_type="text/html")
    act, object = call.path["act"], call.path["object"]
    found = call.deps.audit.retention.about(call.origin, call.session, act, object)
    hold = found if isinstance(found, Hold) else None
    about = hold.about if hold is not None else found
    assert isinstance(about, About)
    overview = call.deps.audit.retention.overview(call.origin, call.session)
    waits = [one for one in overview.waiting if one.act == act and one.about.id == object]
    second = act == "erase-tenant" or (overview.second and act not in ("certify",) and not act.startswith("hold-"))
    given: dict[str, Any] = {"field": "", "error": "", "given": {"reason": "", "from": "", "to": ""}} | values
    return officer_page(
        call, "officer/dispose.html", status, act=act, key=act.replace("-", "_"), about=about, hold=hold,
        title=title_of(act, about), days=DAYS.get(act, ()), erases=act in ERASURES, second=second,
        waits=waits[0] if waits else None, **given,
    )  # fmt: skip


def _certificate(call: Call, status: int = 200, error: str = "") -> Response:
    return officer_page(call, "officer/certificate.html", status, error=error, **_certified(call))


def _certified(call: Call) -> dict[str, Any]:
    found = call.deps.audit.retention.certificate(call.origin, call.session, call.path["id"])
    return values_of(found.disposal, found.text)


def values_of(made: Disposal, text: str) -> dict[str, Any]:
    """What both forms of a certificate show."""
    return {
        "made": made,
        "text": text,
        "what": _named(f"officer.certificate.what_{made.act.replace('-', '_')}", made.about),
    }


def _words_of_denial(reason: str) -> str:
    for key in (f"officer.retention.denied_{reason.replace('-', '_')}", f"officer.denied.{reason}"):
        if key in words.language():
            return words.say(key)
    return words.say("officer.denied.other")


def _given(call: Call) -> dict[str, str]:
    return {name: call.form.get(name, "")[:500] for name in ("reason", "from", "to")}


def _days(call: Call, act: str) -> tuple[tuple[datetime | None, datetime | None], str]:
    """Beginning of the first day and end of the last on the clinic's clock, and the field that is wrong or empty."""
    found: dict[str, date] = {}
    for name in DAYS.get(act, ()):
        text = call.form.get(name, "").strip()
        try:
            found[name] = date.fromisoformat(text) if _DAY.fullmatch(text) else date.min
        except ValueError:
            found[name] = date.min
        if not 1970 < found[name].year < 2200:
            return (None, None), name
    if not found:
        return (None, None), ""
    zone = ZoneInfo(call.face.timezone)

    def begins(day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)

    first = begins(found["from"]) if "from" in found else None
    last = begins(found["to"] + timedelta(days=1))
    if first is not None and first >= last:
        return (None, None), "to"
    return (first, last), ""
