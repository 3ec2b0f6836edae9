"""A clock that ran ahead and was set back: no certificate is final too early, no copy signed that opens nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keys.keyholder import certificates
from tests.support.keyholder import TENANT
from tests.unit.keyholder.conftest import PERSON, SECOND, House, refusal, set_up_house
from tests.unit.keyholder.test_rotation import finished, new_kek

DAY = 86_400


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    set_up_house(made)
    made.operator.put_settings(TENANT, {"policy_toml": "[release]\nsecond_person = false\n"})
    yield made
    made.close()


def copied_tomorrow(house: House, days: int = 5) -> dict[str, Any]:
    """A registered copy of a keyholder whose clock ran ahead by so many days, and is right again."""
    house.wait(days * DAY)
    begun = house.operator.backup_begin("keyholder", 7)
    house.wait(-days * DAY)
    return begun


@pytest.mark.parametrize("act", ["erase-message", "erase-person"])
def test_what_is_destroyed_is_final_only_when_a_copy_of_tomorrow_has_ended(house: House, act: str) -> None:
    officer = house.staff("usr_olga", "officer")
    mail = house.deposit(days=2)
    begun = copied_tomorrow(house)
    what = mail.message if act == "erase-message" else PERSON
    house.portal.dispose_as(officer.sign_in(), officer.code(), act=act, object=what, reason="asked for")
    ((final, text),) = house.rows("SELECT final_us, certificate FROM disposals")
    assert final == begun["expires_us"]
    assert f"final on: {certificates.moment(begun['expires_us'])}\n" in text
    state = house.portal.retention_state(officer.sign_in(), mail.message)
    assert state["final_us"] == begun["expires_us"]


def test_a_copy_made_after_the_destruction_still_counts_for_nothing(house: House) -> None:
    officer = house.staff("usr_olga", "officer")
    mail = house.deposit(days=2)
    house.portal.dispose_as(
        officer.sign_in(), officer.code(), act="erase-message", object=mail.message, reason="asked for"
    )
    ((final,),) = house.rows("SELECT final_us FROM disposals")
    copied_tomorrow(house, 30)
    assert house.portal.retention_state(officer.sign_in(), mail.message)["final_us"] == final


def test_a_copy_of_tomorrow_is_not_signed_when_the_root_key_turned_meanwhile(house: House, tmp_path: Path) -> None:
    begun = copied_tomorrow(house)
    house.operator.rotate("file", new_kek(tmp_path / "kek-2"))
    finished(house.operator.root_key)
    with refusal("rotating"):
        house.operator.backup_sign(begun["id"], hashlib.sha256(b"manifest").digest())


def test_a_certificate_is_never_final_a_part_of_a_second_too_early(house: House) -> None:
    officer = house.staff("usr_olga", "officer")
    house.now += 7  # microseconds
    mail = house.deposit(days=1)
    begun = house.operator.backup_begin("keyholder", 7)
    house.wait(6 * DAY)
    begun = house.operator.backup_begin("keyholder", 7)
    house.portal.dispose_as(
        officer.sign_in(), officer.code(), act="erase-message", object=mail.message, reason="asked for"
    )
    ((final, text),) = house.rows("SELECT final_us, certificate FROM disposals")
    assert final == begun["expires_us"]
    assert final % SECOND
    said = next(line for line in text.splitlines() if line.startswith("final on: ")).removeprefix("final on: ")
    assert said == certificates.moment((final // SECOND + 1) * SECOND)
