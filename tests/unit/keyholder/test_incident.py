"""What a thief could have opened since a time, what is ended for it, and a day that is erased early."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.cli import _incident
from keys.errors import Denied
from keys.keyholder.custody import DAY_US
from keys.keyholder.deposits import expire
from tests.support.keyholder import NODE, PASSWORD, TENANT
from tests.unit.keyholder.conftest import PERSON, SECOND, House

OFFICER = "usr_officer"


def opened(house: House, made: Any, handle: str) -> None:
    house.portal.release(handle, made.grants[0].id, made.objects[0].id, "view", f"req_{house.now}")


@pytest.fixture
def stolen(house: House) -> dict[str, Any]:
    """A message opened before the theft; then another one opened, one held, one with a staff grant, a browser."""
    before = house.deposit()
    handle = house.enter(before.grants[0].id)
    opened(house, before, handle)
    house.wait(3600)
    since = house.now
    house.wait(60)
    after = house.deposit()
    handle = house.enter(after.grants[0].id, "vis_2")
    opened(house, after, handle)
    house.portal.remember(handle)
    held = house.deposit(None, held=True)
    house.worker.epochs(NODE)
    return {"before": before, "after": after, "held": held, "since": since, "handle": handle}


def test_report_names_what_was_opened_since_then_and_nothing_earlier(house: House, stolen: dict[str, Any]) -> None:
    report = _incident.gathered(house.operator, TENANT, stolen["since"])
    openings = [one for one in report["entries"] if one["action"] == "share:released"]
    assert [(one["message"], one["actor"]["id"]) for one in openings] == [(stolen["after"].message, PERSON)]
    assert report["totals"] == {"openings": 1, "messages": 1, "persons": 1}
    assert {one["action"] for one in report["entries"]} >= {"session:started", "device:remembered"}
    twin = _incident.gathered(house.operator, TENANT, 0)
    assert twin["totals"] == {"openings": 2, "messages": 2, "persons": 1}


def test_report_names_what_stood_open(house: House, stolen: dict[str, Any]) -> None:
    found = house.operator.exposed(TENANT, stolen["since"])
    assert found["held"] == [stolen["held"].message]
    assert {one["message"] for one in found["deposited"]} == {stolen["after"].message, stolen["held"].message}
    assert {one["node"] for one in found["epochs"]} == {NODE}
    assert [one["person"] for one in found["devices"]] == [PERSON]
    assert found["sessions"]
    assert found["cut"] is False
    house.worker.destroy_message(TENANT, stolen["held"].message)
    house.wait(60)
    assert house.operator.exposed(TENANT, house.now)["held"] == [], "what was destroyed before did not stand open"
    assert house.operator.exposed(TENANT, stolen["since"])["held"] == [stolen["held"].message]


def test_report_goes_over_every_page(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from keys.keyholder import incident

    for _ in range(7):
        house.deposit()
    monkeypatch.setattr(incident, "SCANNED", 4)
    monkeypatch.setattr(incident, "FOUND", 1)
    size = len(house.entries())
    report = _incident.gathered(house.operator, TENANT, 0)
    assert [one["index"] for one in report["entries"]] == sorted({one["index"] for one in report["entries"]})
    assert [reason for action, reason in house.actions() if action == "log:read"] == ["incident"]
    assert len(house.entries()) == size + 1


def test_report_holds_no_name_number_or_word(house: House, stolen: dict[str, Any]) -> None:
    house.staff(OFFICER, "officer")
    text = json.dumps(_incident.gathered(house.operator, TENANT, 0)) + json.dumps(house.operator.exposed(TENANT, 0))
    for secret in ("0123", PASSWORD, "Elm Street"):
        assert secret not in text


def test_words_say_what_they_stand_for_and_what_nobody_can_know(house: House, stolen: dict[str, Any]) -> None:
    report = {"tenant": "clinic", "since": "then"} | _incident.gathered(house.operator, TENANT, stolen["since"])
    said = "\n".join(_incident._words(report, ["portal", "stores", "worker"]))
    assert stolen["after"].message in said
    assert stolen["held"].message in said
    assert "What this cannot know" in said
    assert "164.404" in said
    portal = "\n".join(_incident._words(report, ["portal"]))
    assert stolen["held"].message not in portal, "a portal alone reads no held mail"


def test_end_ends_sessions_and_what_was_set_up_since(house: House, stolen: dict[str, Any]) -> None:
    officer = house.staff(OFFICER, "officer")
    handle = officer.sign_in()
    house.portal.print_card(handle, PERSON, "here")
    assert house.portal.session(stolen["handle"])
    ended = house.operator.end_since(TENANT, stolen["since"])
    assert ended["sessions"] >= 2
    assert ended["devices"] == 1
    assert ended["codes"] == 1
    for one in (handle, stolen["handle"]):
        with pytest.raises(Denied, match="no-session"):
            house.portal.session(one)
    assert house.operator.exposed(TENANT, 0)["devices"] == []
    assert house.operator.end_since(TENANT, stolen["since"]) == dict.fromkeys(
        ("sessions", "devices", "totps", "passkeys", "codes"), 0
    )
    assert officer.sign_in(), "who has password and code comes in again"


# a day that ends early


def day_of(house: House, days: int) -> int:
    return (house.now + days * 86_400 * SECOND) // DAY_US


def test_day_with_unexpired_messages_ends_only_when_their_number_is_said(house: House) -> None:
    made = [house.deposit(days=5) for _ in range(2)]
    other = house.deposit(days=6)
    with pytest.raises(Denied, match="unexpired") as refused:
        house.operator.destroy_day(TENANT, day_of(house, 5))
    assert refused.value.data == {"messages": 2}
    with pytest.raises(Denied, match="unexpired"):
        house.operator.destroy_day(TENANT, day_of(house, 5), 3)
    assert house.worker.alive(TENANT, [one.message for one in made]) == [one.message for one in made]
    done = house.operator.destroy_day(TENANT, day_of(house, 5), 2)
    assert done["messages"] == 2
    assert done["final_us"] >= house.now
    assert house.worker.alive(TENANT, [one.message for one in (*made, other)]) == [other.message]
    assert [one for one in house.actions() if one[0] == "share:destroyed"] == [("share:destroyed", "day")] * 2
    later = house.deposit(days=5)  # mail that comes yet goes on, under another key
    assert house.worker.alive(TENANT, [later.message]) == [later.message]


def test_day_under_a_hold_is_kept_whole(house: House) -> None:
    officer = house.staff(OFFICER, "officer")
    made = [house.deposit(days=1) for _ in range(2)]
    handle = officer.sign_in()
    house.portal.dispose_as(handle, officer.code(), act="hold-message", object=made[0].message, reason="lawsuit")
    house.wait(2 * 86_400)
    with pytest.raises(Denied, match="on-hold") as refused:
        house.operator.destroy_day(TENANT, day_of(house, -1))
    assert refused.value.data == {"messages": 1}
    assert len(house.worker.alive(TENANT, [one.message for one in made])) == 2


def test_operator_alone_ends_no_unexpired_mail_of_a_clinic_with_officers(house: House) -> None:
    house.staff(OFFICER, "officer").sign_in()
    made = house.deposit(days=1)
    with pytest.raises(Denied, match="officers"):
        house.operator.destroy_day(TENANT, day_of(house, 1), 1)
    house.wait(2 * 86_400)  # the twin: what has expired and only waits for its grace may go
    assert house.worker.alive(TENANT, [made.message]) == [made.message]
    assert house.operator.destroy_day(TENANT, day_of(house, -1))["messages"] == 1
    assert house.worker.alive(TENANT, [made.message]) == []
    with pytest.raises(Denied, match="no-day"):
        house.operator.destroy_day(TENANT, day_of(house, -1))
    house.wait(30 * 86_400)
    house.holder.database.run(expire)  # and the housekeeping that would have come finds it done
