"""`sealgate quickstart`: the real set-up, with roles as users, and its units run as systemd would run them."""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import re
import shlex
import shutil
import smtplib
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.demo import mails
from gateway.demo.ports import free_port
from gateway.demo.sink import Sink
from gateway.errors import Misconfigured
from gateway.quickstart.steps import UNITS
from gateway.roles import NAMES
from tests.support import installed, needs

pytestmark = pytest.mark.full
DOMAIN, ADMIN, PASSWORD = "clinic.test", "max@msp.test", "plum-otter-canyon-violin\n"
MDWE, REFUSE_EXEC_GAIN, NO_NEW_PRIVS = 65, 1, 38


@dataclass
class SetUp:
    """One set-up below a folder."""

    root: Path
    program: tuple[str, ...]
    sink: Sink = field(default_factory=Sink)
    smtp_port: int = field(default_factory=free_port)
    submission_port: int = field(default_factory=free_port)
    web_port: int = field(default_factory=free_port)
    smarthost: str = ""

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.root / "etc/sealgate/sealgate.toml"

    def command(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A `sealgate` command."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("SEALGATE_")}
        return subprocess.run(
            [*self.program, *words], input=stdin, capture_output=True, text=True, env=environ, timeout=120, check=False
        )

    def quickstart(
        self, *options: str, domain: str = DOMAIN, stdin: str = PASSWORD
    ) -> subprocess.CompletedProcess[str]:
        """The command under test."""
        return self.command(
            "quickstart", domain, "--admin", ADMIN, "--password-stdin", "--root", str(self.root), "--phone",
            "+1 555 010 0100", "--smarthost", self.smarthost, "--network", "127.0.0.0/8", "--resolver", "127.0.0.1:1",
            "--smtp-port", str(self.smtp_port), "--submission-port", str(self.submission_port), "--web-port",
            str(self.web_port), *options, stdin=stdin,
        )  # fmt: skip

    def unit(self, role: str) -> dict[str, list[str]]:
        """The [Service] of a role's unit: key to values."""
        found: dict[str, list[str]] = {}
        for line in (self.root / f"etc/systemd/system/sealgate-{role}.service").read_text().splitlines():
            if re.match(r"[A-Z][A-Za-z]+=", line):
                key, _, value = line.partition("=")
                found.setdefault(key, []).append(value)
        return found


def as_unit(unit: dict[str, list[str]]) -> subprocess.Popen[bytes]:
    """ExecStart as its user, without capabilities, new privileges or memory that is written and executed."""
    who = pwd.getpwnam(unit["User"][0])

    def drop() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        os.setgroups([])
        os.setgid(who.pw_gid)
        os.setuid(who.pw_uid)
        os.umask(int(unit["UMask"][0], 8))
        assert libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        libc.prctl(MDWE, REFUSE_EXEC_GAIN, 0, 0, 0)  # from Linux 6.3 on

    return subprocess.Popen(
        shlex.split(unit["ExecStart"][0]), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, preexec_fn=drop, env={"PATH": "/usr/bin:/bin"}, cwd="/",
    )  # fmt: skip


@pytest.fixture(scope="module")
def made() -> Iterator[SetUp]:
    """A set-up whose roles are users; nothing of it runs."""
    if missing := needs.MARKERS["root"]():
        pytest.skip(missing)
    base = installed.folder()
    one = SetUp(base / "r", installed.program())
    one.smarthost = f"127.0.0.1:{one.sink.start()}"
    try:
        dry = one.quickstart("--dry-run")
        assert (dry.returncode, dry.stderr) == (0, "")
        assert not one.root.exists()
        done = one.quickstart()
        assert done.returncode == 0, done.stderr + done.stdout
        one.said = done.stdout  # type: ignore[attr-defined]
        yield one
    finally:
        one.sink.stop()
        shutil.rmtree(base, ignore_errors=True)


@pytest.mark.root
def test_it_says_what_it_made_and_what_comes_next(made: SetUp) -> None:
    said = made.said  # type: ignore[attr-defined]
    assert re.search(r"new log mail\.clinic\.test/log/tnt_[0-9A-Za-z]{16}", said)
    assert re.search(r"otpauth://totp/clinic:max%40msp\.test\?secret=[A-Z2-7]{32}&issuer=clinic", said)
    assert "mail passes unchanged" in said
    assert "systemctl enable --now sealgate.target" in said
    assert PASSWORD.strip() not in said
    text = made.config.read_text()
    assert text.count("\n") <= 40
    assert 'file = "observe"' in text


@pytest.mark.root
def test_files_belong_to_the_roles_that_read_them(made: SetUp) -> None:
    etc = made.root / "etc/sealgate"
    for name, owner, group, mode in (
        ("sealgate.toml", "root", "root", 0o644),
        ("kek", NAMES["keyholder"], NAMES["keyholder"], 0o400),
        ("tls/smtp-key.pem", "root", NAMES["smtp"], 0o640),
        ("tls/portal-key.pem", "root", NAMES["gateway"], 0o640),
    ):
        found = (etc / name).stat()
        assert (found.st_uid, found.st_gid) == (pwd.getpwnam(owner).pw_uid, pwd.getpwnam(group).pw_gid), name
        assert stat.S_IMODE(found.st_mode) == mode, name


@pytest.mark.root
def test_a_second_run_makes_nothing_and_another_domain_is_refused(made: SetUp) -> None:
    def state() -> dict[str, tuple[int, int]]:
        kept = (*made.root.glob("etc/**/*"), *made.root.glob("var/lib/sealgate/keys/*"))
        return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in kept if path.is_file()}

    before = state()
    again = made.quickstart(stdin="")
    assert again.returncode == 0, again.stderr
    assert "is there, with its administrator" in again.stdout
    assert "stays as it is" in again.stdout
    other = made.quickstart(domain="elsewhere.test")
    assert other.returncode == Misconfigured.exit_code
    assert "is there already and serves clinic.test" in other.stderr
    assert state() == before


@pytest.mark.root
def test_doctor_asked_by_a_stranger_says_that_it_cannot_look_and_accuses_nobody(made: SetUp) -> None:
    def stranger() -> None:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

    done = subprocess.run(
        [*made.program, "doctor", "--json", "--config", str(made.config), "--resolver", "127.0.0.1:1"],
        capture_output=True, text=True, preexec_fn=stranger, env={"PATH": "/usr/bin:/bin"}, timeout=60, check=False,
    )  # fmt: skip
    found = {one["id"]: one for one in json.loads(done.stdout)["checks"]}
    assert [id for id, one in found.items() if one["level"] == "red"] == []
    assert found["vault.works"]["repair"] == f"run it as root: sealgate doctor --config {made.config}"


@pytest.mark.root
def test_units_are_whole_and_as_hard_as_they_say(made: SetUp) -> None:
    analyze = needs.need("systemd-analyze", "systemd")
    folder = made.root / "etc/systemd/system"
    assert {path.name for path in folder.iterdir()} == set(UNITS)
    done = subprocess.run(
        [analyze, "verify", *(str(folder / name) for name in UNITS)], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "sealgate" in line]
    assert ours == [], ours
    for role, most in (("keyholder", 1.0), ("gateway", 2.0), ("smtp", 2.0)):
        judged = subprocess.run(
            [analyze, "security", "--offline=true", str(folder / f"sealgate-{role}.service")], capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", judged.stdout)
        assert level is not None, judged.stderr
        assert float(level[1]) <= most, role
        unit = made.unit(role)
        assert unit["User"] == [NAMES[role]]
        assert unit["LimitCORE"] == ["0"]
        assert unit["MemoryDenyWriteExecute"] == ["yes"]


@pytest.mark.root
def test_units_commands_serve_mail_as_their_users_and_doctor_finds_the_boundary(made: SetUp) -> None:
    running: list[subprocess.Popen[bytes]] = []
    try:
        for role in ("keyholder", "gateway", "smtp"):
            unit = made.unit(role)
            for before in unit.get("ExecStartPre", []):
                subprocess.run(shlex.split(before.removeprefix("+")), check=True, timeout=60, capture_output=True)
            running.append(as_unit(unit))
            for after in unit.get("ExecStartPost", []):
                subprocess.run(shlex.split(after.removeprefix("+")), check=True, timeout=90, capture_output=True)
        mail = mails.newsletter()
        mail.replace_header("From", f"amy@{DOMAIN}")
        deadline = time.monotonic() + 60
        while True:
            try:
                with smtplib.SMTP("127.0.0.1", made.smtp_port, timeout=60) as server:
                    server.send_message(mail, f"amy@{DOMAIN}", ["neighbour@village.test"])
                break
            except (OSError, smtplib.SMTPException):  # not listening yet, or no sign of life yet: 451
                assert time.monotonic() < deadline, [one.poll() for one in running]
                assert all(one.poll() is None for one in running)
                time.sleep(0.1)
        assert b"Our opening hours" in made.sink.wait_for("neighbour@village.test")[0].data
        done = made.command("doctor", "--json", "--config", str(made.config), "--resolver", "127.0.0.1:1")
        found = {one["id"]: one for one in json.loads(done.stdout)["checks"]}
        red = {id for id, one in found.items() if one["level"] == "red"}
        assert red == {"tls.portal", "tls.smtp"}, [found[id] for id in red]
        assert "signed by itself" in found["tls.portal"]["found"]
        assert found["boundary.users"]["level"] == found["boundary.files"]["level"] == "green"
        vault = made.root / "var/lib/sealgate/vault"
        os.chown(vault, 0, 0)
        done = made.command("doctor", "--json", "--config", str(made.config), "--resolver", "127.0.0.1:1")
        found = {one["id"]: one for one in json.loads(done.stdout)["checks"]}
        assert found["vault.works"]["level"] == "red", "it is looked at as the gateway's user"
        repair = found["boundary.files"]["repair"]
        assert repair == f"chown sealgate-gateway:sealgate-gateway {vault} && chmod 0700 {vault}"
        subprocess.run(["sh", "-ec", repair], check=True)
    finally:
        for one in reversed(running):
            one.terminate()
            try:
                one.wait(60)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()


@pytest.mark.root
def test_an_installation_of_one_user_is_given_to_the_roles_by_the_line_that_doctor_prints() -> None:
    installed.ensure_users()
    base = installed.folder()
    one = SetUp(base / "r", installed.program(), smarthost="127.0.0.1:1")
    made = one.quickstart("--trial", "--single-user")
    assert made.returncode == 0, made.stderr

    def doctor() -> dict[str, dict[str, str]]:
        done = one.command("doctor", "--json", "--config", str(one.config))
        return {check["id"]: check for check in json.loads(done.stdout)["checks"]}

    line = doctor()["boundary.users"]["repair"].removeprefix("as root, after stopping it: ").rpartition(" && ")
    assert line[2] == f"sealgate serve --config {one.config}"
    typed = line[0].replace("sealgate unit", f"{shlex.join(one.program)} unit")
    subprocess.run(["sh", "-ec", typed], check=True, capture_output=True, timeout=60)
    found = doctor()
    assert found["boundary.users"]["level"] == "green", found["boundary.users"]
    assert found["boundary.files"]["level"] == "green", found["boundary.files"]
    process = subprocess.Popen(
        [*one.program, "serve", "--config", str(one.config)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith('{"ready": true'), process.communicate(timeout=60)[1]
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(base, ignore_errors=True)


def test_what_cannot_be_found_out_is_asked_for_and_an_ordinary_user_is_told_how() -> None:
    one = SetUp(installed.folder() / "r", installed.Clinic.program)
    no_phone = one.command("quickstart", DOMAIN, "--admin", ADMIN, "--root", str(one.root), "--single-user",
                           "--smarthost", "127.0.0.1:1")  # fmt: skip
    assert no_phone.returncode == Misconfigured.exit_code
    assert "--phone" in no_phone.stderr
    no_root = one.command("quickstart", DOMAIN, "--admin", ADMIN, "--single-user", "--smarthost", "127.0.0.1:1")
    assert no_root.returncode == Misconfigured.exit_code
    assert "--trial --root FOLDER" in no_root.stderr
    weak = one.command("quickstart", DOMAIN, "--admin", ADMIN, "--root", str(one.root), "--trial", "--single-user",
                       "--smarthost", "127.0.0.1:1", "--password-stdin", stdin="password1\n")  # fmt: skip
    assert weak.returncode == Misconfigured.exit_code
    assert "easy to guess" in weak.stderr
    assert not (one.root / "var").exists(), "nothing is installed before there is a password"
