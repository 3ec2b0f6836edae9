"""Debian's real clamd on a Unix socket or on loopback, with signatures made by hand; nothing is fetched from anywhere.

    with Clamd(folder) as clamd: … clamd.address …

It finds one made-up text, `MARK`, wherever it stands, and knows nothing else. `stop` and `start` are its outages.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from pathlib import Path

from gateway.demo.ports import free_port
from tests.support.needs import need

MARK = b"sealgate-test-malware: hamadryad ziggurat"
NAME = "Sealgate.Test.Mark.UNOFFICIAL"
_CONFIG = """\
Foreground yes
DatabaseDirectory {folder}/signatures
OfficialDatabaseOnly no
LogFile {folder}/clamd.log
{listen}
MaxThreads 4
StreamMaxLength {limit}
MaxFileSize {limit}
MaxScanSize 400M
AlertExceedsMax {alerts}
AlertEncrypted {alerts}
{user}
"""


class Clamd:
    """See the module's words. `limit` is clamd's own largest stream, as its configuration says it; without `alerts` it
    calls clean what it could not look into, as Debian ships it.
    """

    def __init__(self, folder: Path, *, tcp: bool = False, limit: str = "100M", alerts: bool = True) -> None:
        self._program = need("clamd", "clamav-daemon")
        self.folder = folder
        signatures = folder / "signatures"
        signatures.mkdir(parents=True)
        (signatures / "mark.ndb").write_text(f"Sealgate.Test.Mark:0:*:{MARK.hex()}\n")
        if tcp:
            port = free_port()
            self.address, listen = f"127.0.0.1:{port}", f"TCPSocket {port}\nTCPAddr 127.0.0.1"
        else:
            self.address, listen = f"unix:{folder}/clamd.sock", f"LocalSocket {folder}/clamd.sock"
        self._config = folder / "clamd.conf"
        said = "yes" if alerts else "no"
        self._config.write_text(_CONFIG.format(folder=folder, listen=listen, limit=limit, alerts=said, user=_user()))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Clamd:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            [self._program, "--config-file", str(self._config)], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.stop()
                raise RuntimeError("clamd did not start\n" + self.log())
            time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._process = None

    def forget(self) -> None:
        """Take the signature away, as an update that withdraws a false alarm does."""
        self.stop()
        (self.folder / "signatures/mark.ndb").write_text(f"Sealgate.Test.Other:0:*:{b'nothing says this'.hex()}\n")
        self.start()

    def log(self) -> str:
        """clamd's log."""
        file = self.folder / "clamd.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def _answers(self) -> bool:
        family = socket.AF_UNIX if self.address.startswith("unix:") else socket.AF_INET
        host, _, port = self.address.rpartition(":")
        try:
            with socket.socket(family, socket.SOCK_STREAM) as line:
                line.settimeout(2)
                line.connect(self.address[5:] if family == socket.AF_UNIX else (host, int(port)))
                line.sendall(b"zPING\0")
                return line.recv(16).startswith(b"PONG")
        except OSError:
            return False


def _user() -> str:
    return "User root" if Path("/proc/self").stat().st_uid == 0 else ""
