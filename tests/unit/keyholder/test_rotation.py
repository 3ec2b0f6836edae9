"""keys.keyholder.rotation: every key goes from one root key to another while the keyholder serves, and nothing is lost.

The keys here are real ones of a store that holds messages, held mail, epochs, mail keys and a legal hold's key; the
providers are those of `tests.support.rootkeys`.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keys.errors import Denied, Unavailable, WrongKek
from keys.keyholder import rotation
from keys.keyholder.database import Tx
from keys.keyholder.holder import Holder
from keys.providers import open_provider
from keys.providers.file import FileProvider
from tests.support import rootkeys
from tests.support.keyholder import NODE, TENANT, config_in, deposit_for, running, set_up
from tests.unit.keyholder.conftest import PERSON, House, set_up_house

KEYS = Path(rotation.__file__).parent


@pytest.fixture
def full(tmp_path: Path) -> Iterator[House]:
    """A store with wraps of every kind."""
    house = House(tmp_path)
    set_up_house(house)
    house.worker.epochs(NODE)
    house.operator.dkim_make(TENANT, "s1", "ed25519")
    house.holder.identity()  # makes the authority of other machines
    for days in (5, 6, 7):
        house.deposit(days=days)
        house.deposit(None, held=True, days=days)
    yield house
    house.holder.close()


def wraps(directory: Path) -> dict[str, set[bytes]]:
    """Every wrap in the store, by table."""
    with closing(sqlite3.connect(directory / "keyholder.db")) as conn:
        found = {
            one.table: {bytes(row[0]) for row in conn.execute(
                f"SELECT {one.column} FROM {one.table} WHERE {one.column} IS NOT NULL"
            )}
            for one in rotation.WRAPPED
        }  # fmt: skip
        found["meta"] = {
            bytes(row[0]) for row in conn.execute("SELECT value FROM meta WHERE name IN ('root_seed', 'hashing')")
        }
    return found


def plain(holder: Holder) -> dict[str, Any]:
    """What the wraps open to: the same before and after."""

    def work(tx: Tx) -> dict[str, Any]:
        found: dict[str, Any] = {"root": tx.custody.root.seed(), "hashing": tx.custody.hashing.raw()}
        for one in rotation.WRAPPED:
            for row in tx.all(f"SELECT * FROM {one.table} WHERE {one.column} IS NOT NULL"):
                found[repr(one.use(row))] = tx.custody.unwrap(bytes(row[one.column]), *one.use(row))
        return found

    return holder.database.run(work)


def shares(holder: Holder) -> dict[str, bytes]:
    """The sealed shares as they lie in the store; no rotation touches them."""
    return holder.database.run(lambda tx: {row["id"]: bytes(row["share"]) for row in tx.all("SELECT * FROM messages")})


def finished(call: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Wait until the rotation is over."""
    deadline = time.monotonic() + 60
    while (now := call())["rotating"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return now


def actions(holder: Holder, tenant: str = "system") -> list[tuple[str, str]]:
    entries = holder.database.run(
        lambda tx: [row["entry"] for row in tx.all("SELECT entry FROM log_entries WHERE tenant = ? "
                                                   "ORDER BY log_index", tenant)]
    )  # fmt: skip
    return [(entry["action"], entry["object"]) for entry in map(json.loads, entries)]


def new_kek(path: Path) -> dict[str, str]:
    FileProvider.open(path, create=True)
    return {"kek_file": str(path)}


def test_everything_is_under_the_new_key_and_opens_as_before(full: House, tmp_path: Path) -> None:
    before, opened, sealed = wraps(full.config.directory), plain(full.holder), shares(full.holder)
    assert all(before[one.table] for one in rotation.WRAPPED if one.table != "hold_keys")
    old = full.operator.root_key()
    full.operator.rotate("file", new_kek(tmp_path / "kek-2"))
    now = finished(full.operator.root_key)
    assert now["check"] != old["check"] == now["before"]
    assert now["broken"] == 0
    after = wraps(full.config.directory)
    assert all(before[table].isdisjoint(after[table]) and len(before[table]) == len(after[table]) for table in before)
    assert plain(full.holder) == opened
    assert shares(full.holder) == sealed
    assert [one for one in actions(full.holder) if one[0].startswith("kek:")] == [
        ("kek:rotating", now["check"]), ("kek:rotated", now["check"]),
    ]  # fmt: skip
    full.holder.close()
    with pytest.raises(WrongKek):  # the twin: a third key is refused by name
        Holder.open(replace(full.config, kek_file=Path(new_kek(tmp_path / "kek-3")["kek_file"])))
    full.config = replace(full.config, kek_file=tmp_path / "kek-2")
    full.holder = Holder.open(full.config, now_us=lambda: full.now)
    assert plain(full.holder) == opened


def test_the_old_wraps_are_in_no_file_of_the_store_afterwards(full: House, tmp_path: Path) -> None:
    def bytes_of_files() -> bytes:
        return b"".join(path.read_bytes() for path in sorted(full.config.directory.glob("keyholder.db*")))

    old = set().union(*wraps(full.config.directory).values())
    assert all(one in bytes_of_files() for one in old)
    full.operator.rotate("file", new_kek(tmp_path / "kek-2"))
    finished(full.operator.root_key)
    left = bytes_of_files()
    assert not [one for one in old if one in left]


def test_the_key_before_still_opens_the_store_by_the_way_that_it_names(full: House, tmp_path: Path) -> None:
    """Whoever is stopped between the end of a rotation and the change of the configuration still starts."""
    full.operator.rotate("file", new_kek(tmp_path / "kek-2"))
    check = finished(full.operator.root_key)["check"]
    full.holder.close()
    full.holder = Holder.open(full.config, now_us=lambda: full.now)  # names the old file
    assert full.operator.root_key()["check"] == check


def test_a_rotation_that_was_stopped_goes_on_at_the_next_start(
    full: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after each batch of two rows in turn: at any instant both keys together open everything."""
    monkeypatch.setattr(rotation, "BATCH", 2)
    opened = plain(full.holder)
    values = new_kek(tmp_path / "kek-2")
    stopped = 0
    some = rotation.Rotation._some

    def once(self: rotation.Rotation, *args: Any, **kw: Any) -> Any:
        self._end.set()
        return some(self, *args, **kw)

    monkeypatch.setattr(rotation.Rotation, "_some", once)
    full.operator.rotate("file", values)
    while full.holder.custody.key.before is not None:
        full.holder.rotation._end.wait(10)
        full.holder.close()
        # either key will do, whichever the configuration names
        kek = tmp_path / ("kek" if stopped % 2 else "kek-2")
        full.holder = Holder.open(replace(full.config, kek_file=kek), now_us=lambda: full.now)
        assert plain(full.holder) == opened
        with pytest.raises(Denied, match="rotating"):
            full.operator.rotate("file", new_kek(tmp_path / "kek-3"))
        stopped += 1
        assert stopped < 40
        if stopped > 6:  # seen often enough: to its end
            monkeypatch.setattr(rotation.Rotation, "_some", some)
            full.holder.begin()
            finished(full.operator.root_key)
        else:
            full.holder.rotation.resume()
    assert stopped > 3
    assert plain(full.holder) == opened


def test_what_is_made_while_it_runs_is_under_the_new_key(
    full: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = threading.Event()
    some = rotation.Rotation._some

    def late(self: rotation.Rotation, tx: Tx, **kw: Any) -> Any:
        if not held.is_set():
            raise Unavailable("not yet")
        return some(self, tx, **kw)

    monkeypatch.setattr(rotation.Rotation, "_some", late)
    monkeypatch.setattr(rotation, "_PAUSE_SECONDS", 0.01)
    full.operator.rotate("file", new_kek(tmp_path / "kek-2"))
    full.deposit(days=33)
    new = FileProvider.open(tmp_path / "kek-2")
    row = full.holder.database.run(lambda tx: tx.all("SELECT * FROM day_keys ORDER BY day DESC LIMIT 1")[0])
    assert new.unwrap(bytes(row["wrapped"]), rotation.custody.context("day", row["tenant"], row["day"]))
    with pytest.raises(Denied, match="rotating"):
        full.operator.backup_begin("keyholder", 3)
    held.set()
    finished(full.operator.root_key)
    full.operator.backup_begin("keyholder", 3)


def test_a_backup_that_a_rotation_overtook_is_not_signed(full: House, tmp_path: Path) -> None:
    begun = full.operator.backup_begin("keyholder", 3)
    full.operator.rotate("file", new_kek(tmp_path / "kek-2"))
    finished(full.operator.root_key)
    with pytest.raises(Denied, match="rotating"):
        full.operator.backup_sign(begun["id"], bytes(32))
    full.wait(1)
    again = full.operator.backup_begin("keyholder", 3)
    assert full.operator.backup_sign(again["id"], bytes(32))


def test_a_row_that_somebody_changed_does_not_stop_it_and_is_counted(full: House, tmp_path: Path) -> None:
    def spoil(tx: Tx) -> None:
        tx.run("UPDATE mail_keys SET wrapped = zeroblob(60)")

    full.holder.database.run(spoil)
    full.operator.rotate("file", new_kek(tmp_path / "kek-2"))
    now = finished(full.operator.root_key)
    assert now["broken"] == 1
    assert now["before"]


def test_the_same_key_and_one_that_cannot_be_used_are_refused_in_words(full: House, tmp_path: Path) -> None:
    with pytest.raises(Denied, match="same-key"):
        full.operator.rotate("file", {"kek_file": str(full.config.kek_file)})
    with pytest.raises(Denied) as caught:
        full.operator.rotate("file", {"kek_file": str(tmp_path / "absent")})
    assert caught.value.reason == "unusable"
    assert "absent: the root key is missing" in caught.value.data["why"]
    assert full.operator.root_key()["rotating"] is False
    assert not [one for one in actions(full.holder) if one[0].startswith("kek:")]


def test_every_kind_of_wrap_in_this_package_is_rewrapped() -> None:
    """A use that is wrapped anywhere here and missing in WRAPPED would be lost with the old key."""
    text = "\n".join(path.read_text() for path in sorted(KEYS.glob("*.py")) if path.name != "rotation.py")
    uses = set(re.findall(r"custody\.wrap\([^\n]*?, \"([a-z_-]+)\"", text))
    assert uses >= {"tenant", "day", "epoch", "dkim", "authority"}
    row = dict.fromkeys(("tenant", "purpose", "day", "node", "epoch", "selector", "algorithm", "id"), "x")
    assert uses <= {str(one.use(row)[0]) for one in rotation.WRAPPED}  # type: ignore[arg-type]
    others = set(re.findall(r"custody\.wrap\([^\n]*", text)) - {
        line for line in re.findall(r"custody\.wrap\([^\n]*", text) if re.search(r', "[a-z_-]+"', line)
    }
    assert all("_use(" in line for line in others)  # of a backup: in no row of this store


@pytest.mark.parametrize("name", [one for one in rootkeys.PROVIDERS if one != "file"])
def test_moving_to_another_provider_and_back_is_the_same_rotation(name: str, full: House, tmp_path: Path) -> None:
    if why := rootkeys.missing(name):
        pytest.skip(why)
    folder = tmp_path / "rig"
    folder.mkdir()
    opened = plain(full.holder)
    with rootkeys.rig(name, folder) as rig:
        open_provider(rig.choice, create=True)
        full.operator.rotate(rig.choice.provider, rig.choice.values)
        now = finished(full.operator.root_key)
        assert (now["provider"], now["where"]) == (name, dict(rig.choice.values))
        full.holder.close()
        full.config = replace(full.config, provider=name, provider_values=rig.choice.values)
        full.holder = Holder.open(full.config, now_us=lambda: full.now)
        assert plain(full.holder) == opened
        other = replace(full.config, provider_values=rig.other.values)
        full.holder.close()
        open_provider(rig.other, create=True)
        with pytest.raises(WrongKek) as caught:
            Holder.open(other)
        assert caught.value.expected == now["check"]
        full.holder = Holder.open(full.config, now_us=lambda: full.now)
        full.operator.rotate("file", new_kek(tmp_path / "kek-2"))
        finished(full.operator.root_key)
    full.config = replace(full.config, provider="file", provider_values={}, kek_file=tmp_path / "kek-2")
    full.holder.close()
    full.holder = Holder.open(full.config, now_us=lambda: full.now)  # the old provider is gone by now
    assert plain(full.holder) == opened


def test_a_key_elsewhere_wraps_one_store_key_and_a_rotation_makes_a_new_one(tmp_path: Path) -> None:
    with rootkeys.rig("vault-transit", tmp_path) as rig:
        house = House.__new__(House)
        config = replace(config_in(tmp_path), provider="vault-transit", provider_values=rig.choice.values)
        house.__dict__.update(config=config, now=1_800_000_000_000_000)
        holder = Holder.open(config, now_us=lambda: house.now)
        try:
            seal = holder.custody.key.seal
            assert seal.store_key is not None
            assert seal.store_key.startswith(b"vault:v1:")
            before = wraps(config.directory)["tenant_keys"]
            holder.call("operator", "rotate", {
                "provider": "vault-transit", "values": dict(rig.choice.values), "secret": "",
            })  # fmt: skip
            finished(lambda: holder.call("operator", "root_key", {}))
            assert holder.custody.key.seal.store_key != seal.store_key
            assert before.isdisjoint(wraps(config.directory)["tenant_keys"])
        finally:
            holder.close()


def test_a_killed_keyholder_ends_its_rotation_at_the_next_start(tmp_path: Path) -> None:
    """kill -9 as soon as it has begun, over and over, until it is over."""
    with running(tmp_path) as keyholder:
        set_up(keyholder)
        for days in range(20, 32):
            keyholder.worker.deposit([deposit_for(PERSON, days=days)])
        old = keyholder.operator.root_key()
        values = new_kek(tmp_path / "kek-2")
        keyholder.operator.rotate("file", values)
        keyholder.kill()
        keyholder.start()
        now = finished(keyholder.operator.root_key)
        assert now["check"] == FileProvider.open(tmp_path / "kek-2").check_value != old["check"]
        assert keyholder.worker.keys(NODE)["tenants"]
