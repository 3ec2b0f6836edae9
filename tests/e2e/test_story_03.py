"""Story 3: one mail to a colleague, a partner and an outsider leaves as three copies, each treated in its own way, and
none holds another's link or the address of who got it blind.
"""

from __future__ import annotations

import pytest

from gateway.demo import leaks
from gateway.demo.clinic import DOMAIN, Clinic
from tests.e2e.conftest import LAPSED, PARTNER
from tests.support import letters
from tests.support.mail_pieces import fields, mime, patient, text

pytestmark = pytest.mark.full
WHO = patient("story 3")
WORDS = (WHO.last, WHO.mrn, WHO.born)
COLLEAGUE, PARTNERED, OUTSIDER = f"story3@{DOMAIN}", f"story3@{PARTNER}", "story3@outside.test"
BLIND, FORMER = "story3.blind@outside.test", f"story3@{LAPSED}"
LETTER = mime(fields("story-3", "A referral", to=f"{COLLEAGUE}, {PARTNERED}, {OUTSIDER}"), text(WHO.letter()))


def test_three_recipients_get_three_treatments_and_nobody_anothers_link(shared: Clinic) -> None:
    letters.send(shared, LETTER, COLLEAGUE, PARTNERED, OUTSIDER, BLIND, FORMER)
    copies = {one: shared.sink.wait_for(one)[0] for one in (COLLEAGUE, PARTNERED, OUTSIDER, BLIND, FORMER)}
    for one in (COLLEAGUE, PARTNERED):
        assert copies[one].data.endswith(LETTER.rstrip(b"\r\n") + b"\r\n")
        assert copies[one].link is None
    links = {one: copies[one].link for one in (OUTSIDER, BLIND, FORMER)}
    assert None not in links.values()
    assert len(set(links.values())) == 3
    for one, copy in copies.items():
        assert not [link for other, link in links.items() if other != one and str(link).encode() in copy.data]
        if one != BLIND:
            assert BLIND.encode() not in copy.everything()
        if one in links:
            assert leaks.words_in(copy, WORDS) == []


def test_the_log_tells_the_colleague_from_the_partner_and_says_on_whose_word(shared: Clinic) -> None:
    letters.send(shared, LETTER.replace(b"story-3@", b"story-3b@"), COLLEAGUE, PARTNERED)
    shared.sink.wait_for(PARTNERED, 2)
    shared.sink.wait_for(COLLEAGUE, 2)
    reasons = {entry["reason"] for entry in shared.search("action:message:passed")}
    assert {"internal", "partner:declared"} <= reasons
