"""Starts the made clinic: configuration, certificate, sink, the real `sealgate serve`, its users and people.

Promises: loopback only; everything lies in one folder of mode 0700; only processes started here are ended. Drills that
run the roles as users of their own change `program`, `options` and `folder_mode`, tests `runner`.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol
from urllib.parse import parse_qs, urlsplit

import pyotp

from gateway.demo.certificate import make as make_certificate
from gateway.demo.ports import free_port
from gateway.demo.sink import Sink
from gateway.errors import Misconfigured, TryLater
from gateway.roles import child_setup

DOMAIN = "riverside.test"
PHONE = "+1 555 010 0100"
READY_SECONDS = 90.0
STEP_SECONDS = 30
COMMAND_SECONDS = 120.0
PEOPLE = (  # address, name, phone, language; numbers of the range kept for fiction
    ("marguerite@patient.test", "Marguerite Oyelaran", "+15550100143", "en"),
    ("tomas@patient.test", "Tomás Ibarra", "+15550100177", "es"),
    ("records@partner.test", "Lakeside Records", "+15550100188", "en"),
)


@dataclass(slots=True)
class Member:
    """A workforce member of the demo and what they sign in with."""

    address: str
    role: str
    name: str
    password: str = field(default_factory=lambda: "-".join(secrets.token_hex(3) for _ in range(3)))
    secret: str = ""
    app_password: str = ""
    _last: int = 0

    def code(self) -> str:
        """A code of the authenticator app that was not used before; waits for the next one if it must."""
        code, self._last = next_code(self.secret, self._last)
        return code


def next_code(secret: str, last: int) -> tuple[str, int]:
    """A TOTP code of a later time step than `last`, and that step (RFC 6238).

    The keyholder takes the steps before and after the present one, so two in a row need no waiting.
    """
    while (step := max(int(time.time()) // STEP_SECONDS, last + 1)) > time.time() // STEP_SECONDS + 1:
        time.sleep(0.2)
    return pyotp.TOTP(secret).at(step * STEP_SECONDS), step


class Runner(Protocol):
    """Runs a command to its end. Raises TimeoutExpired."""

    def __call__(
        self, command: Sequence[str], *, stdin: str, environ: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]: ...


def started(
    command: Sequence[str], *, stdin: str, environ: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """A command in a fresh process, as a person starts it."""
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, env=environ, timeout=timeout, check=False
    )


class Clinic:
    """One running demo."""

    runner: ClassVar[Runner] = staticmethod(started)

    program: ClassVar[tuple[str, ...]] = (sys.executable, "-P", "-s", "-m", "gateway")
    options: ClassVar[tuple[str, ...]] = ("--single-user",)
    folder_mode: ClassVar[int] = 0o700

    def __init__(
        self,
        data: Path,
        smtp_port: int = 0,
        web_port: int = 0,
        limits: dict[str, int] | None = None,
        *,
        policy: str = "clinic",
        smarthost: str = "",
        environ: dict[str, str] | None = None,
    ) -> None:
        self.data = data
        self.smtp_port = smtp_port or free_port()
        self.submission_port = free_port()
        self.submissions_port = free_port()
        self.web_port = web_port or free_port()
        self.config = data / "gateway.toml"
        self.phone_file = data / "phone.jsonl"
        self.sink = Sink()
        self.certificate, self.key = data / "tls-cert.pem", data / "tls-key.pem"
        self.amy = Member(f"amy@{DOMAIN}", "staff", "Amy Reyes")
        self.olga = Member(f"olga@{DOMAIN}", "officer", "Olga Brandt")
        self.tenant = ""
        self._limits = limits or {}
        self._policy = policy
        self._smarthost = smarthost
        self._more = environ or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def portal(self) -> str:
        """Where the portal is."""
        return f"http://localhost:{self.web_port}"

    def start(self) -> None:
        """Everything up and seeded. Raises TryLater when a part does not start."""
        self.data.mkdir(mode=self.folder_mode, parents=True, exist_ok=True)
        self.data.chmod(self.folder_mode)
        make_certificate(self.certificate, self.key)
        self.config.write_text(self._toml(self.sink.start()))
        self.serve()
        for member in (self.amy, self.olga):
            self._join(member)
        people = self.data / "people.csv"
        rows = ["address,name,phone,language", *(",".join(row) for row in PEOPLE)]
        people.write_text("\n".join(rows) + "\n", encoding="utf-8")
        self.command("people", "import", str(people))
        self.amy.app_password = json.loads(self.command("user", "app-password", self.amy.address, "--json"))["password"]

    def serve(self) -> None:
        """Start the gateway and wait until it is ready."""
        log = open(self.data / "gateway.log", "ab")  # noqa: SIM115 - the child has its own copy when this is closed
        self._process = subprocess.Popen(
            [*self.program, "serve", *self.options, "--config", str(self.config)],
            stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, env=self._environ(), start_new_session=True,
            preexec_fn=child_setup(),
        )  # fmt: skip
        log.close()
        assert self._process.stdout is not None
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            line = self._process.stdout.readline()
            if not line:
                break
            if line.startswith(b"{"):
                self.tenant = json.loads(line)["tenant"]
                return
        tail = (self.data / "gateway.log").read_text(errors="replace").splitlines()[-5:]
        raise TryLater("the gateway did not start:\n" + "\n".join(tail))

    def stop(self) -> None:
        """End what was started."""
        self.stop_gateway()
        self.sink.stop()

    def stop_gateway(self) -> None:
        """End the gateway alone; `serve` starts it again."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()

    def ended(self) -> int | None:
        """The gateway's exit status when it has ended by itself."""
        return None if self._process is None else self._process.poll()

    def left_behind(self) -> list[int]:
        """Processes of the gateway that still run; all of them are of one session (credentials(7))."""
        if self._process is None:
            return []
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(fields[3]) == self._process.pid and fields[0] != "Z":
                    found.append(int(entry.name))
        return found

    def command(self, *arguments: str, stdin: str = "", status: int = 0) -> str:
        """Run a `sealgate` command against this clinic; what it printed. Raises Misconfigured for another exit."""
        environ = self._environ() | {"SEALGATE_CONFIG": str(self.config)}
        done = self.runner([*self.program, *arguments], stdin=stdin, environ=environ, timeout=COMMAND_SECONDS)
        if done.returncode != status:
            raise Misconfigured(
                f"sealgate {' '.join(arguments[:2])} ended with {done.returncode}: {done.stderr.strip()}"
            )
        return done.stdout

    def search(self, *words: str) -> list[dict[str, Any]]:
        """Entries of the audit log."""
        return [json.loads(line) for line in self.command("audit", "search", *words, "--json").splitlines() if line]

    def texts(self) -> list[dict[str, str]]:
        """What the pretend phone received."""
        if not self.phone_file.exists():
            return []
        return [json.loads(line) for line in self.phone_file.read_text().splitlines() if line]

    def wait_for_text(self, number: str, count: int = 1, seconds: float = 60.0) -> str:
        """The latest text to that number once there are `count`. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = [text["text"] for text in self.texts() if text["to"] == number]
            if len(found) >= count:
                return found[-1]
            time.sleep(0.05)
        raise TimeoutError("no text message arrived")

    def _join(self, member: Member) -> None:
        made = json.loads(self.command(
            "user", "add", member.address, "--role", member.role, "--name", member.name, "--password-stdin", "--json",
            stdin=member.password + "\n",
        ))  # fmt: skip
        member.secret = parse_qs(urlsplit(made["totp_uri"]).query)["secret"][0]

    def _environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SEALGATE_")}
        kept |= {name: value for name, value in os.environ.items() if name.startswith("SEALGATE_TEST_")}
        return kept | {"SEALGATE_TEST_DEMO": "1", "SEALGATE_TEST_LIMITS": json.dumps(self._limits)} | self._more

    def _toml(self, sink_port: int) -> str:
        here = self.data
        return f"""# The demo's configuration; `sealgate check --example` shows every setting.
[tenant]
name = "riverside"
display_name = "Riverside Clinic"
domains = ["{DOMAIN}"]
phone = "{PHONE}"
timezone = "America/Chicago"
[smtp]
listen = "127.0.0.1:{self.smtp_port}"
submission_listen = "127.0.0.1:{self.submission_port}"
submissions_listen = "127.0.0.1:{self.submissions_port}"
trusted_networks = ["127.0.0.0/8"]
tls_cert_file = "{self.certificate}"
tls_key_file = "{self.key}"
[portal]
listen = "127.0.0.1:{self.web_port}"
public_url = "{self.portal}"
[courier]
smarthost = "{self._smarthost or f"127.0.0.1:{sink_port}"}"
tls = "none"
[policy]
file = "{self._policy}"
[store]
url = "sqlite:///{here}/db/sealgate.db"
reserve_bytes = 1000000
[vault]
url = "file://{here}/vault"
[keys]
directory = "{here}/keys"
kek_file = "{here}/kek"
reserve_bytes = 1000000
[spool]
directory = "{here}/spool"
[notify]
sms = "pretend"
pretend_file = "{self.phone_file}"
[worker]
retry_first_seconds = 1
"""
