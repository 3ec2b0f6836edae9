"""`sealgate demo` as a person and as `--check` run it: the story holds, it can fail, and nothing is left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from gateway.demo import check, story_mail
from gateway.demo.clinic import Clinic
from gateway.demo.ports import free_port
from gateway.demo.story import Broken, Story
from tests.support.load import stretched

pytestmark = pytest.mark.full
COMMAND = [sys.executable, "-P", "-s", "-m", "gateway", "demo"]
CHECK_SECONDS = 180
START_SECONDS = 120


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose path leaves room for the names of sockets."""
    return tmp_path_factory.mktemp("d")


@pytest.mark.browser
def test_the_check_walks_the_whole_story_in_time(short: Path) -> None:
    began = time.monotonic()
    done = subprocess.run(
        [*COMMAND, "--check"], capture_output=True, text=True, timeout=580, check=False,
        env={**os.environ, "TMPDIR": str(short), "XDG_RUNTIME_DIR": ""},
    )  # fmt: skip
    took = time.monotonic() - began
    assert done.returncode == 0, done.stdout + done.stderr
    steps = re.findall(r"^ok +(\d+) ([^:]+): (.+)$", done.stdout, re.MULTILINE)
    assert [int(number) for number, _, _ in steps] == list(range(1, len(check.STEPS) + 3))
    assert [name for _, name, _ in steps][1:-1] == [name for name, _ in check.STEPS]
    assert all(len(proof) < 140 for _, _, proof in steps)
    assert took < stretched(CHECK_SECONDS)
    assert list(short.iterdir()) == []
    assert running_below(short) == []


def test_the_check_fails_where_nothing_is_sealed(observing: Clinic) -> None:
    story = Story(observing, None)
    story_mail.mail_in(story)
    assert "exact suffix" in story_mail.passed(story)
    with pytest.raises(Broken, match="no personal link"):
        story_mail.sealed(story)


@contextmanager
def demo(folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[str], int, int]]:
    """A demo as a person starts it; its lines, mail port and portal port."""
    smtp, web = free_port(), free_port()
    environ = {**os.environ, "TMPDIR": str(folder), "XDG_RUNTIME_DIR": ""}
    ports = ["--smtp-port", str(smtp), "--web-port", str(web)]
    process = subprocess.Popen([*COMMAND, *ports], stdout=subprocess.PIPE, text=True, env=environ)
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith("Everything lies in"):
                break
        yield process, lines, smtp, web
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
        gone(folder)


def test_a_person_gets_pages_to_click_and_ctrl_c_ends_everything(short: Path) -> None:
    with demo(short) as (process, lines, smtp, web):
        assert 10 < len(lines) < 20
        assert f"  swaks -s localhost:{smtp} -f amy@riverside.test -t you@example.org --attach @any.pdf" in lines
        outside = re.findall(r"http://127\.0\.0\.1:\d+/[\w-]+", "\n".join(lines))
        assert [address.rpartition("/")[2] for address in outside[:1]] == ["mail"]
        for address in {*outside, f"http://localhost:{web}/staff/sign-in"}:
            assert httpx2.get(address).status_code == 200
        mails = httpx2.get(outside[0]).text
        assert mails.count("Sealed.") == 4
        assert mails.count("Passed.") == 1
        assert len(running_below(short)) >= 4
        process.send_signal(signal.SIGINT)
        assert process.wait(90) == 0
        assert running_below(short) == []
        assert list(short.iterdir()) == []


def test_a_killed_demo_takes_the_gateway_with_it(short: Path) -> None:
    with demo(short) as (process, _, _, _):
        process.kill()
        process.wait()
        gone(short)


def test_a_named_port_that_is_taken_is_refused(short: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run([*COMMAND, "--web-port", port], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 78
    assert f"--web-port {port}" in done.stderr


def running_below(folder: Path) -> list[int]:
    """Processes whose command line names something in that folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(folder) in line:
                found.append(int(entry.name))
    return found


def gone(folder: Path) -> None:
    """Wait until no process of that folder is left."""
    deadline = time.monotonic() + 60
    while running_below(folder):
        assert time.monotonic() < deadline, "processes of the demo still run"
        time.sleep(0.1)
