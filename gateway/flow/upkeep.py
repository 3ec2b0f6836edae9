"""What happens by the clock: the sign of life, the snapshot, checkpoints, epochs, text messages, holds that end,
sweeps.

Promises: the sign of life says yes only when store, log, vault, spool and keyholder could all take a message now; each
duty runs by itself, and one that fails is logged and tried at its next turn without stopping the others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.logs import Log
from gateway.notify import TextSender
from gateway.sensitive import Sensitive
from gateway.share import answering
from gateway.spool import health
from keys.client import WorkerClient

log = Log("gateway.upkeep")


@dataclass(slots=True)
class Duty:
    """Something to do every so many seconds."""

    name: str
    every_seconds: float
    run: Callable[[], object]
    due_at: float = 0.0
    failing: bool = field(default=False)


class Upkeep:
    """Threads for the duties: one for the sign of life, which nothing may delay, and one for each slow kind."""

    def __init__(self, lines: Sequence[Sequence[Duty]]) -> None:
        self._stopping = threading.Event()
        self._lines = [list(line) for line in lines]
        self._calls = [threading.Event() for _ in lines]
        self._threads = [
            threading.Thread(target=self._serve, args=(line, call), name=f"upkeep-{line[0].name}", daemon=True)
            for line, call in zip(self._lines, self._calls, strict=True)
        ]

    def start(self) -> None:
        """Start; every duty runs once at once."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the duty under way."""
        self._stopping.set()
        for call in self._calls:
            call.set()
        for thread in self._threads:
            thread.join(10)

    def now(self, name: str) -> None:
        """Run a duty as soon as its thread is free rather than at its time."""
        for line, call in zip(self._lines, self._calls, strict=True):
            for duty in line:
                if duty.name == name:
                    duty.due_at = 0.0
                    call.set()

    def _serve(self, line: list[Duty], call: threading.Event) -> None:
        while not self._stopping.is_set():
            call.clear()  # before the look: what is called for after it ends the wait at once
            for duty in line:
                if time.monotonic() >= duty.due_at and not self._stopping.is_set():
                    self._one(duty)
            if not self._stopping.is_set():
                call.wait(max(0.0, min(duty.due_at for duty in line) - time.monotonic()))

    @staticmethod
    def _one(duty: Duty) -> None:
        duty.due_at = time.monotonic() + duty.every_seconds
        try:
            duty.run()
        except GatewayError as error:
            if not duty.failing:
                log.error("upkeep:failed", kind=duty.name, error=type(error).__name__)
            duty.failing = True
        except Exception:
            log.exception("upkeep:failed", kind=duty.name)
            duty.failing = True
        else:
            if duty.failing:
                log.info("upkeep:recovered", kind=duty.name)
            duty.failing = False


class SignOfLife:
    """Writes the health file from the named checks; the first that says no is the reason. The log hears of a change."""

    def __init__(self, path: Path, checks: dict[str, Callable[[], bool]], clock: Clock) -> None:
        self._path = path
        self._checks = checks
        self._clock = clock
        self.last = health.Health(0, False, "starting")

    def __call__(self) -> None:
        """Look and write."""
        reason = ""
        for name, check in self._checks.items():
            try:
                if not check():
                    reason = name
                    break
            except Exception as error:
                if self.last.reason != name:
                    log.warning("health:check-failed", check=name, error=type(error).__name__)
                reason = name
                break
        self.last = health.Health(self._clock.now_us(), not reason, reason)
        health.write(self._path, self.last)

    def stop(self) -> None:
        """Say no before the worker ends, so that mail is deferred at once and not after five seconds."""
        self.last = health.Health(self._clock.now_us(), False, "stopping")
        health.write(self._path, self.last)


class Texts:
    """Sends the text messages that the keyholder queued. The code goes from it to the phone, never through the
    portal.
    """

    def __init__(
        self, keyholder: WorkerClient, carriers: Mapping[str, TextSender], words: Callable[[str, str], str]
    ) -> None:
        """`carriers`: each tenant's, as its signed settings name it."""
        self._keyholder = keyholder
        self._carriers = carriers
        self._words = words

    def __call__(self) -> None:
        """Send what waits. A text that fails is handed out again by the keyholder, three times at most."""
        with answering():
            waiting = self._keyholder.take_texts(20)
        for text in waiting:
            try:
                carrier = self._carriers[text["tenant"]]
                carrier.send(Sensitive(text["number"]), Sensitive(self._words(text["tenant"], text["code"])))
                sent = True
            except (GatewayError, KeyError) as error:  # a clinic that joined after this process began has no carrier
                log.warning("text:failed", tenant=text["tenant"], error=type(error).__name__)
                sent = False
            with answering():
                self._keyholder.text_done(text["id"], sent)
