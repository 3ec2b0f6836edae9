"""Deposits, destruction, day keys: how shares come in and how they go for good."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keys.client import Deposit, DepositGrant
from keys.keyholder.calls import BadCall
from tests.support.keyholder import TENANT
from tests.unit.keyholder.conftest import SECOND, House, refusal

DAY = 86_400


def stored(house: House) -> bytes:
    """Every byte in the keyholder's directory while it is open: database, write-ahead log, shared memory."""
    return b"".join(path.read_bytes() for path in house.config.directory.iterdir())


def test_the_same_deposit_may_be_repeated_and_gives_the_same_receipt(house: House) -> None:
    deposit = house.deposit()
    first = house.worker.deposit([deposit])
    assert house.worker.deposit([deposit, deposit]) == first
    house.reopen()
    assert house.worker.deposit([deposit]) == first
    assert [action for action, _ in house.actions()].count("message:deposited") == 1


def change(deposit: Deposit, what: str) -> Deposit:
    grant = deposit.grants[0]
    return {
        "share": replace(deposit, share=bytes(32)),
        "expiry": replace(deposit, expires_us=deposit.expires_us + 1),
        "person": replace(deposit, grants=[replace(grant, person="per_thief")]),
        "floor": replace(deposit, grants=[replace(grant, floor=3)]),
        "another grant": replace(deposit, grants=[grant, DepositGrant("lnk_thief0000001", "link", 2, "per_thief")]),
        "objects": replace(deposit, objects=[deposit.objects[0]]),
        "header tag": replace(deposit, objects=[replace(deposit.objects[0], header_tag=bytes(32))]),
        "sender": replace(deposit, sender_user="usr_thief"),
    }[what]


@pytest.mark.parametrize(
    "what", ["share", "expiry", "person", "floor", "another grant", "objects", "header tag", "sender"]
)
def test_another_deposit_under_the_same_id_is_refused_and_keeps_nothing_of_its_batch(house: House, what: str) -> None:
    deposit = house.deposit()
    fresh = replace(
        deposit, message="msg_fresh", grants=[replace(deposit.grants[0], id="lnk_fresh0000001")], objects=[]
    )
    with refusal("differs") as no:
        house.worker.deposit([fresh, change(deposit, what)])
    assert no.data == {"message": deposit.message}
    assert house.rows("SELECT COUNT(*) FROM messages") == [(1,)]
    assert house.rows("SELECT COUNT(*) FROM grants WHERE id LIKE '%thief%' OR id LIKE '%fresh%'") == [(0,)]
    assert house.actions()[-1] == ("deposit:refused", "differs")


def test_grants_objects_and_links_keep_their_bounds(house: House) -> None:
    deposit = house.deposit()
    fresh = replace(deposit, message="msg_fresh", objects=[])
    with refusal("taken"):  # another message may not take over a grant id
        house.worker.deposit([fresh])
    ours = replace(fresh, grants=[DepositGrant("lnk_fresh0000001", "link", 2, "per_1")])
    with refusal("taken"):
        house.worker.deposit([replace(ours, objects=deposit.objects)])
    for floor in (0, 1):
        with refusal("floor"):
            house.worker.deposit([replace(ours, grants=[replace(ours.grants[0], floor=floor)])])
    with refusal("expiry"):
        house.worker.deposit([replace(ours, expires_us=house.now)])
    with refusal("no-tenant"):
        house.worker.deposit([replace(ours, tenant="tnt_unknown")])
    house.worker.deposit([ours])


@pytest.mark.parametrize(
    "broken",
    [
        {"share": "AA=="}, {"share": None}, {"expires_us": "soon"}, {"grants": []}, {"message": "two words"},
        {"grants": [{"id": "lnk_1", "kind": "link", "floor": 2, "person": None}]},
        {"grants": [{"id": "lnk_1", "kind": "magic", "floor": 2, "person": "per_1"}]},
        {"grants": [{"id": "lnk_1", "kind": "link", "floor": True, "person": "per_1"}]},
        {"grants": [{"id": "lnk_1", "kind": "review", "floor": 2, "person": None}]},
        {"grants": [{"id": "lnk_1", "kind": "link", "floor": 2, "person": "per_1", "secret": "AA=="}]},
        {"objects": [{"id": "obj_1", "kind": "novel", "header_tag": "AA=="}]},
        {"more": 1},
    ],
)  # fmt: skip
def test_a_malformed_deposit_is_refused_before_anything_is_kept(house: House, broken: dict[str, Any]) -> None:
    params = house.deposit().params() | {"message": "msg_new"} | broken
    with pytest.raises(BadCall):
        house.holder.call("worker", "deposit", {"items": [params]})
    assert house.rows("SELECT COUNT(*) FROM messages") == [(1,)]


def test_a_destroyed_message_opens_no_more_and_no_byte_of_its_share_is_left(house: House) -> None:
    deposit = house.deposit(held=True)
    ((sealed,),) = house.rows("SELECT share FROM messages")
    ((secret,),) = house.rows("SELECT secret FROM grants")
    assert sealed[-40:] in stored(house)
    done = house.worker.destroy_message(TENANT, deposit.message)
    remains = stored(house)
    for value in (sealed, secret):
        assert value[1:13] not in remains
        assert value[-16:] not in remains
    assert done["final_us"] == (deposit.expires_us // (DAY * SECOND) + 8) * DAY * SECOND
    again = house.operator.destroy_message(TENANT, deposit.message)
    assert again == done  # its receipt as well: an entry can quote it although the first answer was lost
    house.reopen()
    assert house.worker.destroy_message(TENANT, deposit.message)["receipt"] == done["receipt"]
    with refusal("destroyed"):
        house.worker.deposit([deposit])
    assert house.actions().count(("share:destroyed", "asked")) == 1


def test_day_keys_go_when_their_day_and_grace_have_passed_and_take_the_shares_with_them(house: House) -> None:
    early, late = house.deposit(days=1), house.deposit(days=30)
    ((wrapped,),) = house.rows("SELECT wrapped FROM day_keys ORDER BY day LIMIT 1")
    ends = (early.expires_us // (DAY * SECOND) + 1) * DAY
    house.now = (ends + 7 * DAY) * SECOND - 1
    assert house.operator.expire()["day_keys"] == 0
    house.now += 1
    assert house.operator.expire() == {"day_keys": 1, "shares": 1, "sessions": 0, "broken": 0}
    assert wrapped[1:13] not in stored(house)
    assert house.portal.grant_info(early.grants[0].id)["state"] == "destroyed"
    assert house.portal.grant_info(late.grants[0].id)["state"] == "live"
    assert ("share:destroyed", "expired") in house.actions()
    house.reopen()
    house.enter(late.grants[0].id)


def test_a_shortened_message_rests_under_the_earlier_days_key_and_the_old_ciphertext_is_gone(house: House) -> None:
    deposit = house.deposit(days=90)
    ((before,),) = house.rows("SELECT share FROM messages")
    until = house.now + 2 * DAY * SECOND
    house.worker.narrow(TENANT, deposit.message, None, {"expires_us": until}, "usr_1", "req_1")
    assert before[1:13] not in stored(house)
    assert house.portal.grant_info(deposit.grants[0].id)["expires_us"] == until
    session = house.enter(deposit.grants[0].id)
    house.portal.release(session, deposit.grants[0].id, deposit.objects[0].id, "download", "req_2")
    house.now = until + 9 * DAY * SECOND
    house.operator.expire()
    assert house.portal.grant_info(deposit.grants[0].id)["state"] == "destroyed"


def test_shortening_to_the_past_ends_the_message_at_once(house: House) -> None:
    deposit = house.deposit()
    house.worker.narrow(TENANT, deposit.message, None, {"expires_us": 1}, "usr_1", "req_1")
    assert house.portal.grant_info(deposit.grants[0].id)["state"] == "expired"
    with refusal("wider"):
        house.worker.narrow(TENANT, deposit.message, None, {"expires_us": 2}, "usr_1", "req_2")


def test_the_sweep_sees_deposits_that_are_old_and_undestroyed(house: House) -> None:
    old, gone = house.deposit(), house.deposit()
    house.worker.destroy_message(TENANT, gone.message)
    house.wait(DAY)
    house.deposit()
    assert house.worker.messages(TENANT, "", house.now) == [old.message]
    assert house.worker.messages(TENANT, old.message, house.now) == []


def test_held_mail_is_released_to_the_worker_for_an_officers_act_only(house: House) -> None:
    officer, clerk = house.staff("usr_officer", "officer"), house.staff("usr_clerk", "office")
    deposit, other = house.deposit(held=True), house.deposit(held=True)
    desk = officer.sign_in()
    with refusal("no-act"):
        house.worker.release_held(TENANT, deposit.message, "act_made_up")
    with refusal("not-an-officer"):
        house.portal.officer_act(clerk.sign_in(), clerk.code(), "release", TENANT, deposit.message, "why")
    code = officer.code()
    with refusal("bad-act"):
        house.portal.officer_act(desk, code, "publish", TENANT, deposit.message, "why")
    act = house.portal.officer_act(desk, code, "release", TENANT, deposit.message, "Maria Gomez called")["act"]
    with refusal("used"):  # the code is spent on that act
        house.portal.officer_act(desk, code, "release", TENANT, other.message, "why")
    with refusal("no-act"):
        house.worker.release_held(TENANT, other.message, act)
    held = house.worker.release_held(TENANT, deposit.message, act)
    assert set(held["shares"]) == {thing.id for thing in deposit.objects}
    assert held["secret"] == deposit.params()["grants"][0]["secret"]
    house.reopen()
    assert house.worker.release_held(TENANT, deposit.message, act)["secret"] == held["secret"]
    house.worker.held_done(TENANT, deposit.message)
    house.worker.held_done(TENANT, deposit.message)
    with refusal("done"):
        house.worker.release_held(TENANT, deposit.message, act)
    with refusal("not-held"):
        house.portal.officer_act(desk, officer.code(), "release", TENANT, deposit.message, "again")
    assert b"Maria Gomez" not in stored(house)


@pytest.mark.parametrize("decided", ["release", "release-as-is"])
def test_protected_or_as_it_came_is_part_of_what_the_officer_proved(house: House, decided: str) -> None:
    officer, held = house.staff("usr_officer", "officer"), house.deposit(held=True).message
    act = house.portal.officer_act(officer.sign_in(), officer.code(), decided, TENANT, held, "why")["act"]
    assert house.worker.release_held(TENANT, held, act)["act"] == decided
    assert ("act:recorded", decided) in house.actions()
    assert ("held:released", decided) in house.actions()


def test_an_act_to_drop_releases_nothing_and_an_act_ends_after_a_day(house: House) -> None:
    officer = house.staff("usr_officer", "officer")
    deposit = house.deposit(held=True)
    desk = officer.sign_in()
    drop = house.portal.officer_act(desk, officer.code(), "drop", TENANT, deposit.message, "")["act"]
    with refusal("another-act"):
        house.worker.release_held(TENANT, deposit.message, drop)
    late = house.portal.officer_act(desk, officer.code(), "release", TENANT, deposit.message, "")["act"]
    house.wait(DAY)
    with refusal("expired"):
        house.worker.release_held(TENANT, deposit.message, late)


def test_an_officer_reads_held_mail_with_r_until_it_is_settled(house: House) -> None:
    officer = house.staff("usr_officer", "officer")
    deposit = house.deposit(held=True)
    grant, thing = deposit.grants[0].id, deposit.objects[0].id
    desk = officer.sign_in()
    assert (
        house.portal.release(desk, grant, thing, "review", "req_1")["secret"]
        == (deposit.params()["grants"][0]["secret"])
    )
    with refusal("not-staff"):
        house.portal.release(house.enter(house.deposit().grants[0].id), grant, thing, "review", "req_2")
    house.worker.held_done(TENANT, deposit.message)
    with refusal("not-held"):
        house.portal.release(desk, grant, thing, "review", "req_3")


def test_r_of_settled_mail_is_overwritten(house: House) -> None:
    deposit = house.deposit(held=True)
    ((secret,),) = house.rows("SELECT secret FROM grants")
    house.worker.held_done(TENANT, deposit.message)
    assert secret[1:13] not in stored(house)
    assert secret[-16:] not in stored(house)
