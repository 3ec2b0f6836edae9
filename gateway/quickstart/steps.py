"""What quickstart does, one step at a time; each says what is there, what it made, or what it would make.

Promises: a file that is there is never written; a step that was done is not done again; under `dry` nothing changes.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway import assets
from gateway.errors import Misconfigured
from gateway.quickstart import selfsigned
from gateway.quickstart.plan import Plan
from gateway.quickstart.template import render
from gateway.roles import NAMES, Identity, number_as
from gateway.settings import DEFAULT_PATH, Settings, load
from gateway.supervise import python
from keys.providers.systemd_creds import CREDENTIAL

UNITS = ("sealgate.target", "sealgate-keyholder.service", "sealgate-gateway.service", "sealgate-smtp.service")
SHIPPED_PROGRAM = "/opt/sealgate/bin/sealgate"
_HOLDERS = {"smtp": "smtp", "portal": "gateway"}  # who reads which copy of the TLS key


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of one set-up. `single`: all roles as the present user. `say` hears each line."""

    plan: Plan
    single: bool
    dry: bool
    say: Callable[[str], None]

    def users(self) -> None:
        """A user for each role."""
        if self.single:
            self.say("users          one for all roles: the boundary between them is not enforced")
            return
        missing = [name for name in NAMES.values() if not _known(name)]
        for name in missing:
            self._do(f"user           {name}", lambda name=name: _useradd(name))  # type: ignore[misc]
        if not missing:
            self.say("users          there")

    def config(self) -> None:
        """The configuration. Raises Misconfigured when the one that is there is another domain's."""
        path = self.plan.config
        if not path.exists():
            self._do(f"configuration  {path}", lambda: _new_file(path, render(self.plan).encode(), 0o644))
            return
        domains = load(path, {}).tenant.domains
        if self.plan.domain not in domains:
            raise Misconfigured(
                f"{path} is there already and serves {', '.join(domains)}; nothing was changed. "
                f"Take it away first, or add {self.plan.domain} to its [tenant] domains"
            )
        self.say(f"configuration  {path} is there, and stays as it is")

    def certificates(self) -> None:
        """A certificate signed by itself where none is."""
        certificate, _ = self.plan.certificate("smtp")
        if certificate.exists():
            self.say(f"certificate    {certificate} is there")
            return

        def make() -> None:
            cert, key = selfsigned.make(self.plan.host)
            for role, holder in _HOLDERS.items():
                path = self.plan.certificate(role)[1]
                path.unlink(missing_ok=True)  # of a set-up that was interrupted before the certificate was written
                _new_file(path, key, 0o600)
                if not self.single:
                    os.chown(path, 0, grp.getgrnam(NAMES[holder]).gr_gid)
                    path.chmod(0o640)
            _new_file(certificate, cert, 0o644)

        self._do(f"certificate    {certificate}, signed by itself until you put a real one there", make)

    def units(self, program: str) -> None:
        """One unit per role. What is there and differs stays, and is said."""
        if self.single or self.plan.trial:
            return
        folder = self.plan.root / "etc/systemd/system"
        if self.plan.sealed:
            self._root_key(folder / "sealgate-keyholder.service.d" / "root-key.conf")
        for name in UNITS:
            path, text = folder / name, unit_text(name, program, self.plan.root)
            if not path.exists():
                self._do(f"unit           {path}", lambda path=path, text=text: _new_file(path, text.encode(), 0o644))  # type: ignore[misc]
            elif path.read_text() != text:
                self.say(f"unit           {path} is there, differs from this release's, and stays as it is")
        if Path("/run/systemd/system").is_dir() and self.plan.root == Path("/"):
            self._do("systemd        reads its units again", lambda: _run(["systemctl", "daemon-reload"]))

    def _root_key(self, path: Path) -> None:
        """systemd opens the sealed root key for the keyholder's unit, whose user could not."""

        def make() -> None:
            path.parent.mkdir(mode=0o755, exist_ok=True)
            _new_file(path, root_key_text(self.plan.credential).encode(), 0o644)

        if not path.exists():
            self._do(f"unit           {path}", make)

    def _do(self, words: str, deed: Callable[[], object]) -> None:
        if not self.dry:
            deed()
        self.say(f"{words}{' (would be made)' if self.dry else ''}")


def root_key_text(credential: Path) -> str:
    """What the keyholder's unit needs for provider systemd-creds (systemd.exec(5), LoadCredentialEncrypted)."""
    return f"[Service]\nLoadCredentialEncrypted={CREDENTIAL}:{credential}\n"


def unit_text(name: str, program: str, root: Path) -> str:
    """A shipped unit with the path of this installation's program, and its root where it has one."""
    text = (assets.units_dir() / name).read_text(encoding="utf-8").replace(SHIPPED_PROGRAM, program)
    if root != Path("/"):
        for place in ("/etc/sealgate", "/var/lib/sealgate"):
            text = text.replace(place, f"{root}{place}")
    return text


def program() -> str:
    """The command line of `sealgate` of this installation."""
    script = Path(sys.executable).with_name("sealgate")
    return str(script) if script.exists() else " ".join(python("-m", "gateway"))


def readable_program() -> None:
    """Raises Misconfigured where the users of the roles could not run this program."""
    for path in (Path(sys.executable).parent, Path(__file__).resolve()):
        for folder in (path, *path.parents):
            if not folder.stat().st_mode & (0o001 if folder.is_dir() else 0o004):
                raise Misconfigured(
                    f"other users cannot enter {folder}, so the roles could not run from there: install Sealgate where "
                    "every user can read it, such as /opt/sealgate, or add --single-user"
                )


def command_words(settings_path: Path, words: str) -> str:
    """A command for this configuration, as it is typed."""
    return f"sealgate {words}" + ("" if settings_path == DEFAULT_PATH else f" --config {settings_path}")


def administrators(settings: Settings, who: Identity) -> int:
    """How many users the installation has; 0 also where there is no database yet. The database is opened as the user
    whose it is: root would open whatever that user put there. Raises Misconfigured when that user cannot open it.
    """
    path = Path(settings.store.url.removeprefix("sqlite:///"))
    found = number_as(who, lambda: _users_in(path))
    if found is None:
        raise Misconfigured(f"{path} cannot be read by the user that runs the gateway; see: sealgate doctor")
    return found


def _users_in(path: Path) -> int:
    import sqlite3
    from urllib.parse import quote

    if not path.exists():
        return 0
    with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=2)) as store:
        store.execute("PRAGMA query_only=ON")
        try:
            return int(store.execute("SELECT count(*) FROM users").fetchone()[0])
        except sqlite3.OperationalError:  # its tables are not made yet
            return 0


def _known(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _useradd(name: str) -> None:
    useradd = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if useradd is None:
        raise Misconfigured(f"useradd is not here; make the user {name} by hand")
    _run([useradd, "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", name])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Misconfigured(f"{Path(command[0]).name} failed: {done.stderr.strip()[:200]}")


def _new_file(path: Path, content: bytes, mode: int) -> None:
    """A file that was not there, whole or not at all. The folders above it are open to be passed through."""
    for folder in reversed([one for one in path.parents if not one.exists()]):
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    os.link(beside, path)  # refuses, where a rename would replace
    beside.unlink()
