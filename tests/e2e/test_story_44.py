"""Story 44: backup, wipe, restore on an empty machine: the same log root, working links, and the drill in the log."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.backup.manifest import CONTENT, KEYHOLDER, LABEL, NAME, part_of, read, write
from gateway.demo import mails
from gateway.demo.clinic import PEOPLE, Clinic, Member
from gateway.errors import Misconfigured
from keys.signing import SigningKey
from tests.e2e.conftest import running
from tests.e2e.test_story_11 import Desk
from tests.e2e.test_story_12 import recall
from tests.support import letters

pytestmark = pytest.mark.full
DATA = ("db", "vault", "keys", "spool")
NUMBER = {address: phone for address, _, phone, _ in PEOPLE}[mails.MARGUERITE]
PAGE = (Path(__file__).parents[2] / "deploy/BACKUP.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
LATER = Member("lee@riverside.test", "staff", "Lee Okafor")


@dataclass
class Drill:
    """What was made, what was in it, and what the restore said."""

    clinic: Clinic
    folder: Path
    links: dict[str, str]
    messages: dict[str, str]
    made: dict[str, dict[str, Any]]
    said: dict[str, Any]
    words: str


@dataclass
class Elsewhere:
    """An empty machine with copies of both halves."""

    clinic: Clinic
    fresh: Path
    config: Path
    near: Path
    far: Path

    def refused(self, word: str) -> None:
        """A restore here is refused with that word, and leaves nothing that `serve` would take."""
        for held in DATA:
            shutil.rmtree(self.fresh / held, ignore_errors=True)
        with pytest.raises(Misconfigured, match=re.escape(word)):
            self.clinic.command("restore", str(self.near), str(self.far), "--single-user", "--config", str(self.config))
        assert not (self.fresh / "keys" / "keyholder.db").exists()


def sent(clinic: Clinic, count: int) -> tuple[str, str]:
    mails.send(clinic, mails.lab_report())
    copy = clinic.sink.wait_for(mails.MARGUERITE, count)[-1]
    assert copy.link is not None
    return copy.link, str(clinic.search("action:message:secured")[-1]["object"])


def made(clinic: Clinic, *words: str) -> dict[str, Any]:
    return dict(json.loads(clinic.command("backup", *words, "--json")))


def typed(clinic: Clinic, folder: Path, begins: str, *more: str) -> str:
    """What the command of that beginning in deploy/BACKUP.md prints; only the two places are this test's own."""
    (line,) = [one for one in COMMANDS if one.startswith(f"sealgate {begins}")]
    line = line.replace("MEDIUM", str(folder / "far")).replace("DISK", str(folder / "near"))
    return clinic.command(*shlex.split(line, comments=True)[1:], *more)


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """A clinic that lost all its data and came back from both halves.

    In this order, with the commands of deploy/BACKUP.md: two messages and an account, a first pair, the keyholder's
    second half, one message recalled, the account disabled, a third message, the content's second half; then a fourth
    message, which is in neither.
    """
    folder = tmp_path_factory.mktemp("drill")
    for clinic in running(folder):
        links, messages = {}, {}
        for count, name in enumerate(("kept", "recalled"), 1):
            links[name], messages[name] = sent(clinic, count)
        clinic._join(LATER)
        typed(clinic, folder, "backup keyholder MEDIUM/keys-1")
        halves = {"content": json.loads(typed(clinic, folder, "backup content DISK/content-1", "--json"))}
        halves["keyholder"] = json.loads(typed(clinic, folder, "backup keyholder MEDIUM/keys-2", "--json"))
        recall(Desk(clinic, clinic.amy), messages["recalled"])
        clinic.command("user", "disable", LATER.address)
        links["between"], messages["between"] = sent(clinic, 3)
        halves["second"] = json.loads(typed(clinic, folder, "backup content DISK/content-2", "--json"))
        assert halves["second"]["id"] in typed(clinic, folder, "backup list")
        links["after"], messages["after"] = sent(clinic, 4)
        clinic.stop_gateway()
        for name in DATA:
            shutil.rmtree(clinic.data / name)
        kek = (clinic.data / "kek").rename(folder / "kek")
        said = json.loads(typed(clinic, folder, "restore", "--single-user", "--json"))
        with pytest.raises(Misconfigured, match="not empty"):
            typed(clinic, folder, "restore", "--single-user")
        for name in DATA:
            shutil.rmtree(clinic.data / name)
        words = typed(clinic, folder, "restore", "--single-user")
        kek.rename(clinic.data / "kek")
        clinic.serve()
        yield Drill(clinic, folder, links, messages, halves, said, words)


def test_it_serves_with_the_same_log_root_and_every_log_says_how_long_it_took(drill: Drill) -> None:
    logs = drill.said["logs"]
    assert drill.said["verified"] is True
    assert "backup:restored" in typed(drill.clinic, drill.folder, "audit search")
    assert "sealgate serve" in COMMANDS
    done = drill.clinic.search("action:backup:restored")
    assert [one["object"] for one in done] == [drill.made["second"]["id"]]
    size, seconds = (int(done[0]["reason"].split()[index]) for index in (1, 3))
    assert size == logs[drill.clinic.tenant]["size"] == done[0]["entry"]
    assert 0 <= seconds < 300
    out = drill.folder / "export"
    drill.clinic.command("audit", "export", str(out))
    assert "holds" in drill.clinic.command("audit", "verify", str(out), "--key", str(out / "vkey"))
    # The old tree is the beginning of the new one: a checkpoint signed before the backup is still good.
    (drill.folder / "old").write_text(logs[drill.clinic.tenant]["checkpoint"])
    arguments = ("--key", str(out / "vkey"), "--checkpoint", str(drill.folder / "old"))
    assert "holds" in drill.clinic.command("audit", "verify", str(out), *arguments)


def test_an_old_link_opens_the_file_as_it_was(drill: Drill) -> None:
    patient = letters.Patient(drill.clinic, drill.links["kept"], NUMBER)
    (content,) = letters.contents(patient, patient.open()).values()
    (lab,) = mails.lab_report().iter_attachments()
    assert content == lab.get_payload(decode=True)


def test_what_was_recalled_after_the_keyholders_copy_stays_recalled(drill: Drill) -> None:
    assert letters.Patient(drill.clinic, drill.links["recalled"], NUMBER).knock().status == 410
    assert drill.messages["recalled"] not in drill.said["gap"]["unopenable"]


def test_who_was_disabled_after_the_keyholders_copy_stays_disabled(drill: Drill) -> None:
    with closing(sqlite3.connect(drill.clinic.data / "keys" / "keyholder.db")) as store:
        states = [state for (state,) in store.execute("SELECT state FROM users ORDER BY created_us")]
    assert states[-1] == "disabled"
    assert states[:-1] == ["active", "active"]


def test_the_gap_names_what_came_in_between_and_from_when_all_is_lost(drill: Drill) -> None:
    assert drill.said["gap"]["unopenable"] == [drill.messages["between"]]
    assert list(drill.said["gap"]["hours"].values()) == [1]
    assert drill.said["gap"]["since"] == drill.made["second"]["made_at"]
    assert "Ask senders to send again" in drill.words
    assert letters.Patient(drill.clinic, drill.links["between"], NUMBER).knock().status in (404, 410)
    assert letters.Patient(drill.clinic, drill.links["after"], NUMBER).knock().status == 404
    assert not drill.clinic.search(f"object:{drill.messages['after']}")


def test_the_restore_says_which_root_key_is_still_needed(drill: Drill) -> None:
    (needed,) = drill.said["needed"]
    assert drill.made["content"]["kek"] in needed
    assert str(drill.clinic.data / "kek") in needed


def test_new_mail_goes_through_with_this_nodes_new_keys(drill: Drill) -> None:
    link, _ = sent(drill.clinic, 5)
    patient = letters.Patient(drill.clinic, link, NUMBER)
    assert len(letters.contents(patient, patient.open())) == 1
    assert not (drill.clinic.data / "spool" / "node-1" / "restored.json").exists()


def test_neither_half_holds_the_root_key_or_the_other_half(drill: Drill) -> None:
    kek = (drill.clinic.data / "kek").read_text().split()[-1]
    halves = {name: [path for path in (drill.folder / name).rglob("*") if path.is_file()] for name in ("near", "far")}
    for paths in halves.values():
        for path in paths:
            text = path.read_bytes()
            assert kek.encode() not in text, path
            assert bytes.fromhex(kek) not in text, path
    assert {path.name for path in halves["far"]} == {"keyholder.db", NAME}
    assert not [path for path in halves["near"] if "keyholder" in path.name or "spool" in str(path.relative_to(
        drill.folder))]  # fmt: skip
    with pytest.raises(Misconfigured, match="lies beside it"):
        drill.clinic.command("backup", "keyholder", str(drill.folder / "near" / "keys-2"))
    with pytest.raises(Misconfigured, match="lies in a backup"):
        drill.clinic.command("backup", "content", str(drill.folder / "far" / "keys-1" / "content"))


def test_files_of_an_earlier_backup_are_linked_and_not_written_again(drill: Drill) -> None:
    assert drill.made["content"]["linked"] == 0
    assert drill.made["second"]["linked"] == drill.made["content"]["files"] > 0
    assert drill.made["second"]["files"] > drill.made["second"]["linked"]
    one = next(path for path in (drill.folder / "near" / "content-1" / "blobs").rglob("*") if path.is_file())
    assert one.samefile(drill.folder / "near" / "content-2" / "blobs" / one.parent.name / one.name)


def test_every_changed_byte_of_a_backup_is_refused_by_the_name_of_its_part(
    drill: Drill, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tmp_path = tmp_path_factory.mktemp("e")  # a short name: sockets lie in it
    fresh = tmp_path / "empty"
    fresh.mkdir()
    text = drill.clinic.config.read_text().replace(str(drill.clinic.data), str(fresh))
    config = tmp_path / "gateway.toml"
    config.write_text(text)
    source = drill.folder / "near" / "content-1"
    keys = drill.folder / "far" / "keys-1"
    blob = next(path for path in sorted((source / "blobs").rglob("*")) if path.is_file())
    for name in (NAME, "database.sqlite", "blobs.jsonl", "gateway.toml", str(blob.relative_to(source)), "keyholder.db"):
        near, far = tmp_path / "near", tmp_path / "far"
        for to, origin in ((near, source), (far, keys)):
            shutil.rmtree(to, ignore_errors=True)
            shutil.copytree(origin, to)
        path = (far if name == "keyholder.db" else near) / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        for held in DATA:
            shutil.rmtree(fresh / held, ignore_errors=True)
        with pytest.raises(Misconfigured, match=Path(name).name) as refusal:
            drill.clinic.command("restore", str(near), str(far), "--single-user", "--config", str(config))
        assert "ended with 65" in str(refusal.value)
        assert not (fresh / "keys" / "keyholder.db").exists()
    (near / NAME).unlink()
    with pytest.raises(Misconfigured, match="is no backup"):
        drill.clinic.command("restore", str(near), str(keys), "--single-user", "--config", str(config))
    with pytest.raises(Misconfigured, match="backup of the keyholder; name the one of the content"):
        drill.clinic.command("restore", str(keys), str(source), "--single-user", "--config", str(config))


@pytest.fixture
def elsewhere(drill: Drill, tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    """An empty machine, and copies of the first pair that the test may change."""
    tmp_path = tmp_path_factory.mktemp("e")  # a short name: sockets lie in it
    fresh = tmp_path / "empty"
    fresh.mkdir()
    config = tmp_path / "gateway.toml"
    config.write_text(drill.clinic.config.read_text().replace(str(drill.clinic.data), str(fresh)))
    near, far = tmp_path / "near", tmp_path / "far"
    shutil.copytree(drill.folder / "near" / "content-1", near)
    shutil.copytree(drill.folder / "far" / "keys-1", far)
    return Elsewhere(drill.clinic, fresh, config, near, far)


def test_who_can_write_to_both_halves_cannot_sign_them_with_a_key_of_their_own(elsewhere: Elsewhere) -> None:
    """A changed store under a new signature: nothing but the store's own root key says whose it is."""
    with closing(sqlite3.connect(elsewhere.far / "keyholder.db")) as store:
        store.execute("DELETE FROM holds")
        store.execute("UPDATE users SET role = 'officer'")
        store.commit()
    own = SigningKey.generate()
    for folder, kind in ((elsewhere.near, CONTENT), (elsewhere.far, KEYHOLDER)):
        old = read(folder, kind)
        parts = tuple(part_of(folder, part.name) for part in old.parts)
        forged = replace(old, public_key=own.public.hex(), parts=parts)
        (folder / NAME).unlink()
        write(folder, forged, own.sign(LABEL, kind, forged.id, forged.digest))
        assert read(folder, kind).parts == parts, "by itself it looks whole"
    elsewhere.refused("keyholder.db")


@pytest.mark.parametrize("what", ["pipe", "link"])
def test_what_is_no_file_in_a_backup_is_refused_by_its_name_and_waited_for_by_nobody(
    elsewhere: Elsewhere, what: str
) -> None:
    blob = next(path for path in sorted((elsewhere.near / "blobs").rglob("*")) if path.is_file())
    for path in (blob, elsewhere.near / "database.sqlite", elsewhere.far / NAME):
        kept = path.rename(path.with_name("aside"))
        if what == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to(kept)
        elsewhere.refused(path.name if path.name != NAME else "manifest.json cannot be read")
        path.unlink()
        kept.rename(path)


def test_the_second_half_of_two_backups_may_not_be_older_than_the_log(
    drill: Drill, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The keyholder's half taken after the content's has signed more of the log than that database holds."""
    tmp_path = tmp_path_factory.mktemp("e")  # a short name: sockets lie in it
    fresh = tmp_path / "empty"
    fresh.mkdir()
    config = tmp_path / "gateway.toml"
    config.write_text(drill.clinic.config.read_text().replace(str(drill.clinic.data), str(fresh)))
    made(drill.clinic, "keyholder", str(tmp_path / "far" / "keys-2"))
    both = (str(drill.folder / "near" / "content-1"), str(tmp_path / "far" / "keys-2"))
    with pytest.raises(Misconfigured, match="keyholder first, then content"):
        drill.clinic.command("restore", *both, "--single-user", "--config", str(config))


def test_backups_are_listed_recorded_and_logged(drill: Drill) -> None:
    listed = json.loads(drill.clinic.command("backup", "list", "--json"))
    (restored,) = [one for one in listed if one["id"] == drill.made["keyholder"]["id"]]
    assert restored["verified_at"] is not None
    fresh = made(drill.clinic, "content", str(drill.folder / "near" / "content-3"))
    (line,) = [one for one in COMMANDS if "verified" in one]
    drill.clinic.command(*shlex.split(line.replace("ID", fresh["id"]), comments=True)[1:])
    with closing(sqlite3.connect(drill.clinic.data / "db" / "sealgate.db")) as database:
        rows = database.execute("SELECT action, object FROM log_leaves WHERE log = 'system' AND object = ?",
                                (fresh["id"],)).fetchall()  # fmt: skip
    assert rows == [("backup:made", fresh["id"]), ("backup:verified", fresh["id"])]


def test_a_folder_that_is_not_empty_or_of_our_data_is_refused(drill: Drill, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    with pytest.raises(Misconfigured, match="not empty"):
        drill.clinic.command("backup", "content", str(tmp_path))
    assert (tmp_path / "x").read_text() == "mine"
    with pytest.raises(Misconfigured, match=r"\[vault\] url"):
        drill.clinic.command("backup", "content", str(drill.clinic.data / "vault" / "backup"))
    with pytest.raises(Misconfigured, match="between 1 and 7"):
        drill.clinic.command("backup", "keyholder", str(tmp_path / "k"), "--days", "8")


def test_an_expired_half_is_refused_before_anything_is_written(drill: Drill, tmp_path: Path) -> None:
    from gateway.backup import restoring
    from gateway.settings import load

    ours = read(drill.folder / "near" / "content-1", CONTENT)
    theirs = read(drill.folder / "far" / "keys-1", KEYHOLDER)
    settings = load(drill.clinic.config, {})
    assert theirs.expires_us is not None
    restoring._fits(settings, ours, theirs, theirs.expires_us - 1)
    with pytest.raises(Misconfigured, match="days of the keyholder's backup"):
        restoring._fits(settings, ours, theirs, theirs.expires_us)
