"""The first start: `serve` on loopback ports of the system's choice makes the installation, then it ends again.

Promises: no mail from outside is taken meanwhile; the installation is made by the same code as any fresh start; the
first administrator's password goes through standard input and is in no argument, log or file.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gateway.control import ask
from gateway.errors import GatewayError, Misconfigured, TryLater
from gateway.settings import Settings
from gateway.supervise import python

READY_SECONDS = 120.0
ENDING_SECONDS = 60.0
QUIET = {  # what may be said of the doors while nobody is to come in
    "SEALGATE_SMTP__LISTEN": "127.0.0.1:0",
    "SEALGATE_SMTP__SUBMISSION_LISTEN": "",
    "SEALGATE_SMTP__SUBMISSIONS_LISTEN": "",
    "SEALGATE_PORTAL__LISTEN": "127.0.0.1:0",
}


def runs(settings: Settings) -> bool:
    """Whether this installation's gateway runs already."""
    try:
        ask(settings.worker_directory / "control.sock", "user.find", {"address": "nobody@invalid"})
    except GatewayError as error:
        return not isinstance(error, TryLater)
    return True


@contextmanager
def running(config: Path, settings: Settings, *, single: bool) -> Iterator[str]:
    """The installation running, started for the while if it does not; what `serve` printed of a new log.

    Raises Misconfigured or TryLater with what `serve` said last.
    """
    if runs(settings):
        yield ""
        return
    command = python("-m", "gateway", "serve", "--log-level", "ERROR", "--config", str(config))
    process = subprocess.Popen(
        [*command, *(["--single-user"] if single else [])], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env={**_environ(), **QUIET},
    )  # fmt: skip
    try:
        yield _ready(process)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=60)
        if process.poll() is None:
            process.kill()
            process.wait()


def add_admin(config: Path, address: str, password: str) -> str:
    """Add the first administrator; the address for an authenticator app. Raises Misconfigured."""
    command = python(
        "-m",
        "gateway",
        "user",
        "add",
        address,
        "--role",
        "admin",
        "--password-stdin",
        "--json",
        "--config",
        str(config),
    )
    done = subprocess.run(
        command, input=password + "\n", capture_output=True, text=True, check=False, env=_environ(), timeout=120
    )
    if done.returncode:
        raise Misconfigured(_last_words(done.stderr) or "the administrator could not be added")
    return str(json.loads(done.stdout)["totp_uri"])


def _environ() -> Mapping[str, str]:
    return {name: value for name, value in os.environ.items() if name != "SEALGATE_CONFIG"}


def _ready(process: subprocess.Popen[str]) -> str:
    made = ""
    for line in _lines(process, time.monotonic() + READY_SECONDS):
        if line.startswith("new log: "):
            made = line.removeprefix("new log: ").strip()
        if line.startswith("{"):
            return made
    process.terminate()
    try:
        _, said = process.communicate(timeout=ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        _, said = process.communicate()
    if process.returncode == Misconfigured.exit_code:
        raise Misconfigured(_last_words(said))
    print(said, file=sys.stderr)
    raise TryLater("the installation did not start")


def _lines(process: subprocess.Popen[str], deadline: float) -> Iterator[str]:
    """Whole lines of its output as they come, until it closes it or the moment has come.

    `readline` would wait for a line however long ago that moment was.
    """
    assert process.stdout is not None
    descriptor, rest = process.stdout.fileno(), b""
    with selectors.DefaultSelector() as waiting:
        waiting.register(descriptor, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not waiting.select(left):
                return
            piece = os.read(descriptor, 65_536)
            if not piece:
                return
            *whole, rest = (rest + piece).split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in whole)


def _last_words(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith(("sealgate: ", "keyholder: "))]
    told = [line.partition(": ")[2] for line in lines if not line.startswith("sealgate: one user for all roles")]
    return "; ".join(told[-2:])
