"""The pages of an inbox with made-up values."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from gateway.flow.inbox import Kept, Listed

AT = datetime(2026, 12, 4, 23, 0, tzinfo=UTC)
BASE = "/m/abcdefABCDEF"
SEVEN = ("academic", "furniture", "velvet", "husband", "airport", "theater", "medical")
STEP: dict[str, Any] = {
    "step": "shown", "words": SEVEN, "tag": "t", "to": f"{BASE}/inbox", "back": BASE, "code": False,
}  # fmt: skip
LIST = (
    Listed("lnk_1", "live", AT, AT, "Your test results of November, with a rather long subject", "Dr. Amy Reyes", 2),
    Listed("lnk_2", "live", AT, AT, "", "", 1),
    Listed("lnk_3", "revoked", AT, AT),
    Listed("lnk_4", "expired", AT, AT),
    Listed("lnk_5", "frozen", AT, AT),
)  # fmt: skip


def pages() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Name, template, values."""
    yield "inbox-offer", "inbox/offer.html", {"base": BASE, "kept": Kept(None, None, True)}
    yield "inbox-offer-again", "inbox/offer.html", {"base": BASE, "kept": Kept("inb_1", AT, True)}
    yield "inbox-offer-app", "inbox/offer.html", {"base": BASE, "kept": Kept(None, None, False)}
    yield "inbox-words", "inbox/words.html", STEP
    yield "inbox-words-why", "inbox/words.html", STEP | {"step": "why", "words": ()}
    yield "inbox-words-type", "inbox/words.html", STEP | {"step": "type", "words": ()}
    wrong = "Those are not the seven words from the page before."
    yield "inbox-words-wrong", "inbox/words.html", STEP | {"step": "type", "words": (), "code": True, "error": wrong}
    yield "inbox-begun", "inbox/begun.html", {"base": BASE, "opens_at": AT, "place": "mail.riverside.example/inbox"}
    yield "inbox-sign-in", "inbox/sign_in.html", {"address": ""}
    yield "inbox-sign-in-out", "inbox/sign_in.html", {"address": "", "note": "You are signed out of your inbox."}
    yield (
        "inbox-sign-in-wrong",
        "inbox/sign_in.html",
        {"address": "maria@mail.example", "error": "Something was not right."},
    )
    shown = [{"short": one.grant[4:], "row": one} for one in LIST]
    yield (
        "inbox",
        "inbox/list.html",
        {"messages": shown, "more": True, "note": "Your new seven words count from now on."},
    )
    yield "inbox-empty", "inbox/list.html", {"messages": [], "more": False}
    yield "inbox-close", "inbox/close.html", {}


def resend(given: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Sending again without the sender."""
    given = given | {"chosen": "", "address": "", "reason": ""}
    yield "staff-resend", "staff/resend.html", given
    wrong = {"error": "Choose a person, or type the email address of another person.", "chosen": "other"}
    yield "staff-resend-wrong", "staff/resend.html", given | wrong
