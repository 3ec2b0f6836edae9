"""Story 10: [secure] forces protection; [plain] on PHI is overruled and its sender told, unless the role allows it and
a reason is given.
"""

from __future__ import annotations

import json

import pytest

from gateway.demo import leaks
from gateway.demo.clinic import Clinic, Member
from gateway.demo.sink import Received
from tests.support import letters
from tests.support.mail_pieces import HARMLESS, fields, mime, patient, text

pytestmark = pytest.mark.full
WHO = patient("story 10")
WORDS = (WHO.last, WHO.mrn, WHO.born)


@pytest.fixture(scope="module")
def olga(shared: Clinic) -> Member:
    made = json.loads(shared.command("user", "app-password", shared.olga.address, "--json"))
    shared.olga.app_password = made["password"]
    return letters.known(shared, shared.olga)


def letter(name: str, subject: str, sender: str, body: str) -> bytes:
    return mime(fields(name, subject).replace("amy@riverside.test", sender), text(body))


def test_the_word_secure_protects_what_is_harmless(shared: Clinic) -> None:
    sent = letter("story-10", "[secure] Parking", shared.amy.address, HARMLESS)
    copy = letters.through(shared, sent, "story10@outside.test")
    assert copy.link is not None
    assert "parking lot" not in copy.text


@pytest.mark.parametrize("tag", ["[plain]", "[plain: consent]"])
def test_the_word_plain_of_one_who_may_not_say_it_is_overruled_and_the_sender_told(shared: Clinic, tag: str) -> None:
    recipient = f"story10.{len(tag)}@outside.test"
    sent = letter(f"story-10-{len(tag)}", f"{tag} A letter", shared.amy.address, WHO.letter())
    copy = letters.through(shared, sent, recipient, shared.amy)
    assert copy.link is not None
    assert leaks.words_in(copy, WORDS) == []
    told = told_about(shared, shared.amy.address, recipient)
    assert "asked for [plain]" in told.text
    assert "the message text" in told.text
    assert leaks.words_in(told, WORDS) == []


def told_about(clinic: Clinic, sender: str, recipient: str) -> Received:
    """The notice to that sender about that recipient."""
    count = 1
    while True:
        found = clinic.sink.wait_for(sender, count)
        about = [one for one in found if recipient in one.text]
        if about:
            return about[0]
        count = len(found) + 1


def test_an_officer_who_says_why_is_obeyed_and_the_reason_is_recorded(shared: Clinic, olga: Member) -> None:
    sent = letter("story-10-officer", "[plain: consent] A letter", olga.address, WHO.letter())
    copy = letters.through(shared, sent, "story10.officer@outside.test", olga)
    assert copy.data.endswith(sent)
    assert "sender-plain:consent" in {entry["reason"] for entry in shared.search("action:message:passed")}


@pytest.mark.parametrize("tag", ["[plain]", "[plain: hurry]"])
def test_an_officer_who_gives_no_known_reason_is_not(shared: Clinic, olga: Member, tag: str) -> None:
    sent = letter(f"story-10-why-{len(tag)}", f"{tag} A letter", olga.address, WHO.letter())
    copy = letters.through(shared, sent, f"story10.why{len(tag)}@outside.test", olga)
    assert copy.link is not None
    assert leaks.words_in(copy, WORDS) == []
