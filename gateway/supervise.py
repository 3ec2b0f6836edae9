"""The parent of the roles: starts them in order, restarts one that falls over, forwards signals, ends when told.

A role that waits is begun early: it reads its program while those before it start, and opens nothing before its word.
Promises: the parent itself opens no mail, key or database; a role that dies, or that does not become ready, is ended
and started again after a pause that grows to 30 s, and nothing that it had promised is lost, because every promise is
on disk; SIGTERM ends the doors first and the keyholder last, also while a role is being started again.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from gateway.errors import GatewayError, TryLater
from gateway.logs import Log
from gateway.roles import PRIVATE, Identity, child_setup

log = Log("gateway.supervise")
READY_WITHIN_SECONDS = 60.0
DRAIN_SECONDS = 40.0
LOOK_SECONDS = 0.2
WORD = b"\n"
STEADY_SECONDS = 20.0  # a role that ran this long gets a short pause again


@dataclass(slots=True)
class Child:
    """One role's process. `argv` writes `{"ready": true, …}` as its first line on standard output.

    `descriptors` stay open in it under their own numbers; `before` runs before each of its starts. One that `waits`
    does nothing before it has read `WORD` on standard input; where that ends without, its parent is gone.
    """

    role: str
    argv: Sequence[str]
    identity: Identity
    environ: dict[str, str]
    descriptors: tuple[int, ...] = ()
    umask: int = PRIVATE
    waits: bool = False
    before: Callable[[], object] | None = None
    process: subprocess.Popen[bytes] | None = None
    ready: dict[str, Any] = field(default_factory=dict)
    failures: int = 0
    started_at: float = 0.0
    restart_at: float = 0.0

    def start(self, given_up: Callable[[], bool] = lambda: False) -> None:
        """Start it and wait for its ready line, unless `given_up` says that nobody waits any more.

        Raises TryLater when it ends or says nothing in time; what was started may still run then.
        """
        self.begin()
        self.await_ready(given_up)

    def begin(self) -> None:
        """Start its process. Raises OSError."""
        if self.before is not None:
            self.before()
        as_user: dict[str, Any] = {}
        if self.identity.uid is not None:
            as_user = {
                "user": self.identity.uid,
                "group": self.identity.gid,
                "extra_groups": list(self.identity.more),  # none of the groups that root is in
            }
        self.process = subprocess.Popen(
            list(self.argv), stdin=subprocess.PIPE if self.waits else subprocess.DEVNULL, stdout=subprocess.PIPE,
            env=self.environ, preexec_fn=child_setup(self.umask), close_fds=True, pass_fds=self.descriptors, **as_user,
        )  # fmt: skip

    def await_ready(self, given_up: Callable[[], bool] = lambda: False) -> None:
        """Give it its word if it waits, and wait for its ready line. Raises as `start`."""
        self.started_at = time.monotonic()
        assert self.process is not None
        assert self.process.stdout is not None
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it ended before; its status is looked at below
                self.process.stdin.write(WORD)
                self.process.stdin.close()
        descriptor = self.process.stdout.fileno()
        text = b""
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while b"\n" not in text:
                while not selector.select(LOOK_SECONDS):
                    if given_up() or time.monotonic() > self.started_at + READY_WITHIN_SECONDS:
                        raise TryLater(f"{self.role} did not become ready")
                piece = os.read(descriptor, 65536)
                if not piece:
                    raise ChildEnded(self.role, self.process.wait())
                text += piece
        self.ready = json.loads(text.split(b"\n", 1)[0])

    def ended(self) -> int | None:
        """Its exit status when it has ended."""
        return None if self.process is None else self.process.poll()

    def signal(self, number: int) -> None:
        """Send a signal to it if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def stop(self, within_seconds: float) -> None:
        """Ask it to end; kill it when it does not."""
        self.signal(signal.SIGTERM)
        if self.process is None:
            return
        try:
            self.process.wait(timeout=within_seconds)
        except subprocess.TimeoutExpired:
            log.error("role:killed", role=self.role)
            self.process.kill()
            self.process.wait()


class ChildEnded(TryLater):
    """A part of the gateway stopped at its start."""

    def __init__(self, role: str, status: int) -> None:
        super().__init__(f"{role} ended at its start with status {status}")
        self.status = status


class Supervisor:
    """Runs children until a signal. `children` start in order and stop in reverse; `on_start` runs once all are
    ready.
    """

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._sockets: list[socket.socket] = []
        self._stopping = False

    def begin(
        self,
        role: str,
        argv: Sequence[str],
        identity: Identity,
        environ: dict[str, str],
        *,
        descriptors: Sequence[int] = (),
        sockets: Sequence[socket.socket] = (),
        umask: int = PRIVATE,
        waits: bool = False,
        before: Callable[[], object] | None = None,
    ) -> Child:
        """Begin one more child; what was started is stopped again when it fails. `ready` is to follow.

        `sockets` are its bound listeners. They are kept here too: a restarted role gets the same ones, and who connects
        meanwhile waits instead of being refused.
        """
        self._sockets += sockets
        passed = (*descriptors, *(one.fileno() for one in sockets))
        child = Child(role, argv, identity, environ, descriptors=passed, umask=umask, waits=waits, before=before)
        self._children.append(child)
        try:
            child.begin()
        except BaseException:
            self.stop()
            raise
        return child

    def ready(self, child: Child) -> None:
        """Give the child its word and wait until it is ready; all are stopped when it fails. Raises as it does."""
        try:
            child.await_ready()
        except BaseException:
            self.stop()
            raise
        log.info("role:ready", role=child.role, pid=child.process.pid if child.process else 0)

    def run(self, on_start: Callable[[], None]) -> int:
        """Watch them until SIGTERM or SIGINT. Returns the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, self._forward)
        on_start()
        while not self._stopping:
            for child in self._children:
                self._look_after(child)
            time.sleep(LOOK_SECONDS)
        self.stop()
        return 0

    def stop(self) -> None:
        """End all of them, the doors first."""
        self._stopping = True
        for one in self._sockets:
            one.close()  # or connections would go on being taken for a door that drains
        for child in reversed(self._children):
            child.stop(DRAIN_SECONDS)

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        status = child.ended()
        if status is None or self._stopping:
            return
        if child.restart_at == 0.0:
            child.failures = 0 if now - child.started_at > STEADY_SECONDS else child.failures + 1
            child.restart_at = now + min(30.0, 0.3 * 2.0**child.failures)
            log.error("role:ended", role=child.role, status=status)
        elif now >= child.restart_at:
            child.restart_at = 0.0
            try:
                child.start(lambda: self._stopping)
                log.warning("role:restarted", role=child.role)
            except (GatewayError, OSError, ValueError):
                log.exception("role:failed", role=child.role)
                if not self._stopping:
                    child.stop(0.0)  # alive and not ready, nobody would look after it again

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _forward(self, number: int, frame: FrameType | None) -> None:
        for child in self._children:
            child.signal(number)


def python(*arguments: str) -> list[str]:
    """Command line of this very interpreter; isolated from the current folder and user site (-P -s)."""
    return [sys.executable, "-P", "-s", *arguments]
