"""The relays that are measured beside each other, each in a folder and on a port of its own, all with one next hop.

Promises: loopback only; what was started is ended; a relay that does not run here is left out, and why is said.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from gateway.bench.load import end, program, wait_for_port
from gateway.bench.measure import say
from gateway.bench.postfix import check, command, configure
from gateway.bench.undetected import NAME as UNDETECTED
from gateway.demo.clinic import Clinic
from gateway.demo.ports import free_port
from gateway.errors import GatewayError, Misconfigured

SEALGATE, PLAIN, POSTFIX, MIMEDEFANG = "Sealgate", "plain relay", "Postfix", "Postfix + MIMEDefang"
LARGEST_BYTES = 2_000_000_000

_MAIN = """\
relayhost = [127.0.0.1]:{next_port}
disable_dns_lookups = yes
message_size_limit = {largest}
smtpd_client_connection_count_limit = 0
"""
_FILTER = """\
$AdminAddress = 'postmaster@riverside.test';
$AdminName = 'Postmaster';
$DaemonAddress = 'mimedefang@riverside.test';
sub filter {{
    my($entity, $fname, $ext, $type) = @_;
    if (($entity->head->mime_attr('content-disposition') || '') =~ /^attachment/i) {{
        return action_replace_with_url($entity, '{folder}/files', 'http://localhost/files',
            "The file was replaced by a link:\\n_URL_\\n", $fname);
    }}
    return action_accept();
}}
sub filter_multipart {{ return action_accept(); }}
sub filter_end {{ }}
1;
"""


@dataclass(slots=True)
class Contender:
    """One running relay: its name in the table, its port, its processes."""

    name: str
    port: int
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def roots(self) -> list[int]:
        """Process ids whose trees are counted."""
        return [process.pid for process in self.processes]

    def stop(self) -> None:
        """End its processes, the last one started first."""
        for process in reversed(self.processes):
            end(process)


class _BenchClinic(Clinic):
    """The demo's clinic with room for a gigabyte and for fifty connections from one host; all else as shipped."""

    def _toml(self, sink_port: int) -> str:
        more = f"[smtp]\nmax_message_bytes = {LARGEST_BYTES}\nmax_connections_per_host = 200"
        return super()._toml(sink_port).replace("[smtp]", more, 1)


class _Undetected(_BenchClinic):
    """The same with the detector's work left out."""

    program: ClassVar[tuple[str, ...]] = (*Clinic.program[:-1], UNDETECTED)


@dataclass(slots=True)
class Sealgate(Contender):
    """The product, started by its own command."""

    clinic: Clinic | None = None

    @property
    def roots(self) -> list[int]:
        process = None if self.clinic is None else self.clinic._process
        return [] if process is None else [process.pid]

    def stop(self) -> None:
        if self.clinic is not None:
            self.clinic.stop()


def sealgate(folder: Path, next_port: int, *, detects: bool = True, budgets: bool = False) -> Sealgate:
    """The whole product with its shipped policy: smtp, gateway, keyholder, parsers. Raises TryLater.

    `budgets`: those of releases are as shipped, and not out of reach.
    """
    limits = {} if budgets else {"person_releases_per_hour": 1_000_000, "tenant_releases_per_hour": 10_000_000}
    kind = _BenchClinic if detects else _Undetected
    clinic = kind(
        folder / ("sealgate" if detects else "undetected"),
        limits=limits,
        smarthost=f"127.0.0.1:{next_port}" if next_port else "",
    )
    made = Sealgate(SEALGATE, clinic.smtp_port, folder, clinic=clinic)
    try:
        clinic.start()
    except BaseException:
        clinic.stop()
        raise
    return made


def plain(folder: Path, next_port: int) -> Contender:
    """The reference relay, unchanged. Raises Misconfigured without aiosmtplib."""
    try:
        import aiosmtplib as _  # noqa: F401 - asked for here, so that its absence is said in words
    except ImportError as error:
        raise Misconfigured("aiosmtplib is not installed: pip install 'sealgate[bench]'") from error
    port = free_port()
    command = [
        sys.executable, "-s", str(Path(__file__).with_name("reference_relay.py")), "--port", str(port),
        "--next-port", str(next_port), "--spool", str(folder / "plain"),
    ]  # fmt: skip
    return _up(Contender(PLAIN, port, folder), [command])


def postfix(folder: Path, next_port: int, *, name: str = POSTFIX, more: str = "") -> Contender:
    """Debian's Postfix with its defaults as a relay. Raises Misconfigured when it is not there, or we are not root."""
    program("postfix")
    if os.geteuid() != 0:
        raise Misconfigured("Postfix starts as root only")
    home, port = folder / name.replace(" ", ""), free_port()
    folder.chmod(0o755)
    configure(home, port, _MAIN.format(next_port=next_port, largest=LARGEST_BYTES) + more)
    check(home)
    return _up(Contender(name, port, home), [command(home)])


def mimedefang(folder: Path, next_port: int) -> Contender:
    """Postfix with MIMEDefang as its milter, which puts attachments into a folder and a URL in their place."""
    multiplexor, milter = program("mimedefang-multiplexor", "mimedefang"), program("mimedefang", "mimedefang")
    home = folder / "mimedefang"
    user = pwd.getpwnam("defang")
    for part in ("spool", "files", "run"):
        (home / part).mkdir(0o755, parents=True)
        os.chown(home / part, user.pw_uid, user.pw_gid)
    folder.chmod(0o755)
    (home / "filter").write_text(_FILTER.format(folder=home))
    door, inner = home / "run/milter", home / "run/multiplexor"
    worker = home / "worker"  # `-f` names the program of a worker, not its rules
    worker.write_text(f'#!/bin/sh\nexec {program("mimedefang.pl", "mimedefang")} -f {home}/filter "$@"\n')
    worker.chmod(0o755)
    more = f"smtpd_milters = unix:{door}\nmilter_default_action = tempfail\n"
    made = Contender(MIMEDEFANG, 0, home)
    try:
        _up(made, [
            [multiplexor, "-D", "-U", "defang", "-m", "2", "-x", "10", "-q", "100", "-z", str(home / "spool"),
             "-s", str(inner), "-f", str(worker)],
            [milter, "-D", "-U", "defang", "-q", "-m", str(inner), "-p", str(door), "-z", str(home / "spool")],
        ], waits=[inner, door])  # fmt: skip
        door.chmod(0o777)
        behind = postfix(folder, next_port, name=MIMEDEFANG, more=more)
    except BaseException:
        made.stop()
        raise
    made.port = behind.port
    made.processes += behind.processes
    return made


def start(folder: Path, next_port: int, notes: list[str]) -> list[Contender]:
    """Everybody who can run here; who cannot is named in `notes`. Raises for Sealgate and the plain relay alone."""
    running: list[Contender] = []
    try:
        for make in (sealgate, plain):
            running.append(make(folder, next_port))
            say(f"{running[-1].name} is up")
        for name, other in ((POSTFIX, postfix), (MIMEDEFANG, mimedefang)):
            try:
                running.append(other(folder, next_port))
                say(f"{name} is up")
            except (GatewayError, OSError, KeyError, subprocess.SubprocessError) as error:
                notes.append(f"{name} was left out: {error}")
                say(notes[-1])
    except BaseException:
        for one in running:
            one.stop()
        raise
    return running


def _up(made: Contender, commands: list[list[str]], waits: list[Path] | None = None) -> Contender:
    """Start them, each after what the one before it makes is there."""
    try:
        for number, command in enumerate(commands):
            made.processes.append(
                subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            )  # fmt: skip
            if waits is not None:
                _wait_for_file(waits[number], made.processes[-1])
        if made.port:
            wait_for_port(made.port)
    except BaseException:
        made.stop()
        raise
    return made


def _wait_for_file(path: Path, process: subprocess.Popen[bytes]) -> None:
    import time

    deadline = time.monotonic() + 20
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise Misconfigured("MIMEDefang did not start")
        time.sleep(0.05)


def remove(folder: Path) -> None:
    """Remove a run's folder."""
    shutil.rmtree(folder, ignore_errors=True)
