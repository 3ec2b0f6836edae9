"""Stolen parts of the keyholder: what store and root key give apart, together, and after destruction."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from keys.client import unb64
from keys.errors import Tampered, WrongKek
from keys.keyholder.main import run
from keys.providers.file import FileProvider
from tests.support.keyholder import NODE, TENANT, Keyholder, config_in
from tests.support.stolen import open_copy
from tests.unit.keyholder.conftest import SECOND, House

HOUR = 3600


def test_store_and_kek_give_what_was_not_destroyed_and_nothing_else(house: House, tmp_path: Path) -> None:
    delivered, held, erased, settled = (house.deposit(held=held) for held in (False, True, False, True))
    here = house.worker.epochs(NODE)[0]["epoch"]
    house.worker.destroy_message(TENANT, erased.message)
    house.worker.held_done(TENANT, settled.message)
    house.wait(HOUR)
    kept = house.worker.epochs(NODE)
    house.worker.epoch_done(NODE, here)
    house.close()
    loot = open_copy(house.config.directory, house.config.kek_file, tmp_path)
    assert loot.shares == {item.message: item.share for item in (delivered, held, settled)}
    assert loot.secrets == {held.grants[0].id: held.grants[0].secret}
    assert set(loot.epochs) == {(NODE, here + 1), (NODE, here + 2)}
    assert loot.epochs[NODE, here + 1] == unb64(kept[1]["private"])
    house.holder = type(house.holder).open(house.config, now_us=lambda: house.now)


def test_the_store_without_its_kek_gives_nothing_even_when_the_check_value_is_forged(
    house: House, tmp_path: Path
) -> None:
    deposit = house.deposit(held=True)
    epochs = house.worker.epochs(NODE)
    keys = house.portal.keys()["tenants"][TENANT]
    house.close()
    stored = b"".join(path.read_bytes() for path in house.config.directory.iterdir())
    secrets = [deposit.share, deposit.grants[0].secret, *map(unb64, keys.values())]
    secrets += [unb64(epoch["private"]) for epoch in epochs]
    assert not any(secret in stored for secret in secrets if secret)
    other = FileProvider.open(tmp_path / "other-kek", create=True)
    with pytest.raises(WrongKek) as wrong:
        open_copy(house.config.directory, tmp_path / "other-kek", tmp_path)
    assert wrong.value.found == other.check_value
    conn = sqlite3.connect(house.config.database)
    with conn:
        conn.execute("UPDATE meta SET value = ? WHERE name = 'kek_check'", (other.check_value.encode(),))
    conn.close()
    with pytest.raises(Tampered):
        open_copy(house.config.directory, tmp_path / "other-kek", tmp_path)
    conn = sqlite3.connect(house.config.database)
    right = FileProvider.open(house.config.kek_file)
    with conn:
        conn.execute("UPDATE meta SET value = ? WHERE name = 'kek_check'", (right.check_value.encode(),))
    conn.close()
    loot = open_copy(house.config.directory, house.config.kek_file, tmp_path)  # the twin with the missing piece
    assert loot.shares == {deposit.message: deposit.share}
    house.holder = type(house.holder).open(house.config, now_us=lambda: house.now)


def test_wrapped_keys_swapped_between_uses_do_not_open(house: House) -> None:
    house.operator.create_tenant("tnt_Other", "Other Clinic", "portal.test/log/tnt_Other")
    house.change(
        "UPDATE tenant_keys SET wrapped = (SELECT wrapped FROM tenant_keys WHERE tenant = 'tnt_Other' AND "
        "purpose = 'row_mac') WHERE tenant = ? AND purpose = 'row_mac'",
        TENANT,
    )
    house.reopen()
    with pytest.raises(Tampered):
        house.portal.keys()


def test_a_backup_taken_before_destruction_opens_until_its_day_key_is_gone_and_not_after(
    house: House, tmp_path: Path
) -> None:
    deposit = house.deposit(days=1)
    house.now = deposit.expires_us + 9 * 24 * HOUR * SECOND
    house.operator.expire()
    house.close()
    assert open_copy(house.config.directory, house.config.kek_file, tmp_path).shares == {}
    house.holder = type(house.holder).open(house.config, now_us=lambda: house.now)


KEYS_UID, WORKER_UID, PORTAL_UID, SMTP_UID = 54_001, 54_002, 54_003, 54_004
WORKER_GID, PORTAL_GID = 54_102, 54_103


@contextlib.contextmanager
def as_user(uid: int, groups: list[int], work: Callable[[], int]) -> Iterator[int]:
    """A child of this process as that user, running `work`; killed at the end if it still runs."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            os.setgroups(groups)
            os.setgid(groups[0] if groups else uid)
            os.setuid(uid)
            code = work()
        finally:
            os._exit(code)
    try:
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)


def outcome(uid: int, groups: list[int], work: Callable[[], object]) -> str:
    """What became of `work` as that user: ``ok`` or the name of the error."""
    reader, writer = os.pipe()

    def tell() -> int:
        try:
            work()
            os.write(writer, b"ok")
        except BaseException as error:
            os.write(writer, type(error).__name__.encode())
        return 0

    with as_user(uid, groups, tell) as pid:
        os.waitpid(pid, 0)
        os.close(writer)
        found = os.read(reader, 100).decode()
        os.close(reader)
        return found


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become other users")
def test_each_user_reaches_its_own_socket_and_neither_kek_nor_store_nor_memory() -> None:
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        base.chmod(0o711)
        for part in ("keys", "s"):
            (base / part).mkdir()
        (base / "keys").chmod(0o700)
        (base / "s").chmod(0o711)
        for part in ("keys", "s"):
            os.chown(base / part, KEYS_UID, KEYS_UID)
        FileProvider.open(base / "kek", create=True)
        os.chown(base / "kek", KEYS_UID, KEYS_UID)
        config = replace(
            config_in(base),
            socket_groups={"worker": WORKER_GID, "portal": PORTAL_GID},
            uids={"worker": (WORKER_UID,), "portal": (PORTAL_UID,), "operator": (KEYS_UID, 0)},
        )
        config = replace(config, die_with_parent=False)
        with as_user(KEYS_UID, [KEYS_UID, WORKER_GID, PORTAL_GID], lambda: quiet(config)) as pid:
            keyholder = Keyholder(config)
            deadline = time.monotonic() + 60
            while not (base / "s" / "operator.sock").exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            keyholder.operator.create_tenant(TENANT, "clinic", f"portal.test/log/{TENANT}")
            keyholder.operator.register_node(NODE, "worker", bytes(32))
            worker, portal = keyholder.worker, keyholder.portal
            operator = keyholder.operator
            assert outcome(WORKER_UID, [WORKER_GID], lambda: worker.keys(NODE)) == "ok"
            assert outcome(PORTAL_UID, [PORTAL_GID], portal.keys) == "ok"

            def reach(role: str) -> None:
                with socket.socket(socket.AF_UNIX) as peer:
                    peer.connect(str(base / "s" / f"{role}.sock"))

            for uid, gid, own in ((WORKER_UID, WORKER_GID, "worker"), (PORTAL_UID, PORTAL_GID, "portal"),
                                  (SMTP_UID, SMTP_UID, "")):  # fmt: skip
                for role in {"worker", "portal", "operator"} - {own}:
                    assert outcome(uid, [gid], lambda role=role: reach(role)) == "PermissionError"
                for path in ("kek", "keys/keyholder.db", f"/proc/{pid}/mem", f"/proc/{pid}/environ"):
                    assert outcome(uid, [gid], lambda path=path: (base / path).read_bytes()) == "PermissionError"
            # The same group is not enough: the uid must be the role's.
            assert outcome(SMTP_UID, [WORKER_GID], lambda: worker.keys(NODE)) == "Unavailable"
            # Its own user cannot read its memory either: the process is not dumpable.
            assert outcome(KEYS_UID, [KEYS_UID], lambda: Path(f"/proc/{pid}/environ").read_bytes()) == "PermissionError"
            assert operator.status()["tenants"][TENANT]["name"] == "clinic"
            for client in (worker, portal, operator):
                client.close()


def quiet(config: object) -> int:
    """Run the keyholder without writing into the test's output."""
    devnull = os.open(os.devnull, os.O_RDWR)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    return run(config)  # type: ignore[arg-type]
