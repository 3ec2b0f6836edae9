"""Copies of the keyholder's store: what is in them, how long they count, and what a restored store has forgotten."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keys.client import OperatorClient, PortalClient, WorkerClient
from keys.encoding import canonical, parse_canonical
from keys.errors import Tampered, WrongKek
from keys.keyholder import backups, copying, schema
from keys.keyholder.database import NoStore
from keys.keyholder.holder import Holder
from keys.keyholder.wire import unb64
from keys.providers.file import FileProvider
from keys.signing import verify_signature
from tests.support.keyholder import NODE, TENANT
from tests.unit.keyholder.conftest import SECOND, Direct, House, refusal

DAY = 86_400


def copied(house: House, folder: Path, days: int = 7) -> tuple[dict[str, Any], Path]:
    """A registered copy of the running store."""
    begun = house.operator.backup_begin("keyholder", days)
    target = folder / "copy.db"
    keys = {name: unb64(value) for name, value in begun["keys"].items()}
    copying.copy(house.config.database, target, unb64(begun["mark"]), keys)
    house.operator.backup_sign(begun["id"], hashlib.sha256(target.read_bytes()).digest())
    return begun, target


class Restored(House):
    """A keyholder on another machine: this copy, this KEK, and the house's clock."""

    def __init__(self, house: House, copy: Path, folder: Path) -> None:
        self.config = replace(house.config, directory=folder / "keys", sockets_dir=folder / "s", create=False)
        self.config.directory.mkdir(parents=True)
        shutil.copy(copy, self.config.database)
        self.now = house.now
        self.holder = Holder.open(self.config, now_us=lambda: self.now)
        self.operator = OperatorClient(Direct(self, "operator"))
        self.worker = WorkerClient(Direct(self, "worker"))
        self.portal = PortalClient(Direct(self, "portal"))


def test_a_restored_store_opens_what_the_copied_one_did_and_says_in_its_log_where_it_came_from(
    house: House, tmp_path: Path
) -> None:
    deposit = house.deposit()
    begun, copy = copied(house, tmp_path)
    size = len(house.entries(TENANT))
    other = Restored(house, copy, tmp_path / "new")
    try:
        other.holder.keep_house()
        grant = deposit.grants[0].id
        handle = other.enter(grant)
        answer = other.portal.release(handle, grant, deposit.objects[0].id, "read", "req_1")
        assert answer["receipt"]["index"] > size
        (entry,) = [one for one in other.entries("system") if one["action"] == "store:restored"]
        assert entry["object"] == begun["id"]
        other.reopen()
        other.holder.keep_house()
        assert sum(one["action"] == "store:restored" for one in other.entries("system")) == 1
    finally:
        other.close()


def test_a_copy_holds_no_epoch_key_no_node_key_no_session_no_code_and_nothing_destroyed(
    house: House, tmp_path: Path
) -> None:
    house.worker.epochs(NODE)
    deposit, gone = house.deposit(), house.deposit()
    handle = house.enter(deposit.grants[0].id)
    wrapped = [bytes(one[0]) for one in house.rows("SELECT private FROM epochs WHERE private IS NOT NULL")]
    wrapped += [bytes(one[0]) for one in house.rows("SELECT share FROM messages WHERE id = ?", gone.message)]
    wrapped += [bytes(one[0]) for one in house.rows("SELECT value FROM meta WHERE name IN ('root_seed', 'hashing')")]
    house.operator.destroy_message(TENANT, gone.message)
    _, copy = copied(house, tmp_path)
    text = copy.read_bytes()
    assert len(wrapped) >= 5
    assert not [one for one in wrapped if one in text]
    assert house.config.kek_file.read_bytes().split()[-1] not in text
    with closing(sqlite3.connect(copy)) as conn:
        for table in copying.LEFT_OUT - {"epochs"}:
            assert conn.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] == 0, table
        assert conn.execute("SELECT COUNT(*) FROM epochs WHERE private IS NOT NULL").fetchone()[0] == 0
        assert conn.execute("PRAGMA user_version").fetchone()[0] == schema.VERSION
        (count,) = conn.execute("SELECT COUNT(*) FROM messages").fetchone()
    assert count == 2
    other = Restored(house, copy, tmp_path / "new")
    try:
        with refusal("no-session"):
            other.portal.session(handle)
        with refusal("destroyed"):
            other.enter(gone.grants[0].id)
    finally:
        other.close()


def test_a_copy_beyond_its_days_is_refused_and_one_whose_days_were_changed_opens_with_no_kek(
    house: House, tmp_path: Path
) -> None:
    house.deposit()
    begun, copy = copied(house, tmp_path, days=2)
    house.now += 2 * DAY * SECOND
    with pytest.raises(backups.Expired, match=begun["id"]):
        Restored(house, copy, tmp_path / "late")
    changed = tmp_path / "changed.db"
    shutil.copy(copy, changed)
    with closing(sqlite3.connect(changed)) as conn:
        mark = parse_canonical(bytes(conn.execute("SELECT value FROM meta WHERE name = 'backup'").fetchone()[0]))
        mark["expires_us"] += 5 * DAY * SECOND
        conn.execute("UPDATE meta SET value = ? WHERE name = 'backup'", (canonical(mark),))
        conn.commit()
    with pytest.raises(Tampered):
        Restored(house, changed, tmp_path / "longer")
    with closing(sqlite3.connect(changed)) as conn:
        conn.execute("DELETE FROM meta WHERE name = 'backup'")
        conn.commit()
    with pytest.raises(Tampered):
        Restored(house, changed, tmp_path / "unmarked")
    shutil.copy(copy, changed)
    with closing(sqlite3.connect(changed)) as conn:
        conn.execute("UPDATE meta SET value = ? WHERE name = 'root_public'", (bytes(32),))
        conn.commit()
    house.now -= DAY * SECOND
    with pytest.raises(Tampered, match="another root public key"):  # what `restore` compares a manifest's key with
        Restored(house, changed, tmp_path / "renamed")
    # The twin: within its days it opens.
    Restored(house, copy, tmp_path / "in-time").close()


def test_a_copy_under_another_kek_is_refused_by_name(house: House, tmp_path: Path) -> None:
    _, copy = copied(house, tmp_path)
    other = tmp_path / "other-kek"
    FileProvider.open(other, create=True)
    house.config = replace(house.config, kek_file=other)
    with pytest.raises(WrongKek):
        Restored(house, copy, tmp_path / "new")


def test_a_copy_is_registered_before_it_is_made_and_counts_for_certificates_even_if_it_was_never_finished(
    house: House,
) -> None:
    assert house.holder.database.run(backups.final_us) == 0
    begun = house.operator.backup_begin("keyholder", 7)
    assert begun["expires_us"] == house.now + 7 * DAY * SECOND
    assert house.holder.database.run(backups.final_us) == begun["expires_us"]
    house.operator.backup_begin("content")
    assert house.holder.database.run(backups.final_us) == begun["expires_us"]
    content, first = house.operator.backups()[0], house.operator.backups()[-1]
    assert {content["kind"], first["kind"]} == {"content", "keyholder"}
    assert first["signed_us"] is None


@pytest.mark.parametrize("days", [0, 8, 3650])
def test_a_copy_that_would_outlive_the_grace_is_refused_and_the_refusal_recorded(house: House, days: int) -> None:
    with refusal("days"):
        house.operator.backup_begin("keyholder", days)
    assert ("backup:refused", "days") in house.actions("system")
    assert house.operator.backups() == []


def test_only_a_registered_copy_is_signed_and_only_with_one_manifest(house: House) -> None:
    begun = house.operator.backup_begin("content")
    digest = hashlib.sha256(b"manifest").digest()
    signature = house.operator.backup_sign(begun["id"], digest)
    verify_signature(unb64(begun["public_key"]), signature, backups.LABEL, "content", begun["id"], digest)
    assert house.operator.backup_sign(begun["id"], digest) == signature
    with refusal("differs"):
        house.operator.backup_sign(begun["id"], hashlib.sha256(b"another").digest())
    with refusal("unknown"):
        house.operator.backup_sign("bkp_none", digest)
    with refusal("unknown"):
        house.operator.backup_verified("bkp_none")
    house.operator.backup_verified(begun["id"])
    assert house.operator.backups()[0]["verified_us"] == house.now
    assert house.actions("system")[-1] == ("backup:verified", "content")


def test_a_missing_store_or_a_target_that_is_there_makes_no_copy(house: House, tmp_path: Path) -> None:
    begun = house.operator.backup_begin("keyholder", 7)
    mark, keys = unb64(begun["mark"]), {name: unb64(value) for name, value in begun["keys"].items()}
    with pytest.raises(NoStore):
        copying.copy(tmp_path / "nothing.db", tmp_path / "copy.db", mark, keys)
    assert not (tmp_path / "copy.db").exists()
    (tmp_path / "there").write_text("kept")
    with pytest.raises(FileExistsError):
        copying.copy(house.config.database, tmp_path / "there", mark, keys)
    assert (tmp_path / "there").read_text() == "kept"
