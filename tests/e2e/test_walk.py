"""The newcomer's walk of deploy/README.md: its commands, typed into one shell, and the browser's part between them."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.demo.ports import free_port
from gateway.demo.visitor import Visitor
from tests.support import installed, needs

pytestmark = pytest.mark.full
README = (installed.ROOT / "deploy/README.md").read_text(encoding="utf-8")
WALK = README.split("## A newcomer's walk")[1].split("\n## ")[0]
BLOCKS = re.findall(r"```sh\n(.*?)```", WALK, re.DOTALL)
PORTS = ("2525", "2526", "2587", "8080")


class Shell:
    """One shell that stays open; the ports of the walk are replaced by free ones."""

    def __init__(self, folder: Path) -> None:
        self._ports = {port: str(free_port()) for port in PORTS}
        environ = {name: value for name, value in os.environ.items() if not name.startswith("SEALGATE_")}
        environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
        self._process = subprocess.Popen(
            ["bash", "-eu"], cwd=folder, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def type(self, block: str) -> str:
        """What these lines print. Fails with it when one of them fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for port, free in self._ports.items():
            block = re.sub(rf"\b{port}\b", free, block)
        self._process.stdin.write(f"{block}\necho walked-on\n".encode())
        self._process.stdin.flush()
        said, deadline = b"", time.monotonic() + 120
        while not said.endswith(b"walked-on\n"):
            assert self._process.poll() is None, f"the shell ended after:\n{said.decode()}"
            assert time.monotonic() < deadline, f"no end after:\n{said.decode()}"
            if select.select([self._process.stdout], [], [], 0.2)[0]:
                said += os.read(self._process.stdout.fileno(), 65536)
        return said.decode().removesuffix("walked-on\n")

    def end(self) -> None:
        """Close it, and end what it left running."""
        self._process.kill()
        self._process.wait()
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    if os.getsid(int(entry.name)) == self._process.pid:
                        os.kill(int(entry.name), 15)
                except OSError:
                    continue


@pytest.fixture
def shell() -> Iterator[Shell]:
    """A shell in an empty folder with a short name."""
    needs.need("curl")
    folder = installed.folder()
    opened = Shell(folder)
    try:
        yield opened
    finally:
        opened.end()
        shutil.rmtree(folder, ignore_errors=True)


def test_the_walk_leads_from_nothing_to_a_protected_mail_that_a_patient_reads(shell: Shell) -> None:
    sink, setup, start, observe, live, phone, proof, stop = BLOCKS
    shell.type(sink)
    said = shell.type(setup)
    assert "otpauth://totp/" in said
    assert "The policy is 'observe'" in said
    said = shell.type(start)
    assert re.search(r"^red +boundary\.users", said, re.MULTILINE)
    assert "1 red" in said.splitlines()[-1], said
    assert "message:passed" in shell.type(observe)
    link = shell.type(live).splitlines()[-1]
    assert re.fullmatch(r"http://localhost:\d+/m/[0-9A-Za-z]{34}", link), link
    browser = Visitor()
    asked = browser.submit(browser.get(link), "/code", last4="0143")
    code = re.search(r"\b\d{6}\b", json.loads(shell.type(phone))["text"])
    assert code is not None
    page = browser.submit(asked, "/verify", code=code[0])
    assert "hemoglobin A1c is 8.1 %" in page.text
    said = shell.type(proof)
    assert "object:opened" in said
    shell.type(stop)


def test_every_command_of_the_page_exists() -> None:
    from gateway.cli import command_names

    named = set(re.findall(r"(?<![/\w])sealgate ([a-z]+)\b", README)) - {"serve"}
    assert named <= set(command_names()), named
