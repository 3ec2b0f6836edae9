"""What a thief of given parts opens, each with its twin that opens once the missing part is there (DESIGN §4)."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway import words
from gateway.demo.clinic import Clinic
from gateway.demo.visitor import Visitor
from keys.derive import object_key, object_share
from keys.encoding import lp
from keys.links import parse_token, printed_code
from tests.support import stranger
from tests.support.installed import processes
from tests.support.marked import Marked, introduce, settled
from tests.support.memory import found_in
from tests.support.patient import Patient
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


# What is stolen of one machine, of its door, of its portal's visitors, of the clinic's own mail system.


def test_the_disk_without_the_root_key_opens_nothing(clinic: Clinic, tmp_path: Path) -> None:
    loot = steal(clinic.data, tmp_path / "loot", "db", "vault", "spool", "keys")
    guesses = loot.candidates() | loot.keyholders_candidates()
    wrapped = loot.wrapped_keys()
    assert {use[0] for use, _ in wrapped} >= {"day", "tenant", "epoch", "root"}
    wide = [one for one in guesses if len(one) == 32]
    assert len(wide) > 300
    assert [use for use, content in wrapped for one in wide if unwrapped(one, use, content) is not None] == []
    assert loot.try_everything(guesses) == []
    # The twin: the same disk with the key as a file on it opens what waits in the spool, and by its links the rest.
    kek = bytes.fromhex((clinic.data / "kek").read_text().split()[1])
    opened = {use: unwrapped(kek, use, content) for use, content in wrapped}
    assert None not in opened.values()
    items = loot.read_spool(key for use, key in opened.items() if use[0] == "epoch" and key is not None)
    assert items
    whole = loot.objects(loot.message_keys(loot.links), shares(clinic, tmp_path))
    assert {one.attachment for one in SENT} <= set(whole.values())


@pytest.mark.root
def test_every_secret_of_the_smtp_process_and_the_whole_store_open_no_stored_file(
    clinic: Clinic, tmp_path: Path
) -> None:
    # Story 46. Its files, and all of its memory.
    loot = steal(clinic.data, tmp_path / "loot", "db", "vault", "spool")
    own = [path for path in (clinic.data / "spool" / "node" / "smtp").rglob("*") if path.is_file()]
    own += [clinic.certificate, clinic.key, *(clinic.data / "spool" / "node" / "snapshot").iterdir()]
    assert {"node.key", "keyholder.pub"} <= {path.name for path in own}
    guesses = loot.candidates() | {piece for path in own for piece in pieces_of(path.read_bytes())}
    assert loot.try_everything(guesses) == []

    keys, secrets = open_copy(clinic.data / "keys", clinic.data / "kek", tmp_path), links(clinic)
    mk = loot.message_keys(secrets)
    hidden = {f"S {name}": share for name, share in keys.shares.items()}
    hidden |= {f"L {name}": secret for name, secret in secrets.items()} | {
        f"MK {name}": key for name, key in mk.items()
    }
    hidden |= {f"tenant's {purpose}": key for (_, purpose), key in keys.tenant_keys.items()}
    hidden |= {f"epoch {epoch}": key for (_, epoch), key in keys.epochs.items()}
    hidden["kek"] = bytes.fromhex((clinic.data / "kek").read_text().split()[1])
    for row in loot.rows("objects"):
        names = {"tenant": row["tenant"], "message": row["message"], "object_id": row["id"]}
        share = object_share(keys.shares[row["message"]], **names)
        hidden[f"key {row['id']}"] = object_key(mk[row["message"]], share, **names, kind=row["kind"]).raw()
    running = processes(clinic)
    mine = {"own": (clinic.data / "spool" / "node" / "smtp" / "node.key").read_bytes()}
    assert found_in(running["smtp"], hidden | mine) == {"own"}, "the search finds what is there, and that is all"
    # The twin: who drains the spool has its keys, and they open what the door wrote.
    epochs = {name: key for name, key in hidden.items() if name.startswith("epoch")}
    inside = found_in(running["gateway"], epochs)
    assert inside
    assert loot.read_spool(epochs[name] for name in inside)


@pytest.mark.root
def test_root_reads_what_is_in_use_out_of_memory_and_we_say_so(clinic: Clinic, tmp_path: Path) -> None:
    # The table's last row: this is not claimed. What is: no core dump is written, and no other user may look.
    keys = open_copy(clinic.data / "keys", clinic.data / "kek", tmp_path)
    running = processes(clinic)
    in_use = {str(epoch): key for epoch, key in keys.epochs.items()}
    assert found_in(running["gateway"], in_use)
    kek = {"kek": bytes.fromhex((clinic.data / "kek").read_text().split()[1])}
    assert found_in(running["keyholder"], kek) == {"kek"}
    for role in ("smtp", "gateway", "keyholder"):
        limits = Path(f"/proc/{running[role]}/limits").read_text()
        assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE), role
        assert Path(f"/proc/{running[role]}/environ").stat().st_uid == 0, "not dumpable: root's, whoever runs it"
    page = Visitor().get(f"{clinic.portal}/limits").text
    assert words.say("portal.limits.cannot_5") in page


def test_the_clinics_own_mail_system_shows_what_staff_sent_and_opens_nothing_of_ours(
    clinic: Clinic, tmp_path: Path
) -> None:
    journal = [one.mail().as_bytes() for one in SENT] + [mail.data for mail in clinic.sink.mails]
    thief = Loot(tmp_path)
    for mail in journal:
        thief.take_links(mail)
    assert set(thief.links) >= set(links(clinic)), "every link is in it"
    assert any(traces(mail, ANNA.body) for mail in journal), "and what staff sent, as in their Sent folder"
    for one in SENT:
        link = clinic.sink.wait_for(one.recipient)[0].link
        assert link is not None
        journaled = Patient(clinic, link, PHONES[one.recipient])
        page = journaled.knock()
        answers = [page, journaled.browser.submit(page, "/code", last4="0000")]
        answers += [journaled.browser.post(f"{link}/verify", {"code": code}) for code in ("123456", "12345678")]
        rows = steal(clinic.data, tmp_path / one.name, "db").rows("objects")
        answers += [journaled.browser.get(f"{journaled.plain}/files/{row['id']}") for row in rows]
        for answer in answers:
            assert answer.status < 500
            for place in ("body", "file name", "contents"):
                assert not traces(answer.body, one.planted[place]), (answer.url, place)
        opened = journaled.open()  # the twin: with the recipient's phone
        assert one.body in opened.text


def test_a_stranger_with_the_written_page_and_everything_at_rest_reads_it_all(clinic: Clinic, tmp_path: Path) -> None:
    # keys/FORMAT.md says all of it: tests/support/stranger.py was written from that page and imports nothing of ours.
    source = Path(stranger.__file__).read_text()
    assert not re.search(r"^\s*(?:from|import) +(?:keys|gateway|tests)\b", source, re.MULTILINE)
    steal(clinic.data, tmp_path / "loot", "db", "vault", "spool", "keys")
    reader = stranger.Installation.of(tmp_path / "loot", clinic.data / "kek")
    for one in SENT:
        (mail,) = clinic.sink.wait_for(one.recipient)
        assert mail.link is not None
        token = mail.link.rpartition("/")[2]
        found = {about["kind"]: (about, content) for about, content in reader.objects(token)}
        about, content = found["file"]
        assert (about["name"], about["bytes"], content) == (one.filename, len(one.attachment), one.attachment)
        assert one.body in json.loads(found["body"][1])["text"]
        grant, secret = stranger.read_token(token)
        assert stranger.read_printed(printed_code(secret)) == secret
        ((message,),) = reader.rows("db/sealgate.db", "SELECT message FROM grants WHERE id = ?", grant)
        shown = reader.subject(message)
        assert shown["from"] == clinic.amy.address
        assert (shown["subject"] == one.subject) is not one.subject_is_phi
    spooled = list(reader.spooled())
    assert {direction for direction, _, _ in spooled} == {"in", "out"}
    incoming = {address["address"]: mail for way, envelope, mail in spooled for address in envelope["recipients"]
                if way == "in"}  # fmt: skip
    assert traces(incoming[CLARA.recipient], CLARA.inside)
    origin, entries = reader.log(clinic.tenant)
    assert origin.endswith(clinic.tenant)
    assert entries[0]["action"] == "log:opened"
    assert {"message:accepted", "message:secured", "message:delivered"} <= {entry["action"] for entry in entries}


def unwrapped(kek: bytes, use: tuple[str | int, ...], wrapped: bytes) -> bytes | None:
    """What a root key of these bytes unwraps (keys/FORMAT.md §11), or nothing."""
    try:
        aad = lp("sealgate/kek/v1", lp("sealgate/keyholder/v1", *use))
        return AESGCM(kek).decrypt(wrapped[1:13], wrapped[13:], aad)
    except InvalidTag:
        return None


def pieces_of(content: bytes) -> set[bytes]:
    """Whatever could be a secret in a file: it and its words, as they are and decoded, each run of 16 or 32 bytes of
    the short ones, both ends of the long ones.
    """
    texts = [content, *(found for word in re.findall(rb"[0-9A-Za-z+/=]{22,}", content) for found in decoded(word))]
    return {
        text[at : at + size]
        for text in texts
        for size in (16, 32)
        for at in (range(len(text) - size + 1) if len(text) <= 64 else (0, len(text) - size))
    }


def decoded(word: bytes) -> list[bytes]:
    """A word as hexadecimal and as base64, where it is one."""
    found = []
    for decode in (lambda: bytes.fromhex(word.decode()), lambda: base64.b64decode(word, validate=True)):
        with contextlib.suppress(ValueError):
            found.append(decode())
    return found
