"""The recovery key: what a thief without the kit opens through it, and a thief with the kit alone; what an officer does
with it, and that it is said loudly. DESIGN §4 (`recovery`); each refusal has its twin at its end.
"""

from __future__ import annotations

import json
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.demo.clinic import Clinic
from gateway.doctor import GREEN, RED
from gateway.errors import Misconfigured
from gateway.flow.proved import make_proof, read_proof
from gateway.settings import load
from keys import kit, recovery
from keys.boxes import BoxKey
from keys.errors import KeysError
from tests.support import doctoring, stranger
from tests.support.marked import Marked, introduce, settled
from tests.support.patient import Patient
from tests.support.stolen import open_copy
from tests.support.thief import Loot, steal

pytestmark = pytest.mark.full
ANNA, BERT = Marked("recanna", "recanna@patient.test"), Marked("recbert", "recbert@patient.test", 300_000)
PHONES = {ANNA.recipient: "+15550100291", BERT.recipient: "+15550100292"}
BEFORE, PROBE = Marked("recbefore", "recbefore@patient.test"), Marked("recprobe", "recprobe@patient.test")
"""Sent while there was no recovery key."""


TAKEN = "SELECT COUNT(*) FROM messages WHERE rule != 'notice'"
RECOVERABLE = "SELECT COUNT(*) FROM grants WHERE kind = 'recovery'"


def rows(clinic: Clinic, sql: str, *values: str) -> list[tuple[Any, ...]]:
    """A look into the gateway's database."""
    with closing(sqlite3.connect(f"file:{clinic.data / 'db' / 'sealgate.db'}?mode=ro", uri=True, timeout=30)) as conn:
        return conn.execute(sql, values).fetchall()


@dataclass
class Kept:
    """A clinic with a recovery key of 2 of 3, and mail that it opens."""

    clinic: Clinic
    sheets: list[Path]
    folder: Path

    def messages(self) -> dict[str, str]:
        """Name of each marked mail to its message, by the link that came with it."""
        found = {}
        for name, one in (("before", BEFORE), ("anna", ANNA), ("bert", BERT)):
            link = self.clinic.sink.wait_for(one.recipient)[0].link
            assert link is not None
            grant = "lnk_" + link.rpartition("/")[2][:12]
            ((found[name],),) = rows(self.clinic, "SELECT message FROM grants WHERE id = ?", grant)
        return found

    def act(self, *words: str, kits: int = 2, code: str = "") -> Any:
        """A command of the recovery key as Olga, with so many sheets; a third code in a row would be waited for."""
        olga = self.clinic.olga
        given = [option for path in self.sheets[:kits] for option in ("--kit", str(path))]
        out = self.clinic.command(
            "keys", "recovery", *words, *given, "--as", olga.address, "--reason", "lost link", "--json",
            stdin=f"{olga.password}\n{code or olga.code()}\n",
        )  # fmt: skip
        return json.loads(out)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    clinic, folder = Clinic(tmp_path_factory.mktemp("recovery") / "c"), tmp_path_factory.mktemp("officer")
    try:
        clinic.start()
        introduce(clinic, PHONES)
        BEFORE.send(clinic)
        clinic.sink.wait_for(BEFORE.recipient)
        clinic.command(
            "keys", "recovery", "make", "--clinic", "Elm Street", "--shares", "2-of-3", "--to", str(folder / "k")
        )
        clinic.command("keys", "recovery", "propose", str(folder / "k" / "public.txt"))
        end, sent = time.monotonic() + 60, 0
        while rows(clinic, RECOVERABLE) == [(0,)]:  # the worker remembers for a moment that there was none
            assert time.monotonic() < end
            PROBE.send(clinic)
            clinic.sink.wait_for(PROBE.recipient, sent := sent + 1)
        for one in (ANNA, BERT):
            one.send(clinic)
        for one in (ANNA, BERT):
            clinic.sink.wait_for(one.recipient)
        settled(clinic)
        yield Kept(clinic, [folder / "k" / f"sheet-{number}.txt" for number in (1, 2, 3)], folder)
    finally:
        clinic.stop()


@dataclass
class Opened:
    """What an officer opened of two messages, in one act."""

    out: Path
    answer: Any


@pytest.fixture(scope="module")
def opened(kept: Kept) -> Opened:
    names, out = kept.messages(), kept.folder / "out"
    return Opened(out, kept.act("open", names["anna"], names["bert"], "--to", str(out)))


def private_of(sheets: list[Path]) -> BoxKey:
    return kit.joined([kit.parse(path.read_text()).words for path in sheets])


def through(loot: Loot, private: BoxKey) -> dict[str, bytes]:
    """Message to MK, for every recovery grant that this key opens."""
    found = {}
    for row in loot.rows("grants"):
        if row["kind"] != "recovery":
            continue
        try:
            place = recovery.Place(row["tenant"], row["message"], row["id"])
            found[row["message"]] = recovery.unseal(private, row["wrap"], place)
        except KeysError:
            continue
    return found


def test_all_stores_and_the_root_key_open_nothing_through_recovery_without_the_kit(kept: Kept, tmp_path: Path) -> None:
    loot = steal(kept.clinic.data, tmp_path / "loot", "db", "vault", "spool", "keys")
    taken = open_copy(kept.clinic.data / "keys", kept.clinic.data / "kek", tmp_path)
    assert len([row for row in loot.rows("grants") if row["kind"] == "recovery"]) >= 3
    guesses = {one for one in loot.candidates() | loot.keyholders_candidates() if len(one) == 32}
    guesses |= {*taken.shares.values(), *taken.secrets.values(), *taken.epochs.values(), *taken.tenant_keys.values()}
    guesses.add(bytes.fromhex((kept.clinic.data / "kek").read_text().split()[1]))
    assert len(guesses) > 200
    public = {recovery.sealed_for(row["wrap"]) for row in loot.rows("grants") if row["kind"] == "recovery"}
    assert not [one for one in guesses if recovery.key_id(BoxKey(one).public) in public]
    assert [content for name, content in loot.bytes() if b"sealgate-recovery-kit" in content] == []
    # The twin: with two sheets of the kit.
    opened = loot.objects(through(loot, private_of(kept.sheets[1:])), taken.shares)
    assert {ANNA.attachment, BERT.attachment} <= set(opened.values())
    assert BEFORE.attachment not in opened.values(), "what was sealed before there was a key is not its to open"


def test_a_reader_written_from_the_page_of_formats_alone_opens_with_two_sheets(kept: Kept, tmp_path: Path) -> None:
    steal(kept.clinic.data, tmp_path / "loot", "db", "vault", "spool", "keys")
    reader = stranger.Installation.of(tmp_path / "loot", kept.clinic.data / "kek")
    sheets = [path.read_text() for path in kept.sheets[1:]]
    found = {about["kind"]: (about, content) for about, content in reader.recovered(sheets, kept.messages()["anna"])}
    about, content = found["file"]
    assert (about["name"], content) == (ANNA.filename, ANNA.attachment)


def test_the_kit_and_the_gateways_stores_open_nothing_without_the_keyholder(kept: Kept, tmp_path: Path) -> None:
    loot = steal(kept.clinic.data, tmp_path / "loot", "db", "vault")
    keys = through(loot, private_of(kept.sheets[:2]))
    assert {kept.messages()[name] for name in ("anna", "bert")} <= set(keys)
    assert loot.objects(keys, {}) == {}
    guesses = [one for one in loot.candidates() if len(one) == 32]
    for row in (one for one in loot.rows("objects") if one["message"] in keys):
        assert not [one for one in guesses if loot.one_object(row, keys[row["message"]], one) is not None]
    shares = open_copy(kept.clinic.data / "keys", kept.clinic.data / "kek", tmp_path).shares  # the twin
    assert ANNA.attachment in loot.objects(keys, shares).values()


def test_one_sheet_too_few_opens_nothing_and_spends_no_code(kept: Kept, tmp_path: Path) -> None:
    with pytest.raises(kit.BadKit):
        private_of(kept.sheets[:1])
    message = kept.messages()["anna"]
    with pytest.raises(Misconfigured, match="2 different sheets are needed, and 1"):
        kept.act("open", message, "--to", str(tmp_path / "out"), kits=1, code="000000")
    assert not (tmp_path / "out").exists()
    # That it opens with one more: the next test.


def test_an_officer_opens_a_message_and_everybody_hears_of_it(kept: Kept, opened: Opened, tmp_path: Path) -> None:
    clinic, names, out, answer = kept.clinic, kept.messages(), opened.out, opened.answer
    with pytest.raises(Misconfigured, match="no recovery key"):
        kept.act("open", names["before"], "--to", str(tmp_path / "none"), code="000000")
    assert (answer["opened"], answer["kept"]) == (2, 0)
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    for one, name in ((ANNA, "anna"), (BERT, "bert")):
        about = json.loads((out / names[name] / "message.json").read_text())
        files = {path.read_bytes() for path in (out / names[name]).iterdir()}
        assert one.attachment in files
        assert (about["to"], about["from"]) == ([one.recipient], clinic.amy.address)
        assert one.filename in {part["name"] for part in about["files"]}
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in (out / names[name]).iterdir())
        (said,) = clinic.search(f"object:{names[name]}", "action:recovery:opened")
        assert said["actor"]["kind"] == "user"
    told = clinic.sink.wait_for(clinic.olga.address)
    assert any(b"recovery key" in mail.data for mail in told)
    # Going on where it stopped needs no second code and opens nothing twice.
    again = json.loads(clinic.command(
        "keys", "recovery", "open", names["anna"], "--to", str(out), "--act", answer["act"], "--json",
        *(option for path in kept.sheets[:2] for option in ("--kit", str(path))),
    ))  # fmt: skip
    assert (again["opened"], again["kept"]) == (0, 1)
    assert len(clinic.search(f"object:{names['anna']}", "action:recovery:opened")) == 1
    export = tmp_path / "export"
    clinic.command("audit", "export", str(export))
    checked = clinic.command("audit", "verify", str(export), "--key", str(export / "vkey"))
    assert "disclosure" not in checked, "each release has its opening"


def test_what_was_opened_here_confirms_nothing_and_what_was_opened_elsewhere_does(kept: Kept, opened: Opened) -> None:
    clinic = kept.clinic
    settings = load(clinic.config, {})

    def level(id: str) -> str:
        return doctoring.look(id, settings, clinic.config).level

    assert (level("recovery.kit"), level("recovery.opened")) == (RED, RED)
    printed = opened.answer["proof"]
    with pytest.raises(Misconfigured, match="on this machine"):
        clinic.command("keys", "confirm", printed)
    proof = read_proof(printed)
    assert proof is not None
    forged = make_proof(proof.message, bytes(16), "another node", "another machine").text()
    with pytest.raises(Misconfigured, match="of no message here"):
        clinic.command("keys", "confirm", forged)
    assert level("recovery.opened") == RED
    elsewhere = make_proof(proof.message, proof.secret, "another node", "another machine").text()
    clinic.command("keys", "confirm", elsewhere)
    assert level("recovery.opened") == GREEN
    checks = [kit.check_words(kit.parse(path.read_text()).check) for path in kept.sheets]
    with pytest.raises(Misconfigured, match="no sheet of the recovery key"):
        clinic.command("keys", "confirm", "0000-0000-0000-0000")
    clinic.command("keys", "confirm", checks[0])
    assert level("recovery.kit") == RED, "one sheet opens nothing"
    clinic.command("keys", "confirm", *checks[1:])
    assert level("recovery.kit") == GREEN


def test_a_recipient_who_lost_the_mail_gets_a_new_link_and_the_old_one_ends(kept: Kept) -> None:
    clinic = kept.clinic
    lost = clinic.sink.wait_for(BERT.recipient)[0].link
    assert lost is not None
    grant = "lnk_" + lost.rpartition("/")[2][:12]
    answer = kept.act("relink", kept.messages()["bert"], grant)
    assert answer["old"] == grant
    fresh = clinic.sink.wait_for(BERT.recipient, 2)[-1].link
    assert fresh is not None
    assert fresh != lost
    patient = Patient(clinic, fresh, PHONES[BERT.recipient])
    page = patient.open()
    assert page.status == 200
    assert BERT.attachment in {patient.browser.get(address).body for address in patient.files(page).values()}
    gone = Patient(clinic, lost, PHONES[BERT.recipient]).knock()
    assert BERT.body not in gone.text
    (made,) = clinic.search(f"object:{grant}", "action:recovery:relinked")
    assert made["reason"] == answer["grant"]
    assert clinic.search(f"object:{grant}", "action:link:revoked")


def test_a_recovery_key_swapped_in_the_keyholders_store_is_refused_and_named_and_mail_waits(kept: Kept) -> None:
    clinic, late = kept.clinic, Marked("reclate", "reclate@patient.test")
    store = clinic.data / "keys" / "keyholder.db"
    ((good,),) = swapped(store, kit.make("Thief", "2026-11-23").public)
    before, ((there,),) = len(clinic.search("action:tamper:found")), rows(clinic, TAKEN)
    try:
        assert doctoring.look("recovery.kit", load(clinic.config, {}), clinic.config).level == RED
        sent = 0
        end = time.monotonic() + 60
        while len(clinic.search("action:tamper:found")) == before:  # the worker remembers the right one for a moment
            assert time.monotonic() < end
            if sent < 20:
                late.send(clinic)
                sent += 1
    finally:
        swapped(store, good)
    end = time.monotonic() + 60
    while rows(clinic, TAKEN) != [(there + sent,)]:  # the twin: all is delivered, or after three tries held
        assert time.monotonic() < end
        time.sleep(0.1)
    loot = rows(clinic, "SELECT hex(wrap) FROM grants WHERE kind = 'recovery'")
    mine = {recovery.key_id(private_of(kept.sheets[:2]).public)}
    assert {recovery.sealed_for(bytes.fromhex(one)) for (one,) in loot} == mine, "nothing was sealed to the thief's"


def swapped(store: Path, public: bytes) -> list[tuple[bytes]]:
    """Another public half in the place of the one that is there, which is returned."""
    with closing(sqlite3.connect(store, timeout=30)) as conn:
        before = conn.execute("SELECT public FROM recovery_keys ORDER BY serial DESC LIMIT 1").fetchall()
        conn.execute("UPDATE recovery_keys SET public = ? WHERE public = ?", (public, *before[0]))
        conn.commit()
    return before
