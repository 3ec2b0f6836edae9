"""Proof that nothing was removed: the log's head, the export to take away, an old notice compared (story 37)."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response, StreamingResponse

from gateway import words
from gateway.audit.event import Action
from gateway.flow.kept import Busy
from gateway.portal.call import Call
from gateway.portal.guards import Rate, Trace, Unlogged, page
from gateway.portal.pages.officer import officer_page

NOTICE_BYTES = 1_048_576


@page(
    "/audit/verify",
    "GET",
    trace=Trace(Unlogged("size, root and key of the log: no name, no id"), Rate(60)),
)
def verify(call: Call) -> Response:
    """How the log stands."""
    return _page(call)


@page(
    "/audit/verify",
    "POST",
    trace=Trace(Action.LOG_SEARCHED, Rate(20, per_user=20)),
    upload_bytes=NOTICE_BYTES,
)
def check(call: Call) -> Response:
    """An old notice against the log of today."""
    mail = call.files.get("notice", b"")
    if not mail:
        return _page(call, 422, error=words.say("officer.verify.notice_missing"))
    return _page(call, checked=call.deps.audit.proofs.check_notice(call.origin, call.session, mail))


@page("/audit/export", "POST", trace=Trace(Action.LOG_EXPORTED, Rate(10, per_user=10)))
def export(call: Call) -> Response:
    """The whole log with its key as one ZIP, streamed."""
    try:
        pieces = call.deps.audit.proofs.export(call.origin, call.session)
    except Busy:
        return _page(call, 503, error=words.say("officer.verify.busy"))
    headers = {"content-disposition": 'attachment; filename="sealgate-log.zip"'}
    return StreamingResponse(pieces, media_type="application/zip", headers=headers)


def _page(call: Call, status: int = 200, **values: Any) -> Response:
    given: dict[str, Any] = {"checked": None} | values
    head = call.deps.audit.proofs.head(call.origin.tenant)
    return officer_page(call, "officer/verify.html", status, head=head, **given)
