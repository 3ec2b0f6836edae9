"""Sending again without the sender: only where the signed policy says so, for a recorded act, and for one link."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from keys.client import Deposit, DepositGrant, unb64
from keys.errors import Denied
from tests.support.keyholder import TENANT, deposit_for
from tests.unit.keyholder.conftest import PERSON, SECOND, House

ON = 'extends = "clinic"\n[release]\nstaff_grant = true\n'
DAY = 86_400


def reason(deed: Callable[[], Any]) -> str:
    with pytest.raises(Denied) as denied:
        deed()
    return denied.value.reason


def switch(house: House, policy: str) -> None:
    body = {"domains": ["clinic.test"], "networks": [], "limits": {}, "policy_toml": policy}
    house.operator.put_settings(TENANT, body)


def sent(house: House, secret: bytes, sender: str | None = None) -> Deposit:
    made = deposit_for(PERSON)
    staff = DepositGrant("lnk_" + secrets.token_hex(6), "staff", 2, None, secret)
    made = Deposit(
        made.tenant, made.message, house.now + 90 * DAY * SECOND, made.share, [*made.grants, staff], made.objects,
        sender_user=sender,
    )  # fmt: skip
    house.worker.deposit([made])
    return made


def test_no_message_comes_in_with_such_a_grant_unless_the_signed_policy_says_so(house: House) -> None:
    assert reason(lambda: sent(house, os.urandom(32))) == "not-allowed"
    switch(house, "not TOML [")
    assert reason(lambda: sent(house, os.urandom(32))) == "not-allowed"
    switch(house, ON)
    assert sent(house, os.urandom(32))


def test_an_act_gives_one_new_link_and_r_and_all_officers_hear_of_it(house: House) -> None:
    switch(house, ON)
    secret = os.urandom(32)
    made = sent(house, secret)
    office = house.staff("usr_office", "office")
    session = office.sign_in()
    assert house.portal.may_resend(session, made.message)
    assert reason(lambda: house.portal.resend_act(session, "000000", made.message, "per_new", "asked")) == "wrong"
    act = house.portal.resend_act(session, office.code(), made.message, "per_new", "she asked")["act"]
    assert [one["about"] for one in house.worker.take_changes(10) if one["kind"] == "resent"] == [made.message]
    given = house.worker.staff_link(TENANT, made.message, act, "lnk_new000000001")
    assert (unb64(given["secret"]), given["person"], given["user"]) == (secret, "per_new", "usr_office")
    assert house.portal.grant_info("lnk_new000000001")["state"] == "live"
    assert house.worker.staff_link(TENANT, made.message, act, "lnk_new000000001")["person"] == "per_new"
    assert reason(lambda: house.worker.staff_link(TENANT, made.message, act, "lnk_new000000002")) == "taken"
    house.wait(2 * DAY)
    assert reason(lambda: house.worker.staff_link(TENANT, made.message, act, "lnk_new000000001")) == "expired"
    assert ("staff:released", "resend") in house.actions()


def test_nothing_is_given_without_an_act_for_another_message_or_once_it_is_switched_off(house: House) -> None:
    switch(house, ON)
    made, other = sent(house, os.urandom(32)), sent(house, os.urandom(32))
    office = house.staff("usr_office", "office")
    session = office.sign_in()
    assert reason(lambda: house.worker.staff_link(TENANT, made.message, "act_none", "lnk_a")) == "no-act"
    act = house.portal.resend_act(session, office.code(), made.message, PERSON, "asked")["act"]
    assert reason(lambda: house.worker.staff_link(TENANT, other.message, act, "lnk_a")) == "no-act"
    assert reason(lambda: house.worker.staff_link(TENANT, made.message, act, made.grants[0].id)) == "taken"
    switch(house, 'extends = "clinic"\n')
    assert reason(lambda: house.worker.staff_link(TENANT, made.message, act, "lnk_a")) == "not-allowed"
    assert not house.portal.may_resend(session, made.message)


def test_staff_send_their_own_mail_again_and_nobody_elses_nor_what_was_taken_back(house: House) -> None:
    switch(house, ON)
    amy = house.staff("usr_amy", "staff")
    own, others = sent(house, os.urandom(32), "usr_amy"), sent(house, os.urandom(32))
    session = amy.sign_in()
    assert house.portal.may_resend(session, own.message)
    assert not house.portal.may_resend(session, others.message)
    asked = (session, amy.code(), others.message, PERSON, "asked")
    assert reason(lambda: house.portal.resend_act(*asked)) == "not-your-message"
    house.worker.narrow(TENANT, own.message, None, {"revoke": True}, "test", "req_1")
    assert not house.portal.may_resend(session, own.message)
