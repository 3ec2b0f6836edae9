"""A fresh installation is made only where nothing is, and one that was interrupted can be finished (DESIGN §8)."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.demo import mails
from gateway.demo.clinic import Clinic
from gateway.errors import Misconfigured

pytestmark = pytest.mark.full
PLACES = {"[store] url": "db", "[vault] url": "vault", "[spool] directory": "spool", "[keys] directory": "keys"}


class Plain(Clinic):
    """A clinic's configuration and sink; what `serve` says is kept."""

    def prepare(self) -> None:
        """Everything but the gateway."""
        self.data.mkdir(mode=0o700)
        mails_certificate(self)
        self.config.write_text(self._toml(self.sink.start()))

    def popen(self) -> subprocess.Popen[str]:
        """`serve`, in a process group of its own."""
        return subprocess.Popen(
            [*self.program, "serve", *self.options, "--config", str(self.config)], text=True, env=self._environ(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def refused(self) -> str:
        """What a start says that ends by itself with exit code 78."""
        process = self.popen()
        try:
            _, said = process.communicate(timeout=120)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == Misconfigured.exit_code, said
        return said


def mails_certificate(clinic: Clinic) -> None:
    """A certificate for the listeners."""
    from gateway.demo.certificate import make

    make(clinic.certificate, clinic.key)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Plain]:
    """A configuration, and nothing installed."""
    clinic = Plain(tmp_path / "c")
    clinic.prepare()
    try:
        yield clinic
    finally:
        clinic.stop()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plain]:
    """An installation that was started once and stopped."""
    clinic = Plain(tmp_path_factory.mktemp("installed") / "c")
    clinic.prepare()
    try:
        process = clinic.popen()
        assert process.stdout is not None
        first = process.stdout.readline()
        assert re.fullmatch(r"new log: localhost/log/tnt_[0-9A-Za-z]{16}\n", first), first
        assert process.stdout.readline().startswith('{"ready": true')
        process.terminate()
        assert process.wait(60) == 0
        yield clinic
    finally:
        clinic.stop()


def test_second_start_makes_no_new_log_and_the_origin_stays(installed: Plain) -> None:
    process = installed.popen()
    assert process.stdout is not None
    assert process.stdout.readline().startswith('{"ready": true')
    process.terminate()
    assert process.wait(60) == 0
    with closing(sqlite3.connect(installed.data / "db" / "sealgate.db")) as store:
        opened = store.execute("SELECT count(*) FROM log_leaves WHERE action = 'log:opened'").fetchone()
        assert opened == (2,), "the tenant's log and the system's"


@pytest.mark.parametrize("missing", list(PLACES))
def test_a_mix_is_refused_and_names_what_is_missing(installed: Plain, missing: str) -> None:
    place, aside = installed.data / PLACES[missing], installed.data / "aside"
    place.rename(aside)
    try:
        said = installed.refused()
        assert missing in said.partition("absent or empty")[0]
        assert not [other for other in PLACES if other != missing and other in said.partition("absent or empty")[0]]
        assert not place.exists(), "nothing is made anew beside existing data"
        place.mkdir()
        assert missing in installed.refused(), "an empty folder is as good as none"
        assert list(place.iterdir()) == []
        place.rmdir()
    finally:
        aside.rename(place)


def test_a_missing_root_key_is_refused_by_name_and_never_replaced(installed: Plain) -> None:
    kek, aside = installed.data / "kek", installed.data / "kek-aside"
    kek.rename(aside)
    try:
        said = installed.refused()
        assert f"[keys] kek_file {kek} is missing" in said
        assert not kek.exists()
    finally:
        aside.rename(kek)


def test_a_wrong_root_key_is_refused_by_name(installed: Plain) -> None:
    kek, aside = installed.data / "kek", installed.data / "kek-aside"
    kek.rename(aside)
    try:
        kek.write_text(f"sealgate-kek-v1 {'ab' * 32}\n")
        kek.chmod(0o400)
        said = installed.refused()
        assert re.search(rf"wrong root key from file {kek}: .* check value [0-9a-f]{{16}}, this key has", said), said
        kek.chmod(0o444)
        assert "mode 0444" in installed.refused()
    finally:
        kek.unlink()
        aside.rename(kek)
    test_second_start_makes_no_new_log_and_the_origin_stays(installed)  # the twin: the right one


def moments(clinic: Plain) -> list[tuple[str, Callable[[], bool]]]:
    """Instants of a first start, in their order, and how they are seen from outside."""
    data, node = clinic.data, clinic.data / "spool" / "node"

    def tables() -> bool:
        try:
            with closing(sqlite3.connect(f"file:{data}/db/sealgate.db?mode=ro", uri=True)) as store:
                return store.execute("SELECT count(*) FROM log_leaves").fetchone()[0] > 0
        except sqlite3.Error:
            return False

    return [
        ("the node's folder", node.exists),
        ("the note of the set-up", (node / "setup.json").exists),
        ("the root key", (data / "kek").exists),
        ("the keyholder's store in the making", lambda: any((data / "keys").glob("keyholder.db.making*"))),
        ("smtp's key", (node / "smtp" / "node.key").exists),
        ("the database's file", (data / "db" / "sealgate.db").exists),
        ("the first entries of the log", tables),
        ("the snapshot", (node / "snapshot" / "snapshot.json").exists),
    ]


def test_a_set_up_that_is_killed_again_and_again_can_be_finished(fresh: Plain) -> None:
    killed = []
    for name, seen in moments(fresh):
        if seen():
            continue  # the last kill came late: this instant is over
        process = fresh.popen()
        deadline = time.monotonic() + 90
        while not seen() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        assert process.poll() is None, f"before {name}: {process.communicate()[1]}"
        if len(killed) % 2:  # the parent alone: its roles end a moment later, and the next start waits for that
            os.kill(process.pid, signal.SIGKILL)
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        killed.append(name)
    assert len(killed) >= 6, killed
    fresh.serve()
    mails.send(fresh, mails.newsletter())
    fresh.sink.wait_for("neighbour@village.test")
    assert not (fresh.data / "spool" / "node" / "setup.json").exists()
    with closing(sqlite3.connect(fresh.data / "db" / "sealgate.db")) as store:
        assert store.execute("SELECT count(*) FROM tenants").fetchone() == (1,)
        assert store.execute("SELECT count(*) FROM log_leaves WHERE action = 'log:opened'").fetchone() == (2,)
    export = fresh.data / "export"
    fresh.command("audit", "export", str(export))
    fresh.command("audit", "verify", str(export), "--key", fresh.command("audit", "key").strip())


def test_a_root_key_lost_during_an_interrupted_set_up_is_not_replaced(fresh: Plain) -> None:
    process = fresh.popen()
    while not (fresh.data / "keys" / "keyholder.db").exists():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    (fresh.data / "kek").unlink()
    assert "kek_file" in fresh.refused()
    assert not (fresh.data / "kek").exists()


def test_an_interrupted_vault_counts_as_empty_and_a_used_one_never_does(tmp_path: Path) -> None:
    from gateway.vault import Vault
    from keys.datakey import DataKey

    url = f"file://{tmp_path}/vault"
    (tmp_path / "vault" / "unfinished").mkdir(parents=True)
    (tmp_path / "vault" / "unfinished" / "sealgate-vault").write_bytes(b"seal")
    assert Vault.absent(url)
    vault = Vault.create(url)
    assert not Vault.absent(url)
    vault.seal(DataKey.random(), tenant="t", object_id="o", kind="file", chunks=[b"content"])
    (tmp_path / "vault" / "sealgate-vault").unlink()
    assert not Vault.absent(url), "blobs without their marker are somebody's data"
    shutil.rmtree(tmp_path / "vault")
    assert Vault.absent(url)
