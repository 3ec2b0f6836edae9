"""Everything at rest, root key included: what is delivered stays closed, what waits or is held does not (DESIGN §4)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway import words
from gateway.demo.clinic import Clinic
from gateway.demo.visitor import Visitor
from keys.client import OperatorClient
from tests.support import stolen
from tests.support.marked import Marked
from tests.support.smarthost import Smarthost
from tests.support.spool import eventually
from tests.support.stolen import open_copy
from tests.support.thief import Loot, steal
from tests.support.traces import traces

pytestmark = pytest.mark.full
HOURS_AGO = {
    "PYTHONPATH": str(Path(__file__).parents[1] / "support" / "earlier"), "SEALGATE_TEST_SECONDS_AGO": "10800",
}  # fmt: skip
DELIVERED = [Marked(f"delivered{n:02}", f"arrived{n:02}@patient.test") for n in range(20)]
DEFERRED = [Marked(f"deferred{n}", f"temperror+{n}@patient.test") for n in range(5)]
HELD = [Marked(f"held{n}", f"kept{n}@patient.test", unheard_of=True) for n in range(3)]


@dataclass(slots=True)
class Aged:
    """A clinic whose mail went out three hours ago, and what was stolen of it then and now."""

    clinic: Clinic
    smarthost: Smarthost
    early: Loot
    early_keys: stolen.Loot
    late: Loot
    late_keys: stolen.Loot


@pytest.fixture(scope="module")
def aged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aged]:
    """20 delivered, 5 deferred, 3 held, by an installation that ran three hours ago and now runs again."""
    base = tmp_path_factory.mktemp("aged")
    ago = dict(HOURS_AGO)
    with Smarthost() as smarthost:
        clinic = Clinic(base / "c", policy="strict", smarthost=f"127.0.0.1:{smarthost.port}", environ=ago)
        try:
            clinic.start()
            for one in (*DELIVERED, *DEFERRED, *HELD):
                one.send(clinic)
            eventually(lambda: arrived(smarthost) == 20 and standing(clinic) == {"deferred": 5, "held": 3}, 60)
            early, early_keys = everything(clinic, base / "early")
            clinic.stop()
            ago.clear()
            clinic.serve()
            eventually(lambda: epochs(clinic) == 2, 60)
            late, late_keys = everything(clinic, base / "late")
            yield Aged(clinic, smarthost, early, early_keys, late, late_keys)
        finally:
            clinic.stop()


def standing(clinic: Clinic) -> dict[str, int]:
    """How many messages are held, and how many deliveries wait, by state."""
    found = [one["state"] for one in json.loads(clinic.command("queue", "list", "--json"))]
    return {state: found.count(state) for state in sorted(set(found))}


def arrived(smarthost: Smarthost) -> int:
    """How many of the delivered ones have reached the next hop."""
    return sum(any("arrived" in to for to in mail.recipients) for mail in smarthost.messages)


def epochs(clinic: Clinic) -> int:
    """How many epoch keys the keyholder still has."""
    operator = OperatorClient(clinic.data / "spool" / "node" / "run" / "operator.sock")
    try:
        return int(operator.status()["counts"]["epochs"])
    finally:
        operator.close()


def wrapped_epochs(loot: Loot) -> list[tuple[int, bytes]]:
    """Epoch and its wrapped private half, as they lie in the keyholder's store."""
    with closing(sqlite3.connect(loot.folder / "keys" / "keyholder.db")) as store:
        found = store.execute("SELECT epoch, private FROM epochs WHERE private IS NOT NULL")
        return [(int(epoch), bytes(private)) for epoch, private in found]


def everything(clinic: Clinic, into: Path) -> tuple[Loot, stolen.Loot]:
    """All stores at rest, and the root key."""
    loot = steal(clinic.data, into, "db", "vault", "spool", "keys")
    return loot, open_copy(clinic.data / "keys", clinic.data / "kek", into)


def opened_by(loot: Loot, keys: stolen.Loot, *mailbox: bytes) -> tuple[list[bytes], dict[str, bytes]]:
    """Spooled mails and vaulted objects that these stores, this root key and these mails open, by every way."""
    thief = Loot(loot.folder)
    mails = [content for _, content in thief.read_spool(keys.epochs.values())]
    for mail in mailbox:
        thief.take_links(mail)
    mk = thief.message_keys({**thief.links, **keys.secrets})
    return mails, thief.objects(mk, keys.shares)


def names_in(contents: Iterable[bytes], sent: Iterable[Marked]) -> set[str]:
    """Whose planted contents are among these."""
    text = b"\n".join(contents)
    return {one.name for one in sent if traces(text, one.inside)}


def test_all_stores_and_the_root_key_open_no_delivered_mail_after_its_epoch(aged: Aged) -> None:
    mails, objects = opened_by(aged.late, aged.late_keys)
    everything = [*mails, *objects.values()]
    assert len(aged.late_keys.shares) == 28, "the thief has the share of every message"
    assert names_in(everything, DELIVERED) == set()
    assert names_in(everything, HELD) == {one.name for one in HELD}
    assert names_in(everything, DEFERRED) == {one.name for one in DEFERRED}
    for one in DELIVERED:
        for place in ("body", "file name", "contents"):
            assert not traces(b"\n".join(everything), one.planted[place]), (one.name, place)


def test_the_same_thief_while_the_epoch_lasts_opens_them(aged: Aged) -> None:
    # The twin: with the epoch's key still there, the spool's records give the links, and the links everything.
    mails, objects = opened_by(aged.early, aged.early_keys)
    assert names_in([*mails, *objects.values()], DELIVERED) == {one.name for one in DELIVERED}


def test_destroyed_epoch_keys_are_in_no_corner_of_the_stores(aged: Aged) -> None:
    gone = {key: private for key, private in aged.early_keys.epochs.items() if key not in aged.late_keys.epochs}
    assert len(gone) >= 2
    wrapped = [row for row in wrapped_epochs(aged.early) if row[0] in {epoch for _, epoch in gone}]
    assert len(wrapped) == len(gone)
    hidden = [*gone.values(), *(content for _, content in wrapped)]
    kept = next(content for epoch, content in wrapped_epochs(aged.late))
    for name, data in aged.late.bytes():
        assert not [one for one in hidden if one in data], name
    assert any(kept in data for _, data in aged.late.bytes()), "the search would have found one that is kept"


def test_one_delivered_mail_opens_with_its_own_mailbox_and_no_other_does(aged: Aged) -> None:
    (mail,) = (one for one in aged.smarthost.messages if one.recipients == [DELIVERED[7].recipient])
    _, objects = opened_by(aged.late, aged.late_keys, mail.content)
    assert names_in(objects.values(), DELIVERED) == {DELIVERED[7].name}


def test_the_limits_page_says_what_could_be_opened(aged: Aged) -> None:
    page = Visitor().get(f"{aged.clinic.portal}/limits")
    assert page.status == 200
    assert words.say("portal.limits.cannot_4") in page.text
    for word in ("waiting to be sent", "held", "can be opened", "two hours"):
        assert word in page.text
