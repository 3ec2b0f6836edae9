"""Neutral invitations: what makes them work is kept to the letter, and nothing else of them."""

from __future__ import annotations

import random
import re

import pytest

from gateway.mail.calendar import neutral
from tests.support.mail_files import invite

ZONE = (
    "BEGIN:VTIMEZONE\r\nTZID:Central Standard Time\r\nX-LIC-LOCATION:John Smith\r\nBEGIN:STANDARD\r\n"
    "DTSTART:16010101T020000\r\nTZOFFSETFROM:-0500\r\nTZOFFSETTO:-0600\r\nTZNAME:John\r\n"
    "RRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=11\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
)
RICH = invite("Visit of John Smith", "diabetes").replace("BEGIN:VEVENT", ZONE + "BEGIN:VEVENT").replace(
    "LOCATION:Room 2",
    "LOCATION:Oncology\r\nATTENDEE;CN=\"Smith, John\";ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE;X-A=John:"
    "MAILTO:john@outside.test\r\nDTSTART;TZID=Central Standard Time:20261201T090000\r\nRRULE:FREQ=WEEKLY;COUNT=4\r\n"
    "EXDATE:20261208T150000Z\r\nSEQUENCE:2\r\nSTATUS:CONFIRMED\r\nX-ALT-DESC;FMTTYPE=text/html:<b>John</b>\r\n"
    "COMMENT:John\r\nATTACH:https://john.test/\r\nBEGIN:VALARM\r\nDESCRIPTION:John\r\nTRIGGER:-PT15M\r\nEND:VALARM",
)  # fmt: skip
SAID = ("Appointment with Elm; or, so", "Open:\nhttps://mail.clinic.test/m/abc")


def lines(text: str) -> list[str]:
    return re.sub(r"\n[ \t]", "", text).splitlines()


def test_what_makes_an_invitation_work_is_kept() -> None:
    made = neutral(RICH, *SAID)
    assert made is not None
    method, text = made
    assert method == "REQUEST"
    kept = lines(text)
    for one in (
        "METHOD:REQUEST", "UID:visit-1@riverside.test", "DTSTART;TZID=Central Standard Time:20261201T090000",
        "RRULE:FREQ=WEEKLY;COUNT=4", "EXDATE:20261208T150000Z", "SEQUENCE:2", "STATUS:CONFIRMED",
        "ORGANIZER:mailto:amy@riverside.test", "RRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=11", "TZOFFSETTO:-0600",
        "ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:MAILTO:john@outside.test",
        "SUMMARY:Appointment with Elm\\; or\\, so", "DESCRIPTION:Open:\\nhttps://mail.clinic.test/m/abc",
    ):  # fmt: skip
        assert one in kept, one
    assert all(len(line.encode()) <= 75 for line in text.splitlines())
    assert [kept.count(f"{word}:VEVENT") for word in ("BEGIN", "END")] == [1, 1]


def test_nothing_else_of_it_is_kept() -> None:
    made = neutral(RICH, *SAID)
    assert made is not None
    for word in ("John", "Smith", "diabetes", "Oncology", "Room", "VALARM", "ATTACH", "X-", "Amy"):
        assert word not in made[1].replace("john@outside.test", ""), word


@pytest.mark.parametrize(
    "text",
    [
        "", "BEGIN:VCALENDAR", RICH.replace("END:VEVENT\r\n", ""), RICH.replace("UID:", "X-UID:"), RICH + RICH,
        RICH.replace("METHOD:REQUEST\r\n", ""), RICH.replace("METHOD:REQUEST", "METHOD:JOHN"), "x" * 300_000,
        RICH.replace("END:VCALENDAR\r\n", ""), RICH.replace("BEGIN:VCALENDAR\r\n", ""),
        RICH.replace("UID:visit-1", "UID:visit of John 1"),
    ],
    ids=range(11),
)  # fmt: skip
def test_what_is_no_whole_calendar_gives_no_invitation(text: str) -> None:
    assert neutral(text, *SAID) is None


def test_no_value_gets_in_by_breaking_the_form() -> None:
    rng = random.Random(11)
    for _ in range(400):
        at = rng.randrange(len(RICH))
        broken = RICH[:at] + rng.choice(["\r\n", ":", ";", '"', "\0", "END:VEVENT\r\n", "BEGIN:X\r\n"]) + RICH[at:]
        made = neutral(broken, *SAID)
        assert made is None or "diabetes" not in made[1]
