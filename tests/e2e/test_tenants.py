"""A clinic joins a running installation, another's change waits for its officer, and none goes by a deleted line."""

from __future__ import annotations

import json
import smtplib
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.event import parse
from gateway.demo.clinic import Member
from gateway.demo.sink import Sink
from gateway.errors import Misconfigured, TryLater
from tests.support.two_clinics import PATIENT, House, TwoClinics

pytestmark = pytest.mark.full
WAIT_SECONDS = 60


@pytest.fixture(scope="module")
def clinics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoClinics]:
    """Two clinics; the officer of one of them has signed in. Changes wait a second instead of a day."""
    made = TwoClinics(tmp_path_factory.mktemp("tenants") / "c", limits={"change_seconds": 1})
    try:
        made.start()
        made.browser(made.b, 1).sign_in(made.b.members["officer"])
        yield made
    finally:
        made.stop()


def again(clinics: TwoClinics) -> None:
    """Stop, and start with the file as the houses are now."""
    clinics.stop_gateway()
    clinics.write()
    clinics.serve()


def system_log(clinics: TwoClinics, action: str) -> list[str]:
    """Objects of that action in the system log."""
    with closing(sqlite3.connect(f"file:{clinics.data}/db/sealgate.db?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT entry FROM log_leaves WHERE log = 'system' ORDER BY idx").fetchall()
    return [one["object"] for one in (parse(bytes(entry)) for (entry,) in rows) if one["action"] == action]


def test_a_change_waits_for_the_officer_while_another_clinic_joins(clinics: TwoClinics) -> None:
    old, new = clinics.b.sink, Sink()
    third = House("hilltop", "hilltop.test", f"hilltop.localhost:{clinics.web_port}", "clinic", ())
    for sink in (new, third.sink):
        sink.start()
    try:
        clinics.b.sink = new
        clinics.houses.append(third)
        again(clinics)
        said = (clinics.data / "gateway.log").read_text()
        assert "settings of 'lakeside' changed (smarthost)" in said
        assert str(new.port) not in said.partition("changed (smarthost)")[2].partition("\n")[0]

        clinics.join(third)  # it has keys, a log, a portal and senders of its own from this start on
        assert set(system_log(clinics, "tenant:created")) == {clinics.a.id, clinics.b.id, third.id}
        assert clinics.entries(third)[0]["action"] == "log:opened"
        clinics.send(third, "staff")
        assert third.sink.wait_for(PATIENT, seconds=WAIT_SECONDS)[0].link is not None

        officer = clinics.b.members["officer"]
        (told,) = old.wait_for(officer.address, seconds=WAIT_SECONDS)  # by the smarthost that is in force
        assert "waits for you" in told.parsed["Subject"]
        (proposed,) = clinics.entries(clinics.b, "settings:proposed")
        (waiting,) = json.loads(clinics.command("tenant", "show", "--tenant", "lakeside", "--json"))
        assert (waiting["id"], waiting["keys"]) == (proposed["object"], ["smarthost"])
        decide(clinics, "lakeside", waiting["id"], clinics.b, "staff", status=78)
        decide(clinics, "lakeside", waiting["id"], clinics.b, "officer")
        (accepted,) = clinics.entries(clinics.b, "settings:accepted")
        assert accepted["actor"]["id"] == clinics.b.users["officer"]
        assert accepted["receipt"]

        clinics.send(clinics.b, "staff")
        assert old.wait_for(PATIENT, seconds=WAIT_SECONDS)  # nothing changes under a running gateway
        again(clinics)
        clinics.send(clinics.b, "staff")
        assert new.wait_for(PATIENT, seconds=WAIT_SECONDS)
        assert len(old.wait_for(PATIENT)) == 1
    finally:
        old.stop()


def decide(clinics: TwoClinics, tenant: str, change: str, house: House, role: str, status: int = 0) -> str:
    """`sealgate tenant approve` as that member."""
    member = house.members[role]
    return clinics.command(
        "tenant", "approve", change, "--tenant", tenant, "--as", member.address,
        stdin=f"{member.password}\n{member.code()}\n", status=status,
    )  # fmt: skip


def test_a_closed_clinic_takes_no_mail_and_no_sign_in_while_its_neighbour_goes_on(clinics: TwoClinics) -> None:
    closing, other = clinics.a, clinics.b
    desk = clinics.browser(closing, 7)
    desk.sign_in(closing.members["officer"])
    before, others = len(closing.sink.mails), len(other.sink.mails)
    clinics.send(closing, "staff")
    asked = json.loads(clinics.command("tenant", "close", "--tenant", closing.name, "--json"))
    assert asked["waiting"]
    said = decide(clinics, closing.name, asked["proposal"]["id"], closing, "officer")
    assert "messages that were sent" in said
    assert desk.ask("GET", "/staff").headers["location"] == "/staff/sign-in"
    page = desk.ask("POST", "/staff/sign-in", sign_in_form(closing.members["staff"]))
    assert page.status_code == 403
    assert "is closed" in page.text
    until(lambda: clinics.entries(closing, "tenant:closed"))  # by then the door has heard of it
    with pytest.raises(smtplib.SMTPSenderRefused):
        clinics.send(closing, "staff")
    link = until(lambda: [one.link for one in closing.sink.mails[before:] if one.link])[0]  # accepted before: delivered
    assert clinics.browser(closing, 8).ask("GET", link.partition(closing.host)[2]).status_code == 200
    assert "closed since" in clinics.command("tenant", "list")
    clinics.send(other, "staff")
    assert until(lambda: other.sink.mails[others:])


def sign_in_form(member: Member) -> dict[str, str]:
    return {"address": member.address, "password": member.password, "code": member.code()}


def until(what: Callable[[], Any]) -> Any:
    """What it gives, once that is something."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def test_commands_ask_which_clinic_is_meant(clinics: TwoClinics) -> None:
    with pytest.raises(Misconfigured, match="name a clinic with --tenant: riverside, lakeside"):
        clinics.command("queue", "list")
    assert Path(clinics.config).read_text().count("[[tenants]]") == len(clinics.houses)
    assert len(json.loads(clinics.command("tenant", "list", "--json"))) == len(clinics.houses)


def test_a_clinic_that_vanished_from_the_file_stops_the_start_by_name(clinics: TwoClinics) -> None:
    clinics.stop_gateway()
    gone = clinics.houses.pop()
    clinics.write()
    with pytest.raises(TryLater, match=f"tenant '{gone.name}' of this installation is missing in the file"):
        clinics.serve()
    deadline = time.monotonic() + WAIT_SECONDS
    while clinics.ended() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert clinics.ended() == 78
