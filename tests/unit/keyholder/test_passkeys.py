"""Passkeys of recipients: set up, used, and every answer that is refused although its signature is right."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keys.client import unb64
from keys.errors import Tampered
from tests.support.authenticator import PRESENT, VERIFIED, Authenticator
from tests.support.keyholder import TENANT
from tests.unit.keyholder.conftest import PERSON, House, refusal, set_up_house
from tests.unit.keyholder.test_doors import staff_code
from tests.unit.keyholder.test_factors import enrol as enrol_app

DAY = 86_400
SITE = "https://mail.elm.test:8443"
OTHER = "tnt_Second0000000001"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    set_up_house(made)
    settings(made)
    yield made
    made.close()


def settings(house: House, tenant: str = TENANT, site: str = SITE) -> None:
    house.operator.put_settings(tenant, {"display_name": "Elm Street Clinic", "public_url": site})


def add(house: House, session: str, **how: Any) -> Authenticator:
    """A passkey that this session set up."""
    device = Authenticator(SITE, **how)
    asked = house.portal.passkey_begin(session)
    house.portal.passkey_enrol(session, unb64(asked["ticket"]), device.make(asked["challenge"]), "Maria's phone")
    return device


def enter(house: House, grant: str, device: Authenticator, visitor: str = "vis_1") -> Any:
    asked = house.portal.passkey_ask(grant, visitor)
    return house.portal.passkey_open(grant, visitor, unb64(asked["ticket"]), device.use(asked["challenge"]))


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_a_passkey_opens_its_message_at_once_and_others_a_day_later_at_level_three(
    house: House, algorithm: str
) -> None:
    first, second = house.deposit(), house.deposit()
    mine, other = first.grants[0].id, second.grants[0].id
    assert "passkey" not in house.portal.grant_info(mine)["doors"]
    device = add(house, house.enter(mine), algorithm=algorithm, counter=7)
    assert "passkey" in house.portal.grant_info(mine)["doors"]
    opened = enter(house, mine, device)
    assert (opened["proof"], opened["method"], opened["scope"]) == (3, "passkey", {"message": first.message})
    house.portal.release(opened["handle"], mine, first.objects[0].id, "download", "req_1")
    assert "passkey" not in house.portal.grant_info(other)["doors"]
    with refusal("no-passkey"):
        house.portal.passkey_ask(other, "vis_1")
    house.wait(DAY)
    assert enter(house, other, device)["scope"] == {"message": second.message}
    news = [one["kind"] for one in house.worker.take_changes(10)]
    assert news == ["enrolled"]


def test_an_answer_counts_once_for_its_own_message_browser_and_ten_minutes(house: House) -> None:
    grant, other = house.deposit().grants[0].id, house.deposit().grants[0].id
    device = add(house, house.enter(grant))
    house.wait(DAY)
    asked = house.portal.passkey_ask(grant, "vis_1")
    ticket, answer = unb64(asked["ticket"]), device.use(asked["challenge"])
    with refusal("wrong"):  # the challenge of another message
        house.portal.passkey_open(other, "vis_1", ticket, answer)
    with refusal("wrong"):  # another browser's
        house.portal.passkey_open(grant, "vis_2", ticket, answer)
    house.portal.passkey_open(grant, "vis_1", ticket, answer)
    with refusal("used"):
        house.portal.passkey_open(grant, "vis_1", ticket, answer)
    house.reopen()
    with refusal("used"):
        house.portal.passkey_open(grant, "vis_1", ticket, answer)
    late = house.portal.passkey_ask(grant, "vis_1")
    house.wait(600)
    with refusal("expired"):
        house.portal.passkey_open(grant, "vis_1", unb64(late["ticket"]), device.use(late["challenge"]))
    house.holder.keep_house()
    assert house.rows("SELECT COUNT(*) FROM spent_challenges") == [(0,)]
    with refusal("expired"):  # also when what was spent is forgotten
        house.portal.passkey_open(grant, "vis_1", ticket, answer)


def test_a_challenge_for_setting_up_or_of_another_tenant_opens_nothing(house: House) -> None:
    house.operator.create_tenant(OTHER, "Second", f"second.test/log/{OTHER}")
    settings(house, OTHER, "https://mail.second.test")
    deposit, foreign = house.deposit(), house.deposit(PERSON, tenant=OTHER)
    grant = deposit.grants[0].id
    session = house.enter(grant)
    device = add(house, session)
    begun = house.portal.passkey_begin(session)
    with refusal("wrong"):
        house.portal.passkey_open(grant, "vis_1", unb64(begun["ticket"]), device.use(begun["challenge"]))
    assert "passkey" not in house.portal.grant_info(foreign.grants[0].id)["doors"]
    asked = house.portal.passkey_ask(grant, "vis_1")
    with refusal("wrong"):
        house.portal.passkey_open(foreign.grants[0].id, "vis_1", unb64(asked["ticket"]), device.use(asked["challenge"]))
    fresh = Authenticator(SITE)
    with refusal("wrong"):  # an answer that opens sets nothing up
        house.portal.passkey_enrol(session, unb64(asked["ticket"]), fresh.make(asked["challenge"]), "")


LIES: dict[str, dict[str, Any]] = {
    "no user verification": {"flags": PRESENT},
    "nobody there": {"flags": VERIFIED},
    "another host": {"host": "evil.test"},
    "a parent domain": {"host": "elm.test"},
    "another origin": {"origin": "https://evil.test"},
    "another port": {"origin": "https://mail.elm.test"},
    "in the clear": {"origin": "http://mail.elm.test:8443"},
    "another type": {"said": {"type": "payment.get"}},
    "in a frame": {"said": {"crossOrigin": True}},
    "below another page": {"said": {"topOrigin": "https://evil.test"}},
}


@pytest.mark.parametrize("lie", sorted(LIES))
def test_a_rightly_signed_answer_with_one_lie_is_refused_and_counted(house: House, lie: str) -> None:
    grant = house.deposit().grants[0].id
    session = house.enter(grant)
    device = add(house, session)
    asked = house.portal.passkey_ask(grant, "vis_1")
    liar = Authenticator(**({"origin": SITE, "host": "mail.elm.test"} | LIES[lie]))
    begun = house.portal.passkey_begin(session)
    with refusal("wrong"):
        house.portal.passkey_enrol(session, unb64(begun["ticket"]), liar.make(begun["challenge"]), "")
    liar.id, liar._key = device.id, device._key
    with refusal("wrong") as no:
        house.portal.passkey_open(grant, "vis_1", unb64(asked["ticket"]), liar.use(asked["challenge"]))
    assert no.data["tries_left"] == 4
    enter(house, grant, device)  # the twin without the lie


def test_a_foreign_challenge_key_or_garbage_is_wrong_and_five_lock_the_person(house: House) -> None:
    grant = house.deposit().grants[0].id
    device = add(house, house.enter(grant))
    stranger = Authenticator(SITE, id=device.id)
    good = device.use("AAAA")
    for number, answer in enumerate([
        stranger, device.use("AAAA"), {}, {"id": "", "response": {}},
        {"id": good["id"], "response": dict.fromkeys(good["response"], "AAAA")},
    ]):  # fmt: skip
        asked = house.portal.passkey_ask(grant, "vis_1")
        sent = answer.use(asked["challenge"]) if isinstance(answer, Authenticator) else answer
        with refusal("wrong") as no:
            house.portal.passkey_open(grant, "vis_1", unb64(asked["ticket"]), sent)
        assert no.data["tries_left"] == 4 - number
    with refusal("too-many"):
        house.portal.passkey_ask(grant, "vis_1")
    house.wait(901)
    enter(house, grant, device)


def test_a_counter_that_does_not_grow_kills_the_passkey(house: House) -> None:
    grant = house.deposit().grants[0].id
    device = add(house, house.enter(grant), counter=5)
    enter(house, grant, device)
    device.counter = 4  # the clone is one behind
    with refusal("cloned"):
        enter(house, grant, device)
    assert "passkey" not in house.portal.grant_info(grant)["doors"]
    assert ("factor:killed", "cloned") in house.actions()


def test_many_failures_in_a_row_kill_a_passkey_and_a_success_forgets_them(tmp_path: Path) -> None:
    house = House(tmp_path, factor_failures=4)  # a hundred, where nobody sets it
    set_up_house(house)
    settings(house)
    grant = house.deposit().grants[0].id
    device = add(house, house.enter(grant))
    stranger = Authenticator(SITE, id=device.id)

    def fail(times: int) -> None:
        for _ in range(times):
            with refusal("wrong"):
                enter(house, grant, stranger)

    fail(3)
    enter(house, grant, device)
    fail(3)
    assert house.rows("SELECT failures, state FROM passkeys") == [(3, "live")]
    fail(1)
    assert ("factor:killed", "failures") in house.actions()
    with refusal("no-passkey"):
        house.portal.passkey_ask(grant, "vis_1")
    house.close()


CHANGES = {
    "public": "UPDATE passkeys SET public = X'A0'",
    "owner": "UPDATE passkeys SET owner = 'per_other'",
    "bound": "UPDATE passkeys SET wide_from_us = 0",
    "message": "UPDATE passkeys SET message = (SELECT id FROM messages ORDER BY deposited_us DESC LIMIT 1)",
    "counter": "UPDATE passkeys SET counter = 0",
}


@pytest.mark.parametrize("what", sorted(CHANGES))
def test_who_writes_into_the_store_gains_nothing(house: House, what: str) -> None:
    mine = house.deposit().grants[0].id
    add(house, house.enter(mine), counter=9)
    house.wait(1)
    other = house.deposit("per_other" if what == "owner" else PERSON).grants[0].id
    house.change(CHANGES[what])
    with pytest.raises(Tampered):
        house.portal.passkey_ask(other if what != "counter" else mine, "vis_1")


def test_what_stands_on_a_number_or_a_code_used_twice_ends_with_it(house: House) -> None:
    grant = house.deposit().grants[0].id
    add(house, house.enter(grant))
    house.operator.register_person(TENANT, PERSON, "+15005550199")
    assert "passkey" not in house.portal.grant_info(grant)["doors"]
    code = staff_code(house, grant)
    session = house.portal.verify(grant, code, "vis_1", "net_1")["handle"]
    add(house, session)
    house.portal.recovery_codes(session)
    assert "passkey" in house.portal.grant_info(grant)["doors"]
    with refusal("used"):
        house.portal.verify(grant, code, "vis_2", "net_1")
    assert house.rows("SELECT state FROM passkeys") == [("dead",)] * 2
    assert house.rows("SELECT COUNT(*) FROM recovery_codes") == [(0,)]


def test_no_passkeys_where_the_signed_settings_name_no_host_for_them(house: House) -> None:
    grant = house.deposit().grants[0].id
    session = house.enter(grant)
    device = add(house, session)
    for site in ("https://192.0.2.1", "https://[2001:db8::1]", "http://mail.elm.test:8443", "", "nonsense"):
        settings(house, site=site)
        info = house.portal.grant_info(grant)
        assert (info["may_passkey"], "passkey" in info["doors"]) == (False, False), site
        with refusal("no-host"):
            house.portal.passkey_begin(session)
    settings(house, site="https://new.elm.test")  # the clinic moved: what was made for the old host is no passkey here
    with refusal("wrong"):
        enter(house, grant, device)


def test_only_a_fresh_session_sets_one_up_and_its_list_is_its_own(house: House) -> None:
    grant = house.deposit().grants[0].id
    session = house.enter(grant)
    begun = house.portal.passkey_begin(session)
    device = Authenticator(SITE)
    other = house.enter(house.deposit().grants[0].id)
    with refusal("wrong"):
        house.portal.passkey_enrol(other, unb64(begun["ticket"]), device.make(begun["challenge"]), "")
    house.portal.passkey_enrol(session, unb64(begun["ticket"]), device.make(begun["challenge"]), " My\n \x00phone " * 9)
    again = house.portal.passkey_begin(session)
    assert again["credentials"] == [base64.urlsafe_b64encode(device.id).decode().rstrip("=")]
    with refusal("taken"):
        house.portal.passkey_enrol(session, unb64(again["ticket"]), device.make(again["challenge"]), "")
    (one,) = house.portal.passkeys(session)["passkeys"]
    assert (one["name"], one["used_us"]) == (("My phone " * 9)[:60], None)
    house.wait(10)
    enter(house, grant, device)
    assert house.portal.passkeys(session)["passkeys"][0]["used_us"] == house.now
    elsewhere = house.portal.verify(
        (theirs := house.deposit("per_other").grants[0].id), staff_code(house, theirs), "vis_9", "net_1"
    )["handle"]
    with refusal("unknown"):
        house.portal.passkey_remove(elsewhere, one["id"])
    remembered = unb64(house.portal.remember(session)["device"])
    with refusal("stale"):
        house.portal.passkey_begin(house.portal.use_device(grant, remembered, "vis_1")["handle"])
    for _ in range(4):
        house.wait(600)
        house.portal.session(session)
    with refusal("stale"):
        house.portal.passkey_begin(session)


def test_the_last_way_in_cannot_be_removed_and_any_other_can(house: House) -> None:
    grant = house.deposit("per_nobody").grants[0].id
    session = house.portal.verify(grant, staff_code(house, grant), "vis_1", "net_1")["handle"]
    add(house, session)
    add(house, session)
    first, second = (one["id"] for one in house.portal.passkeys(session)["passkeys"])
    house.portal.passkey_remove(session, first)
    with refusal("last-factor"):
        house.portal.passkey_remove(session, second)
    enrol_app(house, session)
    house.portal.passkey_remove(session, second)
    assert house.portal.passkeys(session)["passkeys"] == []


def test_past_the_tenants_hard_limit_passkey_sessions_still_open(tmp_path: Path) -> None:
    house = House(tmp_path, tenant_releases_per_hour=1)
    set_up_house(house)
    settings(house)
    deposit, other = house.deposit(), house.deposit()
    grant = deposit.grants[0].id
    session = house.enter(grant)
    device = add(house, session)
    house.portal.release(house.enter(other.grants[0].id), other.grants[0].id, other.objects[0].id, "read", "req_1")
    with refusal("tenant-budget"):
        house.portal.release(session, grant, deposit.objects[0].id, "read", "req_2")
    opened = enter(house, grant, device)["handle"]
    house.portal.release(opened, grant, deposit.objects[0].id, "read", "req_3")
    house.close()
