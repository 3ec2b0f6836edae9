"""A real PostgreSQL for one test run: made by initdb in a temporary directory, stopped and removed after it.

Promises: it listens on loopback, on a free port, and on a Unix socket in that directory; it runs as an
ordinary user (`postgres` or `nobody` when the tests run as root, which PostgreSQL refuses). Where its programs are
absent the tests that need it are skipped with the reason; in CI (environment variable `CI`) that is a failure.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
import pytest

from gateway.demo.ports import free_port

_names = count(1)


@dataclass(slots=True)
class Postgres:
    """A running server."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes]

    def new_url(self, template: str = "template1") -> str:
        """The SQLAlchemy URL of a fresh database: empty, or a copy of one of ours that nobody is connected to."""
        name = f"sealgate_{next(_names)}"
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as conn:
            conn.execute(f"CREATE DATABASE {name} TEMPLATE {template}")  # type: ignore[call-overload]
        return f"postgresql+psycopg://tester@127.0.0.1:{self.port}/{name}"

    def pause(self) -> None:
        """Stop every process of the server where it stands: sockets stay open, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        """To the server and its children, each of which leads a session of its own."""
        parent = self.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for pid in (parent, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _dsn(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=tester dbname={database}"


def binaries() -> Path | None:
    """The folder of initdb and postgres, newest version first; None when they are not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: -int(path.parts[-3]))
    if found:
        return found[0].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def require() -> Path:
    """The folder of the programs; skips the test, or fails it in CI, when there is none."""
    found = binaries()
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL's server programs are not installed (Debian: postgresql)")
        pytest.skip("PostgreSQL's server programs are not installed (Debian: postgresql)")
    return found


@contextmanager
def running() -> Iterator[Postgres]:
    """Start a server and stop it at the end."""
    programs = require()
    root = Path(tempfile.mkdtemp(prefix="sealgate-pg-", dir=_roomy_memory()))
    user = _ordinary_user()
    try:
        root.chmod(0o700)
        if user is not None:
            os.chown(root, user.pw_uid, user.pw_gid)
        data = root / "data"
        identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "HOME": str(root)}
        subprocess.run(
            [str(programs / "initdb"), "-D", str(data), "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, cwd=root, env=environment, **identity,  # type: ignore[call-overload]
        )  # fmt: skip
        port = free_port()
        options = f"-p {port} -k {root} -h 127.0.0.1 -c max_connections=60 -c logging_collector=off -c fsync=off"
        process = subprocess.Popen(
            [str(programs / "postgres"), "-D", str(data), *options.split()],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=root, env=environment, start_new_session=True,
            **identity,  # type: ignore[call-overload]
        )  # fmt: skip
        server = Postgres(root, port, process)
        try:
            _wait(server)
            yield server
        finally:
            server.resume()
            process.send_signal(signal.SIGQUIT)  # nothing of it is kept, so nothing is written out
            process.wait(20)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _roomy_memory() -> str | None:
    """A file system in memory with room for many small databases: making one there takes a tenth of the time."""
    shm = Path("/dev/shm")
    if shm.is_dir() and os.access(shm, os.W_OK) and shutil.disk_usage(shm).free > 2 * 2**30:
        return str(shm)
    return None


def _ordinary_user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.fail("the tests run as root and there is no user to run PostgreSQL as")


def _wait(server: Postgres) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(server._dsn("postgres"), connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            if server.process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
