"""Sealgate as an operator installs it: read by every user, started by root, each role a user of its own.

A checkout often lies where other users cannot look (root's home), and so may the interpreter. Then the packages are
copied beside each other into a folder of /tmp, as a wheel would lay them out, over an interpreter that all can run.
"""

from __future__ import annotations

import atexit
import functools
import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from gateway.demo.clinic import Clinic
from gateway.roles import NAMES, Identity, first_unreadable
from tests.support import needs

ROOT = Path(__file__).resolve().parents[2]
NOBODY = Identity(65534, 65534)
_LEFT_OUT = {"playwright", "mypy", "hypothesis", "_pytest", "grimp", "gateway", "keys", "_sealgate.pth"}


def ensure_users(names: Mapping[str, str] = NAMES) -> dict[str, int]:
    """The users of the roles, made where they are missing; their numbers by role."""
    for name in names.values():
        try:
            pwd.getpwnam(name)
        except KeyError:
            command = [needs.need("useradd", "passwd"), "--system", "--user-group", "--no-create-home", "--shell",
                       "/usr/sbin/nologin", name]  # fmt: skip
            subprocess.run(command, check=True, capture_output=True)
    return {role: pwd.getpwnam(name).pw_uid for role, name in names.items()}


def folder() -> Path:
    """A folder in /tmp that every user may pass through; removed at the end of the run."""
    made = Path(tempfile.mkdtemp(prefix="sealgate-"))
    made.chmod(0o755)
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


@functools.cache
def program() -> tuple[str, ...]:
    """The command line of `sealgate` for every user of this machine."""
    site = Path(sysconfig.get_path("purelib"))
    here = (Path(sys.executable), Path(os.__file__), site / "sqlalchemy" / "__init__.py", ROOT / "gateway/__init__.py")
    if first_unreadable(NOBODY, here) is None:
        return Clinic.program
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (Path(sys.executable).resolve(), Path(f"/usr/local/bin/{version}"), Path(f"/usr/bin/{version}")):
        if candidate.exists() and first_unreadable(NOBODY, [candidate]) is None:
            return (str(_copied(candidate, version, site)), "-P", "-s", "-m", "gateway")
    pytest.skip(f"no {version} that other users can run (apt-get install {version})")


def _copied(interpreter: Path, version: str, site: Path) -> Path:
    venv = folder() / "venv"
    packages = venv / "lib" / version / "site-packages"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text(f"home = {interpreter.parent}\ninclude-system-site-packages = false\n")
    (venv / "bin" / "python").symlink_to(interpreter)
    shutil.copytree(
        site, packages, copy_function=_link, symlinks=True,
        ignore=lambda folder, names: set(names) & _LEFT_OUT if folder == str(site) else (),
    )  # fmt: skip
    for name in ("gateway", "keys"):
        shutil.copytree(ROOT / name, packages / name, copy_function=_copy)
    shutil.copytree(ROOT / "web", packages / "gateway" / "_assets" / "web", copy_function=_copy)
    for name in ("policies", "systemd"):
        shutil.copytree(ROOT / "deploy" / name, packages / "gateway" / "_assets" / name, copy_function=_copy)
    for path in (venv, *venv.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    return venv / "bin" / "python"


def _link(source: str, target: str) -> None:
    try:
        if not os.stat(source).st_mode & 0o004:
            raise PermissionError
        os.link(source, target)
    except OSError:  # another file system, or only its owner may read it
        _copy(source, target)


def _copy(source: str, target: str) -> None:
    shutil.copy2(source, target)
    os.chmod(target, 0o755 if os.access(source, os.X_OK) else 0o644)


class Enforced(Clinic):
    """A clinic whose roles are users. Make it in `folder()`, after `ensure_users()`, as root."""

    options: ClassVar[tuple[str, ...]] = ()
    folder_mode: ClassVar[int] = 0o711

    def __init__(self, data: Path, **more: object) -> None:
        super().__init__(data, **more)  # type: ignore[arg-type]
        self.program = program()  # type: ignore[misc]
        self.phone_file = self.node / "worker" / "pretend-phone.jsonl"

    @property
    def node(self) -> Path:
        """The node's folder."""
        return self.data / "spool" / "node"

    def serve(self) -> None:
        """Start it, with a TLS key that smtp's group may read and nobody else."""
        os.chown(self.key, 0, pwd.getpwnam(NAMES["smtp"]).pw_gid)
        self.key.chmod(0o640)
        self.config.chmod(0o644)
        super().serve()

    def stop_serving(self) -> None:
        """Stop the gateway and keep the sink."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(60)

    def once(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Start `serve` beside what runs; it is expected to end by itself."""
        return once(self, *options)

    def processes(self) -> dict[str, int]:
        """Role to process id, the parent as ``parent``."""
        return processes(self)


def once(clinic: Clinic, *options: str) -> subprocess.CompletedProcess[str]:
    """Start `serve` once more; it is expected to end by itself."""
    return subprocess.run(
        [*clinic.program, "serve", *options, "--config", str(clinic.config)], capture_output=True, text=True,
        env=clinic._environ(), timeout=120, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def processes(clinic: Clinic) -> dict[str, int]:
    """Role to process id of a running clinic, the parent as ``parent``."""
    found: dict[str, int] = {}
    for pid in clinic.left_behind():
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"keys.keyholder" in words:
            found["keyholder"] = pid
        elif b"--role" in words:
            found[words[words.index(b"--role") + 1].decode()] = pid
        elif b"serve" in words:
            found["parent"] = pid
    return found
