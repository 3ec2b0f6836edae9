"""The first start of a set-up: what it says is read as it comes, and one that says nothing is given up in time."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gateway.errors import Misconfigured, TryLater
from gateway.quickstart import firstrun


def program(text: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", text],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    "said",
    ["", "print('half a line', end='', flush=True)\n", "print('a line', flush=True)\n"],
    ids=["nothing", "half", "line"],
)
def test_a_start_that_never_is_ready_is_ended_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setattr(firstrun, "READY_SECONDS", 0.5)
    silent = program(f"import time\n{said}time.sleep(3600)")
    with pytest.raises(TryLater, match="did not start"):
        firstrun._ready(silent)
    assert silent.poll() is not None


def test_one_that_does_not_even_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firstrun, "READY_SECONDS", 60.0)
    monkeypatch.setattr(firstrun, "ENDING_SECONDS", 0.5)
    stubborn = program(
        "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nos.close(1)\ntime.sleep(3600)"
    )
    with pytest.raises(TryLater):
        firstrun._ready(stubborn)
    assert stubborn.poll() == -9


def test_the_new_log_is_what_it_printed_before_it_was_ready() -> None:
    ready = program("import time\nprint('new log: mail.test/log/tnt_1\\n{\"ready\": 1}', flush=True)\ntime.sleep(3600)")
    try:
        assert firstrun._ready(ready) == "mail.test/log/tnt_1"
    finally:
        ready.kill()
        ready.communicate()


def test_a_refusal_is_passed_on_in_its_own_words() -> None:
    refusing = program(
        f"import sys\nprint('sealgate: [smtp] listen: no', file=sys.stderr)\nsys.exit({Misconfigured.exit_code})"
    )
    with pytest.raises(Misconfigured, match=r"\[smtp\] listen: no"):
        firstrun._ready(refusing)
