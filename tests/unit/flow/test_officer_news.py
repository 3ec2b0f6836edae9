"""What officers are told of: a change that waits, a new account that counts at once, a clinic that closes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.accounts.users import Users
from gateway.errors import TryLater
from tests.support.flow import TENANT
from tests.unit.flow.desk import Desk, plain

OFFICER = "olga@clinic.test"


def news(desk: Desk, kind: str, about: str = "tnt_1") -> None:
    desk.held_by.changes.append(
        {"id": f"chg_{kind}", "tenant": TENANT, "person": "operator", "kind": kind, "about": about, "at_us": 1}
    )


@pytest.fixture
def officers(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    users = Users(desk.rows, desk.directory, desk.clock)
    for address, role in ((OFFICER, "officer"), ("ada@clinic.test", "admin")):
        desk.store.run(
            lambda tx, one=(address, role): users.add(tx, TENANT, *one, user=desk.clock.new_id("usr"), name="")
        )
    yield desk
    desk.close()


@pytest.mark.parametrize(
    ("kind", "action", "said"),
    [
        ("proposal", "settings:proposed", "Nothing is changed yet."),
        ("account", "user:announced", "added an account"),
        ("closed", "tenant:closed", "is closed"),
        ("reopened", "tenant:reopened", "is open again"),
    ],
)
def test_every_officer_is_told_once_and_the_log_says_so(officers: Desk, kind: str, action: str, said: str) -> None:
    news(officers, kind)
    (mail,) = officers.told()
    assert mail["To"] == f"<{OFFICER}>" or OFFICER in mail["To"]
    assert said in plain(mail)
    (entry,) = officers.entries(action)
    assert (entry["object"], entry["actor"]["kind"]) == ("tnt_1", "operator")
    news(officers, kind)  # the worker ended between telling and saying so
    assert officers.told() == []
    assert len(officers.entries(action)) == 1


def test_doors_know_of_a_closing_before_it_is_written_down(officers: Desk) -> None:
    news(officers, "account")
    officers.told()
    assert officers.renewed == []
    news(officers, "closed")

    def down() -> None:
        raise TryLater("no keyholder")

    officers.tellings._news._renew = down
    with pytest.raises(TryLater):
        officers.told()
    assert officers.entries("tenant:closed") == []
    officers.tellings._news._renew = lambda: officers.renewed.append(True)
    officers.told()
    assert officers.renewed == [True]
    assert len(officers.entries("tenant:closed")) == 1


@pytest.mark.parametrize(
    ("kind", "said"), [("password", "set a new password"), ("app-password", "can send mail in the owner's name")]
)
def test_what_an_operator_did_to_an_account_its_owner_and_every_officer_hear(
    officers: Desk, kind: str, said: str
) -> None:
    users = Users(officers.rows, officers.directory, officers.clock)
    officers.store.run(lambda tx: users.add(tx, TENANT, "amy@clinic.test", "staff", user="usr_amy", name=""))
    news(officers, kind, "usr_amy")
    mails = officers.told()
    assert sorted(mail["To"].strip("<>") for mail in mails) == ["amy@clinic.test", OFFICER]
    assert all(said in plain(mail) and "Account: amy@clinic.test" in plain(mail) for mail in mails)
    (entry,) = officers.entries("user:announced")
    assert (entry["object"], entry["reason"]) == ("usr_amy", kind)


def test_an_account_that_is_not_there_is_told_to_the_officers_alone(officers: Desk) -> None:
    news(officers, "password", "usr_gone")
    (mail,) = officers.told()
    assert mail["To"].strip("<>") == OFFICER
