"""What goes by the clock, under a clock that is moved: urgent mail, reminders, the end, the digest."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from gateway.actions.tenants import TenantView
from gateway.audit.event import Action
from gateway.bootstrap.telling import reader
from gateway.errors import Tampered, TryLater
from gateway.flow.audience import Audience
from gateway.flow.hours import after_hours, days_before, last_opening
from gateway.sections import Notify
from tests.support.spool import TENANT
from tests.unit.flow.desk import NURSE, PATIENT, Desk, plain

ZONE = "America/Chicago"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A clinic on a Tuesday afternoon whose first digest is behind it."""
    found = Desk(tmp_path)
    found.told()
    try:
        yield found
    finally:
        found.close()


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of January 2030 in UTC; the 8th is a Tuesday, Chicago is six hours behind."""
    return datetime(2030, 1, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "end"),
    [(at(8, 14), at(8, 18)), (at(8, 21), at(9, 16)), (at(11, 22), at(14, 17)), (at(12, 3), at(14, 18)),
     (at(8, 4), at(8, 18))],
    ids=["same-day", "overnight", "over-the-weekend", "on-saturday", "before-opening"],
)  # fmt: skip
def test_four_working_hours_are_those_of_the_clinic(start: datetime, end: datetime) -> None:
    assert after_hours(start, timedelta(hours=4), ZONE) == end


def test_working_days_skip_the_weekend_and_the_clock_change() -> None:
    assert days_before(at(14, 14), 2, ZONE) == at(10, 14)
    assert days_before(at(9, 14), 2, ZONE) == at(7, 14)
    after_change = datetime(2030, 3, 11, 13, tzinfo=UTC)  # a Monday, 8 am in summer time
    assert days_before(after_change, 1, ZONE) == datetime(2030, 3, 8, 14, tzinfo=UTC)
    assert last_opening(at(13, 12), ZONE) == at(11, 14)
    assert last_opening(at(14, 14), ZONE) == at(14, 14)


def test_urgent_mail_unopened_is_told_after_four_working_hours_once(desk: Desk) -> None:
    message = desk.send(subject="[urgent] Results")
    desk.clock.move_to(at(9, 9, 59))
    assert [one for one in desk.told() if "opened yet" in one["Subject"]] == []
    desk.clock.move_to(at(9, 10, 1))
    (told,) = [one for one in desk.told() if "opened yet" in one["Subject"]]
    assert told["To"] == NURSE
    assert PATIENT in plain(told)
    assert told["In-Reply-To"] == "<first@clinic.test>"
    assert "RECALL" in plain(told)
    assert message["id"] in plain(told)  # the signed-in page's address; nothing of the mail
    assert "Oyelaran" not in told.as_string()
    assert desk.told() == []


@pytest.mark.parametrize("field", ["Importance: high\r\n", "Priority: urgent\r\n"])
def test_the_header_of_mail_programs_marks_urgent_mail_as_well(desk: Desk, field: str) -> None:
    assert desk.send(extra=field)["urgent"] == 1
    assert desk.send(extra=field.replace("high", "low").replace("urgent", "normal"))["urgent"] == 0


@pytest.mark.parametrize("how", ["opened", "recalled", "bounced"])
def test_nobody_hears_of_what_needs_nothing(desk: Desk, how: str) -> None:
    if how == "bounced":
        from gateway.courier.port import Bounced

        desk.smarthost.answers[PATIENT] = Bounced("5.1.1", "recipient", code=550)
    message = desk.send(subject="[urgent] Results")
    if how == "opened":
        desk.open(message)
    elif how == "recalled":
        desk.held_by.revoked |= {one["id"] for one in desk.grants(message)}
    for _ in range(95):
        desk.ahead(days=1)
        assert desk.told() == []
    assert [one["reason"] for one in desk.entries("message:expired")] == [
        {"opened": "opened", "recalled": "taken-back", "bounced": "taken-back"}[how]
    ]


def test_a_message_lives_and_ends_unopened_and_everybody_hears_it_once(desk: Desk) -> None:
    message = desk.send()
    heard: list[tuple[int, str, str]] = []
    for day in range(1, 100):
        desk.ahead(days=1)
        for mail in desk.told():
            heard.append((day, str(mail["To"]).strip("<>"), str(mail["Subject"])))
            assert "http" not in plain(mail) or mail["To"] == NURSE
            assert "Results" not in mail.as_string()
            assert mail["Auto-Submitted"] == "auto-generated"
    assert heard == [
        (3, NURSE, "Your secure messages today"),
        (7, PATIENT, "Reminder: a secure message from Elm Street Clinic"),
        (8, NURSE, "Your secure messages today"),
        (83, PATIENT, "Your secure message from Elm Street Clinic ends soon"),
        (84, NURSE, "Your secure messages today"),
        (90, NURSE, "Your message was never opened"),
    ]
    (ended,) = desk.entries("message:expired")
    assert (ended["object"], ended["reason"]) == (message["id"], "never-opened")
    assert ended["receipt"].startswith("elm/keyholder#7:")
    assert desk.held_by.destroyed == [message["id"]]


def test_the_reminder_stands_in_the_thread_and_holds_no_link(desk: Desk) -> None:
    message = desk.send()
    desk.ahead(days=7, minutes=1)
    (reminder,) = [one for one in desk.told() if one["To"] == PATIENT]
    assert (reminder["In-Reply-To"], reminder["References"]) == ("<first@clinic.test>", "<first@clinic.test>")
    assert "http" not in plain(reminder)
    assert message["reference"][:3] in plain(reminder)


def test_a_digest_names_each_message_once_and_only_on_working_days(desk: Desk) -> None:
    first, second = desk.send(PATIENT, "b@mail.example"), desk.send(sender="ben@clinic.test")
    desk.clock.move_to(datetime(2030, 1, 11, 8, 1, tzinfo=UTC))
    mails = {str(one["To"]).strip("<>"): plain(one) for one in desk.told()}
    assert set(mails) == {NURSE, "ben@clinic.test"}
    number = f"{first['reference'][:3]} {first['reference'][3:]}"
    assert number in mails[NURSE]
    assert "b@mail.example" in mails[NURSE]
    assert f"{second['reference'][:3]} {second['reference'][3:]}" not in mails[NURSE]
    third = desk.send()
    desk.clock.move_to(datetime(2030, 1, 12, 9, tzinfo=UTC))  # Saturday
    assert desk.told() == []
    desk.clock.move_to(datetime(2030, 1, 14, 8, 1, tzinfo=UTC))
    assert desk.told() == []
    desk.clock.move_to(datetime(2030, 1, 16, 8, 30, tzinfo=UTC))
    (digest,) = [one for one in desk.told() if one["To"] == NURSE]
    assert f"{third['reference'][:3]} {third['reference'][3:]}" in plain(digest)
    assert desk.told() == []


def test_what_could_not_be_committed_is_sent_after_the_restart_and_once(desk: Desk) -> None:
    desk.send(subject="[urgent] Results")
    desk.clock.move_to(at(9, 10, 1))
    with desk.commits_fail(1, done=False), pytest.raises(TryLater):
        desk.reminders()
    desk.deliver()
    assert desk.smarthost.attempts == []
    assert len([one for one in desk.told() if "opened yet" in one["Subject"]]) == 1
    with desk.commits_fail(1, done=True), pytest.raises(TryLater):
        desk.ahead(days=7)
        desk.reminders()
    desk.due()
    assert desk.smarthost.times(PATIENT) == 1
    desk.smarthost.attempts.clear()
    assert [one for one in desk.told() if one["To"] == PATIENT] == []


def test_at_the_end_nothing_is_said_before_the_share_is_destroyed(desk: Desk) -> None:
    desk.send()
    desk.ahead(days=90, minutes=1)
    desk.told()
    desk2 = desk.entries("message:expired")
    assert len(desk2) == 1
    desk.send()
    desk.ahead(days=90, minutes=1)
    desk.held_by.trouble = TryLater("down")
    with pytest.raises(TryLater):
        desk.reminders()
    assert len(desk.entries("message:expired")) == 1
    desk.held_by.trouble = None
    assert "Your message was never opened" in [one["Subject"] for one in desk.told()]


def test_an_end_whose_commit_was_lost_is_told_and_quotes_the_first_receipt(desk: Desk) -> None:
    message = desk.send()
    desk.ahead(days=90, minutes=1)
    desk.held_by.destroy_message(TENANT, message["id"])  # so far it came, and nothing of it was committed
    assert "Your message was never opened" in [one["Subject"] for one in desk.told()]
    (ended,) = desk.entries("message:expired")
    assert (ended["object"], ended["receipt"].startswith("elm/keyholder#7:")) == (message["id"], True)


@pytest.mark.parametrize(
    ("sender", "hears"),
    [("scanner@clinic.test", "owner@clinic.test"), ("no-reply@clinic.test", "owner@clinic.test"),
     ("amy@clinic.test", "amy@clinic.test")],
    ids=["listed", "by-name", "a-person"],
)  # fmt: skip
def test_a_sender_nobody_reads_has_an_owner(tmp_path: Path, sender: str, hears: str) -> None:
    desk = Desk(tmp_path, Audience({TENANT: "owner@clinic.test"}, {TENANT: frozenset({"scanner@clinic.test"})}))
    try:
        desk.told()
        desk.send(subject="[urgent] Results", sender=sender)
        desk.ahead(days=1)
        (told,) = [one for one in desk.told() if "opened yet" in one["Subject"]]
        assert told["To"] == hears
    finally:
        desk.close()


def test_an_owner_elsewhere_hears_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path, Audience({TENANT: "owner@elsewhere.example"}, {TENANT: frozenset({"scanner@clinic.test"})}))
    try:
        assert desk.audience.of(desk.view, "scanner@clinic.test") == ""
        assert desk.audience.of(desk.view, "") == ""
    finally:
        desk.close()


@pytest.mark.parametrize("local", ["pat%other.example", "other.example!pat", '"pat@other.example"'])
def test_a_sender_with_a_further_way_is_told_nothing_that_could_leave_the_clinic(tmp_path: Path, local: str) -> None:
    desk = Desk(tmp_path, Audience({TENANT: "owner@clinic.test"}))
    try:
        sender = f"{local}@clinic.test"
        assert desk.audience.of(desk.view, sender) == "owner@clinic.test"
        assert Audience().of(desk.view, sender) == ""
        assert Audience({TENANT: sender}).of(desk.view, "no-reply@clinic.test") == "", "no owner either"
        ground: Any = SimpleNamespace(views={TENANT: desk.view}, own=lambda view: SimpleNamespace(notify=Notify()))
        assert reader(ground)(desk.view, sender) == "postmaster@clinic.test", "what must go somewhere"
        assert reader(ground)(desk.view, NURSE) == NURSE
    finally:
        desk.close()


def test_a_changed_row_is_passed_over_and_delays_nobody(desk: Desk) -> None:
    from gateway.store import schema

    first = desk.send(subject="[urgent] Results")
    desk.send(subject="[urgent] Results", sender="ben@clinic.test")
    table = schema.messages
    desk.store.run(
        lambda tx: tx.conn.execute(table.update().where(table.c.id == first["id"]).values(urgent=1, rule="x"))
    )
    desk.ahead(days=1)
    assert [one["To"] for one in desk.told() if "opened yet" in one["Subject"]] == ["ben@clinic.test"]


@pytest.mark.parametrize("table", ["people", "deliveries"])
def test_a_changed_row_behind_one_message_keeps_no_other_ones_news_waiting(desk: Desk, table: str) -> None:
    first = desk.send("b@mail.example", subject="[urgent] Results", sender="amy@clinic.test")
    desk.send(subject="[urgent] Results", sender="ben@clinic.test")
    both = desk.send("b@mail.example", "c@mail.example", subject="[urgent] Results", sender="cid@clinic.test")
    person = desk.grants(first)[0]["person"]
    column = "language" if table == "people" else "treatment"
    which = "id" if table == "people" else "person"
    statement = text(f"UPDATE {table} SET {column} = 'xx' WHERE {which} = :person")
    desk.store.run(lambda tx: tx.conn.execute(statement, {"person": person}) and None)
    desk.ahead(days=1)
    told = [one for one in desk.told() if "opened yet" in one["Subject"]]
    assert sorted(str(one["To"]) for one in told) == ["ben@clinic.test", "cid@clinic.test"]
    assert "c@mail.example" in told[1].as_string()
    assert "b@mail.example" not in told[1].as_string()
    desk.ahead(days=2)
    digests = [one for one in desk.told() if one["Subject"] == "Your secure messages today"]
    assert sorted(str(one["To"]) for one in digests) == ["ben@clinic.test", "cid@clinic.test"]
    desk.ahead(days=90)
    desk.told()
    assert {first["id"], both["id"]} <= set(desk.held_by.destroyed)


def test_what_cannot_be_told_of_one_message_is_an_alarm_and_the_next_is_told(desk: Desk) -> None:
    first = desk.send(subject="[urgent] Results", sender="amy@clinic.test")
    desk.send(subject="[urgent] Results", sender="ben@clinic.test")
    original = desk.reminders._audience.of

    def of(view: TenantView, sender: str) -> str:
        if sender.startswith("amy"):
            raise Tampered("a sealed value that does not open")
        return original(view, sender)

    desk.reminders._audience = SimpleNamespace(of=of)  # type: ignore[assignment]
    desk.ahead(days=1)
    assert [str(one["To"]) for one in desk.told() if "opened yet" in one["Subject"]] == ["ben@clinic.test"]
    assert [one["object"] for one in desk.entries("tamper:found")] == [first["id"]]


def test_downloads_that_failed_count_as_opened(desk: Desk) -> None:
    desk.open(desk.send(subject="[urgent] Results"), 100, Action.OBJECT_FAILED)
    desk.ahead(days=1)
    assert [one for one in desk.told() if "opened yet" in one["Subject"]] == []
