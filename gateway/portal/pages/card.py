"""Front-desk cards: printed by staff, and what their square leads to (DESIGN §4 "Doors", e; PAGES 2.2).

Promises: a card's letters stand on one page, shown once, which no cache keeps and no mail carries.
"""

from __future__ import annotations

from starlette.responses import Response

from gateway import words
from gateway.audit.event import Action
from gateway.flow.desk import HOW_SURE
from gateway.flow.visit import Denial
from gateway.portal import cookies
from gateway.portal.call import Call
from gateway.portal.guards import Rate, Trace, Unlogged, page
from gateway.portal.pages.help import ask, denied
from gateway.portal.pages.open import masked
from gateway.portal.pages.staff import staff_page
from gateway.portal.qr import qr_svg

GROUP = 4


@page(
    "/card",
    "GET",
    trace=Trace(Unlogged("words, the same for everybody; nothing is opened here"), Rate(60)),
)
def scanned(call: Call) -> Response:
    """How to use a card; with a button for the messages whose link this browser showed before."""
    links = [f"/m/{cookies.short(grant)}" for grant in sorted(call.jar.links())]
    return call.page("card.html", links=links)


@page("/staff/help/{grant}/card", "POST", trace=Trace(Action.CARD_PRINTED, Rate(30)))
def for_grant(call: Call) -> Response:
    """A card for the person of that link, who is here."""
    how = call.form.get("sure", "")
    if how not in HOW_SURE:
        return ask(call, words.say("staff.help.sure_missing"), status=400)
    found = call.deps.desk.person(call.origin, call.path["grant"])
    return printed(call, call.deps.desk.person_of(call.origin, call.path["grant"]), found.address, how)


def printed(call: Call, person: str, address: str, how: str) -> Response:
    """The card, to be printed now."""
    made = call.deps.desk.print_card(call.origin, call.session, person, how)
    if isinstance(made, Denial):
        return denied(call, made)
    code, until = made
    url = f"{call.face.public_url.rstrip('/')}/card"
    return staff_page(
        call,
        "staff/card.html",
        address=masked(address),
        code=" ".join(code[at : at + GROUP] for at in range(0, len(code), GROUP)),
        until=until,
        qr=qr_svg(url, words.say("staff.card.qr", url=url)),
    )
