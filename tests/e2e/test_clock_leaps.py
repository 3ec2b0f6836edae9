"""The machine's clock leaps while the real roles run and mail flows: nothing is lost, doubled or ended early.

`tests/support/leaping.c` stands between every process of the clinic and the system's clock; the time since boot stays
true, as it does on a machine whose clock somebody sets. Clean and protected mail is handed in before each leap, waits
for a smarthost that is away while the clock leaps, and goes on coming while it stands wrong.
"""

from __future__ import annotations

import smtplib
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.demo.clinic import Clinic
from gateway.demo.sink import Received, Sink
from gateway.settings import load
from tests.house.tree import ROOT
from tests.support import doctoring, letters
from tests.support.load import PATIENCE
from tests.support.mail_pieces import fields, mime, patient, text
from tests.support.needs import need

pytestmark = pytest.mark.full
READER, NUMBER = "before.leaps@outside.test", "+15550100191"
WHO = patient("clock leaps")
HOUR, DAY = 3600, 86_400
LEAPS = {"an-hour-on": HOUR, "400-days-on": 400 * DAY, "an-hour-back": -HOUR, "400-days-back": -400 * DAY}


class Leaping:
    """A clinic, the offset of its clock, and everything that reached its smarthost."""

    def __init__(self, folder: Path, library: str) -> None:
        self.offset = folder / "offset"
        self.offset.write_bytes(bytes(8))
        self.clinic = Clinic(folder / "c", environ={"LD_PRELOAD": library, "LEAPING_OFFSET": str(self.offset)})
        self.sinks = [self.clinic.sink]
        self.sent: list[str] = []
        self.copy: Received

    def set(self, seconds: int) -> None:
        """In one write of eight bytes, which every process has mapped: all of them leap at once."""
        with open(self.offset, "r+b", buffering=0) as file:
            file.write(seconds.to_bytes(8, "little", signed=True))

    def away(self) -> None:
        """The smarthost is gone; mail waits for it."""
        self.sinks[-1].stop()

    def back(self) -> None:
        """It is there again, at the same port."""
        self.sinks.append(Sink(self.sinks[-1].port))
        self.clinic.sink = self.sinks[-1]
        self.clinic.sink.start()

    def arrived(self) -> Counter[str]:
        """How often each recipient got something."""
        return Counter(who for sink in self.sinks for mail in sink.mails for who in mail.recipients)

    def hand_in(self, when: str) -> list[str]:
        """A clean and a protected mail, each tried again while the door says 4xx, as a mail server does."""
        made = []
        for kind, words in (("clean", "Lunch at noon?"), ("secret", WHO.letter("\r\n"))):
            to = f"{when}.{kind}@outside.test"
            data = mime(fields(f"{when}-{kind}"), text(words))

            def taken(data: bytes = data, to: str = to) -> bool:
                try:
                    letters.send(self.clinic, data, to)
                except smtplib.SMTPResponseException as error:
                    if error.smtp_code >= 500:
                        raise
                    return False
                except (smtplib.SMTPException, OSError):
                    return False
                return True

            until(taken, f"{to} was not taken")
            made.append(to)
        self.sent += made
        return made


def until(so: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + 4 * PATIENCE  # pauses between tries double while the next hop is away
    while not so():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.1)


@pytest.fixture(scope="module")
def leaping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Leaping]:
    """The clinic, with a message that somebody may open and one that is held."""
    folder = tmp_path_factory.mktemp("leaps")
    built = folder / "leaping.so"
    source = ROOT / "tests/support/leaping.c"
    subprocess.run([need("cc", "gcc"), "-shared", "-fPIC", "-O2", "-Wall", "-o", built, source], check=True, timeout=60)
    made = Leaping(folder, str(built))
    try:
        made.clinic.start()
        letters.know(made.clinic, READER, NUMBER)
        made.sent.append(READER)
        made.copy = letters.through(made.clinic, mime(fields("before-leaps"), text(WHO.letter("\r\n"))), READER)
        bounce = mime(fields("held-leaps"), text(WHO.letter("\r\n")))
        with smtplib.SMTP("localhost", made.clinic.smtp_port, timeout=60) as server:
            server.sendmail("", ["held.leaps@outside.test"], bounce)
        until(lambda: bool(made.clinic.search("action:message:held")), "nothing was held")
        yield made
    finally:
        for sink in made.sinks:
            sink.stop()
        made.clinic.stop()


def test_over_leaps_and_back_mail_is_neither_lost_nor_doubled_and_nothing_ends_early(leaping: Leaping) -> None:
    for name, offset in LEAPS.items():
        over_and_back(leaping, name, offset)
    count = leaping.arrived()
    assert {who: count[who] for who in leaping.sent} == dict.fromkeys(leaping.sent, 1)
    others = set(count) - set(leaping.sent)
    assert others <= {leaping.clinic.amy.address, leaping.clinic.olga.address}, "somebody else got mail"
    ended = ("message:expired", "message:erased", "message:returned", "message:bounced", "message:dropped")
    happened = {one["action"] for one in leaping.clinic.search()}
    assert happened.isdisjoint(ended), happened
    assert "message:held" in happened
    _, page = letters.opened(leaping.clinic, leaping.copy, NUMBER)
    assert page.status == 200, "what could be opened before still can"
    leaping.clinic.command("queue", "check")


def over_and_back(leaping: Leaping, name: str, offset: int) -> None:
    """One leap, mail on both sides of it, and the way back."""
    leaping.away()
    waiting = leaping.hand_in(f"{name}.waits")
    seen = len(log_lines(leaping))
    leaping.set(offset)
    waiting += leaping.hand_in(f"{name}.within")
    until(lambda: len(log_lines(leaping)) > seen, "the log does not say that the clock leapt")
    leaping.back()
    until(lambda: set(waiting) <= set(leaping.arrived()), "mail did not arrive while the clock was wrong")
    level, word = ("red", "forward") if offset > 0 else ("yellow", "back")
    until(lambda: said(leaping) == (level, word), f"doctor does not say {level}: {word}")
    leaping.set(0)
    waiting = leaping.hand_in(f"{name}.after")
    until(lambda: set(waiting) <= set(leaping.arrived()), "mail did not arrive after the clock came back")


def log_lines(leaping: Leaping) -> list[str]:
    """What the worker's log says of leaps."""
    lines = (leaping.clinic.data / "gateway.log").read_text(errors="replace").splitlines()
    return [line for line in lines if "clock:leapt" in line and '"seconds"' in line]


def said(leaping: Leaping) -> tuple[str, str]:
    """What doctor finds of it: how bad, and which way it leapt."""
    found = doctoring.look("clock.steady", load(leaping.clinic.config, {}), leaping.clinic.config)
    return found.level, next((word for word in ("forward", "back") if f" {word}" in found.found), "")
