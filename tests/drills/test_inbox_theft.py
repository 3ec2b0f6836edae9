"""Inboxes in the hands of thieves: what each stolen part opens, with its twin (DESIGN §4, inbox; decision 0043)."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyotp
import pytest

from gateway.demo.clinic import Clinic
from gateway.demo.visitor import Page, Visitor
from keys import phrases
from keys.boxes import BoxKey
from tests.support.marked import Marked, introduce, settled
from tests.support.patient import Patient
from tests.support.spool import eventually
from tests.support.stolen import open_copy
from tests.support.thief import Loot, steal

pytestmark = pytest.mark.full
AT_HAND = {"texts_per_hour": 1000, "text_resend_seconds": 0, "tries": 5, "young_factor_seconds": 0}
ANNA = Marked("anna", "quillfeather7719@patient.test")
PHONE = "+15550100191"


@dataclass
class Owner:
    """Anna, who keeps an inbox: her code app, her words, and what was sent to her before and afterwards."""

    clinic: Clinic
    secret: str
    words: str
    before: Marked
    after: Marked
    pages: list[str] = field(default_factory=list)

    def code(self) -> str:
        """One that was not used: what the keyholder remembers of codes is taken back, so that no test waits."""
        with closing(sqlite3.connect(self.clinic.data / "keys" / "keyholder.db", timeout=60)) as store, store:
            store.execute("UPDATE totps SET last_step = 0")
        return pyotp.TOTP(self.secret).now()

    def enter(self, words: str, code: str = "") -> Page:
        """The sign-in form, from a browser that never saw a link."""
        browser = Visitor()
        page = browser.get(f"{self.clinic.portal}/inbox/sign-in")
        return browser.submit(page, "/sign-in", address=ANNA.recipient, code=code or self.code(), words=words)


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owner]:
    """A clinic, one message by link, an inbox, and one message that is in it."""
    clinic = Clinic(tmp_path_factory.mktemp("inbox") / "c", limits=AT_HAND)
    try:
        clinic.start()
        introduce(clinic, {ANNA.recipient: PHONE})
        before = replace(ANNA, name="before")
        before.send(clinic)
        patient = Patient(clinic, links(clinic, 1)[0], PHONE)
        assert before.body in patient.open().text
        made = begin(clinic, patient, before)
        made.after.send(clinic)
        links(clinic, 2)
        settled(clinic)
        yield made
    finally:
        clinic.stop()


def links(clinic: Clinic, count: int) -> list[str]:
    """The links in Anna's mailbox, once there are so many; notices of ours have none."""

    def found() -> list[str]:
        made = [mail.link for mail in clinic.sink.wait_for(ANNA.recipient) if mail.link is not None]
        return made if len(made) >= count else []

    return list(eventually(found, 60))


def begin(clinic: Clinic, patient: Patient, before: Marked) -> Owner:
    """A code app, then an inbox, as the pages lead to them."""
    browser, base = patient.browser, patient.plain
    page = browser.submit(browser.get(f"{base}/app"), "/app")
    found = re.search(r'data-part="totp-secret">([^<]+)<', page.text)
    assert found
    owner = Owner(clinic, found[1].replace(" ", ""), "", before, replace(ANNA, name="after"))
    assert browser.submit(page, "/app/confirm", code=owner.code()).status == 200
    page = browser.submit(browser.get(f"{base}/inbox"), "/inbox")
    owner.words = " ".join(re.findall(r"<li>([a-z]+)</li>", page.text.split('data-part="words"')[1].split("</ol>")[0]))
    page = browser.submit(page, "/inbox/type")
    done = browser.submit(page, "/inbox/save", words=owner.words)
    assert done.status == 200
    assert "Your inbox is ready" in done.text
    return owner


def phrase(words: str) -> bytes:
    found = phrases.read(words)
    assert found is not None
    return found


@pytest.fixture
def loot(owner: Owner, tmp_path: Path) -> Loot:
    """All stores of the gateway."""
    return steal(owner.clinic.data, tmp_path / "loot", "db", "vault", "spool")


def test_an_inbox_reads_without_the_mail_what_was_sent_since_and_the_clinic_told_its_owner(owner: Owner) -> None:
    page = owner.enter(owner.words)
    assert page.status == 200
    assert page.text.count('data-state="live"') == 1
    told = eventually(lambda: [mail for mail in owner.clinic.sink.mails if "An inbox was set up" in mail.text], 60)
    assert told[0].recipients == (ANNA.recipient,)


def test_all_stores_and_the_root_key_open_no_inbox_without_the_passphrase(
    owner: Owner, loot: Loot, tmp_path: Path
) -> None:
    keys = open_copy(owner.clinic.data / "keys", owner.clinic.data / "kek", tmp_path)
    assert len(keys.peppers) == 1
    guesses = loot.candidates() | set(keys.peppers) | set(keys.shares.values()) | set(keys.tenant_keys.values())
    wide = [one for one in guesses if len(one) == 32]
    assert len(wide) > 100
    assert [one for one in wide if loot.inbox_keys(one)] == []
    other = " ".join(phrases.propose())
    assert loot.unlocked(phrase(other), keys.peppers) == []
    (private,) = loot.unlocked(phrase(owner.words), keys.peppers)  # the twin
    opened = loot.objects(loot.inbox_keys(private), keys.shares).values()
    assert owner.after.attachment in opened
    assert owner.before.attachment not in opened, "what was sent before is not in the inbox"


def test_the_passphrase_and_the_gateways_stores_open_nothing_without_the_keyholder(
    owner: Owner, loot: Loot, tmp_path: Path
) -> None:
    wide = [one for one in loot.candidates() if len(one) == 32][:4]
    assert loot.unlocked(phrase(owner.words), [bytes(32), *wide]) == []
    keys = open_copy(owner.clinic.data / "keys", owner.clinic.data / "kek", tmp_path)
    assert len(loot.unlocked(phrase(owner.words), keys.peppers)) == 1  # the twin


def test_guessing_online_ends_after_five_tries_and_leaves_the_link_as_it_was(owner: Owner) -> None:
    link = links(owner.clinic, 1)[0]
    seen = [owner.enter(" ".join(phrases.propose()), code="000000").status for _ in range(5)]
    assert seen == [422] * 5
    assert owner.enter(owner.words).status == 429
    reader = Patient(owner.clinic, link, PHONE)
    assert owner.before.body in reader.open().text
    with closing(sqlite3.connect(owner.clinic.data / "keys" / "keyholder.db", timeout=60)) as store, store:
        store.execute("DELETE FROM marks")  # fifteen minutes pass
    assert owner.enter(owner.words).status == 200  # the twin


def test_a_key_put_into_the_database_is_refused_and_named_and_the_mail_goes_out_with_its_link(owner: Owner) -> None:
    clinic = owner.clinic
    thief = BoxKey.generate()
    database = clinic.data / "db" / "sealgate.db"
    with closing(sqlite3.connect(database, timeout=60)) as store, store:
        (true,) = store.execute("SELECT public FROM inboxes").fetchone()
        store.execute("UPDATE inboxes SET public = ?", (thief.public,))
    try:
        sent = replace(ANNA, name="swapped")
        count = len(links(clinic, 1))
        sent.send(clinic)
        link = links(clinic, count + 1)[-1]
        entry = eventually(lambda: [e for e in clinic.search("action:tamper:found") if e["reason"] == "inbox-key"], 60)
        assert entry[0]["outcome"] == "refused"
        with closing(sqlite3.connect(database, timeout=60)) as store:
            grant = "lnk_" + link.rpartition("/m/")[2][:12]
            (message,) = store.execute("SELECT message FROM grants WHERE id = ?", (grant,)).fetchone()
            kinds = [kind for (kind,) in store.execute("SELECT kind FROM grants WHERE message = ?", (message,))]
        assert kinds == ["link"], "nothing was sealed to the key that nobody signed"
    finally:
        with closing(sqlite3.connect(database, timeout=60)) as store, store:
            store.execute("UPDATE inboxes SET public = ?", (true,))


def test_closing_it_makes_even_an_old_copy_of_the_database_useless(owner: Owner, loot: Loot, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier"
    shutil.copytree(owner.clinic.data / "keys", earlier / "keys", ignore=shutil.ignore_patterns("*.sock"))
    with closing(sqlite3.connect(owner.clinic.data / "keys" / "keyholder.db", timeout=60)) as store, store:
        store.execute("DELETE FROM marks")
    inside = Visitor()
    page = inside.get(f"{owner.clinic.portal}/inbox/sign-in")
    page = inside.submit(page, "/sign-in", address=ANNA.recipient, code=owner.code(), words=owner.words)
    assert page.status == 200
    asked = inside.get(f"{owner.clinic.portal}/inbox/close")
    assert "Your inbox is closed" in inside.submit(asked, "/close").text
    keys = open_copy(owner.clinic.data / "keys", owner.clinic.data / "kek", tmp_path)
    assert keys.peppers == []
    assert loot.unlocked(phrase(owner.words), keys.peppers) == []
    with closing(sqlite3.connect(owner.clinic.data / "keys" / "keyholder.db")) as store:
        assert store.execute("SELECT COUNT(*) FROM inbox_locks WHERE pepper IS NOT NULL").fetchone() == (0,)
    (tmp_path / "old").mkdir()
    old = open_copy(
        earlier / "keys", owner.clinic.data / "kek", tmp_path / "old"
    )  # the twin: both copies, as they were
    assert len(loot.unlocked(phrase(owner.words), old.peppers)) == 1
