"""Holds, erasures and certificates: who may, what is kept, what is gone, and what the certificate says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keys import notes
from keys.errors import Tampered
from keys.keyholder import custody, releaselog
from keys.keyholder.custody import DAY_US
from tests.support.keyholder import NODE, PASSWORD, TENANT
from tests.unit.keyholder.conftest import House, StaffMember, refusal, set_up_house

OTHER = "per_Other00000000001"
DAY = 86_400


def put_policy(house: House, second: bool) -> None:
    text = f"[release]\nsecond_person = {'true' if second else 'false'}\n"
    house.operator.put_settings(TENANT, {"policy_toml": text})


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[House, StaffMember, StaffMember]]:
    """A house whose policy is satisfied with one officer, and two of them."""
    made = House(tmp_path)
    set_up_house(made)
    put_policy(made, second=False)
    yield made, made.staff("usr_amy", "officer"), made.staff("usr_ben", "officer")
    made.close()


def signed_in(who: StaffMember) -> str:
    """A live session of theirs: the one from before, where it was not long ago."""
    handle, at_us = _SESSIONS.get(id(who), ("", 0))
    if not handle or who.house.now - at_us > 600_000_000:
        handle = who.sign_in()
    _SESSIONS[id(who)] = (handle, who.house.now)
    return handle


_SESSIONS: dict[int, tuple[str, int]] = {}


@pytest.fixture(autouse=True)
def nobody_signed_in() -> None:
    _SESSIONS.clear()


def act(house: House, who: StaffMember, act: str, object: str, **more: Any) -> dict[str, Any]:
    more.setdefault("reason", "asked for in writing")
    return house.portal.dispose_as(signed_in(who), who.code(), act=act, object=object, **more)


def alive(house: House, message: str) -> bool:
    return house.worker.alive(TENANT, [message]) == [message]


def test_an_officer_erases_a_message_with_a_code_and_the_certificate_can_be_checked(two: Any) -> None:
    house, amy, _ = two
    gone, stays = house.deposit(), house.deposit()
    done = act(house, amy, "erase-message", gone.message)
    assert (done["complete"], done["done"]) == (True, True)
    assert not alive(house, gone.message)
    assert alive(house, stays.message)
    found = house.portal.certificate(signed_in(amy), done["id"])
    text = notes.open_note(found["text"], notes.parse_vkey(house.operator.vkeys(TENANT)["release_vkey"]))
    assert text.startswith("Sealgate certificate of destruction v1\n")
    assert f"about: {gone.message}\n" in text
    assert "messages destroyed: 1\n" in text
    assert "final on: " in text
    assert "not covered: the sender's mailbox and mail archive\n" in text
    issued = [one for one in house.entries() if one["action"] == "certificate:issued"]
    assert [one["reason"] for one in issued] == [hashlib.sha256(found["text"].encode()).hexdigest()]
    (row,) = house.rows("SELECT final_us, last_us FROM disposals")
    assert row[0] == (gone.expires_us // DAY_US + 8) * DAY_US > row[1]


def test_one_changed_letter_of_a_certificate_is_refused(two: Any) -> None:
    house, amy, _ = two
    done = act(house, amy, "erase-message", house.deposit().message)
    text = house.portal.certificate(signed_in(amy), done["id"])["text"]
    key = notes.parse_vkey(house.operator.vkeys(TENANT)["release_vkey"])
    notes.open_note(text, key)
    with pytest.raises(Tampered):
        notes.open_note(text.replace("messages destroyed: 1", "messages destroyed: 2"), key)


@pytest.mark.parametrize("role", ["office", "auditor"])
def test_nobody_but_an_officer_erases_or_holds(two: Any, role: str) -> None:
    house, _, _ = two
    who, message = house.staff(f"usr_{role}", role), house.deposit().message
    for what in ("erase-message", "hold-message"):
        with refusal("not-an-officer"):
            act(house, who, what, message)
    assert alive(house, message)


def test_without_the_right_code_nothing_is_erased_and_a_code_counts_once(two: Any) -> None:
    house, amy, _ = two
    first, second = house.deposit(), house.deposit()
    session, code = signed_in(amy), amy.code()
    with refusal("wrong"):
        house.portal.dispose_as(session, "000000", act="erase-message", object=first.message, reason="x")
    house.portal.dispose_as(session, code, act="erase-message", object=first.message, reason="x")
    with refusal("used"):
        house.portal.dispose_as(session, code, act="erase-message", object=second.message, reason="x")
    assert not alive(house, first.message)
    assert alive(house, second.message)


def test_where_the_policy_wants_two_nothing_is_erased_before_another_officer_said_the_same(two: Any) -> None:
    house, amy, ben = two
    put_policy(house, second=True)
    message, another = house.deposit().message, house.deposit().message
    asked = act(house, amy, "erase-message", message)
    assert not asked["complete"]
    assert alive(house, message)
    with refusal("same-person"):
        act(house, amy, "erase-message", message)
    act(house, ben, "erase-message", another)
    assert alive(house, message)
    assert alive(house, another)
    done = act(house, ben, "erase-message", message)
    assert done["complete"]
    assert done["id"] == asked["id"]
    assert not alive(house, message)
    text = house.portal.certificate(signed_in(amy), done["id"])["text"]
    assert "asked for by: usr_amy on " in text
    assert "confirmed by: usr_ben\n" in text


def test_a_whole_clinic_wants_two_people_whatever_the_policy_says(two: Any) -> None:
    house, amy, ben = two
    mail = [house.deposit().message for _ in range(3)]
    assert not act(house, amy, "erase-tenant", TENANT)["complete"]
    assert all(alive(house, one) for one in mail)
    assert act(house, ben, "erase-tenant", TENANT)["done"]
    assert house.worker.alive(TENANT, mail) == []


def test_a_large_erasure_goes_on_in_steps_through_a_restart(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    house, amy, ben = two
    monkeypatch.setattr("keys.keyholder.disposals.BATCH", 2)
    mail = sorted(house.deposit().message for _ in range(5))
    act(house, amy, "erase-tenant", TENANT)
    assert not act(house, ben, "erase-tenant", TENANT)["done"]
    house.wait(1)
    late = house.deposit().message
    assert house.worker.alive(TENANT, mail) == mail[2:]
    house.reopen()
    while house.worker.dispose_more(TENANT):
        pass
    assert house.worker.alive(TENANT, mail) == []
    assert alive(house, late), "what came after it began is not its"
    assert house.rows("SELECT messages, done_us IS NULL FROM disposals") == [(5, 0)]


def test_who_read_alone_is_erased_whole_and_of_shared_mail_only_their_own_way_is_closed(two: Any) -> None:
    house, amy, _ = two
    alone, shared = house.deposit(), house.deposit()
    house.change(
        "INSERT INTO grants SELECT 'lnk_second000001', tenant, message, ?, kind, floor, expires_us, NULL, NULL, NULL,"
        " NULL, mac FROM grants WHERE message = ?",
        OTHER, shared.message,
    )  # fmt: skip
    house.holder.database.run(
        lambda tx: __import__("keys.keyholder.grants").keyholder.grants.seal_rows(tx, shared.message)
    )
    mine = shared.grants[0].id
    done = act(house, amy, "erase-person", alone.grants[0].person)
    assert done["done"]
    assert not alive(house, alone.message)
    assert alive(house, shared.message)
    states = house.worker.grant_state(TENANT, [mine, "lnk_second000001"])
    assert (states[mine]["state"], states["lnk_second000001"]["state"]) == ("revoked", "live")
    text = house.portal.certificate(signed_in(amy), done["id"])["text"]
    assert "messages destroyed: 1\n" in text
    assert "that others still have: 1\n" in text


@pytest.mark.parametrize("kind", ["message", "person", "tenant", "period"])
def test_a_hold_of_each_kind_keeps_what_it_covers_from_every_end(two: Any, kind: str) -> None:
    house, amy, _ = two
    mail = house.deposit(days=1)
    about = {"message": mail.message, "person": mail.grants[0].person}.get(kind, TENANT)
    times = {"from_us": house.now - DAY_US, "until_us": house.now + DAY_US} if kind == "period" else {}
    hold = act(house, amy, f"hold-{kind}", about, **times)["id"]
    with refusal("on-hold"):
        act(house, amy, "erase-message", mail.message)
    with refusal("on-hold"):
        house.worker.destroy_message(TENANT, mail.message)
    with refusal("on-hold"):
        act(house, amy, "shorten", mail.message, until_us=house.now + DAY_US // 3)
    house.wait(12 * DAY)
    house.operator.expire()
    assert alive(house, mail.message), "its day key is gone, and it lies under a hold key"
    assert house.rows("SELECT under_hold FROM messages") == [(1,)]
    assert house.rows("SELECT COUNT(*) FROM day_keys WHERE wrapped IS NOT NULL") == [(0,)]
    house.reopen()
    act(house, amy, "lift", hold)
    assert not alive(house, mail.message), "its time was over, so lifting lets it end"
    assert house.rows("SELECT COUNT(*) FROM hold_keys WHERE wrapped IS NOT NULL") == [(0,)]


def test_a_hold_keeps_nothing_else(two: Any) -> None:
    house, amy, _ = two
    early = house.deposit()
    house.wait(60)
    from_us = house.now
    late = house.deposit()
    act(house, amy, "hold-message", late.message)
    act(house, amy, "hold-period", TENANT, from_us=from_us, until_us=from_us + DAY_US)
    assert act(house, amy, "erase-message", early.message)["done"]
    assert not alive(house, early.message)


def test_what_still_has_time_lives_on_when_the_hold_is_lifted(two: Any) -> None:
    house, amy, _ = two
    mail = house.deposit(days=90)
    hold = act(house, amy, "hold-tenant", TENANT)["id"]
    act(house, amy, "lift", hold)
    assert alive(house, mail.message)
    with refusal("not-on-hold"):
        act(house, amy, "lift", hold)
    assert act(house, amy, "erase-message", mail.message)["done"]


def test_two_holds_keep_it_until_both_are_lifted_and_a_link_that_is_over_stays_over(two: Any) -> None:
    house, amy, _ = two
    mail = house.deposit(days=1)
    first = act(house, amy, "hold-message", mail.message)["id"]
    second = act(house, amy, "hold-tenant", TENANT)["id"]
    house.wait(12 * DAY)
    house.operator.expire()
    assert house.portal.grant_info(mail.grants[0].id)["state"] == "expired"
    act(house, amy, "lift", first)
    assert alive(house, mail.message)
    act(house, amy, "lift", second)
    assert not alive(house, mail.message)


def test_an_erasure_leaves_what_is_on_hold_and_says_how_many(two: Any) -> None:
    house, amy, ben = two
    kept, gone = house.deposit(), house.deposit()
    act(house, amy, "hold-message", kept.message)
    act(house, amy, "erase-tenant", TENANT)
    done = act(house, ben, "erase-tenant", TENANT)
    assert alive(house, kept.message)
    assert not alive(house, gone.message)
    text = house.portal.certificate(signed_in(amy), done["id"])["text"]
    assert "left alone because of a legal hold: 1\n" in text


def test_lifting_wants_two_people_where_the_policy_does_and_setting_does_not(two: Any) -> None:
    house, amy, ben = two
    put_policy(house, second=True)
    mail = house.deposit()
    hold = act(house, amy, "hold-message", mail.message)
    assert hold["complete"]
    assert not act(house, amy, "lift", hold["id"])["complete"]
    assert house.portal.retention_state(signed_in(amy), mail.message)["holds"]
    assert act(house, ben, "lift", hold["id"])["complete"]
    assert not house.portal.retention_state(signed_in(amy), mail.message)["holds"]


@pytest.mark.parametrize("column", ["kind = 'period'", "lifted_us = 1", "object = 'msg_x'"])
def test_a_changed_hold_is_refused_by_name_and_destroys_nothing(two: Any, column: str) -> None:
    house, amy, _ = two
    mail = house.deposit(days=1)
    act(house, amy, "hold-message", mail.message)
    house.change(f"UPDATE holds SET {column}")
    with pytest.raises(Tampered, match="hold"):
        house.worker.destroy_message(TENANT, mail.message)
    house.wait(12 * DAY)
    assert house.operator.expire() == {"day_keys": 0, "shares": 0, "broken": 1, "sessions": 1}
    assert house.rows("SELECT share IS NOT NULL FROM messages") == [(1,)]
    assert ("tamper:found", "hold") in house.actions()


def test_a_shortened_message_ends_with_its_new_day_key(two: Any) -> None:
    house, amy, _ = two
    mail = house.deposit(days=90)
    until = house.now + DAY_US
    with refusal("wider"):
        act(house, amy, "shorten", mail.message, until_us=mail.expires_us + 1)
    assert act(house, amy, "shorten", mail.message, until_us=until)["done"]
    house.wait(10 * DAY)
    assert house.operator.expire()["shares"] == 1
    assert not alive(house, mail.message)


def test_a_message_that_ended_gets_its_certificate_when_somebody_asks(two: Any) -> None:
    house, amy, _ = two
    mail = house.deposit(days=1)
    with refusal("not-destroyed"):
        act(house, amy, "certify", mail.message)
    house.worker.destroy_message(TENANT, mail.message)
    done = act(house, amy, "certify", mail.message)
    assert f"about: {mail.message}\n" in house.portal.certificate(signed_in(amy), done["id"])["text"]
    assert house.portal.retention_state(signed_in(amy), mail.message)["certificate"] == done["id"]


def test_an_officer_who_is_not_signed_in_erases_with_password_and_code(two: Any) -> None:
    house, amy, _ = two
    mail = house.deposit()
    given = {"act": "erase-message", "object": mail.message, "reason": "x"}
    with refusal("wrong"):
        house.worker.dispose(TENANT, "usr_amy", "another", amy.code(), "local", **given)  # type: ignore[arg-type]
    house.worker.dispose(TENANT, "usr_amy", PASSWORD, amy.code(), "local", **given)  # type: ignore[arg-type]
    assert not alive(house, mail.message)


def test_the_worker_hears_every_end_again_from_any_place(two: Any) -> None:
    house, amy, _ = two
    mail = house.deposit()
    hold = act(house, amy, "hold-message", mail.message)["id"]
    act(house, amy, "lift", hold)
    done = act(house, amy, "erase-message", mail.message)
    heard = house.worker.ended(TENANT, 0)
    assert [one["action"] for one in heard["entries"]] == [
        "hold:set", "hold:lifted", "share:destroyed", "certificate:issued",
    ]  # fmt: skip
    assert heard["entries"][2]["request"] == done["id"]
    assert heard["next"] == heard["size"]
    assert house.worker.ended(TENANT, 0) == heard
    assert house.worker.ended(TENANT, heard["next"])["entries"] == []


def test_reasons_are_shown_to_officers_and_auditors_alone(two: Any) -> None:
    house, amy, _ = two
    act(house, amy, "hold-tenant", TENANT, reason="the Ferris matter")
    auditor, clerk = house.staff("usr_auditor", "auditor"), house.staff("usr_clerk", "office")
    assert house.portal.retention(signed_in(auditor), TENANT)["holds"][0]["reason"] == "the Ferris matter"
    with refusal("role"):
        house.portal.retention(signed_in(clerk), TENANT)
    assert "Ferris" not in str(house.worker.retention_of(TENANT))


def test_the_officer_of_one_clinic_reaches_nothing_of_another(two: Any) -> None:
    house, _, _ = two
    house.operator.create_tenant("tnt_other", "other", "other.example/log/tnt_other")
    stranger, mail = house.staff("usr_zoe", "officer", "tnt_other"), house.deposit()
    hold = act(house, house.staff("usr_cat", "officer"), "hold-message", mail.message)["id"]
    for what, about in (
        ("erase-message", mail.message), ("erase-link", mail.grants[0].id), ("erase-person", mail.grants[0].person),
        ("erase-tenant", TENANT), ("hold-message", mail.message), ("lift", hold), ("certify", mail.message),
    ):  # fmt: skip
        with refusal("unknown"):
            act(house, stranger, what, about)
    assert alive(house, mail.message)


def test_a_hold_covers_what_a_member_sent_and_only_readers_are_erased(two: Any) -> None:
    house, amy, _ = two
    nurse, mail = house.staff("usr_nurse", "staff"), house.deposit(sender="usr_nurse")
    with refusal("unknown"):
        act(house, amy, "erase-person", nurse.user)
    act(house, amy, "hold-person", nurse.user)
    with refusal("on-hold"):
        act(house, amy, "erase-message", mail.message)
    assert alive(house, mail.message)


def test_a_node_that_is_stopped_loses_its_keys_for_good_and_has_a_report(two: Any) -> None:
    house, _, _ = two
    private = [one["private"] for one in house.worker.epochs(NODE)]
    with refusal("running"):
        house.operator.retire_node(NODE)
    house.wait(2 * 3600)
    with refusal("no-node"):
        house.operator.retire_node("node-9")
    done = house.operator.retire_node(NODE)
    assert done["epochs"] == len(private) == 2
    text = notes.open_note(done["report"], notes.parse_vkey(system_release_vkey(house)))
    assert text.startswith(f"Sealgate disposal report v1\nnode: {NODE}\n")
    assert "of these, destroyed just now: 2\n" in text
    assert house.rows("SELECT COUNT(*) FROM epochs WHERE private IS NOT NULL") == [(0,)]
    with refusal("no-node"):
        house.worker.epochs(NODE)
    (said,) = [one for one in house.entries("system") if one["action"] == "node:retired"]
    assert said["reason"] == hashlib.sha256(done["report"].encode()).hexdigest()


def system_release_vkey(house: House) -> str:
    def vkey(tx: Any) -> str:
        key = custody.signer(tx, custody.SYSTEM, "release_sign")
        return notes.vkey(releaselog.release_origin(tx, custody.SYSTEM), key.public)

    return str(house.holder.database.run(vkey))
