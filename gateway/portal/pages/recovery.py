"""The recovery key: what it is for, how far this clinic is, and the next step, one after the other."""

from __future__ import annotations

from starlette.responses import Response

from gateway.portal.call import Call
from gateway.portal.guards import Rate, Trace, Unlogged, page
from gateway.portal.pages.officer import officer_page

LOOK = Trace(Unlogged("which recovery key is in force and what was confirmed; no half of a key, no mail"), Rate(60))


@page("/audit/recovery", "GET", trace=LOOK)
def shown(call: Call) -> Response:
    """All of it on one page; what is done with the key is done by commands, where the kit is."""
    if call.is_head:
        return Response(media_type="text/html")
    found = call.deps.audit.recovery.state(call.origin, call.session)
    return officer_page(call, "officer/recovery.html", found=found)
