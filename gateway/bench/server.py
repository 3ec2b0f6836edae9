"""A PostgreSQL server for one run of the bench: Debian's programs, a throwaway folder, synced to its disk."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.bench.load import throwaway
from gateway.errors import TryLater

START_SECONDS = 30.0


def programs() -> Path | None:
    """The folder of initdb and postgres, newest version first; None where they are not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: -int(path.parts[-3]))
    return found[0].parent if found else None


@contextmanager
def running(folder: Path, *, connections: int, memory: bool = False) -> Iterator[str]:
    """The URL of an empty database, as its superuser; the server ends with the block. Raises TryLater.

    With `memory` the data lie in memory and each commit is held for five milliseconds in the place of a disk, so that
    runs on a disk that others use can be compared.
    """
    root = Path("/dev/shm") / folder.name if memory else throwaway()  # noqa: S108 - root makes it, with its own name
    root.mkdir(mode=0o700, exist_ok=True)
    user = None
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = pwd.getpwnam("postgres" if _known("postgres") else "nobody")
        os.chown(root, user.pw_uid, user.pw_gid)
    identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "HOME": str(root)}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    found, data = programs(), root / "data"
    if found is None:
        raise TryLater("PostgreSQL's server programs are not installed")
    held = " -c commit_delay=5000 -c commit_siblings=0" if memory else ""
    options = f"-p {port} -k {root} -h 127.0.0.1 -c max_connections={connections}{held}"
    try:
        subprocess.run(
            [str(found / "initdb"), "-D", str(data), "-U", "bench", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, cwd=root, env=environment, **identity,  # type: ignore[call-overload]
        )  # fmt: skip
        process = subprocess.Popen(
            [str(found / "postgres"), "-D", str(data), *options.split()],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=root, env=environment, start_new_session=True,
            **identity,  # type: ignore[call-overload]
        )  # fmt: skip
        try:
            _wait(port)
            yield f"postgresql+psycopg://bench@127.0.0.1:{port}/postgres"
        finally:
            process.terminate()
            process.send_signal(3)  # at once: nothing of it is kept
            process.wait(30)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _known(name: str) -> bool:
    return any(entry.pw_name == name for entry in pwd.getpwall())


def _wait(port: int) -> None:
    import psycopg

    until = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(f"host=127.0.0.1 port={port} user=bench dbname=postgres", connect_timeout=2).close()
            return
        except psycopg.OperationalError as error:
            if time.monotonic() > until:
                raise TryLater("the bench's PostgreSQL does not start") from error
            time.sleep(0.05)
