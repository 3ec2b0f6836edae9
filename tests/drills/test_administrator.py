"""An administrator's or the operator's account: it opens nothing that is sealed, and whatever could open future content
waits, needs two people, one an officer, and is announced to every officer. DESIGN §4, the administrator's row.

Changes are made where that account makes them, in the configuration file as it is really read, and go to the keyholder
as `serve` hands them over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gateway import assets
from gateway.install import settings_body
from gateway.settings import load
from keys import access, kit, recovery
from keys.client import Deposit, DepositGrant, unb64
from keys.encoding import canonical
from keys.errors import Denied
from keys.signing import verify_signature
from tests.support.keyholder import PASSWORD, PHONE, TENANT
from tests.unit.doctor.test_neighbours import LEAST
from tests.unit.keyholder.conftest import PERSON, House, StaffMember, refusal, set_up_house

pytestmark = pytest.mark.full
DAY = 86_400
PETER = "per_Peter00000000001"
POLICY = 'extends = "clinic"\n'
CHANGES = {
    "smarthost": ('smarthost = "127.0.0.1:25"', 'smarthost = "elsewhere.test:25"\ntls = "verified"'),
    "its encryption": ('smarthost = "127.0.0.1:25"', 'smarthost = "127.0.0.1:25"\ntls = "none"'),
    "portal host": ('public_url = "http://localhost:8080"', 'public_url = "https://elsewhere.test"'),
    "domain": ('domains = ["riverside.test"]', 'domains = ["riverside.test", "elsewhere.test"]'),
    "network": ("[portal]", '[smtp]\ntrusted_networks = ["192.0.2.0/24"]\n[portal]'),
    "who carries codes": ("[portal]", '[notify]\nsms = "http"\nsms_url = "https://elsewhere.test/texts"\n[portal]'),
    "no policy at all": ('file = "{policy}"', 'file = "observe"'),
    "how long a message opens": ('file = "{policy}"', 'file = "{policy}"\nmessage_days = 3650'),
}
"""What somebody could write into the file: what stands there, and what takes its place."""

IN_POLICY = {
    "[plain]": 'extends = "clinic"\n[plain]\nroles = ["staff"]\nreasons = ["consent"]\n',
    "partner": 'extends = "clinic"\n[[partners]]\ndomain = "e.test"\nwho = "me"\nwhy = "so"\nuntil = 2099-12-31\n',
    "rules": 'extends = "clinic"\n[[rules]]\nname = "all"\nwhen = []\nthen = "as-is"\n',
    "staff grant": 'extends = "clinic"\n[release]\nstaff_grant = true\n',
}
"""The same for the policy's own file."""


@dataclass
class Clinic:
    """A keyholder, the file, and who works there. The officer has signed in."""

    house: House
    folder: Path
    officer: StaffMember
    admin: StaffMember

    def body(self, name: str = "") -> dict[str, Any]:
        """What the keyholder is asked to sign when the file says so."""
        policy = self.folder / "house.toml"
        policy.write_text(IN_POLICY.get(name, POLICY))
        text = LEAST.format(folder=self.folder / "i") + '[policy]\nfile = "{policy}"\n'
        before, after = CHANGES.get(name, ("", ""))
        assert before in text, before
        file = self.folder / "gateway.toml"
        file.write_text(text.replace(before, after, 1).replace("{policy}", str(policy)))
        return settings_body(load(file, {}))

    def serve(self, body: dict[str, Any]) -> dict[str, Any]:
        """What every start of `serve` asks."""
        return self.house.operator.put_settings(TENANT, body)

    def in_force(self) -> dict[str, Any]:
        signed = self.house.worker.settings(TENANT)
        public = unb64(self.house.portal.keys()["public_key"])
        parts = (TENANT, signed["serial"], canonical(signed["body"]))
        verify_signature(public, unb64(signed["signature"]), "sealgate/settings/v1", *parts)
        return dict(signed["body"])

    def decide(self, who: StaffMember, change: str) -> dict[str, Any]:
        return self.house.portal.decide_change(TENANT, who.user, PASSWORD, who.code(), "net_1", "approve", change)

    def news(self) -> list[tuple[str, str]]:
        return [(one["kind"], one["about"]) for one in self.house.worker.take_changes(100)]


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    house = House(tmp_path)
    set_up_house(house)
    made = Clinic(house, tmp_path, house.staff("usr_officer", "officer"), house.staff("usr_admin", "admin"))
    assert not made.serve(made.body())["waiting"], "before an officer there is nobody to ask"
    made.officer.sign_in()
    yield made
    house.close()


def test_what_could_open_future_content_waits_and_is_announced_however_often_it_is_asked(clinic: Clinic) -> None:
    before = clinic.body()
    for name in (*CHANGES, *IN_POLICY):
        changed = clinic.body(name)
        assert changed != before, f"{name}: no change to what is signed"
        asked = clinic.serve(changed)
        assert asked["waiting"], name
        change = asked["proposal"]["id"]
        assert ("proposal", change) in clinic.news(), f"{name}: every officer hears of it"
        # An administrator beside the operator are two people, and none of them is an officer.
        assert not clinic.decide(clinic.admin, change)["approved"], name
        clinic.house.wait(400 * DAY)
        assert clinic.serve(changed)["waiting"], name
        assert clinic.in_force() == before, name


@pytest.mark.parametrize("name", ["smarthost", "who carries codes", "[plain]"])
def test_with_an_officer_beside_it_and_a_day_it_counts(clinic: Clinic, name: str) -> None:
    before, changed = clinic.body(), clinic.body(name)  # the twin
    change = clinic.serve(changed)["proposal"]["id"]
    assert clinic.decide(clinic.officer, change)["approved"]
    clinic.house.wait(DAY - 60)
    assert clinic.serve(changed)["waiting"], "not before its day is over"
    assert clinic.in_force() == before
    clinic.house.wait(60)
    assert not clinic.serve(changed)["waiting"]
    assert clinic.in_force() == changed
    # What was approved are these words: any others are asked anew.
    assert clinic.serve(changed | {"phone": "+1 555 010 0999"})["waiting"]


def test_a_new_officer_waits_too_and_counts_for_nothing_until_then(clinic: Clinic) -> None:
    # An administrator's new account does as well: tests/unit/keyholder/test_changes.py.
    made = clinic.house.operator.add_user(TENANT, "usr_planted", "officer", PASSWORD)
    secret = made["totp_uri"].split("secret=")[1].split("&")[0]
    planted = StaffMember(clinic.house, TENANT, "usr_planted", secret)
    assert ("proposal", made["waiting"]["id"]) in clinic.news()
    clinic.house.wait(400 * DAY)
    with refusal("wrong"):
        planted.sign_in()
    with refusal("wrong"):
        clinic.decide(planted, made["waiting"]["id"])
    clinic.decide(clinic.officer, made["waiting"]["id"])  # the twin
    assert clinic.house.portal.session(planted.sign_in())["role"] == "officer"
    # Any other new account counts at once, and every officer hears of it.
    for role in ("staff", "office", "auditor"):
        clinic.house.operator.add_user(TENANT, f"usr_{role}", role, PASSWORD)
        assert ("account", f"usr_{role}") in clinic.news()


def test_an_administrators_session_opens_nothing_that_is_sealed(clinic: Clinic) -> None:
    house = clinic.house
    sent, held = house.deposit(), house.deposit(held=True)
    session, portal = clinic.admin.sign_in(), house.portal
    for deposit in (sent, held):
        grant, thing = deposit.grants[0].id, deposit.objects[0].id
        with refusal("not-a-recipient" if deposit is sent else "not-an-officer"):
            portal.release(session, grant, thing, "download", f"req_{deposit.message}")
        with refusal("not-your-message"):
            portal.release_meta(session, deposit.message)
    grant = sent.grants[0].id
    with refusal("not-staff"):
        portal.staff_code(session, grant, "called")
    with refusal("not-staff"):
        portal.print_card(session, PERSON, "in-person")
    with refusal("not-an-officer"):
        portal.officer_act(session, clinic.admin.code(), "release", TENANT, held.message, "because")
    with refusal("not-an-officer"):
        portal.raise_budget(session, clinic.admin.code())
    # A number of its own choice lets nobody into what was sealed before, and the person is told.
    house.worker.take_changes(100)
    portal.register_people(session, clinic.admin.code(), [(PERSON, "+15005550999")])
    assert "phone" in {kind for kind, _ in clinic.news()}
    with refusal("no-phone"):
        portal.ask_text(grant, "0999", "vis_1", "net_1")
    house.operator.register_person(TENANT, PETER, PHONE)
    other = house.deposit(PETER)  # the twin: the recipient, by a number that the clinic had
    assert house.enter(other.grants[0].id)


def test_a_floor_below_two_factors_is_refused_whoever_deposits(clinic: Clinic) -> None:
    made = clinic.house.deposit()  # the twin: with a floor of two it is taken
    for floor in (0, 1):
        low = DepositGrant(f"lnk_lowfloor{floor:04}", "link", floor, PERSON)
        lower: Deposit = replace(made, message=f"msg_low{floor}", grants=[low], objects=[])
        with pytest.raises(Denied, match="floor"):
            clinic.house.worker.deposit([lower])


def test_nobody_sets_a_recovery_key_alone_nor_an_administrator_beside_the_operator(clinic: Clinic) -> None:
    house, made = clinic.house, kit.make("Elm Street", "2026-11-23")
    marks = [recovery.check_mark(made.key, sheet.check).hex() for sheet in made.sheets]
    asked = house.operator.propose_recovery(TENANT, made.public, 1, marks)
    assert asked["waiting"]
    change = asked["proposal"]["id"]
    assert ("proposal", change) in clinic.news(), "every officer hears of it"
    assert not clinic.decide(clinic.admin, change)["approved"]
    house.wait(400 * DAY)
    assert house.worker.recovery_key(TENANT) is None
    # Nor does one with a second public half take the place of what is approved: other words are another proposal.
    other = kit.make("Elm Street", "2026-11-23")
    house.operator.propose_recovery(
        TENANT, other.public, 1, [recovery.check_mark(other.key, one.check).hex() for one in other.sheets]
    )
    with refusal("not-open"):
        clinic.decide(clinic.officer, change)
    # The twin: with an officer, and a day after it was asked.
    change = house.operator.propose_recovery(TENANT, made.public, 1, marks)["proposal"]["id"]
    assert clinic.decide(clinic.officer, change)["approved"]
    assert house.worker.recovery_key(TENANT) is None
    house.wait(DAY)
    found = house.worker.recovery_key(TENANT)
    assert found is not None
    assert found["id"] == made.key
    assert "recovery-key-set" in {kind for kind, _ in clinic.news()}


def test_what_does_not_exist_cannot_be_switched_on(clinic: Clinic) -> None:
    # Words of notices: the row names them. When one comes, it belongs to CHANGES. No setting of the file names a staff
    # grant, which is the policy's, nor a recovery key: it comes by a proposal of its own.
    clinic.body()
    settings = load(clinic.folder / "gateway.toml", {})
    sections = {one.name: getattr(settings, one.name) for one in fields(settings)}
    names = {f"{name}.{one.name}" for name, part in sections.items() if is_dataclass(part) for one in fields(part)}
    assert len(names) > 40
    assert not [one for one in names if any(word in one for word in ("recover", "staff", "grant", "template", "words"))]
    assert (assets.web_dir() / "text" / "en.toml").is_file(), "notices are worded in the program"
    message = clinic.house.deposit()
    for kind in ("staff", "recovery", "inbox"):
        facts = access.GrantFacts(TENANT, message.message, None, kind, 2, 2**60, None, None, None)
        for role in ("officer", "admin", "staff"):
            session = access.SessionFacts(TENANT, 3, user="usr_x", role=role)
            why = "not-a-recipient" if kind == "inbox" else "not-this-kind"
            assert access.may_release(facts, session, message.message, 0) == access.Denial(why)
