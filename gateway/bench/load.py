"""Load and sinks: Postfix's smtp-source and smtp-sink for rates; a sender and a sink of our own for times.

Promises: loopback only; every process that was started here is ended here.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from gateway.bench import letters
from gateway.bench.letters import SENDER, Letter
from gateway.errors import Misconfigured, TryLater

PATIENCE_SECONDS = 120.0
_COUNT = re.compile(rb"mesg=(\d+)")


def program(name: str, package: str = "postfix") -> str:
    """Where a program lies. Raises Misconfigured when it is not installed."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        raise Misconfigured(f"{name} is not installed: apt-get install {package}")
    return found


class _Sink:
    """A sink in a process of its own, and a thread that reads what it prints."""

    def __init__(self, port: int, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
        assert self._process.stdout is not None
        self._thread = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._thread.start()
        try:
            wait_for_port(port)
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def _read(self, out: IO[bytes]) -> None:
        raise AssertionError("a sink says how it is read")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(5)
        if self._process.stdout is not None:
            self._process.stdout.close()


class CountingSink(_Sink):
    """smtp-sink: how many messages it took, and when the last one was taken."""

    def __init__(self, port: int) -> None:
        self._changed = threading.Condition()
        self.count = 0
        self.at = 0.0
        as_nobody = ["-u", "nobody"] if os.geteuid() == 0 else []  # it refuses to run as root
        super().__init__(port, [program("smtp-sink"), *as_nobody, "-c", f"127.0.0.1:{port}", "1000"])

    def _read(self, out: IO[bytes]) -> None:
        while piece := os.read(out.fileno(), 65536):
            at, found = time.monotonic(), _COUNT.findall(piece)
            with self._changed:
                if found and int(found[-1]) != self.count:
                    self.count, self.at = int(found[-1]), at
                    self._changed.notify_all()

    def wait_for(self, count: int) -> float:
        """When that many had arrived (monotonic seconds). Raises TryLater."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.count >= count, PATIENCE_SECONDS):
                raise TryLater(f"only {self.count} of {count} messages arrived at the sink")
            return self.at


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message at the stamped sink: its stamp, when its last byte came (monotonic), length, its link."""

    stamp: str
    at: float
    size_bytes: int
    link: str


class StampedSink(_Sink):
    """Our own sink, in a process of its own: one Arrival for each message."""

    def __init__(self, port: int) -> None:
        self.arrivals: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        super().__init__(port, [sys.executable, "-s", "-m", "gateway.bench.sink", str(port)])

    def _read(self, out: IO[bytes]) -> None:
        for line in out:
            self.arrivals.put(Arrival(**json.loads(line)))

    def take(self) -> Arrival:
        """The next message. Raises TryLater when none comes."""
        try:
            return self.arrivals.get(timeout=PATIENCE_SECONDS)
        except queue.Empty:
            raise TryLater("a message did not arrive at the sink") from None


def rate(port: int, sink: CountingSink, letter: Letter, connections: int, count: int) -> float:
    """Messages a second from smtp-source's start to the last byte of the last message at the sink.

    Each goes to a recipient of its own (`-N`), and each call has its own Message-ID: the gateway sends the same
    message to the same recipient once only.
    """
    goal = sink.count + count
    with tempfile.NamedTemporaryFile(prefix="sealgate-bench-", suffix=".eml") as file:
        text = b"".join(letter.pieces("0")).replace(b"\r\n", b"\n")
        file.write(text.replace(letters.MESSAGE_ID, uuid.uuid4().hex.encode()))
        file.flush()
        started = time.monotonic()
        done = subprocess.run(
            [program("smtp-source"), "-d", "-N", "-s", str(connections), "-m", str(count), "-f", SENDER, "-t",
             letter.recipient,
             "-F", file.name, f"127.0.0.1:{port}"],
            capture_output=True, timeout=PATIENCE_SECONDS, check=False,
        )  # fmt: skip
    if done.returncode:
        raise TryLater(f"smtp-source ended with {done.returncode}: {done.stderr[-200:].decode(errors='replace')}")
    return count / (sink.wait_for(goal) - started)


class Sender:
    """One SMTP connection that sends letters as fast as they are taken. Raises TryLater for a refusal."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._replies = self._socket.makefile("rb")
        self.waited = 0.0
        """Seconds from the last message's end of data to its 250."""
        self._expect(b"220")
        self._ask(b"EHLO bench.test", b"250")

    def send(self, letter: Letter, stamp: str = "") -> float:
        """Send one; when its first byte went out (monotonic seconds). The stamp is that time when none is given."""
        started = time.monotonic()
        self._ask(b"MAIL FROM:<%s>" % SENDER.encode(), b"250")
        self._ask(b"RCPT TO:<%s>" % letter.recipient.encode(), b"250")
        self._ask(b"DATA", b"354")
        for piece in letter.pieces(stamp or repr(started)):
            self._socket.sendall(piece)
        ended = time.monotonic()
        self._ask(b".", b"250")
        self.waited = time.monotonic() - ended
        return started

    def close(self) -> None:
        """Say goodbye."""
        try:
            self._ask(b"QUIT", b"221")
        finally:
            self._replies.close()
            self._socket.close()

    def _ask(self, line: bytes, code: bytes) -> None:
        self._socket.sendall(line + b"\r\n")
        self._expect(code)

    def _expect(self, code: bytes) -> None:
        while True:
            line = self._replies.readline(4096)
            if not line.startswith(code):
                raise TryLater(f"the server said {line[:80]!r}")
            if line[3:4] != b"-":
                return


def latencies(port: int, sink: StampedSink, letter: Letter, connections: int, each: int) -> list[float]:
    """Seconds from each message's MAIL to its last byte at the sink, over connections that wait for their 250."""

    def one(_: int) -> None:
        sender = Sender(port)
        for _turn in range(each):
            sender.send(letter)
        sender.close()

    pool = ThreadPoolExecutor(connections)
    try:
        list(pool.map(one, range(connections)))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    arrivals = [sink.take() for _ in range(connections * each)]
    return [arrival.at - float(arrival.stamp) for arrival in arrivals]


def transfer(port: int, sink: StampedSink, letter: Letter) -> tuple[float, Arrival]:
    """Seconds from a message's first byte in to its last byte at the sink, and what arrived there."""
    sender = Sender(port)
    started = sender.send(letter)
    sender.close()
    arrival = sink.take()
    return arrival.at - started, arrival


def wait_for_port(port: int, seconds: float = 30.0) -> None:
    """Until something listens there. Raises TryLater."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise TryLater("a server of the benchmark did not start") from None
            time.sleep(0.05)


def end(process: subprocess.Popen[Any], seconds: float = 10.0) -> None:
    """End a process that was started here, and wait for it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


THROWAWAY = "sealgate-bench-"
"""How the name of a folder of `throwaway` begins."""


def throwaway() -> Path:
    """A new folder for one run; the caller removes it."""
    return Path(tempfile.mkdtemp(prefix=THROWAWAY))
