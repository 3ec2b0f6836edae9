"""The report of one person and period: a page to print, a tagged PDF, or a table. 45 CFR 164.528."""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import ZoneInfo

from starlette.responses import Response

from gateway import words
from gateway.audit.event import Action
from gateway.audit.query import BadQuery
from gateway.flow.officer_report import MOST, Report, ReportLine
from gateway.portal.call import Call
from gateway.portal.guards import Rate, Trace, page
from gateway.portal.pages.officer import (
    csv_answer,
    details_of,
    officer_page,
    person_page,
    row_of,
    saved,
    words_of_action,
    words_of_proof,
)
from gateway.portal.pdf import Busy, pdf_of

FORMS = ("page", "pdf", "csv")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@page("/audit/people/{person}/report", "POST", trace=Trace(Action.LOG_EXPORTED, Rate(20)))
def report(call: Call) -> Response:
    """What one person was sent and opened."""
    first, last = call.form.get("from", "").strip(), call.form.get("to", "").strip()
    form = call.form.get("form", "page")
    if not (_DAY.fullmatch(first) and _DAY.fullmatch(last) and first <= last and form in FORMS):
        return _again(call, first, last)
    try:
        made = call.deps.audit.reports.person(
            call.origin, call.session, call.path["person"], f"{first}..{last}", form, ZoneInfo(call.face.timezone)
        )
    except BadQuery:
        return _again(call, first, last)
    if form == "csv":
        return csv_answer("report.csv", [row_of(one.line) for one in made.lines], made.waiting)
    values: dict[str, Any] = {"report": made, "rows": [_row(one) for one in made.lines], "most": MOST}
    return _pdf(call, made, values) if form == "pdf" else officer_page(call, "officer/report.html", **values)


def _pdf(call: Call, made: Report, values: dict[str, Any]) -> Response:
    html = call.renderer.page(call.face, "officer/report_pdf.html", "", **values)
    try:
        body = pdf_of(html)
    except Busy:
        return officer_page(call, "officer/report.html", 503, error=words.say("officer.problem.busy"), **values)
    if body is None:
        return officer_page(call, "officer/report.html", error=words.say("officer.problem.no_pdf"), **values)
    return saved(body, "application/pdf", "report.pdf")


def _row(one: ReportLine) -> dict[str, Any]:
    line = one.line
    name = line.what.text if line.what.kind == "file" else ""
    numbers = words.say("report.number", index=line.index)
    if one.release is not None:
        numbers += ", " + words.say("report.release", number=one.release)
    return {
        "at": line.at, "action": line.action, "words": words_of_action(line.action), "reference": one.reference,
        "brief": ", ".join(filter(None, [name, *details_of(line)])), "proof": words_of_proof(line), "numbers": numbers,
    }  # fmt: skip


def _again(call: Call, first: str, last: str) -> Response:
    return person_page(call, 422, error=words.say("officer.story.report_bad"), first=first[:10], last=last[:10])
