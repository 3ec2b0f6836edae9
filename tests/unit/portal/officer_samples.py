"""The officer's pages with made-up values: what the browser tests look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.flow.officer import COUNTED, DAYS, Entry, Lines, Story, Why
from gateway.flow.officer_changes import Account, Change, Changes, Differs, Vote
from gateway.flow.officer_held import Act, HeldMail
from gateway.flow.officer_names import Line, Named
from gateway.flow.officer_report import MOST, Report, ReportLine
from gateway.flow.officer_verify import Checked, Head, Outside
from gateway.flow.recovery_desk import RecoveryState
from gateway.portal.pages.officer import EXAMPLES, row_of, words_of_kind
from gateway.portal.pages.officer_changes import opens_of, outcome_of, state_of, title_of
from gateway.portal.pages.officer_changes import row_of as setting_row
from gateway.portal.pages.officer_held import words_of_act, words_of_left
from gateway.portal.pages.officer_report import _row
from tests.unit.portal import retention_samples

AT = datetime(2026, 12, 4, 23, 0, tzinfo=UTC)
HASH = "qDpQ0nIhRgL0H3kUAbM2Nq8l8u3jJm1mXb0ZpYl7E1c="
NOTE = f"localhost/log/tnt_demo\n48213\n{HASH}\n\n\u2014 localhost/log/tnt_demo Az3grlgtzPICa5OS8npVmf1Myq0kG0fN\n"
MARIA = Named("person", "a.very.long.address.that.wraps@subdomain.insurer.example", "per_1", "per_1")
AMY = Named("user", "amy@clinic.test", "", "usr_1")
MESSAGE = Named("message", "402917", "msg_1", "msg_1")
FILE = Named("file", "Lab results, a rather long file name that wraps 2026-11-03.pdf", "msg_1", "obj_1")
LINES = (
    Line(48212, AT, "object:opened", MARIA, FILE, "ok", "text", 2, None, ""),
    Line(48211, AT, "object:failed", MARIA, FILE, "partial", "gone", 2, 1_250_000, ""),
    Line(48210, AT, "session:refused", Named("visitor"), Named("link", "maria@mail.example", "msg_1", "lnk_1"),
         "refused", "wrong", 0, None, ""),
    Line(48209, AT, "message:secured", Named("gateway"), MESSAGE, "ok", "", None, None, ""),
    Line(48208, AT, "log:searched", AMY, Named("log"), "ok", "", 2, None, ""),
    Line(48207, AT, "user:added", Named("changed"), Named("id", "node-1"), "ok", "", None, None, ""),
)  # fmt: skip
WHY = Why(
    "phi-in-attachments", "clinic@ab12cd34",
    (("NAME", "attachment 1 (PDF), page 2", 3), ("SSN", "attachment 1 (PDF), page 2", 1)),
    (("attachment 2 (ZIP archive)", "it is encrypted"),),
)  # fmt: skip
STORY = Story(
    "msg_1", "402917", "secured", "amy@clinic.test", "Your results", ({"name": FILE.text, "bytes": 2_400_000},), AT, AT,
    WHY, "msg_0", Lines(LINES, 7),
)  # fmt: skip
ACT = Act("act_1", "release", "waiting", "olga@clinic.test", "", "Asked for by phone, number in our record", "", "", AT,
          True)  # fmt: skip
HELD = HeldMail("msg_1", "held", "amy@clinic.test", ("records@insurer.example", MARIA.text), AT, AT + timedelta(days=5),
                182_000, WHY, True, ())  # fmt: skip
HEAD = Head("localhost/log/tnt_demo", 48213, HASH, NOTE, AT, 48213, f"localhost/log/tnt_demo+1a2b3c4d+{HASH}",
            Outside(47000, AT, True), 0)  # fmt: skip
REPORT = Report(
    "per_1", MARIA.text, "2026-11-01..2026-11-30",
    (ReportLine(LINES[0], "402917", 12), ReportLine(LINES[1], "402917", None)), True, 0, HEAD.origin, 48213, HASH, AT,
    "olga@clinic.test", NOTE,
)  # fmt: skip
VOTE = Vote("ada.administrator@clinic.test", "admin", AT, "Our new server, as agreed with the vendor on the phone")
CHANGE = Change(
    "prp_" + "4f" * 20, "settings", "", "", "operator", AT, AT + timedelta(days=1), False, (VOTE,),
    (
        Differs("networks", ["192.0.2.0/28"], ["192.0.2.0/28", "2001:db8:1234:5678::/64"]),
        Differs("smarthost", "smtp.office365.example:587", "a-rather-long-name.mail.elsewhere.example:25"),
        Differs("policy_toml", "[release]\nsecond_person = true\n", "[release]\nsecond_person = false\n"),
        Differs("limits", {"max_recipients": 100}, {"max_recipients": 200}), Differs("phone", "+1 555 010 0199", ""),
    ), False,
)  # fmt: skip
NEW_OFFICER = replace(CHANGE, kind="user", acts="officer", subject=MARIA.text, differs=(), votes=(), id="prp_2")
ENDED = replace(
    NEW_OFFICER, outcome="withdrawn", ended_at=AT, ended_by="olga@clinic.test", ended_reason="Unknown to us"
)


def pages() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Name, template and values of each."""
    rows = [row_of(line) for line in LINES]
    who: dict[str, Any] = {"who": True, "sees_names": True}
    search = who | {
        "q": "",
        "rows": None,
        "chips": [],
        "older": None,
        "newer": False,
        "waiting": 0,
        "examples": EXAMPLES,
        "ready": [("opened", "action:object:opened"), ("recent", "created:2026-12-04..2026-12-04")],
        "changes": 0,
    }
    yield "officer-search", "officer/search.html", search
    yield "officer-search-changes", "officer/search.html", search | {"changes": 2}
    found = {"q": "recipient:@insurer.example", "rows": rows, "chips": ["recipient:@insurer.example", "proof:2"]}
    yield "officer-found", "officer/search.html", search | found | {"older": 9, "newer": True}
    yield "officer-nothing", "officer/search.html", search | found | {"rows": []}
    yield "officer-found-waiting", "officer/search.html", search | found | {"waiting": 12}
    wrong = "We do not understand this search: unknown search word 'recipent': did you mean 'recipient'?"
    yield "officer-wrong", "officer/search.html", search | {"q": "recipent:x", "error": wrong}
    message = who | {
        "story": STORY, "state": "Protected", "files": [{"name": FILE.text, "size_words": "2.4 MB"}], "rows": rows,
        "older": 7, "waiting": 0, "zone": "Central time", "words_of_kind": words_of_kind,
        "retained": retention_samples.KEPT, "may_retain": True,
    }  # fmt: skip
    yield "officer-message", "officer/message.html", message
    held = replace(STORY, state="held", why=Why("default", "x@1", (), ()), files=(), reference="", parent="")
    yield "officer-message-held", "officer/message.html", message | {"story": held, "rows": [], "files": []}
    yield "officer-message-erased", "officer/message.html", message | {"retained": retention_samples.ENDED}
    person = who | {"person": "per_1", "address": MARIA.text, "rows": rows, "older": None, "waiting": 1,
                    "may_retain": True, "zone": "Central time", "first": "2026-11-01",
                    "last": "2026-11-30"}  # fmt: skip
    yield "officer-person", "officer/person.html", person
    yield (
        "officer-person-wrong",
        "officer/person.html",
        person | {"error": "Type both days like 2026-11-01.", "rows": []},
    )
    entry = Entry(48212, '{"action":"object:opened","actor":{"id":"per_1","kind":"person"},"v":1}', HASH, (HASH, HASH),
                  48213, NOTE)  # fmt: skip
    yield "officer-entry", "officer/entry.html", who | {"entry": entry}
    yield "officer-entry-young", "officer/entry.html", who | {"entry": replace(entry, size=0, proof=(), note="")}
    yield "officer-verify", "officer/verify.html", who | {"head": HEAD, "checked": Checked("fits", 47000, AT)}
    broken = replace(HEAD, outside=Outside(47000, AT, False))
    yield "officer-verify-changed", "officer/verify.html", who | {"head": broken, "checked": Checked("changed", 1, AT)}
    bare = replace(HEAD, outside=None, signed_at=None, waiting=3)
    yield "officer-verify-bare", "officer/verify.html", who | {"head": bare, "checked": None, "error": "Choose a file."}
    counts = [(action, 1200 + number) for number, action in enumerate(COUNTED)]
    yield "officer-overview", "officer/overview.html", who | {"counts": counts, "held": 3, "days": DAYS, "changes": 1}
    report = who | {"report": REPORT, "rows": [_row(one) for one in REPORT.lines], "most": MOST}
    yield "officer-report", "officer/report.html", report
    yield (
        "officer-report-empty",
        "officer/report.html",
        report | {"report": replace(REPORT, waiting=2), "rows": [], "error": "This server cannot make PDF files."},
    )
    yield from _held()
    yield from _changes()
    yield from retention_samples.pages()
    yield from _recovery()


def _recovery() -> Iterator[tuple[str, str, dict[str, Any]]]:
    who: dict[str, Any] = {"who": True, "sees_names": True}
    key = RecoveryState("rky_4f6c1d0e9b7a35c2d8e1", 2, 3, (1, 3), AT, None, 4820, "")
    for name, found in (
        ("recovery", key), ("recovery-done", replace(key, confirmed=(1, 2, 3), opened_at=AT, messages=1)),
        ("recovery-empty", RecoveryState("", 0, 0, (), None, None, 0, "prp_1")),
        ("recovery-without", RecoveryState("none", 0, 0, (), AT, None, 0, "")),
        ("recovery-single", replace(key, needed=1, sheets=1, confirmed=())),
    ):  # fmt: skip
        yield name, "officer/recovery.html", who | {"found": found}


def _changes() -> Iterator[tuple[str, str, dict[str, Any]]]:
    desk: dict[str, Any] = {"who": True, "sees_names": True, "title_of": title_of, "outcome_of": outcome_of,
                            "state_of": lambda one: state_of(one, AT)}  # fmt: skip
    accounts = (Account("new.person@clinic.test", "staff", "active", AT), Account(MARIA.text, "office", "disabled", AT))
    acted = replace(ENDED, kind="tenant", acts="open", outcome="acted", ended_by="")
    key = replace(NEW_OFFICER, kind="recovery", acts="rky_4f6c1d0e9b7a35c2d8e1 2-of-3", subject="")
    full = Changes(
        (CHANGE, NEW_OFFICER, key, replace(key, acts="none")),
        (ENDED, acted, replace(CHANGE, outcome="replaced", ended_at=AT)),
        accounts,
    )
    yield "officer-changes", "officer/changes.html", desk | {"found": full}
    yield "officer-changes-none", "officer/changes.html", desk | {"found": Changes((), (), ())}
    choices = [("approve", "Approve it", "You stand behind this change."), ("withdraw", "Refuse it", "It ends here.")]
    one = {"who": True, "sees_names": True, "change": CHANGE, "heading": title_of(CHANGE), "opens": opens_of(CHANGE),
           "rows": [setting_row(part) for part in CHANGE.differs], "state": state_of(CHANGE, AT), "ended": "",
           "choices": choices, "two": True, "field": "", "given": {"act": "", "reason": ""}}  # fmt: skip
    yield "officer-change", "officer/change.html", one
    wrong = {"field": "code", "error": "The code is not right.", "given": {"act": "approve", "reason": "by phone"}}
    person = {"change": NEW_OFFICER, "heading": title_of(NEW_OFFICER), "opens": opens_of(NEW_OFFICER), "rows": []}
    yield "officer-change-wrong", "officer/change.html", one | person | wrong
    yield "officer-change-choose", "officer/change.html", one | {"field": "act-approve", "error": "Choose what to do."}
    mine = {"change": replace(CHANGE, mine=True), "choices": []}
    yield "officer-change-mine", "officer/change.html", one | mine
    yield (
        "officer-change-admin",
        "officer/change.html",
        one | {"sees_names": False, "choices": choices[:1], "two": False},
    )
    over = {"change": ENDED, "ended": outcome_of(ENDED), "choices": []}
    yield "officer-change-ended", "officer/change.html", one | person | over


def _held() -> Iterator[tuple[str, str, dict[str, Any]]]:
    desk: dict[str, Any] = {
        "who": True, "base": "officer/base.html", "own": False, "sees_names": True, "where": "/audit/held",
        "left": lambda mail: words_of_left(timedelta(days=5)), "act_words": words_of_act, "recent": [],
    }  # fmt: skip
    mine = desk | {"base": "staff/base.html", "own": True, "sees_names": False, "where": "/staff/held",
                   "may_help": True, "may_hold": True}  # fmt: skip
    done = replace(HELD, state="released", acts=(replace(ACT, state="done"),))
    yield "held-list", "officer/held_list.html", desk | {"mails": [HELD, HELD], "recent": [done]}
    yield "held-none", "officer/held_list.html", desk | {"mails": []}
    yield "held-own", "officer/held_list.html", mine | {"mails": [HELD]}
    yield "held-own-none", "officer/held_list.html", mine | {"mails": []}
    choices = [("release", "Release it protected", "It goes out as a secure message."),
               ("release-as-is", "Release it as it came", "It goes out as plain email."),
               ("drop", "Drop it", "It is not sent.")]  # fmt: skip
    one = desk | {"mail": HELD, "size": "182 kB", "state": "Held for a decision", "choices": choices, "two": True,
                  "words_of_kind": words_of_kind, "field": "", "given": {"act": "", "reason": ""}}  # fmt: skip
    yield "held", "officer/held.html", one
    wrong = {"field": "code", "error": "The code is not right.", "given": {"act": "release", "reason": "by phone"}}
    yield "held-wrong", "officer/held.html", one | wrong | {"mail": replace(HELD, acts=(ACT,))}
    yield "held-choose", "officer/held.html", one | {"field": "act-release", "error": "Choose what to do."}
    yield "held-reading", "officer/held.html", one | {"choices": []}
    failed = replace(ACT, state="failed", failure="expired", second="pete@clinic.test", second_reason="seen")
    yield "held-settled", "officer/held.html", one | {"mail": replace(done, acts=(failed, done.acts[0])), "choices": []}
    yield "held-cancel", "officer/held.html", one | mine | {"choices": choices[2:]}
