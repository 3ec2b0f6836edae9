"""Changes that wait: what would be different and what it could open, in words, with an officer's decision."""

from __future__ import annotations

import difflib
import tomllib
import unicodedata
from datetime import datetime
from typing import Any

from starlette.responses import Response

from gateway import words
from gateway.audit.event import Action
from gateway.flow.officer_changes import ACTS, Change, Differs
from gateway.flow.visit import Denial
from gateway.portal.answers import Away
from gateway.portal.call import Call
from gateway.portal.guards import Rate, Trace, Unlogged, page
from gateway.portal.pages.decision import decided
from gateway.portal.pages.officer import officer_page

LOOK = Trace(Unlogged("settings of this clinic and who asked for them; no mail, no recipient"), Rate(60))
DENIED = {"same-person": 409, "not-open": 409, "too-many": 429, "not-an-officer": 403, "role": 403, "no-session": 401}
TEXTS = frozenset({"policy_toml"})
"""Settings too long to be shown side by side: only the lines that differ are."""
COMPARED = 250_000
"""Lines of one text times lines of the other; beyond that all of both are shown. Nothing is left out: what an officer
approves unseen could be the one line that matters.
"""
NAMES_IN_TITLE = 2


@page("/audit/changes", "GET", trace=LOOK)
def listed(call: Call) -> Response:
    """All that waits, what became of others, and accounts that an operator made lately."""
    if call.is_head:
        return Response(media_type="text/html")
    found = call.deps.audit.changes.listed(call.origin, call.session)
    return officer_page(
        call, "officer/changes.html", found=found, title_of=title_of, state_of=lambda one: state_of(one, call.now()),
        outcome_of=outcome_of,
    )  # fmt: skip


@page("/audit/changes/{change}", "GET", trace=LOOK)
def shown(call: Call) -> Response:
    """One of them, whole."""
    return _one(call)


@page("/audit/changes/{change}", "POST", trace=Trace(Action.SETTINGS_ACCEPTED, Rate(20)))
def decide(call: Call) -> Response:
    """Approve or end it, proved by a code spent on this one decision."""
    form = decided(call, ACTS, "act-approve")
    if form.missing:
        field, error = form.missing
        return _one(call, 422, field=field, error=error, given=form.given)
    identifier = call.path["change"]
    done = call.once(
        "change",
        lambda: call.deps.audit.changes.decide(
            call.origin, call.session, identifier, form.act, form.reason, form.code
        ),
        identifier, form.act, form.reason, form.code,
    )  # fmt: skip
    if isinstance(done, Denial):
        key = f"officer.changes.denied.{done.reason}"
        key = key if key in words.language() else f"officer.denied.{done.reason}"
        error = words.say(key if key in words.language() else "officer.denied.other")
        return _one(call, DENIED.get(done.reason, 422), field="code", error=error, given=form.given)
    return Away(f"/audit/changes/{identifier}")


def _one(call: Call, status: int = 200, **values: Any) -> Response:
    if call.is_head:
        return Response(media_type="text/html")
    change = call.deps.audit.changes.shown(call.origin, call.session, call.path["change"])
    given: dict[str, Any] = {"field": "", "given": {"act": "", "reason": ""}} | values
    return officer_page(
        call, "officer/change.html", status, change=change, heading=title_of(change), opens=opens_of(change),
        rows=[row_of(one) for one in change.differs], state=state_of(change, call.now()),
        ended=outcome_of(change) if change.outcome else "", choices=_choices(call, change),
        two=call.deps.audit.second_person(call.origin.tenant), **given,
    )  # fmt: skip


def _choices(call: Call, change: Change) -> list[tuple[str, str, str]]:
    """What this person may try: key, words, help. The keyholder decides."""
    if change.outcome or not call.may("POST /audit/changes/{change}"):
        return []
    acts = [act for act in ACTS if act != "approve" or not change.mine]
    if call.session["role"] != "officer":
        acts = [act for act in acts if act == "approve"]
    return [(act, words.say(f"officer.changes.{act}"), words.say(f"officer.changes.{act}_help")) for act in acts]


def title_of(change: Change) -> str:
    """What would be different, in one line."""
    if change.kind == "user":
        return words.say(f"officer.changes.title_{change.acts}", who=change.subject)
    if change.kind == "tenant":
        return words.say(f"officer.changes.title_{change.acts}")
    if change.kind == "recovery":
        key, _, sheets = change.acts.partition(" ")
        if not sheets:
            return words.say("officer.changes.title_recovery_none")
        return words.say("officer.changes.title_recovery", name=key, sheets=sheets)
    names = [words.say(_key("name", one.key)) for one in change.differs]
    if not names:
        return words.say("officer.changes.title_settings")
    more = len(names) - NAMES_IN_TITLE
    first = ", ".join(names[:NAMES_IN_TITLE])
    return words.say("officer.changes.title_more", names=first, count=more) if more > 0 else first


def opens_of(change: Change) -> list[str]:
    """What it could open, a sentence each."""
    if change.kind == "settings":
        found = [words.say(_key("opens", one.key)) for one in change.differs]
        if any(one.key in TEXTS and not _staff(one.before) and _staff(one.after) for one in change.differs):
            found.append(words.say("officer.changes.opens_staff"))
        return list(dict.fromkeys(found))
    if change.kind == "recovery":
        return [words.say("officer.changes.opens_recovery" + ("" if " " in change.acts else "_none"))]
    return [words.say(f"officer.changes.opens_{change.acts}")]


def _staff(policy: Any) -> bool:
    """Whether a policy lets staff send again without the sender; one that cannot be read might."""
    try:
        release = tomllib.loads(str(policy or "")).get("release", {})
    except tomllib.TOMLDecodeError:
        return True
    return isinstance(release, dict) and release.get("staff_grant", False) is not False


def row_of(one: Differs) -> dict[str, Any]:
    """A setting with both values in words; of a long text the lines that differ."""
    said: dict[str, Any] = {"key": one.key, "name": words.say(_key("name", one.key))}
    if one.key in TEXTS:
        return said | {"lines": _lines(str(one.before or ""), str(one.after or ""))}
    return said | {"lines": [], "before": words_of_value(one.before), "after": words_of_value(one.after)}


def words_of_value(value: Any) -> str:
    """A setting's value as people read it."""
    if value is None or value in ("", [], {}):
        return words.say("officer.changes.nothing")
    if isinstance(value, bool):
        return words.say("officer.changes.yes" if value else "officer.changes.no")
    if isinstance(value, list):
        return ("; " if any(isinstance(one, dict) for one in value) else ", ").join(map(words_of_value, value))
    if isinstance(value, dict):
        return ", ".join(
            _pair(name, one) for name, one in sorted(value.items(), key=lambda one: (one[0] != "name", one[0]))
        )
    return plainly(str(value))


def plainly(text: str) -> str:
    """What does not show, or turns what follows around, written so that it shows."""
    return "".join(
        letter if letter in "\t " or unicodedata.category(letter)[0] not in "CZ" else f"\\u{ord(letter):04x}"
        for letter in text
    )


def _pair(name: str, value: Any) -> str:
    """A value with its name. Of a secret's check value the beginning is enough to see that it is another one."""
    if name == "verifier":
        return words.say("officer.changes.secret", mark=str(value)[:8])
    return f"{name.replace('_', ' ')}: {words_of_value(value)}"


def state_of(change: Change, now: datetime) -> str:
    """How far it is."""
    if not change.approved:
        return words.say("officer.changes.state_one" if change.votes else "officer.changes.state_none")
    if change.due_at > now:
        return words.say("officer.changes.state_day")
    return words.say(f"officer.changes.state_{change.kind if change.kind in ('user', 'recovery') else 'start'}")


def outcome_of(change: Change) -> str:
    """What became of one that waits no more."""
    return words.say(f"officer.changes.outcome_{change.outcome}")


def _key(part: str, setting: str) -> str:
    key = f"officer.setting.{setting}_{part}"
    return key if key in words.language() else f"officer.setting.other_{part}"


def _lines(before: str, after: str) -> list[tuple[str, str]]:
    """Every line that was taken away ("out") and added ("in"), in order. Lines end where TOML ends them."""
    old, new = before.split("\n"), after.split("\n")
    blocks = [(0, len(old), 0, len(new))]
    if len(old) * len(new) <= COMPARED:
        found = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        blocks = [(a, b, c, d) for tag, a, b, c, d in found if tag != "equal"]
    return [
        one
        for a, b, c, d in blocks
        for one in (*(("out", plainly(line)) for line in old[a:b]), *(("in", plainly(line)) for line in new[c:d]))
    ]
