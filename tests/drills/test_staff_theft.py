"""Messages with a `staff` grant: sent again without the sender, and what that costs (DESIGN §4; decision 0053)."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pyotp
import pytest

from gateway.demo.clinic import Clinic
from gateway.demo.visitor import Visitor
from tests.support.marked import Marked, introduce, settled
from tests.support.patient import Patient
from tests.support.spool import eventually
from tests.support.stolen import open_copy
from tests.support.thief import steal

pytestmark = pytest.mark.full
AT_HAND = {"texts_per_hour": 1000, "text_resend_seconds": 0, "tries": 1000}
ANNA = Marked("anna", "quillfeather7719@patient.test")
BERT = "inkhorn5532@patient.test"
PHONES = {ANNA.recipient: "+15550100191", BERT: "+15550100192"}
ON = 'extends = "clinic"\n[release]\nstaff_grant = true\n'


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A clinic whose policy lets staff send again, with one delivered message."""
    folder = tmp_path_factory.mktemp("staff")
    policy = folder / "own.toml"
    policy.write_text(ON)
    clinic = Clinic(folder / "c", policy=str(policy), limits=AT_HAND)
    try:
        clinic.start()
        introduce(clinic, PHONES)
        ANNA.send(clinic)
        links(clinic, ANNA.recipient, 1)
        settled(clinic)
        yield clinic
    finally:
        clinic.stop()


def code(clinic: Clinic) -> str:
    """A fresh one of the officer: what the keyholder remembers of codes is taken back, so that no test waits."""
    with closing(sqlite3.connect(clinic.data / "keys" / "keyholder.db", timeout=60)) as store, store:
        store.execute("UPDATE users SET last_step = 0")
    return pyotp.TOTP(clinic.olga.secret).now()


def links(clinic: Clinic, address: str, count: int) -> list[str]:
    """The links in that mailbox, once there are so many."""

    def found() -> list[str]:
        made = [mail.link for mail in clinic.sink.wait_for(address) if mail.link is not None]
        return made if len(made) >= count else []

    return list(eventually(found, 60))


def test_with_such_a_grant_all_stores_and_the_root_key_open_delivered_mail_and_no_smaller_part_does(
    clinic: Clinic, tmp_path: Path
) -> None:
    loot = steal(clinic.data, tmp_path / "loot", "db", "vault", "spool")
    keys = open_copy(clinic.data / "keys", clinic.data / "kek", tmp_path)
    assert loot.objects(loot.message_keys({}), keys.shares) == {}
    assert loot.objects(loot.message_keys(keys.secrets), {}) == {}
    whole = loot.objects(loot.message_keys(keys.secrets), keys.shares)
    assert ANNA.attachment in whole.values(), "as the page that switches it on says"


def test_the_office_sends_it_to_one_person_more_and_again_to_the_first_whose_old_link_ends(clinic: Clinic) -> None:
    olga = clinic.olga
    (old,) = links(clinic, ANNA.recipient, 1)
    (message,) = {entry["object"] for entry in clinic.search("action:message:secured")}
    staff = Visitor()
    form = staff.get(f"{clinic.portal}/staff/sign-in")
    staff.submit(form, "/staff/sign-in", address=olga.address, password=olga.password, code=code(clinic))
    page = staff.get(f"{clinic.portal}/staff/messages/{message}")
    assert 'data-action="resend"' in page.text
    assert "Sent Items" not in page.text
    base = f"{clinic.portal}/staff/messages/{message}/resend"
    asked = staff.get(base)
    assert staff.submit(asked, "/resend", to="other", address="nobody", reason="x", code="0").status == 422
    given = {"reason": "the second address of the same person"}
    done = staff.submit(asked, "/resend", to="other", address=BERT, code=code(clinic), **given)
    assert done.status == 200
    assert "It will be sent again in a moment" in done.text
    (added,) = links(clinic, BERT, 1)
    opened = Patient(clinic, added, PHONES[BERT]).open()
    assert ANNA.body in opened.text
    assert Patient(clinic, old, PHONES[ANNA.recipient]).knock().status == 200, "the first link was not touched"
    staff.submit(staff.get(base), "/resend", to=ANNA.recipient, address="", code=code(clinic), **given)
    fresh = links(clinic, ANNA.recipient, 2)[-1]
    assert ANNA.body in Patient(clinic, fresh, PHONES[ANNA.recipient]).open().text
    eventually(lambda: Patient(clinic, old, PHONES[ANNA.recipient]).knock().status == 410, 60)
    resent = clinic.search("action:message:resent")
    assert len(resent) == 2
    assert all(entry["receipt"] and entry["object"] == message for entry in resent)
    assert re.search(BERT, staff.get(f"{clinic.portal}/staff/messages/{message}").text)
    eventually(lambda: [m for m in clinic.sink.mails if "Secure mail was sent again" in str(m.parsed["Subject"])], 60)


def test_recalled_whole_it_cannot_be_sent_again(clinic: Clinic) -> None:
    other = replace(ANNA, name="other")
    before = len(links(clinic, ANNA.recipient, 1))
    other.send(clinic)
    links(clinic, ANNA.recipient, before + 1)
    message = clinic.search("action:message:secured")[-1]["object"]
    staff, olga = Visitor(), clinic.olga
    form = staff.get(f"{clinic.portal}/staff/sign-in")
    staff.submit(form, "/staff/sign-in", address=olga.address, password=olga.password, code=code(clinic))
    assert staff.get(f"{clinic.portal}/staff/messages/{message}/resend").status == 200
    staff.submit(staff.get(f"{clinic.portal}/staff/messages/{message}/recall"), "/recall")
    assert staff.get(f"{clinic.portal}/staff/messages/{message}/resend").status == 404
