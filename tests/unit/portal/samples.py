"""Every page with made-up values: what the browser tests look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from gateway import words
from gateway.accounts.people_list import Entry
from gateway.flow.desk import HOW_SURE
from gateway.flow.people import Change, Imported, Number, Person
from gateway.flow.recall_report import Stopped
from gateway.flow.sent import Recipient, Sent, State
from gateway.flow.ways import Asked, Mine, Passkey
from gateway.portal.face import Face
from gateway.portal.qr import qr_svg
from gateway.portal.render import Renderer, words_of_state
from tests.unit.portal import inbox_samples, officer_samples
from tests.unit.portal.retention_samples import KEPT

FACE = Face("tnt_demo", "Riverside Family Clinic", "+1 555 010 0199", "http://localhost:8080", "America/Chicago")
AT = datetime(2026, 12, 4, 23, 0, tzinfo=UTC)
BASE = "/m/abcdefABCDEF"
NAME = "Lab results, a rather long file name that wraps on a small phone 2026-11-03.pdf"
FILES = [
    {"id": "obj_1", "name": NAME, "type_words": "filetype.pdf", "size_words": "2.4 MB", "can_look": False},
    {"id": "obj_2", "name": "photo.jpg", "type_words": "filetype.image", "size_words": "812 kB", "can_look": True},
]
PEOPLE = (
    Recipient("lnk_1", "maria.hernandez@mail.example", State("opened", AT, "text"), True, AT, 1, 2),
    Recipient("lnk_2", "a.very.long.address.that.wraps@subdomain.insurer.example", State("scanned"), True, None),
    Recipient("lnk_3", "old@mail.example", State("recalled", AT), False, None),
    Recipient("lnk_4", "frozen@mail.example", State("frozen"), False, None),
)
MESSAGE = Sent("msg_1", "402917", "amy@clinic.test", AT, AT, "phi-attachment", "clinic@ab12cd34", "usr_1", PEOPLE, 2,
               "Your results")  # fmt: skip
OPEN: dict[str, Any] = {
    "sender": "Dr. Amy Reyes", "address": "m***@mail.example", "doors": {"text", "staff"}, "base": BASE,
    "plain_base": BASE, "signed_in": False, "remembered": False, "reference": "402917", "ends_at": AT,
}  # fmt: skip
CODE: dict[str, Any] = {
    "base": BASE,
    "asked": True,
    "tries_left": 5,
    "reference": "402917",
    "card": False,
    "waiting": False,
}
READ: dict[str, Any] = {
    "subject": "Your test results", "sender": "Dr. Amy Reyes", "address": "maria.hernandez@mail.example",
    "sent_at": AT, "ends_at": AT, "body_html": "", "body_text": "Dear Maria,\n\nyour results are in.\n\nDr. Reyes",
    "body_large": False, "all_words": "4.6 kB", "both_forms": True, "plain_only": False,
    "files": FILES, "base": BASE, "offer_app": True, "offer_device": True, "offer_passkey": True, "recovered": False,
    "offer_inbox": False, "in_inbox": False,
}  # fmt: skip
HTML = Markup("<h2>Results</h2><p>Dear <b>Maria</b>,</p><table><tr><th>Test</th><td>4.1</td></tr></table>")
APP: dict[str, Any] = {"base": BASE, "done": False, "qr": "", "secret": "", "uri": "", "again": False}
QR = qr_svg("otpauth://totp/Clinic:maria?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Clinic", "Picture to scan")
PROBLEMS = sorted({key.split(".")[2] for key in sorted(words.language().keys()) if key.startswith("portal.problem.")})
STAFF: dict[str, Any] = {"who": True, "may_help": True, "may_people": True}
MARIA = Person("per_1", "maria.hernandez@mail.example", "Maria Hernandez", "en")
LONG = Person("per_2", "a.very.long.address.that.wraps@subdomain.insurer.example", "", "es")
LINE = {"action": "link:visited", "at": AT, "words": "Link looked at", "details": "looks like a mail filter"}


ASKED = Asked("Q2hhbGxlbmdl", "dGlja2V0", "localhost", ("Y3JlZGVudGlhbA",), "dXNlcg", "c2FsdA")
MINE = Mine(
    (
        Passkey("pky_1", "Maria's phone, the blue one with the crack in its corner", AT, AT, AT),
        Passkey("pky_2", "", AT, None, AT.replace(day=5)),
    ),
    1, 9, True,
)  # fmt: skip


def _pages() -> Iterator[tuple[str, str, dict[str, Any]]]:
    wrong = "That code is not right. Please check it and type it again."
    yield "open", "open.html", OPEN
    yield "open-wrong", "open.html", OPEN | {"error": "Those four digits do not match the phone number we have."}
    yield "open-no-phone", "open.html", OPEN | {"doors": {"staff"}}
    yield "open-remembered", "open.html", OPEN | {"remembered": True}
    yield "open-signed-in", "open.html", OPEN | {"signed_in": True}
    yield "code", "code.html", CODE
    yield "code-waiting", "code.html", CODE | {"asked": False, "waiting": True}
    yield "code-wrong", "code.html", CODE | {"asked": False, "tries_left": 3, "error": wrong}
    yield "code-card", "code.html", CODE | {"asked": False, "card": True, "error": wrong}
    yield "card", "card.html", {"links": [BASE]}
    yield "card-alone", "card.html", {"links": []}
    yield "not-me", "not_me.html", {"base": BASE}
    yield "read", "read.html", READ
    yield "read-html", "read.html", READ | {"body_html": HTML, "files": FILES[:1]}
    yield "read-plain-only", "read.html", READ | {"plain_only": True}
    yield "read-files-only", "read.html", READ | {"body_text": None, "both_forms": False, "offer_app": False}
    inside = {"in_inbox": True, "offer_app": False, "offer_device": False, "offer_passkey": False}
    yield "read-in-inbox", "read.html", READ | inside
    yield "read-offers", "read.html", READ | {"offer_app": False, "offer_inbox": True}
    yield from inbox_samples.pages()
    text = {"file": FILES[1], "text": "A line\nand another", "cut": True, "base": BASE}
    yield "look-text", "look.html", text
    yield "look-picture", "look.html", text | {"text": None}
    yield "app", "app.html", APP
    yield (
        "app-key",
        "app.html",
        APP | {"qr": QR, "secret": "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP", "uri": "otpauth://totp/C?secret=JB"},
    )
    yield "app-again", "app.html", APP | {"again": True, "error": wrong}
    yield "app-done", "app.html", APP | {"done": True}
    yield "device", "device.html", {"base": BASE, "forgotten": False}
    yield "device-forgotten", "device.html", {"base": BASE, "forgotten": True}
    yield "open-passkey", "open.html", OPEN | {"doors": {"text", "staff", "passkey"}}
    yield "read-recovered", "read.html", READ | {"recovered": True, "offer_passkey": False}
    yield "passkey", "passkey.html", {"base": BASE, "asked": ASKED}
    yield "passkey-wrong", "passkey.html", {"base": BASE, "asked": ASKED, "error": "That did not work."}
    new = {"base": BASE, "asked": ASKED, "name": "m***@mail.example"}
    yield "passkey-new", "passkey_new.html", new
    yield "passkey-new-wrong", "passkey_new.html", new | {"error": "That did not work."}
    yield "passkey-done", "passkey_done.html", {"base": BASE, "codes": 0}
    ways = {"base": BASE, "mine": MINE, "now": AT, "may_add": True, "recovered": False}
    yield "passkeys", "passkeys.html", ways | {"note": "It was removed."}
    yield "passkeys-none", "passkeys.html", ways | {"mine": Mine((), 0, 0, True)}
    yield "passkeys-recovered", "passkeys.html", ways | {"recovered": True, "error": "This is your only way."}
    yield "passkey-remove", "passkey_remove.html", {"base": BASE, "passkey": MINE.passkeys[0]}
    codes = [" ".join(["BCDF", "GHJK", "MNPQ", "RSTV"])] * 10
    yield "recovery-codes", "recovery_codes.html", {"base": BASE, "codes": codes, "reference": "402917"}
    yield "lost", "lost.html", {"base": BASE, "done": False}
    yield "lost-done", "lost.html", {"base": BASE, "done": True}
    yield "signed-out", "signed_out.html", {}
    yield "typed", "typed.html", {}
    yield "typed-wrong", "typed.html", {"error": "We found no message with these two codes."}
    yield "limits", "limits.html", {}
    for kind in PROBLEMS:
        primary = {"href": BASE, "words": "Open it again"} if kind == "session" else None
        reference = "402917" if kind == "too_many" else ""
        values = {"kind": kind, "when": "Friday 4 December 2026", "primary": primary, "reference": reference}
        yield f"problem-{kind}", "problem.html", values
    yield (
        "staff-sign-in",
        "staff/sign_in.html",
        {"error": "The address, the password or the code is not right."},
    )
    yield "staff-sign-in-passkey", "staff/passkey_sign_in.html", {"asked": ASKED, "error": "Something is not right."}
    yield "staff-passkeys", "staff/passkeys.html", STAFF | {"mine": MINE, "note": "The passkey was added."}
    yield "staff-passkeys-none", "staff/passkeys.html", STAFF | {"mine": Mine((), 1, 0, True)}
    passkey = STAFF | {"asked": ASKED, "name": "Riverside Family Clinic", "error": wrong}
    yield "staff-passkey-new", "staff/passkey_new.html", passkey
    remove = STAFF | {"passkey": MINE.passkeys[0], "error": wrong}
    yield "staff-passkey-remove", "staff/passkey_remove.html", remove
    sent = STAFF | {"messages": [MESSAGE], "older": 1, "newer": True, "show": "", "shows": ("unopened", "recalled"),
                     "changes": 1, "broken": 0}  # fmt: skip
    yield "staff-sent", "staff/sent.html", sent
    broken = replace(MESSAGE, id="msg_2", reference="771204", subject="", broken=True)
    yield "staff-sent-broken", "staff/sent.html", sent | {"messages": [MESSAGE, broken], "broken": 2}
    yield "staff-sent-unopened", "staff/sent.html", sent | {"show": "unopened"}
    empty = sent | {"messages": [], "older": None, "newer": False}
    yield "staff-sent-empty", "staff/sent.html", empty
    yield "staff-sent-none", "staff/sent.html", empty | {"show": "recalled"}
    message = STAFF | {
        "message": MESSAGE, "subject": "Your results", "files": [{"name": NAME, "size_words": "2.4 MB"}],
        "may_act": True,
        "any_live": True, "zone": "Central time", "note": "The message was taken back.", "timeline": [LINE, LINE],
        "retained": KEPT,
    }  # fmt: skip
    yield "staff-message", "staff/message.html", message | {"may_resend": False}
    yield "staff-message-resend", "staff/message.html", message | {"may_resend": True}
    yield from inbox_samples.resend(STAFF | {"message": MESSAGE, "people": [one.address for one in PEOPLE[:2]]})
    recall = STAFF | {"message": MESSAGE, "only": None, "live": 2, "opened": [PEOPLE[0]]}
    yield "staff-recall", "staff/recall.html", recall
    yield "staff-recall-one", "staff/recall.html", recall | {"only": PEOPLE[1], "opened": []}
    left = {"address": PEOPLE[1].address, "what": NAME, "size": "2.4 MB", "at": AT, "proof": "a text-message code"}
    stopped = [Stopped(PEOPLE[0].address, AT), Stopped(PEOPLE[1].address, AT)]
    report = STAFF | {"message": MESSAGE, "stopped": stopped, "cut": 1, "total": "4.8 MB", "note": "Taken back."}
    report |= {"left": [left | {"end": "whole"}, left | {"end": "stopped", "what": "The message text"}]}
    yield "staff-recalled", "staff/recalled.html", report
    yield "staff-recalled-nothing", "staff/recalled.html", report | {"left": [], "cut": 0}
    yield "staff-help", "staff/help.html", STAFF | {"people": [], "error": "No live message has this number."}
    yield "staff-help-choose", "staff/help.html", STAFF | {"people": list(PEOPLE[:2])}
    person = STAFF | {"person": PEOPLE[1], "how_sure": ("called", "here", "questions"), "code": "", "until": None}
    yield "staff-help-person", "staff/help_person.html", person | {"error": "Choose how you are sure."}
    yield "staff-help-frozen", "staff/help_person.html", person | {"person": PEOPLE[3]}
    yield "staff-help-code", "staff/help_person.html", person | {"code": "4821 9035", "until": AT}
    card = STAFF | {
        "address": "m***@mail.example",
        "code": "BCDF GHJK MNPQ",
        "until": AT,
        "qr": QR,
        "url": "https://mail.clinic.example/card",
    }
    yield "staff-card", "staff/card.html", card
    yield from officer_samples.pages()
    people = STAFF | {"people": [MARIA, LONG], "may_keep": True, "after": "per_9", "paged": True}
    yield "staff-people", "staff/people.html", people
    yield "staff-people-own", "staff/people.html", people | {"people": [], "may_keep": False, "after": ""}
    yield "staff-people-none", "staff/people.html", people | {"people": [], "error": "Nobody with this address."}
    values = {"address": "", "name": "Maria", "phone": "", "language": "en"}
    form = STAFF | {"person": MARIA, "values": values, "may_keep": True, "may_print": True, "how_sure": HOW_SURE}
    form |= {"later": False, "numbers": []}
    told = [Number("phone", AT), Number("phone-first", AT)]
    yield "staff-person", "staff/person.html", form | {"note": "Saved."}
    yield "staff-person-numbers", "staff/person.html", form | {"later": True, "numbers": told, "may_print": False}
    yield "staff-person-new", "staff/person.html", form | {"person": None, "error": wrong}
    yield "staff-person-read-only", "staff/person.html", form | {"may_keep": False}
    yield "staff-people-import", "staff/people_import.html", STAFF | {"wrong": [], "more": 0, "most": 500}
    lines = [{"line": 3, "words": "This is not an email address."}, {"line": 0, "words": "There is nobody."}]
    bad = STAFF | {"wrong": lines, "more": 3, "most": 500, "error": "Nothing was saved. Lines to check: 5."}
    yield "staff-people-import-wrong", "staff/people_import.html", bad
    changes = [
        Change(Entry(2, MARIA.address, "Maria", "+15550100143"), "new"),
        Change(Entry(3, LONG.address, '=HYPERLINK("http://x")'), "changed"),
    ]
    counts = {"new": 1, "changed": 1, "same": 0}
    preview = STAFF | {"changes": changes, "counts": counts, "numbers": 1, "list": "address\na@b.example\n"}
    yield "staff-people-preview", "staff/people_preview.html", preview
    yield "staff-people-preview-wrong", "staff/people_preview.html", preview | {"error": wrong}
    yield "staff-people-imported", "staff/people_imported.html", STAFF | {"done": Imported(1, 1, 1, 2), "total": 3}
    yield "staff-problem", "staff/problem.html", {"message": "There is no such message among those you may see."}


def rendered() -> dict[str, str]:
    """Every sample page as HTML, by name."""
    renderer = Renderer(demo=True)
    state = {"words_of_state": lambda one: words_of_state(one, FACE)}
    return {name: renderer.page(FACE, template, "token", **(state | values)) for name, template, values in _pages()}
