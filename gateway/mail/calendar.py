"""A calendar invitation that still works and says nothing: who, when, how often, under which id; words of ours for the
rest.

Promises: what is kept stands in the lists below and is written anew from a value of a strict form; a property, a
parameter or a component that is not listed is left out, alarms and names beside addresses with them. What has not the
form of one calendar object gives None, and then there is no invitation, only the notice.
Clauses: RFC 5545 3.1 (folding), 3.3 (values), 3.6 (components), 3.8 (properties); RFC 5546 3.2 (what REQUEST needs).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

SIZE_BYTES = 262_144
METHODS = frozenset({"REQUEST", "CANCEL", "REPLY", "ADD", "REFRESH", "COUNTER", "DECLINECOUNTER", "PUBLISH"})
_MOMENT = r"\d{8}(?:T\d{6}Z?)?"
_DURATION = r"[+-]?P(?:\d{1,5}[WDHMS]|T){1,8}"
_PERIOD = rf"{_MOMENT}(?:/(?:{_MOMENT}|{_DURATION}))?"
_FORMS = {
    name: re.compile(form)
    for form, names in {
        r"[!-~]{1,255}": "UID",
        _MOMENT: "DTSTART DTEND DTSTAMP CREATED LAST-MODIFIED RECURRENCE-ID",
        rf"{_PERIOD}(?:,{_PERIOD}){{0,500}}": "RDATE EXDATE",
        r"(?:(?:FREQ|UNTIL|COUNT|INTERVAL|BYSECOND|BYMINUTE|BYHOUR|BYDAY|BYMONTHDAY|BYYEARDAY|BYWEEKNO|BYMONTH|BYSETPOS|"
        r"WKST)=[A-Z0-9,+-]{1,200};?){1,14}": "RRULE",
        _DURATION: "DURATION",
        r"\d{1,9}": "SEQUENCE PRIORITY",
        "TENTATIVE|CONFIRMED|CANCELLED": "STATUS",
        "OPAQUE|TRANSPARENT": "TRANSP",
        r"[+-]\d{4}(?:\d\d)?": "TZOFFSETFROM TZOFFSETTO",
        r"[\w /+.:()-]{1,80}": "TZID",
        r"(?i:mailto):[^\s;,:<>\"]{3,254}": "ORGANIZER ATTENDEE",
    }.items()
    for name in names.split()
}
_PARAMETERS = {
    "VALUE": re.compile("DATE|DATE-TIME|PERIOD"),
    "TZID": re.compile(r"\"?[\w /+.:()-]{1,80}\"?"),
    "RANGE": re.compile("THISANDFUTURE"),
    "CUTYPE": re.compile("INDIVIDUAL|GROUP|RESOURCE|ROOM|UNKNOWN"),
    "ROLE": re.compile("CHAIR|REQ-PARTICIPANT|OPT-PARTICIPANT|NON-PARTICIPANT"),
    "PARTSTAT": re.compile("NEEDS-ACTION|ACCEPTED|DECLINED|TENTATIVE|DELEGATED"),
    "RSVP": re.compile("TRUE|FALSE"),
}
_KEPT = frozenset({"VCALENDAR", "VEVENT", "VTIMEZONE", "STANDARD", "DAYLIGHT"})
_SPOKEN = frozenset({"VEVENT"})
_VALUE = r"(?:\"[^\"\x00-\x1f]*\"|[^\";:,\x00-\x1f]*)"
_LINE = re.compile(rf"([A-Za-z0-9-]{{1,60}})((?:;[A-Za-z0-9-]{{1,60}}={_VALUE}(?:,{_VALUE})*)*):(.*)", re.DOTALL)
_PARAMETER = re.compile(r";([A-Za-z0-9-]+)=((?:\"[^\"]*\"|[^\";:])*)")
_PRODUCT = "-//Sealgate//EN"


def neutral(text: str, summary: str, description: str) -> tuple[str, str] | None:
    """Method and text (lines ended by LF) of the invitation with those words in it; None where it has not the form."""
    if len(text) > SIZE_BYTES:
        return None
    method, dropped = "", 0
    said, open_ = ["BEGIN:VCALENDAR", f"PRODID:{_PRODUCT}", "VERSION:2.0"], list[str]()
    needed: set[str] = set()
    for name, parameters, value in _lines(text):
        component = value.strip().upper()
        if name == "BEGIN":
            if dropped or component not in _KEPT:
                dropped += 1
                continue
            if (component == "VCALENDAR") == bool(open_) or len(open_) > 3 or said[-1] == "END:VCALENDAR":
                return None
            open_.append(component)
            if component != "VCALENDAR":
                said.append(f"BEGIN:{component}")
        elif name == "END":
            if dropped:
                dropped -= 1
                continue
            if not open_ or open_.pop() != component:
                return None
            if component in _SPOKEN:
                said += [f"SUMMARY:{_text(summary)}", f"DESCRIPTION:{_text(description)}", "CLASS:PRIVATE"]
            said.append(f"END:{component}")
        elif dropped or not open_:
            continue
        elif name == "METHOD" and open_ == ["VCALENDAR"]:
            method = value.strip().upper()
        elif open_ != ["VCALENDAR"]:
            kept = _kept(name, parameters, value.strip())
            if kept:
                said.append(kept)
                needed.add(f"{open_[-1]}.{name}")
    whole = not open_ and said[-1] == "END:VCALENDAR"
    if not whole or method not in METHODS or not any(f"{one}.UID" in needed for one in _SPOKEN):
        return None
    said.insert(3, f"METHOD:{method}")
    return method, "\n".join(folded for line in said for folded in _folded(line)) + "\n"


def _lines(text: str) -> Iterator[tuple[str, str, str]]:
    """Name in capitals, parameters and value of each content line, unfolded; what is none is passed over."""
    unfolded = re.sub(r"\r?\n[ \t]", "", text.replace("\ufeff", ""))
    for line in unfolded.splitlines():
        match = _LINE.fullmatch(line)
        if match is not None:
            yield match[1].upper(), match[2], match[3]


def _kept(name: str, parameters: str, value: str) -> str:
    """The line as it is written anew; empty for one that is not kept."""
    form = _FORMS.get(name)
    if form is None or form.fullmatch(value) is None:
        return ""
    held = ""
    for match in _PARAMETER.finditer(parameters):
        known = _PARAMETERS.get(match[1].upper())
        if known is not None and known.fullmatch(match[2]):
            held += f";{match[1].upper()}={match[2]}"
    return f"{name}{held}:{value}"


def _text(value: str) -> str:
    """RFC 5545 3.3.11."""
    return value.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")


def _folded(line: str) -> Iterator[str]:
    """RFC 5545 3.1: at most 75 octets a line; no letter is cut."""
    held = ""
    for letter in line:
        if len((held + letter).encode()) > 74:
            yield held
            held = " "
        held += letter
    yield held
