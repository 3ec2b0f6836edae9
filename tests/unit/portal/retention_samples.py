"""Holds, erasures and certificates with made-up values: what the browser tests look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.flow.retention import About, Disposal, Hold, Overview, State
from gateway.portal.pages.retention import title_of, values_of

AT = datetime(2026, 12, 4, 23, 0, tzinfo=UTC)
WHO = "a.very.long.address.that.wraps@subdomain.insurer.example"
OLGA, PETE = "olga@clinic.test", "pete@clinic.test"
MESSAGE = About("message", "msg_1", "402917", "", 1, (("lnk_1", WHO), ("lnk_2", "maria@mail.example")), AT)
PERSON = About("person", "per_1", "", WHO, 12)
CLINIC = About("tenant", "tnt_1", count=4820)
PERIOD = About("period", "tnt_1", count=4820)
HOLD = Hold("hld_1", PERSON, None, None, OLGA, "Case 26-1183, letter of the attorney of 3 December", AT, None, "")
DAYS = replace(HOLD, id="hld_2", about=PERIOD, since=AT - timedelta(days=90), until=AT)
OVER = replace(HOLD, id="hld_3", about=MESSAGE, lifted_at=AT, lifted_by=PETE)
DONE = Disposal(
    "dsp_" + "4f" * 12, "erase-person", PERSON, None, OLGA, PETE, "Asked for in writing", "Checked", AT, True, True,
    11, 37, 1, 2, AT, AT + timedelta(seconds=40), AT + timedelta(days=97), True, False,
)  # fmt: skip
ONE = replace(DONE, id="dsp_1", act="erase-message", about=MESSAGE, links=0, kept=0, messages=1, objects=3, second="",
              last_at=AT)  # fmt: skip
WAITS = replace(DONE, id="dsp_2", act="erase-tenant", about=CLINIC, begun=False, done=False, certified=False, second="")
STEPS = replace(DONE, id="dsp_3", act="erase-tenant", about=CLINIC, done=False, certified=False, messages=1600)
TEXT = (
    "Sealgate certificate of destruction v1\ncertificate: dsp_1\nlog: localhost/log/tnt_demo\nmessages destroyed: 1\n"
    "method: cryptographic erase, NIST SP 800-88: the keyholder's share of the key was overwritten\n\n"
    "\u2014 localhost/log/tnt_demo/keyholder Az3grlgtzPICa5OS8npVmf1Myq0kG0fN"
    "qDpQ0nIhRgL0H3kUAbM2Nq8l8u3jJm1mXb0ZpYl7E1c=\n"
)
ENDED = State(None, "", False, AT, AT + timedelta(days=97), "dsp_1")
KEPT = State(AT, "hld_1", True, None, None, "")


def pages() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Name, template and values of each."""
    who: dict[str, Any] = {"who": True, "sees_names": True}
    desk = who | {"title_of": title_of, "tenant": "tnt_1", "may": True, "note": ""}
    full = Overview((HOLD, DAYS), (OVER,), (WAITS, replace(WAITS, mine=True)), (STEPS, DONE, ONE), 3, True)
    yield "retention", "officer/retention.html", desk | {"found": full, "note": "The hold is set."}
    yield "retention-none", "officer/retention.html", desk | {"found": Overview((), (), (), (), 0, False)}
    yield "retention-auditor", "officer/retention.html", desk | {"found": replace(full, kept=1), "may": False}

    def form(name: str, act: str, about: About, **more: Any) -> tuple[str, str, dict[str, Any]]:
        values: dict[str, Any] = who | {
            "act": act, "key": act.replace("-", "_"), "about": about, "hold": None, "title": title_of(act, about),
            "days": (), "erases": act.startswith("erase-"), "second": False, "waits": None, "field": "", "error": "",
            "given": {"reason": "", "from": "", "to": ""},
        }  # fmt: skip
        return name, "officer/dispose.html", values | more

    yield form("erase-message", "erase-message", MESSAGE)
    yield form("erase-link", "erase-link", replace(MESSAGE, kind="link", id="lnk_1", address=WHO))
    yield form("erase-person", "erase-person", PERSON, second=True)
    yield form("erase-tenant", "erase-tenant", CLINIC, second=True, waits=WAITS)
    yield form("erase-tenant-mine", "erase-tenant", CLINIC, second=True, waits=replace(WAITS, mine=True))
    yield form("hold-message", "hold-message", MESSAGE)
    yield form("hold-person", "hold-person", replace(PERSON, count=1))
    yield form("hold-tenant", "hold-tenant", CLINIC)
    wrong = {"field": "to", "error": "Type a day like 2026-11-30.", "given": {"reason": "x", "from": "2026-11-30",
             "to": "2026-11-01"}}  # fmt: skip
    yield form("hold-period", "hold-period", PERIOD, days=("from", "to"), **wrong)
    yield form("lift", "lift", PERIOD, hold=DAYS, second=True)
    yield form("shorten", "shorten", MESSAGE, days=("to",), field="reason", error="Write a reason.")
    yield form("certify", "certify", MESSAGE, field="code", error="The code is not right.")
    yield "certificate", "officer/certificate.html", who | values_of(ONE, TEXT) | {"error": ""}
    way = replace(ONE, act="erase-link", about=replace(MESSAGE, kind="link", id="lnk_1", address=WHO), messages=0,
                  objects=0, links=1)  # fmt: skip
    yield "certificate-way", "officer/certificate.html", who | values_of(way, TEXT) | {"error": ""}
    yield "certificate-large", "officer/certificate.html", who | values_of(DONE, TEXT) | {"error": "No PDF here."}
