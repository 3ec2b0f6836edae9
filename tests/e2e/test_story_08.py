"""Story 8: an invitation without PHI is the invitation that was sent; one with PHI arrives as a working invitation with
neutral words and a link.
"""

from __future__ import annotations

import re

import pytest

from gateway.demo import leaks
from gateway.demo.clinic import Clinic
from gateway.demo.sink import Received
from tests.support import letters
from tests.support import mail_files as files
from tests.support.mail_pieces import HARMLESS, entity, fields, html, mime, multi, patient, text

pytestmark = pytest.mark.full
WHO = patient("story 8")
TOLD = f"Visit of {WHO.name}\\, DOB {WHO.born}\\, MRN {WHO.mrn}\\, follow-up of {WHO.ill}"


def invitation(name: str, description: str, method: str = "REQUEST") -> bytes:
    said = entity(f"text/calendar; charset=utf-8; method={method}", files.invite("Visit", description, method=method))
    return mime(fields(name, "An invitation"), multi("alternative", text(HARMLESS), html(HARMLESS), said))


def calendar_of(copy: Received) -> dict[str, str]:
    """The lines of the event as a calendar program reads them (RFC 5545 3.1)."""
    (part,) = (one for one in copy.parsed.walk() if one.get_content_type() == "text/calendar")
    assert part.get_param("method") == "REQUEST"
    shown = re.sub(r"\r?\n[ \t]", "", part.get_content())
    return dict(line.split(":", 1) for line in shown.splitlines() if line)


def test_an_invitation_without_phi_passes_as_it_is(shared: Clinic) -> None:
    sent = invitation("story-8", "Bring a chair.")
    assert letters.through(shared, sent, "story8@outside.test").data.endswith(sent)


def test_an_invitation_with_phi_still_invites_and_says_nothing(shared: Clinic) -> None:
    recipient, number = "story8.phi@outside.test", "+15550100180"
    letters.know(shared, recipient, number)
    copy = letters.through(shared, invitation("story-8-phi", TOLD), recipient)
    assert leaks.words_in(copy, (WHO.last, WHO.mrn, WHO.born)) == []
    said, sent = calendar_of(copy), files.invite("Visit", TOLD)
    for name in ("UID", "DTSTART", "DTEND", "METHOD"):
        assert f"{name}:{said[name]}\r\n" in sent
    assert said["ORGANIZER"] == "mailto:amy@riverside.test"
    assert copy.link is not None
    assert copy.link in said["DESCRIPTION"]
    assert "Riverside Clinic" in said["SUMMARY"]
    patient_, page = letters.opened(shared, copy, number)
    (original,) = letters.contents(patient_, page).values()
    assert original.decode() == sent.rstrip("\r\n") or original.decode() == sent
