"""What strangers and an old telephone number must not be able to do to a tenant's patients."""

from __future__ import annotations

from pathlib import Path

import pyotp

from keys.keyholder.wire import unb64
from tests.support.keyholder import TENANT
from tests.unit.keyholder.conftest import PERSON, SECOND, House, refusal, set_up_house
from tests.unit.keyholder.test_doors import staff_code
from tests.unit.keyholder.test_factors import enrol


def test_strangers_at_the_staff_door_lock_no_patient_out(tmp_path: Path) -> None:
    """Anybody may ask there: what fails must not count against the whole tenant."""
    house = House(tmp_path, tenant_tries=10)
    try:
        set_up_house(house)
        grant = house.deposit().grants[0].id
        for number in range(12):
            with refusal("wrong"):
                house.portal.staff_login(TENANT, f"usr_{number}", "wrong", "000000", f"net_{number}")
        assert house.portal.verify(grant, house.texted(grant), "vis_1", "net_1")["method"] == "text"
    finally:
        house.close()


def test_a_number_that_was_changed_takes_what_it_let_in_with_it(house: House) -> None:
    """The old number may be another person's: its codes, sessions and remembered browsers end."""
    grant = house.deposit().grants[0].id
    session = house.portal.verify(grant, house.texted(grant), "vis_1", "net_1")["handle"]
    device = unb64(house.portal.remember(session)["device"])
    remembered = house.portal.use_device(grant, device, "vis_1")["handle"]
    house.wait(60)
    code = house.texted(grant)
    house.operator.register_person(TENANT, PERSON, "+15005550199")
    with refusal("expired"):
        house.portal.verify(grant, code, "vis_1", "net_1")
    for handle in (session, remembered):
        with refusal("no-session"):
            house.portal.session(handle)
    with refusal("unknown-device"):
        house.portal.use_device(grant, device, "vis_1")
    house.wait(60)
    house.portal.ask_text(house.deposit().grants[0].id, "0199", "vis_2", "net_1")


def test_an_app_set_up_behind_a_number_that_was_changed_opens_nothing_more(house: House) -> None:
    """Nor what was set up with that app in turn; what a staff code let in stays."""
    first, second = house.deposit().grants[0].id, house.deposit().grants[0].id
    stranger = house.enter(first)
    app = enrol(house, stranger)
    house.wait(60)
    by_app = house.portal.verify(first, app.at(house.now // SECOND), "vis_1", "net_1")["handle"]
    another = enrol(house, by_app)
    device = unb64(house.portal.remember(by_app)["device"])
    begun = house.portal.totp_begin(by_app)["secret"]
    patient = house.portal.verify(first, staff_code(house, first), "vis_2", "net_2")["handle"]
    own = enrol(house, patient)
    kept = unb64(house.portal.remember(patient)["device"])
    house.wait(60)
    house.operator.register_person(TENANT, PERSON, "+15005550199")
    for handle in (stranger, by_app):
        with refusal("no-session"):
            house.portal.session(handle)
    for secret in (app, another, pyotp.TOTP(begun)):
        with refusal("wrong"):
            house.portal.verify(second, secret.at(house.now // SECOND), "vis_1", "net_1")
    with refusal("unknown-device"):
        house.portal.use_device(first, device, "vis_1")
    assert ("factor:killed", "totp-by-phone") in house.actions()
    assert house.portal.session(patient)["person"] == PERSON
    assert house.portal.use_device(first, kept, "vis_2")["method"] == "device"
    assert house.portal.verify(first, own.at(house.now // SECOND), "vis_2", "net_2")["method"] == "totp"


def test_the_same_number_again_ends_nothing(house: House) -> None:
    """An import is repeated every night."""
    grant = house.deposit().grants[0].id
    session = house.portal.verify(grant, house.texted(grant), "vis_1", "net_1")["handle"]
    house.operator.register_person(TENANT, PERSON, "+15005550123")
    assert house.portal.session(session)["person"] == PERSON
