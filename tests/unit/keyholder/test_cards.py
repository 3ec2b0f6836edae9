"""Front-desk cards: whom they let in, once, and every way they are refused."""

from __future__ import annotations

import base64

import pytest

from keys.keyholder import cards
from tests.support.keyholder import TENANT
from tests.unit.keyholder.conftest import PERSON, House, refusal

DAY = 86_400
MONTH = 30 * DAY
WRONG = "BCDF GHJK MNPQ"


def printed(house: House, person: str = PERSON, user: str = "usr_amy") -> str:
    """A card's letters, from a staff member at the front desk."""
    rows = house.rows("SELECT 1 FROM users WHERE id = ?", user)
    amy = STAFF[user] = house.staff(user, "staff") if not rows else STAFF[user]
    return str(house.portal.print_card(amy.sign_in(), person, "here")["code"])


STAFF: dict[str, object] = {}


@pytest.fixture(autouse=True)
def _fresh() -> None:
    STAFF.clear()


def test_a_card_opens_the_message_once_however_it_is_typed(house: House) -> None:
    grant = house.deposit().grants[0].id
    code = printed(house)
    assert len(code) == 12
    assert set(code) <= set(cards.ALPHABET)
    typed = f" {code[:4].lower()}-{code[4:8]} {code[8:]}\n".translate(str.maketrans("SBZG", "5826"))
    session = house.portal.verify(grant, typed, "vis_1", "net_1")
    assert (session["method"], session["proof"], session["person"]) == ("card", 2, PERSON)
    assert house.portal.release_meta(session["handle"], house.portal.grant_info(grant)["message"])["key"]
    with refusal("used"):
        house.portal.verify(grant, code, "vis_1", "net_1")
    assert house.portal.grant_info(grant)["state"] == "live"
    assert ("code:made", "card-here") in house.actions()


def test_a_card_is_kept_as_an_hmac_alone(house: House) -> None:
    code = printed(house)
    house.reopen()
    store = b"".join(path.read_bytes() for path in house.config.directory.iterdir() if path.is_file())
    assert code.encode() not in store


def test_a_second_redeemer_is_refused_and_freezes_the_message(house: House) -> None:
    grant = house.deposit().grants[0].id
    code = printed(house)
    house.portal.verify(grant, code, "vis_1", "net_1")
    with refusal("used"):
        house.portal.verify(grant, code, "vis_2", "net_2")
    assert house.portal.grant_info(grant)["state"] == "frozen"


def test_a_card_used_twice_freezes_all_messages_of_its_person_and_ends_what_stood_on_it(
    house: House,
) -> None:
    import pyotp

    grant, other = house.deposit().grants[0].id, house.deposit().grants[0].id
    stranger = house.deposit("per_other").grants[0].id
    code = printed(house)
    handle = house.portal.verify(grant, code, "vis_1", "net_1")["handle"]
    totp = pyotp.TOTP(house.portal.totp_begin(handle)["secret"])
    house.portal.totp_confirm(handle, totp.at(house.now // 1_000_000))
    device = house.portal.remember(handle)["device"]
    with refusal("used"):
        house.portal.verify(other, code, "vis_2", "net_2")
    assert [house.portal.grant_info(one)["state"] for one in (grant, other, stranger)] == ["frozen", "frozen", "live"]
    with refusal("no-session"):
        house.portal.totp_begin(handle)
    told = house.worker.take_changes(10)
    (news,) = (one for one in told if one["kind"] != "enrolled")
    assert (news["person"], news["kind"], news["about"]) == (PERSON, "frozen", other)
    house.wait(2 * DAY)
    later = house.deposit().grants[0].id  # came after: nothing that stood on that card opens it
    with refusal("wrong"):
        house.portal.verify(later, totp.at(house.now // 1_000_000), "vis_1", "net_1")
    with refusal("unknown-device"):
        house.portal.use_device(later, base64.b64decode(device), "vis_1")


def test_the_tenth_wrong_try_in_its_life_kills_a_card(house: House) -> None:
    grant = house.deposit().grants[0].id
    code = printed(house)
    for number in range(10):
        if number == 5:
            house.wait(901)  # five failures in fifteen minutes lock the person
            house.reopen()
        with refusal("wrong"):
            house.portal.verify(grant, WRONG, "vis_1", "net_1")
    house.wait(901)
    with refusal("expired"):
        house.portal.verify(grant, code, "vis_1", "net_1")
    assert ("factor:killed", "card-tries") in house.actions()


def test_nine_wrong_tries_leave_a_card_alive(house: House) -> None:
    grant = house.deposit().grants[0].id
    code = printed(house)
    for number in range(9):
        if number % 4 == 0:
            house.wait(901)
        with refusal("wrong"):
            house.portal.verify(grant, WRONG, "vis_1", "net_1")
    assert house.portal.verify(grant, code, "vis_1", "net_1")["method"] == "card"


@pytest.mark.parametrize(("after", "right"), [(MONTH - 120, True), (MONTH, False)], ids=["day-30", "after"])
def test_a_card_works_for_thirty_days(house: House, after: int, right: bool) -> None:
    grant = house.deposit().grants[0].id
    code = printed(house)
    house.wait(after)
    if right:
        assert house.portal.verify(grant, code, "vis_1", "net_1")["method"] == "card"
        return
    with refusal("expired"):
        house.portal.verify(grant, code, "vis_1", "net_1")


def test_a_new_card_makes_the_older_void(house: House) -> None:
    grant = house.deposit().grants[0].id
    old, new = printed(house), printed(house)
    with refusal("expired"):
        house.portal.verify(grant, old, "vis_1", "net_1")
    assert house.portal.verify(grant, new, "vis_1", "net_1")["method"] == "card"


def test_a_card_is_of_one_person(house: House) -> None:
    house.operator.register_person(TENANT, "per_other", None)
    other = house.deposit("per_other").grants[0].id
    mine = house.deposit().grants[0].id
    code = printed(house)
    with refusal("wrong"):
        house.portal.verify(other, code, "vis_1", "net_1")
    assert house.portal.verify(mine, code, "vis_1", "net_1")["person"] == PERSON


def test_a_card_is_of_one_tenant(house: House) -> None:
    house.operator.create_tenant("tnt_b", "B", "b.test/log")
    house.operator.register_person("tnt_b", PERSON, None)
    stranger = house.staff("usr_bea", "staff", "tnt_b")
    theirs = house.portal.print_card(stranger.sign_in(), PERSON, "here")["code"]
    grant = house.deposit().grants[0].id
    with refusal("wrong"):
        house.portal.verify(grant, theirs, "vis_1", "net_1")
    house.operator.register_person(TENANT, "per_only_a", None)
    with refusal("unknown"):
        house.portal.print_card(stranger.sign_in(), "per_only_a", "here")


@pytest.mark.parametrize("role", ["admin", "auditor"])
def test_others_than_the_front_desk_print_no_card(house: House, role: str) -> None:
    handle = house.staff("usr_x", role).sign_in()
    with refusal("not-staff"):
        house.portal.print_card(handle, PERSON, "here")


def test_a_recipient_prints_no_card_and_a_reason_is_needed(house: House) -> None:
    grant = house.deposit().grants[0].id
    with refusal("not-staff"):
        house.portal.print_card(house.enter(grant), PERSON, "here")
    handle = house.staff("usr_amy", "staff").sign_in()
    with refusal("how-sure"):
        house.portal.print_card(handle, PERSON, "Because")


def test_a_factor_behind_a_card_opens_other_messages_after_a_day(house: House) -> None:
    import pyotp

    grant, other = house.deposit().grants[0].id, house.deposit().grants[0].id
    handle = house.portal.verify(grant, printed(house), "vis_1", "net_1")["handle"]
    totp = pyotp.TOTP(house.portal.totp_begin(handle)["secret"])
    house.portal.totp_confirm(handle, totp.at(house.now // 1_000_000))
    house.wait(60)
    with refusal("too-new"):
        house.portal.verify(other, totp.at(house.now // 1_000_000), "vis_1", "net_1")
    house.wait(DAY)
    assert house.portal.verify(other, totp.at(house.now // 1_000_000), "vis_1", "net_1")["method"] == "totp"


@pytest.mark.parametrize("typed", ["402917", "4029 1738", "is 402917", "B4029176", "1234567890123"])
def test_digits_are_no_card(typed: str) -> None:
    assert cards.letters(typed) is None


def test_freeing_a_message_makes_the_persons_cards_void(house: House) -> None:
    grant = house.deposit().grants[0].id
    code = printed(house)
    house.portal.verify(grant, code, "vis_1", "net_1")
    with refusal("used"):
        house.portal.verify(grant, code, "vis_2", "net_2")
    officer = house.staff("usr_olga", "officer").sign_in()
    house.portal.unfreeze(officer, grant)
    with refusal("used"):
        house.portal.verify(grant, code, "vis_2", "net_2")
    assert house.portal.grant_info(grant)["state"] == "frozen"
