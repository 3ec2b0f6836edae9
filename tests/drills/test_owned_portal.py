"""The portal in a thief's hands: every wrap, every blob, every link that was visited, the portal's own socket to the
keyholder, and one code that a patient types. DESIGN §2 (portal), §4b; the vault's side is plain arithmetic here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pyotp
import pytest

from keys import floe
from keys.client import Deposit, PortalClient, unb64
from keys.datakey import DataKey
from keys.derive import blob_aad, object_key, object_share
from keys.errors import Denied, Tampered
from keys.wrap import WrapContext, unwrap, wrap
from tests.support.authenticator import Authenticator
from tests.support.keyholder import PHONE, TENANT, Keyholder, deposit_for, running, set_up, text_code
from tests.support.thief import unseal
from tests.unit.keyholder.conftest import PERSON, SECOND, House, set_up_house

pytestmark = pytest.mark.full
DAY = 86_400
SITE = "https://mail.elm.test"
OTHER = "tnt_Second0000000001"
PETER = "per_Peter00000000001"


@dataclass(frozen=True, slots=True)
class Sealed:
    """One message as the portal sees it: the deposit's ids, the wrap, the visited link's secret, blobs by object."""

    deposit: Deposit
    wrapped: bytes
    link: bytes
    blobs: dict[str, bytes]

    @property
    def grant(self) -> str:
        return self.deposit.grants[0].id

    def context(self) -> WrapContext:
        return WrapContext(self.deposit.tenant, self.deposit.message, self.grant, "link", 1)


@dataclass(slots=True)
class Portal:
    """What the thief does with the portal: asks for each share of each message, and opens with what comes."""

    client: PortalClient
    sealed: list[Sealed] = field(default_factory=list)
    asked: int = 0
    denials: set[str] = field(default_factory=set)

    def keep(self, deposit: Deposit, number: int) -> Sealed:
        """The worker's part: seal both objects of this message and wrap its key for the link."""
        mk, link = bytes([number]) * 32, bytes([100 + number]) * 16
        blobs = {}
        for one in deposit.objects:
            names = {"tenant": deposit.tenant, "message": deposit.message, "object_id": one.id}
            key = object_key(mk, object_share(deposit.share, **names), **names, kind="file")
            sealer = key.sealer(blob_aad(tenant=deposit.tenant, object_id=one.id, kind="file"))
            body = sealer.update(f"content of {one.id}".encode()) + sealer.finish()
            blobs[one.id] = sealer.header + body
        context = WrapContext(deposit.tenant, deposit.message, deposit.grants[0].id, "link", 1)
        made = Sealed(deposit, wrap(link, mk, context), link, blobs)
        self.sealed.append(made)
        return made

    def everything(self, session: str) -> set[str]:
        """Objects that open when each is asked for with this session, by each grant."""
        opened = set()
        for by in self.sealed:
            for of in self.sealed:
                opened |= {one for one in of.blobs if self.open(session, by.grant, of, one)}
        return opened

    def open(self, session: str, grant: str, sealed: Sealed, object_id: str) -> bool:
        """Whether this object opens with what the keyholder gives for it."""
        self.asked += 1
        try:
            share = unb64(self.client.release(session, grant, object_id, "download", f"req_{self.asked}")["share"])
        except Denied as denied:
            self.denials.add(denied.reason)
            return False
        return self.content(sealed, object_id, share) == f"content of {object_id}".encode()

    def content(self, sealed: Sealed, object_id: str, share: bytes) -> bytes | None:
        """What a share opens of an object."""
        deposit, blob = sealed.deposit, sealed.blobs[object_id]
        names = {"tenant": deposit.tenant, "message": deposit.message, "object_id": object_id}
        key = object_key(unwrap(sealed.link, sealed.wrapped, sealed.context()), share, **names, kind="file")
        header, body = blob[: floe.HEADER_BYTES], blob[floe.HEADER_BYTES :]
        aad = blob_aad(tenant=deposit.tenant, object_id=object_id, kind="file")
        try:
            return unseal(DataKey(key.raw()), aad, header, header[-32:], body)
        except Tampered:
            return None


@dataclass(slots=True)
class Owned:
    """A house, its portal stolen, and a patient with a code app."""

    house: House
    portal: Portal
    totp: pyotp.TOTP

    @property
    def code(self) -> str:
        """What the patient's app shows now."""
        return self.totp.at(self.house.now // SECOND)

    def of(self, number: int) -> set[str]:
        return set(self.portal.sealed[number].blobs)

    def spend(self, number: int, code: str) -> str:
        return self.house.portal.verify(self.portal.sealed[number].grant, code, "vis_thief", "net_1")["handle"]


@pytest.fixture
def owned(tmp_path: Path) -> Iterator[Owned]:
    """Messages 0 and 1 are the patient's, 2 somebody else's, 3 hers at another clinic under the same id."""
    house = House(tmp_path)
    set_up_house(house)
    house.operator.register_person(TENANT, PETER, PHONE)
    house.operator.create_tenant(OTHER, "Second", f"second.test/log/{OTHER}")
    house.operator.put_settings(TENANT, {"public_url": SITE})
    house.operator.put_settings(OTHER, {"domains": ["second.test"], "public_url": "https://mail.second.test"})
    house.operator.register_person(OTHER, PERSON, PHONE)
    portal = Portal(house.portal)
    deposits = [house.deposit(), house.deposit(), house.deposit(PETER), house.deposit(PERSON, tenant=OTHER)]
    for number, one in enumerate(deposits):
        portal.keep(one, number)
    session = house.enter(deposits[0].grants[0].id)
    secret = pyotp.TOTP(house.portal.totp_begin(session)["secret"])
    house.portal.totp_confirm(session, secret.at(house.now // SECOND))
    house.wait(2 * DAY)
    yield Owned(house, portal, secret)
    house.close()


def refused(owned: Owned, number: int, code: str) -> str:
    try:
        owned.spend(number, code)
    except Denied as denied:
        return denied.reason
    return ""


@pytest.mark.parametrize("chosen", [0, 1])
def test_with_one_typed_code_exactly_one_message_opens_whichever_the_thief_chooses(owned: Owned, chosen: int) -> None:
    code = owned.code
    session = owned.spend(chosen, code)
    assert owned.portal.everything(session) == owned.of(chosen)
    assert owned.portal.denials == {"another-message", "another-person", "another-tenant"}
    # The same code once more, for any message: spent. Other people's and other clinics' doors never knew it.
    assert [refused(owned, number, code) for number in range(4)] == ["used", "used", "wrong", "wrong"]
    owned.house.wait(16 * 60)
    assert owned.portal.everything(session) == set(), "the session has ended"
    # The twin: a second code opens a second message.
    assert owned.portal.everything(owned.spend(1 - chosen, owned.code)) == owned.of(1 - chosen)


def test_the_share_of_one_object_opens_no_other(owned: Owned) -> None:
    session = owned.spend(0, owned.code)
    first = owned.portal.sealed[0]
    one, other = first.blobs
    share = unb64(owned.house.portal.release(session, first.grant, one, "download", "req_a")["share"])
    assert owned.portal.content(first, one, share) is not None
    assert owned.portal.content(first, other, share) is None
    for sealed in owned.portal.sealed[1:]:
        assert [name for name in sealed.blobs if owned.portal.content(sealed, name, share) is not None] == []


@pytest.mark.parametrize("kind", ["code app", "browser", "passkey", "recovery codes"])
def test_what_a_thief_sets_up_behind_that_code_opens_nothing_else_before_the_patient_was_told(
    owned: Owned, kind: str
) -> None:
    house = owned.house
    house.worker.take_changes(100)
    before = {news["id"] for news in house.worker.take_changes(100)}
    session = owned.spend(0, owned.code)
    if kind == "code app":
        planted = pyotp.TOTP(house.portal.totp_begin(session)["secret"])
        house.portal.totp_confirm(session, planted.at(house.now // SECOND))

        def enter(number: int) -> str:
            grant = owned.portal.sealed[number].grant
            return house.portal.verify(grant, planted.at(house.now // SECOND), "vis_thief", "net_1")["handle"]
    elif kind == "passkey":
        made = plant(house, session)

        def enter(number: int) -> str:
            return press(house, owned.portal.sealed[number].grant, made)
    elif kind == "recovery codes":
        codes = house.portal.recovery_codes(session)

        def enter(number: int) -> str:
            grant = owned.portal.sealed[number].grant
            return house.portal.verify(grant, codes[number], "vis_thief", "net_1")["handle"]
    else:
        device = unb64(house.portal.remember(session)["device"])

        def enter(number: int) -> str:
            return house.portal.use_device(owned.portal.sealed[number].grant, device, "vis_thief")["handle"]

    (news,) = [one for one in house.worker.take_changes(100) if one["id"] not in before]
    told = "recovery-made" if kind == "recovery codes" else "enrolled"
    assert (news["kind"], news["person"], news["tenant"]) == (told, PERSON, TENANT), "told past the portal"
    house.wait(60)
    with pytest.raises(Denied, match=r"too-new|unknown-device|no-passkey"):
        enter(1)
    assert owned.portal.everything(session) == owned.of(0)
    house.wait(DAY)  # the twin, and the hole that stays: who was told and says nothing for a day is opened
    assert owned.portal.everything(enter(1)) == owned.of(1)


def plant(house: House, session: str) -> Authenticator:
    """A passkey of the thief's own, behind the patient's session."""
    made = Authenticator(SITE)
    asked = house.portal.passkey_begin(session)
    house.portal.passkey_enrol(session, unb64(asked["ticket"]), made.make(asked["challenge"]), "")
    return made


def press(house: House, grant: str, device: Authenticator) -> str:
    asked = house.portal.passkey_ask(grant, "vis_thief")
    ticket, answer = unb64(asked["ticket"]), device.use(asked["challenge"])
    return house.portal.passkey_open(grant, "vis_thief", ticket, answer)["handle"]


def test_one_press_of_the_patients_passkey_opens_one_message_whichever_the_thief_had_it_asked_for(owned: Owned) -> None:
    house = owned.house
    device = plant(house, owned.spend(0, owned.code))
    house.wait(2 * DAY)
    grant = owned.portal.sealed[1].grant
    asked = house.portal.passkey_ask(grant, "vis_thief")
    ticket, answer = unb64(asked["ticket"]), device.use(asked["challenge"])  # the page said that it was for message 0
    for number in (0, 2, 3):
        with pytest.raises(Denied, match="wrong"):
            house.portal.passkey_open(owned.portal.sealed[number].grant, "vis_thief", ticket, answer)
    session = house.portal.passkey_open(grant, "vis_thief", ticket, answer)["handle"]
    assert owned.portal.everything(session) == owned.of(1)
    with pytest.raises(Denied, match="used"):
        house.portal.passkey_open(grant, "vis_thief", ticket, answer)


def test_who_swaps_a_public_key_in_the_keyholders_store_opens_nothing(owned: Owned) -> None:
    house = owned.house
    session = owned.spend(0, owned.code)
    hers = plant(house, session)
    thief = Authenticator(SITE, id=hers.id)
    (row,) = house.rows("SELECT public FROM passkeys")
    house.change("UPDATE passkeys SET public = ?", thief.cose())
    with pytest.raises(Tampered):
        press(house, owned.portal.sealed[0].grant, thief)
    house.change("UPDATE passkeys SET public = ?", bytes(row[0]))  # the twin: as it was, it opens for her
    assert owned.portal.everything(press(house, owned.portal.sealed[0].grant, hers)) == owned.of(0)


def test_one_patient_who_exhausts_a_budget_leaves_other_peoples_downloads_alone(tmp_path: Path) -> None:
    # The keyholder's real process. Nobody else is refused, and nobody waits in a line behind the refusals; how long
    # a release takes is `sealgate bench`'s to say.
    with running(tmp_path, person_releases_per_hour=3, text_resend_seconds=0, texts_per_hour=100) as keyholder:
        set_up(keyholder)
        greedy, *others = [entered(keyholder, f"per_{number:016}") for number in range(4)]
        taken = [ask(keyholder, *greedy, number, "greedy") for number in range(8)]
        assert taken == [""] * 3 + ["person-budget"] * 5

        def exhausting(until: list[bool]) -> int:
            count = 0
            while not until:
                count += ask(keyholder, *greedy, 3 + count % 5, f"more{count}") == "person-budget"
            return count

        done: list[bool] = []
        with ThreadPoolExecutor(4) as pool:
            flood = pool.submit(exhausting, done)
            while flood.running() is False and not flood.done():
                time.sleep(0.01)
            try:
                answers = list(
                    pool.map(lambda one: [ask(keyholder, *one, n, f"o{one[0][:6]}") for n in range(3)], others)
                )
            finally:
                done.append(True)
            assert flood.result(60) > 0
        assert answers == [["", "", ""]] * 3


def entered(keyholder: Keyholder, person: str) -> tuple[str, Deposit]:
    """A person in a session on a message of eight objects."""
    keyholder.operator.register_person(TENANT, person, PHONE)
    deposit = deposit_for(person, objects=8)
    keyholder.worker.deposit([deposit])
    grant = deposit.grants[0].id
    code = text_code(keyholder, grant, person)
    return keyholder.portal.verify(grant, code, person, "net_1")["handle"], deposit


def ask(keyholder: Keyholder, session: str, deposit: Deposit, number: int, request: str) -> str:
    """The reason why not; empty when it was released."""
    name = deposit.objects[number].id
    try:
        keyholder.portal.release(session, deposit.grants[0].id, name, "download", f"{request}_{number}")
    except Denied as denied:
        return denied.reason
    return ""
