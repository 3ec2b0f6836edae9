"""Recovery codes: made behind a lasting factor, each good once, and what they may do that other codes may not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.keyholder import PHONE, TENANT
from tests.unit.keyholder.conftest import PERSON, House, refusal, set_up_house
from tests.unit.keyholder.test_factors import enrol as enrol_app
from tests.unit.keyholder.test_passkeys import add, enter, settings

DAY = 86_400


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    set_up_house(made)
    settings(made)
    yield made
    made.close()


def typed(house: House, grant: str, code: str) -> str:
    shown = " ".join(code[at : at + 4].lower() for at in range(0, len(code), 4))
    return str(house.portal.verify(grant, shown, "vis_1", "net_1")["handle"])


def test_ten_codes_come_only_after_a_lasting_factor_and_each_opens_once(house: House) -> None:
    grant = house.deposit().grants[0].id
    session = house.enter(grant)
    with refusal("no-factor"):
        house.portal.recovery_codes(session)
    add(house, session)
    codes = house.portal.recovery_codes(session)
    assert len(set(codes)) == 10
    assert {len(code) for code in codes} == {16}
    assert house.portal.passkeys(session)["codes"] == 10
    made = house.portal.session(typed(house, grant, codes[3]))
    assert (made["proof"], made["method"]) == (2, "recovery")
    with refusal("used") as no:
        typed(house, grant, codes[3])
    assert no.data["tries_left"] == 4
    with refusal("wrong") as no:
        typed(house, grant, "B" * 16)
    assert no.data["tries_left"] == 3
    assert house.portal.passkeys(session)["codes"] == 9
    newer = house.portal.recovery_codes(session)
    with refusal("wrong"):
        typed(house, grant, codes[4])
    typed(house, grant, newer[0])
    news = sorted(one["kind"] for one in house.worker.take_changes(10))
    assert news == ["enrolled", "recovered", "recovered", "recovery-made", "recovery-made"]


def test_codes_wait_a_day_like_all_that_a_session_sets_up_and_then_need_no_wait_themselves(house: House) -> None:
    first, second, third = (house.deposit().grants[0].id for _ in range(3))
    session = house.enter(first)
    add(house, session)
    codes = house.portal.recovery_codes(session)
    with refusal("too-new") as no:  # it is not spent, and no try
        typed(house, second, codes[0])
    assert no.data["tries_left"] == 5
    planted = add(house, typed(house, first, codes[1]))  # what a code sets up on its first day waits with it
    with refusal("no-passkey"):
        enter(house, second, planted)
    house.wait(DAY)
    fresh = typed(house, second, codes[0])
    device, app = add(house, fresh), enrol_app(house, fresh)
    assert enter(house, third, device)["proof"] == 3  # at once: no day more
    house.wait(60)
    assert house.portal.verify(third, app.at(house.now // 1_000_000), "vis_1", "net_1")["method"] == "totp"
    remembered = house.portal.remember(fresh)["device"]
    with refusal("too-new"):  # a browser is no factor of its own: it waits
        from keys.client import unb64

        house.portal.use_device(third, unb64(remembered), "vis_1")


def test_who_says_that_the_old_ones_are_lost_ends_them_and_their_sessions_and_keeps_the_new(house: House) -> None:
    grant = house.deposit().grants[0].id
    old = house.enter(grant)
    lost, app = add(house, old), enrol_app(house, old)
    codes = house.portal.recovery_codes(old)
    house.portal.remember(old)
    with refusal("not-recovered"):
        house.portal.factors_lost(old)
    house.wait(60)
    session = typed(house, grant, codes[0])
    house.wait(1)
    device = add(house, session)
    assert house.portal.factors_lost(session) == 3
    with refusal("no-session"):
        house.portal.session(old)
    with refusal("wrong"):
        enter(house, grant, lost)
    with refusal("wrong"):
        house.portal.verify(grant, app.at(house.now // 1_000_000), "vis_1", "net_1")
    assert enter(house, grant, device)["proof"] == 3
    typed(house, grant, codes[1])  # the other nine stay good
    assert ("factor:killed", "lost") in house.actions()


@pytest.mark.parametrize("column", ["wide_from_us = 0", "owner = 'per_other'", "message = 'msg_other'"])
def test_who_writes_into_the_store_moves_no_code(house: House, column: str) -> None:
    grant, other = house.deposit().grants[0].id, house.deposit("per_other").grants[0].id
    session = house.enter(grant)
    add(house, session)
    codes = house.portal.recovery_codes(session)
    house.change(f"UPDATE recovery_codes SET {column}")
    with refusal("wrong"):
        typed(house, other if "owner" in column else grant, codes[0])


def test_codes_rest_as_macs_and_end_with_the_number_that_they_stand_on(house: House) -> None:
    grant = house.deposit().grants[0].id
    session = house.enter(grant)
    add(house, session)
    codes = house.portal.recovery_codes(session)
    house.reopen()
    stored = b"".join(path.read_bytes() for path in house.config.directory.iterdir())
    assert not any(code.encode() in stored for code in codes)
    house.operator.register_person(TENANT, PERSON, PHONE[:-1] + "9")
    with refusal("wrong"):
        typed(house, grant, codes[0])
