"""The People pages: who sees whom, what an import shows before it writes, and the code it wants."""

from __future__ import annotations

import html
import re
import secrets

import httpx2

from gateway.audit.event import Action, Actor, Event
from tests.support.keyholder import PASSWORD, PHONE, TENANT
from tests.unit.portal.test_staff import address, member
from tests.unit.portal.world import Browser, World

NEW = "+15005550177"


def signed(world: World, role: str) -> tuple[str, Browser]:
    """A new workforce member and their browser."""
    who = member(world, role)
    return who, world.staff_browser(who)


def upload(browser: Browser, path: str, page: str, data: bytes | None = None, **fields: str) -> httpx2.Response:
    """Send a form that takes files."""
    token = re.search(r'name="csrf" value="([^"]*)"', page)
    values = {"csrf": token[1] if token else ""} | fields
    files = {"list": ("list.csv", data, "text/csv")} if data is not None else {"none": ("", b"", "text/plain")}
    return browser.client.post(path, data=values, files=files, headers={"sec-fetch-site": "same-origin"})


def listing(page: str) -> str:
    """What the preview carries to the confirmation."""
    found = re.search(r'<textarea name="list" hidden>\n?(.*?)</textarea>', page, re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


def test_an_import_is_shown_first_and_saved_with_a_fresh_code(world: World) -> None:
    who, office = signed(world, "office")
    known, fresh = address(), address()
    person = world.person(known, PHONE)
    formula = '=HYPERLINK("http://x.example")'
    data = f'address,name,phone,language\n{known},Maria,{NEW},es\n{fresh},"{formula.replace(chr(34), chr(34) * 2)}",,\n'
    before = len(world.events("person:changed"))
    page = upload(office, "/staff/people/import", office.get("/staff/people/import").text, data.encode())
    assert page.status_code == 200
    assert re.findall(r'<tr data-kind="(\w+)">', page.text) == ["changed", "new"]
    assert html.escape(formula, quote=True).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in page.text
    assert len(world.events("person:changed")) == before
    assert world.keyholder.worker.take_changes(10) == []
    wrong = upload(office, "/staff/people/import/confirm", page.text, list=listing(page.text), code="000000")
    assert wrong.status_code == 403
    assert "Nothing was changed" in wrong.text
    assert world.keyholder.worker.take_changes(10) == []
    done = upload(
        office, "/staff/people/import/confirm", wrong.text, list=listing(wrong.text), code=world.staff[who].code()
    )
    assert done.status_code == 200
    (change,) = world.keyholder.worker.take_changes(10)
    assert change["person"] == person
    world.keyholder.worker.change_done(change["id"])
    (event,) = world.events("person:changed", person)
    assert event["actor"] == {"kind": "user", "id": world.staff[who].user}
    assert "/keyholder#" in event["receipt"]
    again = upload(office, "/staff/people/import", office.get("/staff/people/import").text, data.encode())
    assert re.findall(r'<tr data-kind="(\w+)">', again.text) == ["same", "same"]


def test_a_list_with_bad_lines_names_them_and_writes_nothing(world: World) -> None:
    _, office = signed(world, "admin")
    good = address()
    data = f"address,phone\n{good},\nnobody,\n{address()},12\n"
    answer = upload(office, "/staff/people/import", office.get("/staff/people/import").text, data.encode())
    assert answer.status_code == 422
    assert re.findall(r'<tr data-line="(\d+)">', answer.text) == ["3", "4"]
    with world.store.reading() as conn:
        assert world.people.find(conn, TENANT, good) is None
    assert upload(office, "/staff/people/import", answer.text).status_code == 422
    long = upload(office, "/staff/people/import", answer.text, b"address\n" + b"a" * 200_000)
    assert long.status_code == 413


def test_one_person_is_added_changed_and_found_by_the_whole_address(world: World) -> None:
    who, office = signed(world, "officer")
    new = address()
    page = office.get("/staff/people/new").text
    answer = office.post(
        "/staff/people/save", page, address=new, name="Maria", phone="(500) 555-0188", code=world.staff[who].code()
    )
    assert answer.status_code == 303
    page = office.get(answer.headers["location"]).text
    assert "Saved." in page
    assert "555-0188" not in page  # a number is never read back
    assert "0188" not in page
    found = office.post("/staff/people", office.get("/staff/people").text, address=new.upper())
    assert found.headers["location"] == answer.headers["location"].split("?")[0]
    assert office.post("/staff/people", page, address=new[1:]).status_code == 404
    assert new not in found.headers["location"]
    bad = office.post("/staff/people/save", page, address="nobody", name="", code="000000")
    assert bad.status_code == 422
    person = answer.headers["location"].split("/")[-1].split("?")[0]
    assert [one["reason"] for one in world.events("person:added", person)] == ["new"]
    assert world.events("person:found", person)


def test_staff_see_those_they_wrote_to_and_change_nobody(world: World) -> None:
    sender, other = member(world), member(world)
    mine, theirs = address(), address()
    mail = world.send(mine, sender=sender)
    world.send(theirs, sender=other)
    staff = world.staff_browser(sender)
    page = staff.get("/staff/people").text
    assert mine in page
    assert theirs not in page
    person = mail.links[mine].person
    shown = staff.get(f"/staff/people/{person}").text
    assert 'data-action="keep-person"' not in shown
    assert 'data-action="print-card"' in shown
    assert staff.post("/staff/people", page, address=theirs).status_code == 404
    with world.store.reading() as conn:
        hidden = world.people.find(conn, TENANT, theirs)
    assert staff.get(f"/staff/people/{hidden}").status_code == 404
    assert staff.post(f"/staff/people/{hidden}/card", shown, sure="here").status_code == 404
    save = staff.post("/staff/people/save", shown, person=str(person), name="Mallory", code="000000")
    assert save.status_code == 403
    for path in ("/staff/people/import", "/staff/people/new"):
        assert staff.get(path).status_code == 403


def test_auditors_have_no_people_page_and_the_list_has_pages(world: World) -> None:
    _, auditor = signed(world, "auditor")
    assert auditor.get("/staff/people").status_code == 403
    stamp = secrets.token_hex(4)
    for number in range(52):
        world.store.run(
            lambda tx, n=number: world.people.add(tx, TENANT, f"p{n}-{stamp}@mail.example")  # type: ignore[misc]
        )
    _, office = signed(world, "office")
    page = office.get("/staff/people").text
    shown = re.findall(rf"p\d+-{stamp}@", page)
    after = re.search(r'href="(/staff/people\?after=per_\w+)"', page)
    assert after is not None
    rest = re.findall(rf"p\d+-{stamp}@", office.get(after[1]).text)
    assert len(set(shown) | set(rest)) == 52
    assert set(shown) & set(rest) == set()


def test_a_card_is_printed_from_the_persons_page(world: World) -> None:
    sender, who = member(world), address()
    mail = world.send(who, sender=sender)
    staff = world.staff_browser(sender)
    person = mail.links[who].person
    page = staff.get(f"/staff/people/{person}").text
    assert staff.post(f"/staff/people/{person}/card", page).status_code == 400
    card = staff.post(f"/staff/people/{person}/card", page, sure="here")
    assert 'data-part="card-code"' in card.text
    assert PASSWORD not in card.text


def test_a_persons_page_says_when_a_number_was_added_or_changed(world: World) -> None:
    who, office = signed(world, "office")
    new = address()
    page = office.get("/staff/people/new").text
    saved = office.post(
        "/staff/people/save", page, address=new, name="", phone="(500) 555-0188", code=world.staff[who].code()
    )
    there = saved.headers["location"].split("?")[0]
    assert "data-number" not in office.get(there).text
    audit = world.deps.audit.proofs._audit
    for reason in ("phone-first", "phone", "same"):
        told = Event(Action.PERSON_CHANGED, TENANT, there.split("/")[-1], Actor("keyholder", ""), reason=reason)
        world.store.run(lambda tx, told=told: audit.append(tx, told))  # as the worker writes it with its mails
    shown = office.get(there).text
    assert re.findall(r'data-number="([a-z-]+)"', shown) == ["phone", "phone-first"]
    assert "opens only messages sent from now on" not in shown  # that is an administrator's
