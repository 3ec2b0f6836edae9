"""The sent list narrowed, and what taking a message back did: nothing opened, a file half way, everything."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from gateway.flow import openings
from gateway.store import schema
from tests.unit.portal.test_staff import address, member
from tests.unit.portal.world import PDF, PDF_NAME, Browser, Mail, World, plain


def taken_back(staff: Browser, mail: Mail) -> str:
    """The page after a recall."""
    path = f"/staff/messages/{mail.message}"
    answer = staff.post(f"{path}/recall", staff.get(f"{path}/recall").text)
    assert answer.headers["location"] == f"{path}/recalled?note=recalled"
    return staff.get(answer.headers["location"]).text


def test_before_any_opening_the_report_says_not_one_byte(world: World) -> None:
    sender, who = member(world), address()
    mail = world.send(who, sender=sender)
    world.browser().get(f"/m/{mail.token(who)}")  # a visit is no opening
    page = taken_back(world.staff_browser(sender), mail)
    assert 'data-part="nothing"' in page
    assert f'data-stopped="{who}"' in page
    assert "data-left" not in page


def test_after_openings_it_names_files_bytes_person_proof_and_time(world: World) -> None:
    sender, who, other = member(world), address(), address()
    mail = world.send(who, other, sender=sender)
    reader = world.sign_in(mail, who)
    reader.get(plain(mail, who))
    file = mail.object(1)
    reader.get(f"{plain(mail, who)}/files/{file}", range="bytes=0-9999")
    reader.get(f"{plain(mail, who)}/files/{file}")
    staff = world.staff_browser(sender)
    page = taken_back(staff, mail)
    rows = re.findall(r'<tr data-left="(\w+)"><th scope="row">([^<]+)</th>(.*?)</tr>', page, re.DOTALL)
    assert [(end, person) for end, person, _ in rows] == [("whole", who), ("whole", who)]
    assert "The message text" in rows[0][2]
    assert PDF_NAME.replace("'", "&#39;") in rows[1][2]
    assert f"{(len(PDF) + 10000) / 1000:.0f} kB" in rows[1][2]
    assert "a text-message code" in rows[1][2]
    assert f'data-stopped="{other}"' in page
    assert other not in "".join(rest for _, _, rest in rows)
    reasons = [one["reason"] for one in world.events("meta:opened", mail.message)]
    assert "recall-report" in reasons
    assert "/recalled" in staff.get(f"/staff/messages/{mail.message}").text
    assert "1 of 1" in staff.get(f"/staff/messages/{mail.message}").text


def test_nobody_hides_another_persons_opening_behind_many_of_their_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openings, "MOST_ENTRIES", 4)
    sender, busy, quiet = member(world), address(), address()
    mail = world.send(busy, quiet, sender=sender)
    reader, file = world.sign_in(mail, busy), mail.object(1)
    for at in range(5):
        reader.get(f"{plain(mail, busy)}/files/{file}", range=f"bytes={at}-{at}")
    other = world.sign_in(mail, quiet)
    assert other.get(f"{plain(mail, quiet)}/files/{file}").status_code == 200
    page = taken_back(world.staff_browser(sender), mail)
    rows = re.findall(r'<tr data-left="(\w+)"><th scope="row">([^<]+)</th>', page)
    assert set(rows) == {("unknown", busy), ("unknown", quiet)}  # who is never left out; how far is said to be unknown


def test_a_colleague_sees_no_report_of_anothers_mail(world: World) -> None:
    sender, other, who = member(world), member(world), address()
    mail = world.send(who, sender=sender)
    taken_back(world.staff_browser(sender), mail)
    assert world.staff_browser(other).get(f"/staff/messages/{mail.message}/recalled").status_code == 404


def test_the_list_narrows_without_a_script(world: World) -> None:
    sender, who = member(world), address()
    old, opened, fresh, gone = (world.send(who, sender=sender) for _ in range(4))
    world.sign_in(opened, who).get(plain(opened, who))
    staff = world.staff_browser(sender)
    taken_back(staff, gone)
    back = world.clock.now_us() - timedelta(days=4) // timedelta(microseconds=1)
    for mail in (old, opened, gone):
        message = mail.message
        world.store.run(lambda tx, id=message: world.rows.update(tx, schema.messages, id, received_at=back))

    def listed(show: str) -> set[str]:
        return set(re.findall(r'data-message="(msg_\w+)"', staff.get(f"/staff{show}").text))

    assert listed("") == {one.message for one in (old, opened, fresh, gone)}
    assert listed("?show=unopened") == {old.message}
    assert listed("?show=recalled") == {gone.message}
    assert listed("?show=whatever") == listed("")
    assert "Nothing to show here" in world.staff_browser(member(world)).get("/staff?show=recalled").text


def test_a_narrowed_list_has_pages(world: World) -> None:
    sender, who = member(world), address()
    back = world.clock.now_us() - timedelta(days=4) // timedelta(microseconds=1)
    for number in range(22):
        mail = world.send(who, sender=sender, files=[], phone=None)
        at = back - number
        world.store.run(lambda tx, id=mail.message, at=at: world.rows.update(tx, schema.messages, id, received_at=at))
    staff = world.staff_browser(sender)
    page = staff.get("/staff?show=unopened").text
    assert len(re.findall(r'data-message="', page)) == 20
    older = re.search(r'href="(/staff\?before=[^"&]+&amp;show=unopened)"', page)
    assert older is not None
    second = staff.get(older[1].replace("&amp;", "&")).text
    assert len(re.findall(r'data-message="', second)) == 2
