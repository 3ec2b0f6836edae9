"""What a thief of given parts opens, each with its twin that opens once the missing part is there (DESIGN §4)."""

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
from keys.derive import object_key, object_share
from keys.links import parse_token
from tests.support import stolen
from tests.support.marked import Marked, introduce, settled
from tests.support.patient import Patient
from tests.support.smarthost import Smarthost
from tests.support.spool import eventually
from tests.support.stolen import open_copy
from tests.support.thief import Loot, steal
from tests.support.traces import traces

pytestmark = pytest.mark.full
AT_HAND = {"texts_per_hour": 1000, "text_resend_seconds": 0, "tries": 1000}
ANNA, BERT = Marked("anna", "quillfeather7719@patient.test"), Marked("bert", "inkhorn5532@patient.test", 300_000)
CLARA = Marked("clara", "parchment8841@patient.test", subject_is_phi=False)
PHONES = {ANNA.recipient: "+15550100191", BERT.recipient: "+15550100192", CLARA.recipient: "+15550100193"}
SENT = (ANNA, BERT, CLARA)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A clinic that has delivered three protected mails and one that passed."""
    clinic = Clinic(tmp_path_factory.mktemp("theft") / "c", limits=AT_HAND)
    try:
        clinic.start()
        introduce(clinic, PHONES)
        for one in SENT:
            one.send(clinic)
        for one in SENT:
            clinic.sink.wait_for(one.recipient)
        settled(clinic)
        yield clinic
    finally:
        clinic.stop()


@pytest.fixture
def patient(clinic: Clinic) -> Patient:
    """Anna with her mailbox and her phone."""
    link = clinic.sink.wait_for(ANNA.recipient)[0].link
    assert link is not None
    return Patient(clinic, link, PHONES[ANNA.recipient])


def links(clinic: Clinic) -> dict[str, bytes]:
    """Grant to link secret, as they lie in the recipients' mailboxes."""
    found = {}
    for one in SENT:
        link = clinic.sink.wait_for(one.recipient)[0].link
        assert link is not None
        token = parse_token(link.rpartition("/")[2])
        assert token is not None
        assert token.secret is not None
        found[token.grant] = token.secret
    return found


def everywhere(loot: Loot, *planted: str | bytes) -> list[str]:
    return [f"{name}: {how}" for name, data in loot.bytes() for how in traces(data, *planted)]


def shares(clinic: Clinic, scratch: Path) -> dict[str, bytes]:
    """S of every message, from the keyholder's store and the root key."""
    return open_copy(clinic.data / "keys", clinic.data / "kek", scratch).shares


@pytest.mark.parametrize("one", SENT, ids=lambda one: one.name)
def test_what_is_delivered_shows_no_mark_to_the_next_hop(clinic: Clinic, one: Marked) -> None:
    (copy,) = clinic.sink.wait_for(one.recipient)
    assert copy.link is not None
    hidden = {place: text for place, text in one.planted.items() if place != "address"}
    if not one.subject_is_phi:
        del hidden["subject"]
    for place, text in hidden.items():
        assert not traces(copy.data, text), place


def test_database_blobs_and_delivered_spool_hold_no_mark_in_any_encoding(clinic: Clinic, tmp_path: Path) -> None:
    loot = steal(clinic.data, tmp_path / "loot", "db", "vault", "spool")
    assert len(list(loot.items())) >= 2 * len(SENT), "the spool that was stolen must hold what was delivered"
    assert everywhere(loot, *(text for one in SENT for text in one.planted.values())) == []
    planted = tmp_path / "loot" / "vault" / "planted"
    planted.write_bytes(b"\xff" * 1000 + ANNA.body.encode("utf-16-le"))  # the twin: this search does find
    assert everywhere(loot, ANNA.body) == [f"vault/planted: {ANNA.body!r} as utf-16-le"]


def test_database_blobs_and_delivered_spool_hold_no_secret_in_any_encoding(clinic: Clinic, tmp_path: Path) -> None:
    loot = steal(clinic.data, tmp_path / "loot", "db", "vault", "spool")
    known = shares(clinic, tmp_path)
    secrets = links(clinic)
    keys = loot.message_keys(secrets)
    assert len(keys) == len(SENT)
    hidden = {"L": list(secrets.values()), "MK": list(keys.values()), "S": list(known.values()), "S_o": [], "key": []}
    for row in loot.rows("objects"):
        names = {"tenant": row["tenant"], "message": row["message"], "object_id": row["id"]}
        share = object_share(known[row["message"]], **names)
        hidden["S_o"].append(share)
        hidden["key"].append(object_key(keys[row["message"]], share, **names, kind=row["kind"]).raw())
    assert all(hidden.values())
    assert everywhere(loot, *(value for values in hidden.values() for value in values)) == []


def test_database_blobs_and_delivered_spool_open_nothing_until_share_and_link_are_added(
    clinic: Clinic, tmp_path: Path
) -> None:
    loot = steal(clinic.data, tmp_path / "loot", "db", "vault", "spool")
    assert len(loot.candidates()) > 200
    assert loot.try_everything() == []
    assert loot.objects(loot.message_keys(links(clinic)), {}) == {}
    whole = loot.objects(loot.message_keys(links(clinic)), shares(clinic, tmp_path))
    assert set(whole) == {row["id"] for row in loot.rows("objects")}
    for one in SENT:
        assert one.attachment in whole.values()
        assert any(one.body.encode() in content for content in whole.values())
    assert any(ANNA.subject.encode() in content for content in whole.values())


def test_one_share_of_one_object_and_one_link_open_that_object_alone(clinic: Clinic, tmp_path: Path) -> None:
    loot = steal(clinic.data, tmp_path / "loot", "db", "vault", "spool")
    keys = loot.message_keys(links(clinic))
    known = shares(clinic, tmp_path)
    rows = [row for row in loot.rows("objects") if row["message"] == next(iter(known))]
    one = rows[0]
    given = object_share(known[one["message"]], tenant=one["tenant"], message=one["message"], object_id=one["id"])
    opened = {row["id"] for row in loot.rows("objects") if loot.one_object(row, keys[row["message"]], given)}
    assert len(rows) > 1
    assert opened == {one["id"]}


def test_the_mailbox_alone_opens_nothing_over_the_web(clinic: Clinic, patient: Patient, tmp_path: Path) -> None:
    objects = [row["id"] for row in steal(clinic.data, tmp_path / "ids", "db").rows("objects")]
    seen = [patient.knock(), patient.browser.get(patient.link, method="HEAD"), patient.browser.get(patient.plain)]
    page = patient.knock()
    seen.append(patient.browser.submit(page, "/code", last4="0000"))
    for code in ("000000", "12345678", "1234-5678-9012"):
        seen.append(patient.browser.post(f"{patient.link}/verify", {"code": code}))
    for base in (patient.link, patient.plain):
        seen += [patient.browser.get(f"{base}/files/{name}") for name in objects]
    assert len(seen) > 10
    for answer in seen:
        for place in ("subject", "body", "file name", "contents"):
            assert not traces(answer.body, ANNA.planted[place]), (answer.url, place)
        assert answer.status < 500
        assert HIDDEN not in answer.text
    assert not [entry for entry in clinic.search("action:object:opened") if entry["object"] in objects]
    opened = patient.open()  # the twin: the same mailbox, and the phone
    assert opened.status == 200
    assert ANNA.body in opened.text
    ((name, address),) = patient.files(opened).items()
    assert patient.browser.get(address).body == ANNA.attachment
    assert name in {entry["object"] for entry in clinic.search("action:object:opened")}


HIDDEN = "type 2 diabetes"


def test_the_mailbox_database_and_blobs_open_nothing_without_the_keyholder(clinic: Clinic, tmp_path: Path) -> None:
    loot = steal(clinic.data, tmp_path / "loot", "db", "vault")
    loot.take_links(clinic.sink.wait_for(ANNA.recipient)[0].data)
    assert len(loot.links) == 1
    keys = loot.message_keys(loot.links)
    ((message, key),) = keys.items()
    guesses = [one for one in loot.candidates() if len(one) == 32]
    for row in loot.rows("objects"):
        assert not [one for one in guesses if loot.one_object(row, key, one) is not None]
    for guess in guesses[:200]:
        assert loot.objects(keys, {message: guess}) == {}
    opened = loot.objects(keys, shares(clinic, tmp_path))  # the twin
    assert ANNA.attachment in opened.values()
    assert BERT.attachment not in opened.values()


# Everything at rest, root key included: what was delivered stays closed, what waits or is held does not.

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
