"""What staff meet: signing in, true states, recall, help for one person."""

from __future__ import annotations

import re
import secrets
import sqlite3
from contextlib import closing
from dataclasses import replace

from sqlalchemy import select

from gateway.flow.returns import ODD
from gateway.flow.sent import PAGE
from gateway.flow.trail import Origin
from gateway.flow.visit import Denial
from gateway.portal import cookies
from gateway.portal.limits import Limits
from gateway.sensitive import Sensitive
from gateway.store import schema
from tests.support.keyholder import PASSWORD, TENANT
from tests.unit.portal.world import CLINIC_PHONE, Browser, Mail, World, plain, serve


def address() -> str:
    """A new patient for each test."""
    return f"s{secrets.token_hex(6)}@mail.example"


def member(world: World, role: str = "staff") -> str:
    """A new workforce member, so that no test waits for the next TOTP step."""
    name = f"u{secrets.token_hex(6)}@clinic.test"
    world.member(name, role)
    return name


def state_of(browser: Browser, mail: Mail) -> list[str]:
    """The states that the message page shows."""
    return re.findall(r'data-state="([a-z_]+)"', browser.get(f"/staff/messages/{mail.message}").text)


def test_sign_in_needs_password_and_code_and_says_one_thing_for_all_that_is_wrong(world: World) -> None:
    who = member(world)
    browser = world.browser()
    assert browser.get("/staff").headers["location"] == "/staff/sign-in"
    page = browser.get("/staff/sign-in").text
    code = world.staff[who].code()
    wrong = [
        (who, "not the password", code), (who, PASSWORD, "000000"), ("nobody@clinic.test", PASSWORD, code),
        (who, PASSWORD, ""),
    ]  # fmt: skip
    answers = [browser.post("/staff/sign-in", page, address=one, password=two, code=three) for one, two, three in wrong]
    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.text for answer in answers}) == 1
    assert browser.get("/staff").status_code == 303
    code = world.staff[who].code()  # of this moment: checking the others takes a busy machine longer than a code lives
    answer = browser.post("/staff/sign-in", page, address=who.upper(), password=PASSWORD, code=code)
    assert answer.headers["location"] == "/staff"
    assert browser.get("/staff").status_code == 200
    replay = world.browser()
    page = replay.get("/staff/sign-in").text
    assert replay.post("/staff/sign-in", page, address=who, password=PASSWORD, code=code).status_code == 403
    refused = [one["reason"] for one in world.events("session:refused", world.staff[who].user)]
    assert refused == ["wrong", "wrong", "used"]


def test_a_link_in_a_notice_leads_to_its_message_with_the_sign_in_on_the_way_and_nowhere_else(world: World) -> None:
    sender, who = member(world), address()
    mail = world.send(who, sender=sender)
    browser = world.browser()
    answer = browser.get(f"/staff/messages/{mail.message}?note=x")
    assert answer.headers["location"] == "/staff/sign-in"
    form = {"address": sender, "password": PASSWORD, "code": world.staff[sender].code()}
    answer = browser.post("/staff/sign-in", browser.get("/staff/sign-in").text, **form)
    assert answer.headers["location"] == f"/staff/messages/{mail.message}"
    assert browser.get(answer.headers["location"]).status_code == 200
    assert "wanted" not in browser.client.cookies
    for planted in ("//evil.example/staff", "/staff/../m", "https://evil.example", "/staff?x", "/staff\n", "/m/abc"):
        jar = cookies.Jar({"wanted": cookies.encode(planted.encode())}, secure=False)
        assert jar.wanted() == "/staff"
    assert cookies.Jar({"wanted": "%%"}, secure=False).wanted() == "/staff"


def test_states_are_true_and_a_visit_is_never_an_opening(world: World) -> None:
    sender, who = member(world), address()
    mail = world.send(who, sender=sender)
    staff = world.staff_browser(sender)
    assert state_of(staff, mail) == ["delivered"]
    world.browser("curl/8").get(f"/m/{mail.token(who)}")
    assert state_of(staff, mail) == ["scanned"]
    world.browser().get(f"/m/{mail.token(who)}")
    assert state_of(staff, mail) == ["visited"]
    browser = world.sign_in(mail, who)
    assert state_of(staff, mail) == ["asked"]
    browser.get(plain(mail, who))
    assert state_of(staff, mail) == ["opened"]
    page = staff.get(f"/staff/messages/{mail.message}").text
    assert "after a text-message code" in page
    assert "Your results" in page
    assert who in staff.get("/staff").text


def test_what_came_back_and_nobody_can_read_is_said_until_more_is_known(world: World) -> None:
    sender, who = member(world), address()
    mail = world.send(who, sender=sender)
    with world.store.reading() as conn:
        rows = world.rows.find(conn, select(schema.deliveries).where(schema.deliveries.c.message == mail.message))
    world.store.run(lambda tx: world.rows.update(tx, schema.deliveries, rows[0]["id"], why=ODD))
    staff = world.staff_browser(sender)
    assert state_of(staff, mail) == ["came_back"]
    assert "Something came back that we cannot read: call them" in staff.get("/staff").text
    world.browser().get(f"/m/{mail.token(who)}")
    assert state_of(staff, mail) == ["visited"], "who looked at it has it"


def test_staff_see_their_own_mail_and_the_office_all(world: World) -> None:
    sender, other, office = member(world), member(world), member(world, "office")
    mail = world.send(address(), sender=sender)
    colleague = world.staff_browser(other)
    assert mail.message not in colleague.get("/staff").text
    assert "No protected messages yet" in colleague.get("/staff").text
    assert colleague.get(f"/staff/messages/{mail.message}").status_code == 404
    assert colleague.get(f"/staff/messages/{mail.message}/recall").status_code == 404
    assert mail.message in world.staff_browser(office).get("/staff").text


def test_recall_kills_the_link_at_once_and_quotes_the_receipt(world: World) -> None:
    sender, who, also = member(world), address(), address()
    mail = world.send(who, also, sender=sender)
    reader = world.sign_in(mail, who)
    assert reader.get(plain(mail, who)).status_code == 200
    staff = world.staff_browser(sender)
    page = staff.get(f"/staff/messages/{mail.message}/recall").text
    assert "Links that stop at once: 2." in page
    assert f"Opened before: {who}" in page
    assert world.events("link:revoked", mail.grant(who)) == []
    answer = staff.post(f"/staff/messages/{mail.message}/recall", page)
    assert answer.headers["location"] == f"/staff/messages/{mail.message}/recalled?note=recalled"
    for path in ("", f"/files/{mail.object(1)}"):
        gone = reader.get(plain(mail, who) + path)
        assert gone.status_code == 410
        assert "was taken back" in gone.text
        assert CLINIC_PHONE in gone.text
    assert world.browser().get(f"/m/{mail.token(also)}").status_code == 410
    assert sorted(state_of(staff, mail)) == ["recalled", "recalled_opened"]
    revoked = world.events("link:revoked", mail.grant(who))
    assert revoked[0]["receipt"]
    assert revoked[0]["actor"] == {"kind": "user", "id": world.staff[sender].user}


def test_a_share_that_does_not_open_is_an_alarm_on_the_senders_page_too(world: World) -> None:
    sender, who = member(world), address()
    mail = world.send(who, sender=sender)
    staff = world.staff_browser(sender)
    address_of = f"/staff/messages/{mail.message}"
    assert staff.get(address_of).status_code == 200  # the twin
    with closing(sqlite3.connect(world.keyholder.config.directory / "keyholder.db", timeout=60)) as store:
        ((share,),) = store.execute("SELECT share FROM messages WHERE id = ?", (mail.message,)).fetchall()
        store.execute(
            "UPDATE messages SET share = ? WHERE id = ?", (share[:-1] + bytes((share[-1] ^ 1,)), mail.message)
        )
        store.commit()
    assert staff.get(address_of).status_code == 503
    (alarm,) = world.events("tamper:found", mail.message)
    assert (alarm["outcome"], alarm["reason"]) == ("failed", "seal")


def test_recall_for_one_person_leaves_the_other(world: World) -> None:
    sender, who, also = member(world), address(), address()
    mail = world.send(who, also, sender=sender)
    staff = world.staff_browser(sender)
    page = staff.get(f"/staff/messages/{mail.message}/recall?grant={mail.grant(who)}").text
    staff.post(f"/staff/messages/{mail.message}/recall", page, grant=mail.grant(who))
    assert world.browser().get(f"/m/{mail.token(who)}").status_code == 410
    assert world.browser().get(f"/m/{mail.token(also)}").status_code == 200


def test_staff_code_lets_the_person_in_once_and_a_second_redeemer_freezes(world: World) -> None:
    helper, who = member(world), address()
    mail = world.send(who, sender="somebody@clinic.test", phone=None)
    staff = world.staff_browser(helper)
    page = staff.get("/staff/help").text
    assert staff.post("/staff/help", page, reference="999 99").status_code == 404
    answer = staff.post("/staff/help", page, reference=f"{mail.reference[:3]} {mail.reference[3:]}")
    there = f"/staff/help/{mail.grant(who)}"
    assert answer.headers["location"] == there
    page = staff.get(there).text
    assert "Your results" not in page
    assert staff.post(there, page).status_code == 400
    shown = staff.post(there, page, sure="called").text
    code = shown.split('data-part="staff-code">')[1].split("<")[0]
    assert re.fullmatch(r"\d{4} \d{4}", code)
    assert code not in staff.get(there).text
    assert world.events("code:shown", mail.grant(who))[0]["reason"] == "called"
    first, second = world.browser(), world.browser()
    page = first.get(f"/m/{mail.token(who)}/code").text
    assert first.post(f"/m/{mail.token(who)}/verify", page, code=code).headers["location"] == plain(mail, who)
    assert "your results." in first.get(plain(mail, who)).text
    page = second.get(f"/m/{mail.token(who)}/code").text
    told = second.post(f"/m/{mail.token(who)}/verify", page, code=code)
    assert told.status_code == 409
    assert "used before" in told.text
    assert world.events("link:frozen", mail.grant(who))
    assert first.get(plain(mail, who)).status_code == 423
    page = staff.get(there).text
    assert "a code was used twice" in page
    assert "free again" in staff.post(f"{there}/unfreeze", page, sure="called").text
    assert world.browser().get(f"/m/{mail.token(who)}").status_code == 200


def test_a_search_by_reference_leaves_an_event_for_each_person_it_shows(world: World) -> None:
    helper, one, two = member(world), address(), address()
    mail, other = world.send(one, two), world.send(address())
    staff = world.staff_browser(helper)
    page = staff.get("/staff/help").text
    shown = staff.post("/staff/help", page, reference=mail.reference)
    assert one in shown.text
    assert two in shown.text
    for who in (one, two):
        (found,) = world.events("person:found", mail.grant(who))
        assert found["actor"] == {"kind": "user", "id": world.staff[helper].user}
    before = len(world.events("person:found"))
    assert staff.post("/staff/help", page, reference="1").status_code == 404
    assert len(world.events("person:found")) == before
    assert world.events("person:found", next(iter(other.links.values())).id) == []


def test_nobody_tries_reference_after_reference(world: World) -> None:
    server = serve(replace(world.deps, limits=Limits(lambda: 0.0)))
    try:
        first, second = member(world), member(world)
        browsers = []
        for helper in (first, second):
            browser = replace(world.browser(), base=f"http://localhost:{server.ports[0]}")
            browsers.append(world.staff_browser(helper, browser))
        pages = [browser.get("/staff/help").text for browser in browsers]
        codes = [browsers[0].post("/staff/help", pages[0], reference="1").status_code for _ in range(12)]
        assert codes == [404] * 10 + [429] * 2
        assert browsers[1].post("/staff/help", pages[1], reference="1").status_code == 404
    finally:
        server.stop()


def test_signed_out_staff_are_out(world: World) -> None:
    who = member(world)
    browser = world.staff_browser(who)
    page = browser.get("/staff").text
    kept = dict(browser.client.cookies)
    assert browser.post("/staff/sign-out", page).headers["location"] == "/staff/sign-in?note=out"
    thief = world.browser()
    for name, value in kept.items():
        thief.client.cookies.set(name, value)
    assert thief.get("/staff").status_code == 303


def test_an_auditor_reads_and_acts_on_nothing(world: World) -> None:
    auditor, who = member(world, "auditor"), address()
    mail = world.send(who)
    browser = world.staff_browser(auditor)
    page = browser.get(f"/staff/messages/{mail.message}").text
    assert "Your results" in page
    assert 'data-action="recall"' not in page
    assert browser.get("/staff/help").status_code == 403
    assert browser.get(f"/staff/messages/{mail.message}/recall").status_code == 403


def test_an_administrator_never_sees_a_subject(world: World) -> None:
    admin, who = member(world, "admin"), address()
    mail = world.send(who)
    browser = world.staff_browser(admin)
    assert mail.message not in browser.get("/staff").text
    assert browser.get(f"/staff/messages/{mail.message}").status_code == 404


def test_five_wrong_tries_lock_one_address_and_tell_nothing_of_others(world: World) -> None:
    """Unknown addresses once shared their tries: whoever spent them saw which other addresses have an account."""
    known, unknown, fresh = member(world), "nobody-a@clinic.test", "nobody-b@clinic.test"

    def tried(who: str, network: str, count: int = 1) -> list[str]:
        origin = Origin(
            TENANT, world.clock.new_id("req"), Sensitive("192.0.2.1"), network, Sensitive("test"), "", "POST"
        )
        answers = [world.deps.desk.sign_in(origin, who, "not the password", "000000") for _ in range(count)]
        return [answer.reason for answer in answers if isinstance(answer, Denial)]

    assert tried(unknown, "a", 6) == ["wrong"] * 5 + ["too-many"]
    assert tried(fresh, "b") == tried(known, "b") == ["wrong"]
    assert tried(unknown.upper(), "a") == ["too-many"]
    assert tried(unknown, "c") == ["wrong"], "who fails elsewhere locks nobody out here"


def test_no_message_is_skipped_where_several_came_at_one_instant(world: World) -> None:
    """A page ends among messages of one microsecond; the next one goes on with those that were not shown."""
    sender, who = member(world), address()
    sent = {world.send(who, sender=sender, files=[], body={}).message for _ in range(PAGE + 3)}
    rows, table = world.rows, schema.messages
    instant = world.clock.now_us()
    world.store.run(lambda tx: [rows.update(tx, table, one, received_at=instant) for one in sorted(sent)[1:]] and None)
    browser, path, seen = world.staff_browser(sender), "/staff", []
    while path:
        page = browser.get(path).text
        seen += re.findall(r'data-message="(msg_\w+)"', page)
        older = re.search(r'href="(/staff\?before=[^"]+)"', page)
        path = older[1] if older else ""
    assert len(seen) == len(sent)
    assert set(seen) == sent
    assert browser.get("/staff?before=17").status_code == 200  # what is no place is the first page
