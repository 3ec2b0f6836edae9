"""Recovery keys at the keyholder: who may set one, what the worker gets of it, and what an act opens."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from keys import kit, recovery
from keys.client import Deposit, DepositGrant, unb64
from keys.derive import object_share
from keys.errors import Tampered
from keys.keyholder.calls import BadCall
from keys.signing import verify_signature
from tests.support.keyholder import PASSWORD, TENANT
from tests.unit.keyholder.conftest import PERSON, House, StaffMember, refusal

DAY = 86_400
WHY = "lost her mail"


def propose(house: House, made: kit.Made) -> dict[str, Any]:
    marks = [recovery.check_mark(made.key, one.check).hex() for one in made.sheets]
    return house.operator.propose_recovery(TENANT, made.public, made.sheets[0].needed, marks)


def approve(house: House, who: StaffMember, change: str) -> dict[str, Any]:
    return house.portal.decide_change(TENANT, who.user, PASSWORD, who.code(), "net_1", "approve", change)


def recoverable(house: House, **more: Any) -> Deposit:
    """A delivered message with a recovery grant beside its link."""
    plain = house.deposit(**more)
    grant = DepositGrant(plain.grants[0].id[:-3] + "rec", "recovery", 2)
    objects = [dataclasses.replace(one, id=f"{one.id}r") for one in plain.objects]
    links = [dataclasses.replace(one, id=one.id[:-3] + "new") for one in plain.grants]
    made = dataclasses.replace(plain, message=f"{plain.message}r", grants=[*links, grant], objects=objects)
    house.worker.deposit([made])
    return made


def asked(house: House, who: StaffMember, *messages: str, act: str = "recover", link: str = "") -> dict[str, Any]:
    return house.portal.recover(
        TENANT, who.user, PASSWORD, who.code(), "net_1", act=act, messages=messages, link=link, reason=WHY
    )


@pytest.fixture
def made() -> kit.Made:
    return kit.make("Elm Street Clinic", "2026-11-23", 2, 3)


def test_before_the_first_officer_it_counts_at_once_and_is_signed(house: House, made: kit.Made) -> None:
    assert house.worker.recovery_key(TENANT) is None
    assert propose(house, made) == {"key": made.key, "waiting": False}
    found = house.worker.recovery_key(TENANT)
    assert found is not None
    public = unb64(house.portal.keys()["public_key"])
    parts = (TENANT, made.key, 1, made.public)
    verify_signature(public, unb64(found["signature"]), "sealgate/recovery-key/v1", *parts)
    with refusal("same-key"):
        propose(house, made)


def test_afterwards_it_waits_for_an_officer_and_a_day_and_everybody_is_told(house: House, made: kit.Made) -> None:
    officer, admin = house.staff("usr_officer", "officer"), house.staff("usr_admin", "admin")
    officer.sign_in()
    change = propose(house, made)["proposal"]
    assert change["acts"] == f"{made.key} 2-of-3"
    assert ("proposal", change["id"]) in {(one["kind"], one["about"]) for one in house.worker.take_changes(10)}
    approve(house, admin, change["id"])
    house.wait(400 * DAY)
    assert house.worker.recovery_key(TENANT) is None, "an administrator beside the operator is no officer"
    approve(house, officer, change["id"])  # the twin; its day is over
    found = house.worker.recovery_key(TENANT)
    assert found is not None
    assert found["id"] == made.key
    assert "recovery-key-set" in {one["kind"] for one in house.worker.take_changes(10)}


def test_it_waits_its_day_and_an_officer_ends_it(house: House, made: kit.Made) -> None:
    officer = house.staff("usr_officer", "officer")
    officer.sign_in()
    change = propose(house, made)["proposal"]["id"]
    approve(house, officer, change)
    house.wait(DAY - 120)
    assert house.worker.recovery_key(TENANT) is None
    house.portal.decide_change(TENANT, officer.user, PASSWORD, officer.code(), "net_1", "withdraw", change)
    house.wait(2 * DAY)
    assert house.worker.recovery_key(TENANT) is None
    assert house.operator.recovery_state(TENANT)["waiting"] is None


def test_going_without_one_is_a_signed_choice_too(house: House, made: kit.Made) -> None:
    assert house.operator.recovery_state(TENANT)["key"] == ""
    house.operator.propose_recovery(TENANT, b"", 0, [])
    assert house.operator.recovery_state(TENANT)["key"] == "none"
    assert house.worker.recovery_key(TENANT) is None
    propose(house, made)
    assert house.operator.recovery_state(TENANT)["key"] == made.key
    with refusal("bad-key"):
        house.operator.propose_recovery(TENANT, bytes(32), 1, ["00" * 32])
    with refusal("bad-key"):
        house.operator.propose_recovery(TENANT, made.public, 2, ["00" * 32])


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE recovery_keys SET public = ?, id = 'rky_00000000000000000000' WHERE serial = 2",
        "UPDATE recovery_keys SET public = ? WHERE serial = 2",
        "UPDATE recovery_keys SET opened_us = length(?) WHERE serial = 2",
        "UPDATE recovery_keys SET tenant = 'tnt_other' WHERE serial = 1 AND ? IS NOT NULL",
        "DELETE FROM recovery_keys WHERE serial = 2 AND ? IS NOT NULL",
    ],
    ids=["key", "public-half", "tick", "earlier-gone", "last-gone"],
)
def test_a_key_that_was_swapped_in_the_store_is_refused_and_named(house: House, made: kit.Made, change: str) -> None:
    house.operator.propose_recovery(TENANT, b"", 0, [])
    propose(house, made)
    assert house.worker.recovery_key(TENANT) is not None
    house.change(change, kit.make("x", "2026-11-23").public)
    for ask in (house.worker.recovery_key, house.operator.recovery_state):
        with pytest.raises(Tampered, match="recovery key's row"):
            ask(TENANT)


def test_sheets_are_confirmed_by_their_own_check_values(house: House, made: kit.Made) -> None:
    with refusal("no-recovery"):
        house.worker.recovery_confirm(TENANT, ["00" * 10])
    propose(house, made)
    with refusal("differs"):
        house.worker.recovery_confirm(TENANT, [made.sheets[0].check.hex(), "00" * 10])
    assert house.operator.recovery_state(TENANT)["confirmed"] == []
    assert house.worker.recovery_confirm(TENANT, [made.sheets[2].check.hex()]) == {"confirmed": [3]}
    assert house.worker.recovery_confirm(TENANT, [made.sheets[0].check.hex()]) == {"confirmed": [1, 3]}
    propose(house, kit.make("x", "2026-11-24"))
    assert house.operator.recovery_state(TENANT)["confirmed"] == [], "the sheets of another key confirm nothing"


def test_an_officers_act_opens_its_message_and_no_other_and_everybody_is_told(house: House) -> None:
    officer = house.staff("usr_officer", "officer")
    mail, other, plain = recoverable(house), recoverable(house), house.deposit()
    act = asked(house, officer, mail.message)
    assert act["complete"]
    given = house.worker.recovery_release(TENANT, act["id"], mail.message)
    for thing in mail.objects:
        want = object_share(mail.share, tenant=TENANT, message=mail.message, object_id=thing.id)
        assert unb64(given["shares"][thing.id]) == want
    assert set(given["receipts"]) == {one.id for one in mail.objects}
    assert given["grant"].endswith("rec")
    with refusal("no-act"):
        house.worker.recovery_release(TENANT, act["id"], other.message)
    with refusal("no-act"):
        house.worker.recovery_release(TENANT, "rcv_" + "0" * 32, mail.message)
    with refusal("no-recovery"):
        asked(house, officer, plain.message)
    assert "recovery-key-used" in {one["kind"] for one in house.worker.take_changes(20)}
    assert house.actions().count(("share:released", "recover")) == len(mail.objects)
    house.wait(DAY)
    with refusal("expired"):
        house.worker.recovery_release(TENANT, act["id"], mail.message)


@pytest.mark.parametrize("role", ["admin", "office", "staff", "auditor"])
def test_nobody_but_an_officer_asks(house: House, role: str) -> None:
    mail, who = recoverable(house), house.staff("usr_x", role)
    with refusal("not-an-officer"):
        asked(house, who, mail.message)
    session = who.sign_in()
    with refusal("not-an-officer"):
        house.portal.recover_as(session, who.code(), act="recover", messages=[mail.message], reason=WHY)
    link = mail.grants[0].id
    with refusal("not-this-kind"):
        house.portal.release(session, mail.grants[1].id, mail.objects[0].id, "read", "req_1")
    with refusal("not-a-recipient"):
        house.portal.release(session, link, mail.objects[0].id, "read", "req_2")


def test_a_session_needs_a_fresh_code_for_the_act(house: House) -> None:
    mail, officer = recoverable(house), house.staff("usr_officer", "officer")
    session = officer.sign_in()
    code = officer.code()
    with refusal("wrong"):
        house.portal.recover_as(session, "000000", act="recover", messages=[mail.message], reason=WHY)
    assert house.portal.recover_as(session, code, act="recover", messages=[mail.message], reason=WHY)["complete"]
    with refusal("used"):
        house.portal.recover_as(session, code, act="recover", messages=[mail.message], reason=WHY)
    with refusal("bad-act"):
        house.portal.recover_as(session, officer.code(), act="recover", messages=[], reason=WHY)
    with refusal("bad-act"):
        house.portal.recover_as(session, officer.code(), act="recover", messages=[mail.message], reason="")


def test_where_the_policy_asks_for_two_it_waits_for_another_officer(house: House) -> None:
    mail, first, second = recoverable(house), house.staff("usr_1", "officer"), house.staff("usr_2", "officer")
    house.operator.put_settings(TENANT, {"policy_toml": "[release]\nsecond_person = true\n"})
    act = asked(house, first, mail.message)
    assert not act["complete"]
    with refusal("needs-second"):
        house.worker.recovery_release(TENANT, act["id"], mail.message)
    with refusal("same-person"):
        asked(house, first, mail.message)
    assert asked(house, second, mail.message)["id"] == act["id"]
    given = house.worker.recovery_release(TENANT, act["id"], mail.message)
    assert (given["user"], given["second"]) == ("usr_1", "usr_2")


def test_what_ended_opens_only_while_a_legal_hold_keeps_it(house: House) -> None:
    officer = house.staff("usr_officer", "officer")
    recalled, expired, erased = (recoverable(house, days=2) for _ in range(3))
    with house_hold(house, officer, expired.message):
        house.worker.narrow(TENANT, recalled.message, None, {"revoke": True}, "worker", "req_1")
        house.operator.destroy_message(TENANT, erased.message)
        house.wait(3 * DAY)
        for one, why in ((recalled, "not-live"), (erased, "destroyed")):
            with refusal(why):
                asked(house, officer, one.message)
        act = asked(house, officer, expired.message)
        assert house.worker.recovery_release(TENANT, act["id"], expired.message)["shares"]


class house_hold:
    """A legal hold on one message."""

    def __init__(self, house: House, officer: StaffMember, message: str) -> None:
        session = officer.sign_in()
        house.portal.dispose_as(session, officer.code(), act="hold-message", object=message, reason="case 7")

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def test_a_new_link_is_for_the_same_person_and_brings_nothing_back(house: House) -> None:
    mail, officer = recoverable(house), house.staff("usr_officer", "officer")
    old = mail.grants[0].id
    act = asked(house, officer, mail.message, act="relink", link=old)
    with refusal("no-act"):
        house.worker.recovery_release(TENANT, act["id"], mail.message)
    made = house.worker.recovery_relink(TENANT, act["id"], "lnk_fresh0000000")
    assert (made["old"], made["person"], made["floor"], made["expires_us"]) == (old, PERSON, 2, mail.expires_us)
    assert house.worker.recovery_relink(TENANT, act["id"], "lnk_fresh0000000")["receipt"] == made["receipt"]
    with refusal("taken"):
        house.worker.recovery_relink(TENANT, act["id"], "lnk_second000000")
    house.worker.narrow(TENANT, mail.message, old, {"revoke": True}, "worker", "req_1")
    states = house.worker.grant_state(TENANT, [old, "lnk_fresh0000000"])
    assert [one["state"] for one in states.values()] == ["revoked", "live"]
    session = house.enter("lnk_fresh0000000")
    assert house.portal.release(session, "lnk_fresh0000000", mail.objects[0].id, "read", "req_1")["share"]
    with refusal("not-live"):  # nor does it bring back what was taken back
        asked(house, officer, mail.message, act="relink", link=old)
    with refusal("unknown"):
        asked(house, officer, mail.message, act="relink", link=recoverable(house).grants[0].id)


def test_a_proof_counts_for_the_key_in_force(house: House, made: kit.Made) -> None:
    mail = recoverable(house)
    with refusal("no-recovery"):
        house.worker.recovery_proved(TENANT, made.key, mail.message)
    propose(house, made)
    with refusal("differs"):
        house.worker.recovery_proved(TENANT, "rky_" + "0" * 20, mail.message)
    house.worker.recovery_proved(TENANT, made.key, mail.message)
    assert house.operator.recovery_state(TENANT)["opened_us"] == house.now
    house.reopen()
    assert house.operator.recovery_state(TENANT)["opened_us"] == house.now
    assert json.dumps(made.sheets[0].words) not in json.dumps(house.entries())


def test_a_recovery_grant_is_nobodys_and_has_a_floor(house: House) -> None:
    plain = house.deposit()

    def deposit(floor: int, person: str | None) -> None:
        grant = DepositGrant("lnk_rec000000000", "recovery", floor, person)
        house.worker.deposit([dataclasses.replace(plain, message="msg_other", grants=[grant], objects=[])])

    with refusal("floor"):
        deposit(1, None)
    with pytest.raises(BadCall):
        deposit(2, PERSON)
    deposit(2, None)
