"""An inbox on the pages: begun after reading, opened without the mail, read, recalled, changed, closed."""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyotp
import pytest
from sqlalchemy import select

from gateway.accounts.inboxes import Inboxes
from gateway.errors import Tampered
from gateway.flow import inbox as flow
from gateway.flow.slots import WAITING, WORKING, Full, Slots
from gateway.store import schema
from keys import inboxes
from keys.boxes import BoxKey
from keys.client import unb64
from tests.unit.portal.world import PDF, Browser, Mail, World, plain, portal, wait_for

ADDRESS = "maria@mail.example"
pytestmark = pytest.mark.usefixtures("own_minute")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A clinic where nothing waits a day and nobody runs out of tries by accident."""
    limits = {"young_factor_seconds": 0, "texts_per_hour": 1000, "text_resend_seconds": 0, "login_user_tries": 1000}
    with (
        pytest.MonkeyPatch.context() as patched,
        portal(tmp_path_factory.mktemp("inbox"), tries=1000, login_network_tries=1000, **limits) as made,
    ):
        patched.setattr(inboxes, "MEMORY_KIB", 64)  # tests/unit/keys has it whole
        yield made


@pytest.fixture
def own_minute(world: World) -> None:
    """Each test with its own full minute."""
    world.minutes.skip()


class Maria:
    """A patient with a code app."""

    def __init__(self, world: World, address: str) -> None:
        self.world, self.address = world, address
        self.mail = world.send(address)
        self.browser = world.sign_in(self.mail, address)
        self.base = plain(self.mail, address)
        page = self.browser.post(f"{self.base}/app", self.browser.get(f"{self.base}/app").text).text
        found = re.search(r'data-part="totp-secret">([^<]+)<', page)
        assert found
        self.secret = found[1].replace(" ", "")
        done = self.browser.post(f"{self.base}/app/confirm", page, code=self.code())
        assert done.status_code == 200, done.text
        self.words = ""

    def code(self) -> str:
        """One that was not used: what the keyholder remembers of codes is taken back, so that no test waits."""
        with closing(sqlite3.connect(self.world.keyholder.config.database, timeout=60)) as store, store:
            store.execute("UPDATE totps SET last_step = 0")
        return pyotp.TOTP(self.secret).now()

    def shown(self, page: str) -> str:
        return " ".join(re.findall(r"<li>([a-z]+)</li>", page.split('data-part="words"')[1].split("</ol>")[0]))

    def begin(self) -> str:
        """The last page of setting it up."""
        page = self.browser.post(f"{self.base}/inbox", self.browser.get(f"{self.base}/inbox").text).text
        self.words = self.shown(page)
        page = self.browser.post(f"{self.base}/inbox/type", page, tag=tag_of(page)).text
        assert self.words not in page
        done = self.browser.post(f"{self.base}/inbox/save", page, tag=tag_of(page), words=self.words.upper())
        assert done.status_code == 200, done.text
        return done.text

    def enter(self, browser: Browser | None = None, **other: str) -> Any:
        """The answer to the sign-in form."""
        browser = browser or self.browser
        page = browser.get("/inbox/sign-in").text
        form = {"address": self.address, "code": other.pop("code", "") or self.code(), "words": self.words} | other
        return browser.post("/inbox/sign-in", page, **form)


def tag_of(page: str) -> str:
    found = re.search(r'name="tag" value="([^"]*)"', page)
    assert found
    return found[1]


def to_inbox(world: World, maria: Maria, **more: Any) -> Mail:
    """A message as the worker makes it for somebody who keeps an inbox."""
    return world.send(maria.address, inboxes=Inboxes(world.rows, unb64(world.keyholder.public_key)), **more)


def short(world: World, mail: Mail) -> str:
    with world.store.reading() as conn:
        table = schema.grants.c
        statement = select(table.id).where(table.message == mail.message, table.kind == "inbox")
        return str(conn.execute(statement).scalar_one()).removeprefix("lnk_")


@pytest.fixture(scope="module")
def maria(world: World) -> Maria:
    """With an inbox in which one message lies."""
    made = Maria(world, ADDRESS)
    page = made.begin()
    assert "Your inbox is ready" in page
    to_inbox(world, made, subject="Kept in the inbox")
    return made


@pytest.fixture(scope="module")
def reader(world: World, maria: Maria) -> Browser:
    """A browser that never saw a link, inside."""
    browser = world.browser()
    answer = maria.enter(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/inbox"), answer.text
    return browser


def test_an_inbox_is_read_without_the_mail_and_each_opening_is_logged(
    world: World, maria: Maria, reader: Browser
) -> None:
    mail = to_inbox(world, maria, subject="Read me here")
    page = reader.get("/inbox").text
    assert "Read me here" in page
    assert "Your results" not in page, "what was sent before it was set up is not in it"
    base = f"/inbox/messages/{short(world, mail)}"
    assert base in page
    letter = reader.get(base)
    assert letter.status_code == 200
    assert "your results." in letter.text
    assert "Back to my inbox" in letter.text
    assert reader.get(f"{base}/files/{mail.object(1)}").content == PDF
    assert reader.get(f"{base}/files/{mail.object(1)}", range="bytes=0-99").content == PDF[:100]
    wait_for(lambda: world.events("object:completed", mail.object(1)))
    opened = world.events("object:opened", mail.object(1))
    assert {one["reason"] for one in opened} == {"totp download"}
    assert all(one["receipt"] for one in opened)


def test_neither_words_nor_code_nor_address_alone_let_anybody_in_and_all_hear_the_same(
    world: World, maria: Maria
) -> None:
    other = " ".join(flow.inbox.propose())
    wrong = [{"words": other}, {"code": "000000"}, {"address": "nobody@mail.example"}, {"address": "not an address"}]
    pages = set()
    for form in wrong:
        world.minutes.skip()
        browser = world.browser()
        answer = maria.enter(browser, **form)
        assert answer.status_code == 422
        pages.add(re.sub(r'value="[^"]*"', "", answer.text))
        assert browser.get("/inbox").headers["location"] == "/inbox/sign-in"
    assert len(pages) == 1
    assert {one["reason"] for one in world.events("session:refused")} >= {"inbox-wrong", "inbox-passphrase"}


def test_words_that_were_not_shown_here_begin_no_inbox(world: World, maria: Maria) -> None:
    page = maria.browser.post(f"{maria.base}/inbox", maria.browser.get(f"{maria.base}/inbox").text).text
    before = world.events("factor:enrolled")
    mine = " ".join(flow.inbox.propose())
    for form in ({"words": mine, "tag": tag_of(page)}, {"words": maria.shown(page), "tag": ""}, {"words": "password"}):
        answer = maria.browser.post(f"{maria.base}/inbox/save", page, **form)
        assert answer.status_code == 422
        assert mine not in answer.text
    assert world.events("factor:enrolled") == before


def test_a_text_code_alone_is_told_to_set_up_a_code_app_first(world: World) -> None:
    mail = world.send("text-only@mail.example")
    browser = world.sign_in(mail, "text-only@mail.example")
    page = browser.get(f"{plain(mail, 'text-only@mail.example')}/inbox").text
    assert 'data-action="offer-totp"' in page
    assert 'data-action="show-words"' not in page


def test_the_browsers_copy_of_the_key_opens_nothing_once_the_session_is_over(world: World, maria: Maria) -> None:
    browser = world.browser()
    assert maria.enter(browser).status_code == 303
    kept = dict(browser.client.cookies)
    assert {"inbox", "inbox-key"} <= set(kept)
    assert browser.post("/inbox/sign-out", browser.get("/inbox").text).status_code == 303
    stolen = world.browser()
    stolen.client.cookies.update(kept)
    assert stolen.get("/inbox").headers["location"] == "/inbox/sign-in"


def test_a_recalled_message_stays_in_the_list_without_a_word_of_it_and_opens_no_more(
    world: World, maria: Maria, reader: Browser
) -> None:
    mail = to_inbox(world, maria, subject="Sent by mistake")
    grant = short(world, mail)
    assert "Sent by mistake" in reader.get("/inbox").text
    world.keyholder.worker.narrow(
        world.deps.faces[0].tenant, mail.message, mail.grant(maria.address), {"revoke": True}, "test", "req_recall"
    )
    page = reader.get("/inbox").text
    assert "Sent by mistake" not in page
    assert "A message that was taken back" in page
    assert reader.get(f"/inbox/messages/{grant}").status_code == 410


def test_another_persons_message_and_one_by_link_are_not_there(world: World, maria: Maria, reader: Browser) -> None:
    others = world.send("bert@mail.example")
    for id in (others.grant("bert@mail.example"), maria.mail.grant(maria.address), "lnk_000000000000"):
        assert reader.get(f"/inbox/messages/{id.removeprefix('lnk_')}").status_code == 404


def test_a_key_that_the_keyholder_did_not_sign_is_refused_even_under_a_sound_row(world: World, maria: Maria) -> None:
    found = Inboxes(world.rows, unb64(world.keyholder.public_key))
    tenant = world.deps.faces[0].tenant
    with world.store.reading() as conn:
        person = world.people.find(conn, tenant, maria.address)
        assert person
        key = found.of(conn, tenant, person)
    assert key is not None
    thief = BoxKey.generate().public
    world.store.run(lambda tx: world.rows.update(tx, schema.inboxes, key.id, public=thief))
    try:
        with world.store.reading() as conn, pytest.raises(Tampered, match="signed"):
            found.of(conn, tenant, person)
    finally:
        world.store.run(lambda tx: world.rows.update(tx, schema.inboxes, key.id, public=key.public))


def test_no_more_than_two_stretch_at_once_and_the_seventh_is_sent_away_at_once() -> None:
    slots, inside, most, done = Slots(), [0], [0], threading.Event()
    started = threading.Semaphore(0)
    lock = threading.Lock()

    def work() -> None:
        with slots.admitted() as working, working:
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            started.release()
            assert done.wait(60)
            with lock:
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(WORKING + WAITING)]
    for one in threads:
        one.start()
    for _ in range(WORKING):
        assert started.acquire(timeout=60)

    def full() -> bool:
        try:
            with slots.admitted():
                return False
        except Full:
            return True

    wait_for(full)
    done.set()
    for one in threads:
        one.join(60)
    assert most[0] == WORKING
    with slots.admitted():
        pass


def test_a_full_house_is_429_with_a_time_and_no_code_is_lost(
    world: World, maria: Maria, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = maria.code()
    desk = world.deps.inboxes
    with monkeypatch.context() as patched:
        patched.setattr(desk, "_slots", Slots(0, 1))
        with desk._slots.admitted():
            answer = maria.enter(world.browser(), code=code)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "60"
    assert maria.enter(world.browser(), code=code).status_code == 303


def test_new_words_replace_the_old_ones_and_closing_ends_it(world: World, tmp_path: Path) -> None:
    anna = Maria(world, "anna@mail.example")
    anna.begin()
    browser = world.browser()
    assert anna.enter(browser).status_code == 303
    old = anna.words
    page = browser.post("/inbox/words", browser.get("/inbox/words").text).text
    new = anna.shown(page)
    page = browser.post("/inbox/words/type", page, tag=tag_of(page)).text
    form = {"tag": tag_of(page), "words": new}
    assert browser.post("/inbox/words/save", page, code="000000", **form).status_code == 422
    world.minutes.skip()
    assert (
        browser.post("/inbox/words/save", page, code=anna.code(), **form).headers["location"] == "/inbox?note=changed"
    )
    answer = anna.enter(world.browser(), words=old)
    assert answer.status_code == 422
    anna.words = new
    fresh = world.browser()
    assert anna.enter(fresh).status_code == 303
    assert fresh.post("/inbox/close", fresh.get("/inbox/close").text).status_code == 303
    assert fresh.get("/inbox").headers["location"] == "/inbox/sign-in"
    with world.store.reading() as conn:
        person = world.people.find(conn, world.deps.faces[0].tenant, anna.address)
        assert person
        found = Inboxes(world.rows, unb64(world.keyholder.public_key))
        assert found.of(conn, world.deps.faces[0].tenant, person) is None
    assert os.listdir(tmp_path) == []
