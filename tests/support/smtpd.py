"""The real smtp process for tests: `with smtpd(tmp_path) as server`; and the program that it runs.

`python -m tests.support.smtpd FILE.json` runs one with that configuration and prints the ports as one JSON line.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trustme

from gateway.smtp.config import Limits, SmtpConfig
from gateway.spool.envelope import REFUSED
from tests.support.spool import NODE, Keyring, fresh, smtp_home, write_signs

ROOT = Path(__file__).resolve().parents[2]


class Smtpd:
    """A running smtp process with a worker's signs beside it."""

    def __init__(
        self,
        directory: Path,
        ring: Keyring,
        config: SmtpConfig,
        wrapper: list[str],
        tenants: dict[str, Any],
        environment: dict[str, str],
    ) -> None:
        self.directory = directory
        self.ring = ring
        self.config = config
        self.spool = config.spool
        self.signs = config.signs_directory
        self.healthy = True
        self.changes = tenants
        self._renewing = threading.Event()
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self.sign()
        self._thread.start()
        file = directory / "config.json"
        file.write_text(json.dumps(dataclasses.asdict(config), default=str))
        self.log = open(directory / "smtpd.log", "wb")  # noqa: SIM115
        self.process = subprocess.Popen(
            [*wrapper, sys.executable, "-m", "tests.support.smtpd", str(file)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=self.log,
            start_new_session=True,
            env={**os.environ, "PYTHONWARNINGS": "error::RuntimeWarning", **environment},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.stop()
            raise AssertionError("smtp did not start: " + self.log_text())
        self.ports: dict[str, list[int]] = json.loads(line)

    @property
    def port(self) -> int:
        return self.ports["relay"][0]

    def sign(self, **changes: Any) -> None:
        with self._writing:
            write_signs(self.signs, self.ring, self.healthy, **{**self.changes, **changes})

    def _renew(self) -> None:
        from gateway.spool import health

        while not self._renewing.wait(1.0):
            mark = health.Health(self.ring.clock.now_us(), self.healthy, "" if self.healthy else "store")
            with self._writing:
                health.write(self.signs / "health.json", mark)

    def stop_signs(self) -> None:
        """The worker dies: nothing is renewed any more."""
        self._renewing.set()
        self._thread.join()

    def log_text(self) -> str:
        return (self.directory / "smtpd.log").read_text()

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def stop(self) -> None:
        self._renewing.set()
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.log.close()

    def connect(self, kind: str = "relay") -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.ports[kind][0]), timeout=60)

    def client(self, kind: str = "relay") -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.ports[kind][0], timeout=60)

    def messages(self) -> list[bytes]:
        """Every message in the spool, opened; notes of refusals are none."""
        reader = self.ring.reader(self.spool)
        found = []
        for entry in reader.replay():
            with reader.open(entry) as opened:
                if opened.envelope.identity.kind != REFUSED:
                    found.append(opened.source.read(0, opened.source.size))
        assert reader.refused == []
        reader.close()
        return found

    def envelopes(self) -> list[Any]:
        reader = self.ring.reader(self.spool)
        found = []
        for entry in reader.replay():
            with reader.open(entry) as opened:
                found.append(opened.envelope)
        reader.close()
        return found


def certificates(directory: Path) -> tuple[Path, Path, Path]:
    """Certificate, key and authority for 127.0.0.1 and localhost."""
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1", "localhost")
    certificate, key, root = directory / "cert.pem", directory / "key.pem", directory / "ca.pem"
    leaf.private_key_pem.write_to_path(str(key))
    certificate.unlink(missing_ok=True)
    for blob in leaf.cert_chain_pems:
        blob.write_to_path(str(certificate), append=True)
    authority.cert_pem.write_to_path(str(root))
    return certificate, key, root


def trusting(directory: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(directory / "ca.pem"))


@contextmanager
def smtpd(
    directory: Path,
    *,
    tls: bool = False,
    wrapper: list[str] | None = None,
    ring: Keyring | None = None,
    snapshot: dict[str, Any] | None = None,
    environment: dict[str, str] | None = None,
    **config: Any,
) -> Iterator[Smtpd]:
    """Start it, hand it out, stop it. `config` are fields of SmtpConfig; `snapshot` replaces parts of the payload."""
    ring = ring or Keyring()
    directory.mkdir(exist_ok=True)
    if not (directory / "smtp").exists():
        smtp_home(directory / "smtp", ring)
        (directory / "signs").mkdir()
        fresh(directory / "in")
    certificate, key, _ = certificates(directory) if tls else (None, None, None)
    secure = (("127.0.0.1", 0),) if tls else ()
    settings: dict[str, Any] = {
        "hostname": "gateway.test",
        "node": NODE,
        "directory": directory / "smtp",
        "signs_directory": directory / "signs",
        "spool": directory / "in",
        "listen": (("127.0.0.1", 0),),
        "submission_listen": secure,
        "submissions_listen": secure,
        "tls_cert_file": certificate,
        "tls_key_file": key,
        "log_level": "DEBUG",
    }
    server = Smtpd(
        directory, ring, SmtpConfig(**{**settings, **config}), wrapper or [], snapshot or {}, environment or {}
    )
    try:
        yield server
    finally:
        server.stop()


def _main() -> int:
    from gateway.smtp.process import run

    value = json.loads(Path(sys.argv[1]).read_text())
    value["limits"] = Limits(**value["limits"])
    for name, content in value.items():
        if name.endswith(("_file", "directory")) or name == "spool":
            value[name] = Path(content) if content else None
        elif name.endswith("listen"):
            value[name] = tuple((host, port) for host, port in content)
    return run(SmtpConfig(**value), ready=lambda ports: print(json.dumps(ports), flush=True))


if __name__ == "__main__":
    sys.exit(_main())
