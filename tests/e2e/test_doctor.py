"""`sealgate doctor` on broken installations: each named with its repair, then repaired, by that line where it can be.

Certificates, smarthost, scanner and DNS are broken in tests/unit/doctor. One clinic runs for the whole file; what is
broken is put right again by the test that broke it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.demo import mails
from gateway.demo.clinic import Clinic
from gateway.doctor import GREEN, RED, YELLOW, Case, examine
from gateway.doctor.finding import Finding
from gateway.errors import Misconfigured
from gateway.install import settings_body
from gateway.settings import Endpoint, Settings, load
from gateway.vault import Vault
from keys.client import OperatorClient, PortalClient
from keys.providers.file import FileProvider
from tests.support import doctoring, pems
from tests.support.doctoring import saying, shell
from tests.support.installed import processes

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A running clinic with protected mail behind it, so that there is something to lose."""
    clinic = Clinic(tmp_path_factory.mktemp("doctor") / "c")
    try:
        clinic.start()
        mails.send(clinic, mails.lab_report())
        clinic.sink.wait_for(mails.MARGUERITE)
        yield clinic
    finally:
        clinic.stop()


def settings_of(clinic: Clinic) -> Settings:
    """The clinic's settings."""
    return load(clinic.config, {})


def look(clinic: Clinic, id: str, settings: Settings | None = None) -> Finding:
    """What one check finds now."""
    return doctoring.look(id, settings or settings_of(clinic), clinic.config)


def doctor(clinic: Clinic, *options: str) -> subprocess.CompletedProcess[str]:
    """The command itself."""
    command = [*clinic.program, "doctor", "--config", str(clinic.config), *options]
    return subprocess.run(command, capture_output=True, text=True, env=clinic._environ(), timeout=120, check=False)


@contextlib.contextmanager
def moved(path: Path) -> Iterator[Path]:
    """A file or folder that is not where it belongs for a while."""
    aside = path.with_name(path.name + "-aside")
    path.rename(aside)
    try:
        yield aside
    finally:
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        aside.rename(path)


def test_a_running_clinic_has_nothing_red_but_one_user_no_copy_of_its_key_and_no_recovery_key(clinic: Clinic) -> None:
    results = examine(Case(settings_of(clinic), clinic.config))
    assert [one.check.id for one in results if one.finding.level == RED] == [
        "boundary.users", "kek.copy", "recovery.kit",
    ]  # fmt: skip
    assert len(results) >= 30
    for one in results:
        assert one.check.what, one.check.id
        assert one.check.why, one.check.id
        assert one.finding.found, one.check.id
        assert (one.finding.level == GREEN) == (not one.finding.repair), one.check.id
        assert "\n" not in one.finding.repair, "a line is one line"


def test_the_command_says_it_as_text_and_as_json_and_prints_no_secret(clinic: Clinic) -> None:
    text, answer = doctor(clinic), doctor(clinic, "--json")
    assert (text.returncode, answer.returncode) == (1, 1)
    found = json.loads(answer.stdout)
    assert found["ok"] is False
    assert {one["level"] for one in found["checks"]} <= {RED, YELLOW, GREEN}
    lines = text.stdout.splitlines()
    assert lines[0].startswith("red     boundary.users")
    assert lines[-1].endswith(" green")
    kek = (clinic.data / "kek").read_text().split()[1]
    links = [mail.link for mail in clinic.sink.wait_for(mails.MARGUERITE)]
    for said in (text.stdout + text.stderr, answer.stdout + answer.stderr):
        for secret in (
            kek,
            "@",
            clinic.amy.password,
            clinic.amy.secret,
            mails.LAB_FILE,
            *(str(link)[-22:] for link in links),
        ):
            assert secret not in said


def test_a_configuration_that_cannot_be_read_is_named_with_its_line(clinic: Clinic, tmp_path: Path) -> None:
    broken = tmp_path / "gateway.toml"
    broken.write_text(clinic.config.read_text().replace("listen =", "lisden =", 1))
    done = subprocess.run(
        [*clinic.program, "doctor", "--json", "--config", str(broken)], capture_output=True, text=True,
        env=clinic._environ(), timeout=60, check=False,
    )  # fmt: skip
    (only,) = json.loads(done.stdout)["checks"]
    assert done.returncode == 1
    assert only["id"] == "config.valid"
    assert "did you mean 'listen'?" in only["found"]
    assert only["repair"].endswith(f"sealgate check --config {broken}")


@pytest.mark.parametrize("wrong", ["another", "open to others", "missing"])
def test_a_wrong_root_key(clinic: Clinic, wrong: str) -> None:
    kek = clinic.data / "kek"
    right = FileProvider.open(kek).check_value
    if wrong == "another":
        with moved(kek):
            kek.write_text(f"sealgate-kek-v1 {'ab' * 32}\n")
            kek.chmod(0o400)
            found = look(clinic, "kek.matches")
            assert found.level == RED
            assert f"made with {right}" in found.found
            assert f"bring back the key with check value {right}" in found.repair
    elif wrong == "open to others":
        kek.chmod(0o444)
        found = look(clinic, "kek.file")
        assert (found.level, found.found, found.repair) == (
            RED,
            f"{kek} has mode 0444",
            f"chmod 0400 {kek}",
        )
        shell(found.repair)
    else:
        with moved(kek):
            found = look(clinic, "kek.file")
            assert (found.level, found.found) == (RED, f"{kek} is missing")
            assert "from its separate copy" in found.repair
    assert look(clinic, "kek.file").level == GREEN
    assert look(clinic, "kek.matches") == Finding(GREEN, f"check value {right}")


def test_a_root_key_among_the_data(clinic: Clinic) -> None:
    settings = settings_of(clinic)
    inside = replace(settings, keys=replace(settings.keys, kek_file=clinic.data / "vault" / "kek"))
    found = look(clinic, "kek.place", inside)
    assert (found.level, found.found) == (RED, f"{clinic.data}/vault/kek lies in {clinic.data}/vault")


def test_a_copy_of_the_root_key_is_confirmed_by_its_own_check_value_only(clinic: Clinic, tmp_path: Path) -> None:
    assert look(clinic, "kek.copy").level == RED, "protected mail hangs on the one key"
    copy = tmp_path / "copy"
    copy.write_text(f"sealgate-kek-v1 {'cd' * 32}\n")
    other = doctor(clinic, "--check-value", str(copy)).stdout.strip()
    refused = doctor(clinic, "--confirm-kek-copy", other)
    assert refused.returncode == Misconfigured.exit_code
    assert "is not this installation's" in refused.stderr
    assert look(clinic, "kek.copy").level == RED
    shutil.copy(clinic.data / "kek", copy)
    value = doctor(clinic, "--check-value", str(copy)).stdout.strip()
    assert doctor(clinic, "--confirm-kek-copy", value).returncode == 0
    try:
        assert look(clinic, "kek.copy") == Finding(GREEN, f"confirmed {datetime.now(UTC):%Y-%m-%d}")
    finally:
        (settings_of(clinic).node_directory / "kek-copy.json").unlink()


def test_a_folder_with_a_wrong_mode_is_repaired_by_the_printed_line(clinic: Clinic) -> None:
    (clinic.data / "keys").chmod(0o755)
    (clinic.data / "vault").chmod(0o750)
    found = look(clinic, "boundary.files")
    assert found.level == RED
    assert f"{clinic.data}/keys has mode 0755, not 0700" in found.found
    assert f"{clinic.data}/vault has mode 0750" in found.found
    shell(found.repair)
    assert look(clinic, "boundary.files").level == GREEN


@pytest.mark.root
def test_a_folder_of_a_wrong_owner_is_repaired_by_the_printed_line(clinic: Clinic) -> None:
    os.chown(clinic.data / "vault", 65534, 65534)
    found = look(clinic, "boundary.files")
    assert found.level == RED
    assert f"{clinic.data}/vault belongs to nobody:nogroup, not to root" in found.found
    shell(found.repair)
    assert look(clinic, "boundary.files").level == GREEN


def test_a_missing_vault_is_named_and_not_made_anew(clinic: Clinic) -> None:
    vault = clinic.data / "vault"
    with moved(vault):
        for id, words in (("vault.works", f"{vault} is missing"), ("places.complete", "[vault] url absent or empty")):
            found = look(clinic, id)
            assert found.level == RED
            assert words in found.found
            assert "bring back" in found.repair
        assert not vault.exists()
    assert look(clinic, "vault.works").level == GREEN


def test_a_damaged_database(clinic: Clinic, tmp_path: Path) -> None:
    copy = tmp_path / "db" / "sealgate.db"
    copy.parent.mkdir()
    with closing(sqlite3.connect(clinic.data / "db" / "sealgate.db")) as live, closing(sqlite3.connect(copy)) as other:
        live.backup(other)
        other.execute("PRAGMA journal_mode=WAL")
        page = other.execute("PRAGMA page_size").fetchone()[0]
    settings = settings_of(clinic)
    broken = replace(settings, store=replace(settings.store, url=f"sqlite:///{copy}"))
    assert look(clinic, "database.sound", broken).level == GREEN
    whole = copy.read_bytes()
    copy.write_bytes(whole[: page * 4] + b"\xa5" * (len(whole) - page * 6) + whole[-page * 2 :])
    found = look(clinic, "database.sound", broken)
    assert found.level == RED
    assert f"bring {copy} back from the backup" in found.repair
    copy.write_bytes(whole)
    assert look(clinic, "database.sound", broken).level == GREEN
    copy.unlink()
    assert look(clinic, "database.sound", broken).level == RED


@pytest.mark.root
def test_a_full_disk(clinic: Clinic, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(disk)], check=True)
    try:
        Vault.create(f"file://{disk}/vault")
        settings = settings_of(clinic)
        full = replace(settings, vault=replace(settings.vault, url=f"file://{disk}/vault"))
        assert look(clinic, "vault.works", full).level == GREEN
        filler = disk / "somebody-elses-log"
        with contextlib.suppress(OSError), open(filler, "wb") as file:
            while True:
                file.write(b"\0" * 65536)
                file.flush()
        for id, words in (("disk.space", "0 MB of 101 MB free"), ("vault.works", "the disk is full")):
            found = look(clinic, id, full)
            assert (found.level, words in found.found) == (RED, True), found
            assert "sort -h | tail, remove what is not ours, or enlarge" in found.repair
        line = look(clinic, "vault.works", full).repair.partition(",")[0]
        shown = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
        assert filler.name in shown, "the line's first half shows what fills it"
        filler.unlink()
        assert look(clinic, "vault.works", full).level == GREEN
        assert look(clinic, "disk.space", full).level != RED
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_reserve_that_was_given_up(clinic: Clinic) -> None:
    settings = settings_of(clinic)
    assert look(clinic, "disk.reserve").level == GREEN
    more = replace(settings, store=replace(settings.store, reserve_bytes=1 << 40))
    found = look(clinic, "disk.reserve", more)
    assert (found.level, "it was given up, since the disk is full" in found.found) == (RED, True), found
    none = replace(settings, store=replace(settings.store, reserve_bytes=0))
    assert look(clinic, "disk.reserve", none).level == YELLOW


def test_a_certificate_that_was_renewed_and_not_read_again(clinic: Clinic, tmp_path: Path) -> None:
    assert look(clinic, "tls.served") == Finding(GREEN, "the same")
    settings = settings_of(clinic)
    renewed, key = pems.write(tmp_path, "renewed", days=60)
    smtp = replace(settings.smtp, tls_cert_file=renewed, tls_key_file=key)
    found = look(clinic, "tls.served", replace(settings, smtp=smtp))
    assert (found.level, f"shows another certificate than {renewed}" in found.found) == (RED, True), found
    assert found.repair == f"sealgate serve --single-user --config {clinic.config}"


def test_a_spool_that_cannot_be_written(clinic: Clinic, tmp_path: Path) -> None:
    settings = settings_of(clinic)
    elsewhere = replace(settings, spool=replace(settings.spool, directory=tmp_path / "gone"))
    found = look(clinic, "spool.writable", elsewhere)
    assert found.level == RED
    assert f"{tmp_path}/gone/in: No such file or directory" in found.found


def test_a_keyholder_that_does_not_answer(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.doctor.case.ANSWER_SECONDS", 0.5)
    pid = processes(clinic)["keyholder"]
    os.kill(pid, signal.SIGSTOP)
    try:
        found = look(clinic, "keyholder.answers")
        assert found.level == RED
        assert found.repair == f"sealgate serve --single-user --config {clinic.config}"
        assert look(clinic, "kek.matches").level == GREEN, "its store still says which key it was made with"
    finally:
        os.kill(pid, signal.SIGCONT)
    monkeypatch.undo()
    assert look(clinic, "keyholder.answers").level == GREEN


def test_a_clock_that_went_back(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    real = datetime.now(UTC).timestamp()
    monkeypatch.setattr("gateway.doctor.checks.clock.time.time", lambda: real - 7200)
    found = look(clinic, "clock.right")
    assert (found.level, "in the future: this clock went back" in found.found) == (RED, True), found
    assert "chron" in found.repair or "timedatectl" in found.repair
    monkeypatch.undo()
    assert look(clinic, "clock.right").level != RED


def test_settings_that_wait_for_an_officer(clinic: Clinic) -> None:
    settings = settings_of(clinic)
    portal = PortalClient(settings.sockets_directory / "portal.sock")
    operator = OperatorClient(settings.sockets_directory / "operator.sock")
    try:
        body = settings_body(settings)
        assert look(clinic, "settings.waiting").level == GREEN
        user = next(entry["object"] for entry in clinic.search("action:user:added") if entry["reason"] == "officer")
        portal.staff_login(clinic.tenant, user, clinic.olga.password, clinic.olga.code(), "local")
        operator.put_settings(clinic.tenant, body | {"phone": "+1 555 010 0999"})
        found = look(clinic, "settings.waiting")
        assert found.level == YELLOW
        assert "set the file back to what it was" in found.repair
        operator.put_settings(clinic.tenant, body)  # what serve does with a file that was set back
        assert look(clinic, "settings.waiting").level == GREEN
    finally:
        portal.close()
        operator.close()


def test_a_port_that_another_program_answers(clinic: Clinic) -> None:
    settings = settings_of(clinic)
    with saying(b"220 somebody.else ESMTP\r\n") as port:
        taken = replace(settings, smtp=replace(settings.smtp, listen=(Endpoint("127.0.0.1", port),)))
        found = look(clinic, "ports.ours", taken)
        assert (found.level, found.found) == (RED, f"port {port} is answered by another program")
        assert f"ss -ltnp 'sport = :{port}'" in found.repair
    gone = look(clinic, "ports.ours", taken)
    assert (gone.level, gone.found) == (RED, f"nobody listens on port {port}")


def test_a_gateway_that_is_down_is_started_by_the_printed_line(clinic: Clinic) -> None:
    clinic.stop_gateway()
    try:
        done = doctor(clinic, "--json")
        found = {one["id"]: one for one in json.loads(done.stdout)["checks"]}
        for id in ("gateway.alive", "keyholder.answers"):
            assert found[id]["level"] == RED
            assert found[id]["repair"] == f"sealgate serve --single-user --config {clinic.config}"
        assert found["ports.ours"]["found"] == "all are free for the next start"
        assert found["database.sound"]["level"] == found["kek.matches"]["level"] == GREEN
        with saying(b"220 somebody.else ESMTP\r\n") as port:
            settings = settings_of(clinic)
            taken = replace(settings, portal=replace(settings.portal, listen=(Endpoint("127.0.0.1", port),)))
            blocked = look(clinic, "ports.ours", taken)
            assert (blocked.level, blocked.found) == (RED, f"port {port} is taken by another program")
    finally:
        clinic.serve()
    assert look(clinic, "gateway.alive").level == GREEN
