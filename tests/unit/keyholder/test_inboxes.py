"""Inboxes at the keyholder: who may begin one, what opens it, and what ends it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import pyotp
import pytest

from keys import inboxes as formats
from keys.boxes import BoxKey
from keys.client import Deposit, DepositGrant, unb64
from keys.errors import Denied, Tampered
from keys.signing import verify_signature
from tests.support.keyholder import PHONE, TENANT, deposit_for
from tests.unit.keyholder.conftest import PERSON, SECOND, House

NET = "203.0.113.0/24"
DAY = 86_400


class Owner:
    """A person with a code app who keeps an inbox."""

    def __init__(self, house: House, session: str = "", grant: str = "") -> None:
        self.house, self.key = house, BoxKey.generate()
        self.grant = grant or house.deposit().grants[0].id
        self.session = session or house.enter(self.grant)
        self.secret = house.portal.totp_begin(self.session)["secret"]
        house.portal.totp_confirm(self.session, self.code())
        self.inbox, self.pepper, self.lock = "", b"", ""

    def code(self) -> str:
        self.house.wait(31)
        return pyotp.TOTP(self.secret).at(self.house.now // SECOND)

    def begin(self) -> dict[str, Any]:
        begun = self.house.portal.inbox_begin(self.session, self.key.public)
        self.inbox, self.pepper, self.lock = begun["inbox"], unb64(begun["pepper"]), begun["lock"]
        return self.house.portal.inbox_confirm(self.session, self.inbox)

    def ask(self) -> dict[str, str]:
        return self.house.portal.inbox_enter(TENANT, PERSON, self.code(), NET)

    def answer(self, asked: dict[str, str]) -> bytes:
        return self.key.open(formats.ask_context(TENANT, self.inbox), unb64(asked["box"]))

    def enter(self) -> Any:
        asked = self.ask()
        return self.house.portal.inbox_open(asked["ask"], self.answer(asked))

    def sent(self, *more: DepositGrant, person: str = PERSON) -> Deposit:
        """A message with a link and with a grant for that person's inbox."""
        made = deposit_for(person)
        name = "lnk_" + secrets.token_hex(6)
        made = Deposit(
            made.tenant, made.message, self.house.now + 90 * DAY * SECOND, made.share,
            [*made.grants, DepositGrant(name, "inbox", 2, person), *more], made.objects,
        )  # fmt: skip
        self.house.worker.deposit([made])
        return made


@pytest.fixture
def owner(house: House) -> Owner:
    owner = Owner(house)
    owner.begin()
    house.wait(DAY)
    return owner


def reason(deed: Callable[[], Any]) -> str:
    with pytest.raises(Denied) as denied:
        deed()
    return denied.value.reason


def release(house: House, session: str, made: Deposit, kind: str = "inbox") -> Any:
    grant = next(one.id for one in made.grants if one.kind == kind)
    return house.portal.release(session, grant, made.objects[0].id, "read", secrets.token_hex(8))


def test_an_inbox_opens_its_own_messages_a_day_after_it_began_and_its_key_is_signed(house: House) -> None:
    owner = Owner(house)
    began = house.now
    confirmed = owner.begin()
    public_key = house.holder.custody.root.public
    verify_signature(
        public_key, unb64(confirmed["signature"]), formats.KEY_LABEL, TENANT, PERSON, owner.inbox, owner.key.public
    )
    assert confirmed["opens_us"] >= began + DAY * SECOND
    (news,) = [one for one in house.worker.take_changes(10) if one["kind"] == "inbox"]
    assert (news["person"], news["about"]) == (PERSON, owner.inbox)
    made = owner.sent()
    assert reason(owner.ask) == "too-new"
    house.wait(DAY)
    session = owner.enter()
    assert session["scope"] == {"inbox": owner.inbox}
    assert [one["message"] for one in house.portal.inbox_messages(session["handle"])["messages"]] == [made.message]
    released = release(house, session["handle"], made)
    assert unb64(released["share"])
    assert "key" in house.portal.release_meta(session["handle"], made.message)
    assert house.portal.inbox_session(session["handle"])["key"] == session["key"]


def test_a_text_code_alone_keeps_no_inbox(house: House) -> None:
    session = house.enter(house.deposit().grants[0].id)
    assert reason(lambda: house.portal.inbox_begin(session, BoxKey.generate().public)) == "no-factor"
    assert house.portal.inbox_state(session) == {"inbox": None, "opens_us": None, "made_us": None, "factor": False}


def test_another_session_cannot_finish_what_one_began(house: House) -> None:
    owner = Owner(house)
    begun = house.portal.inbox_begin(owner.session, owner.key.public)
    house.wait(31)
    other = house.enter(owner.grant)
    assert reason(lambda: house.portal.inbox_confirm(other, begun["inbox"])) == "none-begun"
    house.portal.inbox_confirm(owner.session, begun["inbox"])
    assert reason(lambda: house.portal.inbox_confirm(owner.session, begun["inbox"])) == "none-begun"


def test_an_old_session_or_a_remembered_browser_begins_no_inbox(house: House) -> None:
    owner = Owner(house)
    device = unb64(house.portal.remember(owner.session)["device"])
    remembered = house.portal.use_device(owner.grant, device, "vis_1")["handle"]
    assert reason(lambda: house.portal.inbox_begin(remembered, owner.key.public)) == "stale"


def test_the_pepper_alone_opens_no_session_and_each_question_is_asked_once(owner: Owner, house: House) -> None:
    asked = owner.ask()
    assert unb64(asked["pepper"]) == owner.pepper
    assert reason(lambda: house.portal.inbox_open(asked["ask"], bytes(32))) == "wrong"
    assert reason(lambda: house.portal.inbox_open(asked["ask"], owner.answer(asked))) == "wrong", "it is spent"
    late = owner.ask()
    house.wait(121)
    assert reason(lambda: house.portal.inbox_open(late["ask"], owner.answer(late))) == "wrong"
    assert house.rows("SELECT COUNT(*) FROM sessions WHERE message IS NULL AND person IS NOT NULL") == [(0,)]


def test_five_tries_without_opening_it_close_the_door_for_this_network_and_not_the_persons_links(
    owner: Owner, house: House
) -> None:
    for _ in range(3):
        owner.ask()  # the right code, and nobody who knows the passphrase
    for _ in range(2):
        assert reason(lambda: house.portal.inbox_enter(TENANT, PERSON, "000000", NET)) == "wrong"
    assert reason(owner.ask) == "too-many"
    assert house.portal.grant_info(owner.grant)["tries_left"] == 5
    asked = house.portal.inbox_enter(TENANT, PERSON, owner.code(), "198.51.100.0/24")
    house.portal.inbox_open(asked["ask"], owner.answer(asked))
    house.wait(901)
    assert owner.enter()


def test_somebody_without_an_inbox_and_a_wrong_code_look_alike(owner: Owner, house: House) -> None:
    assert reason(lambda: house.portal.inbox_enter(TENANT, "per_nobody", owner.code(), NET)) == "wrong"
    assert reason(lambda: house.portal.inbox_enter(TENANT, PERSON, "000000", NET)) == "wrong"
    assert reason(lambda: house.portal.inbox_enter("tnt_nobody", PERSON, owner.code(), NET)) == "wrong"


def test_an_inbox_session_opens_no_link_no_other_persons_message_and_none_from_before(
    owner: Owner, house: House
) -> None:
    made, others = owner.sent(), owner.sent(person="per_other")
    session = owner.enter()["handle"]
    assert reason(lambda: release(house, session, made, "link")) == "another-message"
    assert reason(lambda: release(house, session, others)) == "another-person"
    linked = house.enter(made.grants[0].id)
    assert reason(lambda: release(house, linked, made)) == "no-inbox"
    house.wait(10)
    owner.session = house.enter(owner.grant)
    owner.begin()
    house.wait(DAY)
    again = owner.enter()["handle"]
    assert house.portal.inbox_messages(again) == {"messages": [], "more": False}
    assert reason(lambda: release(house, again, made)) == "another-inbox"
    assert reason(lambda: house.portal.release_meta(again, made.message)) == "another-inbox"


def test_a_recall_of_the_link_ends_the_inboxs_way_to_that_message(owner: Owner, house: House) -> None:
    made, kept = owner.sent(), owner.sent()
    session = owner.enter()["handle"]
    house.worker.narrow(TENANT, made.message, made.grants[0].id, {"revoke": True}, "test", "req_1")
    states = {one["message"]: one["state"] for one in house.portal.inbox_messages(session)["messages"]}
    assert states == {made.message: "revoked", kept.message: "live"}
    assert reason(lambda: release(house, session, made)) == "revoked"
    assert release(house, session, kept)


def test_closing_destroys_the_pepper_and_the_session(owner: Owner, house: House) -> None:
    session = owner.enter()["handle"]
    assert house.portal.inbox_close(session) == owner.inbox
    assert house.rows("SELECT pepper, state FROM inbox_locks") == [(None, "ended")]
    assert reason(lambda: house.portal.inbox_session(session)) == "no-session"
    assert reason(owner.ask) == "wrong"
    store = owner.house.config.database
    assert owner.pepper not in store.read_bytes()
    owner.session = house.enter(owner.grant)
    assert house.portal.inbox_close(owner.session) is None


def test_another_passphrase_gets_another_pepper_and_the_old_one_is_destroyed(owner: Owner, house: House) -> None:
    session = owner.enter()["handle"]
    assert reason(lambda: house.portal.inbox_lock_begin(session, "000000")) == "wrong"
    fresh = house.portal.inbox_lock_begin(session, owner.code())
    assert unb64(owner.ask()["pepper"]) == owner.pepper, "until it is confirmed the old one counts"
    house.portal.inbox_lock_confirm(session, fresh["lock"])
    asked = owner.ask()
    assert (asked["lock"], unb64(asked["pepper"])) == (fresh["lock"], unb64(fresh["pepper"]))
    assert house.rows("SELECT COUNT(*) FROM inbox_locks WHERE pepper IS NOT NULL") == [(1,)]
    assert reason(lambda: house.portal.inbox_lock_confirm(session, fresh["lock"])) == "none-begun"


def test_a_number_that_changes_and_a_staff_code_used_twice_end_the_inbox_behind_them(house: House) -> None:
    owner = Owner(house)
    owner.begin()
    house.operator.register_person(TENANT, PERSON, PHONE[:-1] + "9")
    assert ("factor:killed", "inbox-by-phone") in house.actions()
    amy = house.staff("usr_amy", "staff")
    code = house.portal.staff_code(amy.sign_in(), owner.grant, "called")["code"]
    again = Owner(house, house.portal.verify(owner.grant, code, "vis_1", "net_1")["handle"], owner.grant)
    again.begin()
    assert reason(lambda: house.portal.verify(owner.grant, code, "vis_2", "net_1")) == "used"
    assert ("factor:killed", "inbox-second-redeemer") in house.actions()
    assert house.rows("SELECT DISTINCT state FROM inboxes") == [("ended",)]


def test_a_row_changed_in_the_store_is_refused(owner: Owner, house: House) -> None:
    house.change("UPDATE inboxes SET public = ? WHERE id = ?", BoxKey.generate().public, owner.inbox)
    with pytest.raises(Tampered):
        owner.ask()


def test_an_inbox_survives_a_restart_and_what_was_never_finished_is_forgotten(owner: Owner, house: House) -> None:
    house.reopen()
    assert owner.enter()
    owner.session = house.enter(owner.grant)
    house.portal.inbox_begin(owner.session, owner.key.public)
    house.wait(2 * DAY)
    house.holder.keep_house()
    assert house.rows("SELECT COUNT(*) FROM inboxes WHERE state = 'begun'") == [(0,)]
    assert house.rows("SELECT COUNT(*) FROM inbox_locks WHERE state = 'begun'") == [(0,)]
