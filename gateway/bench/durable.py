"""What durability costs: how long the answer to a message takes, and how many syncs a message needs.

A 250 says that the message is durable, so its time is the disk's and the batch's; syncs are counted by strace in every
process of a contender's tree, its duties' own among them.
"""

from __future__ import annotations

import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gateway.bench.letters import Letter
from gateway.bench.load import CountingSink, Sender, rate
from gateway.bench.measure import tree_of
from gateway.errors import Misconfigured, TryLater

_CALLS = "fsync,fdatasync,syncfs,sync_file_range,sync"
_SYNC = re.compile(rb"\b(?:fsync|fdatasync|syncfs|sync_file_range|sync)\(")
_ATTACH_SECONDS = 10.0


def waits(port: int, sink: CountingSink, letter: Letter, connections: int, each: int) -> list[float]:
    """Seconds from each message's last byte to its 250, over that many connections at once. Raises TryLater."""
    goal = sink.count + connections * each

    def one(_: int) -> list[float]:
        sender = Sender(port)
        found = []
        for _turn in range(each):
            sender.send(letter)
            found.append(sender.waited)
        sender.close()
        return found

    with ThreadPoolExecutor(connections) as pool:
        taken = [value for found in pool.map(one, range(connections)) for value in found]
    sink.wait_for(goal)
    return taken


def syncs(roots: Sequence[int], port: int, sink: CountingSink, letter: Letter, connections: int, count: int) -> float:
    """Calls a message that make something durable, until the message is at the sink.

    Raises Misconfigured where strace is missing or may not look at these processes.
    """
    with tempfile.NamedTemporaryFile(prefix="sealgate-bench-", suffix=".strace") as file:
        which = [word for pid in tree_of(roots) for word in ("-p", str(pid))]
        try:
            watch = subprocess.Popen(
                ["strace", "-f", "-qq", "-e", f"trace={_CALLS}", "-e", "signal=none", "-o", file.name, *which],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except FileNotFoundError as error:
            raise Misconfigured("strace is not installed: apt-get install strace") from error
        try:
            _attached(watch, roots)
            rate(port, sink, letter, connections, count)
        finally:
            watch.send_signal(signal.SIGINT)
            watch.wait(10)
        return len(_SYNC.findall(Path(file.name).read_bytes())) / count


def _attached(watch: subprocess.Popen[bytes], roots: Sequence[int]) -> None:
    """Until every thread of the trees is being traced by it."""
    deadline = time.monotonic() + _ATTACH_SECONDS
    while {_tracer(thread) for pid in tree_of(roots) for thread in _threads(pid)} - {watch.pid, None}:
        if watch.poll() is not None or time.monotonic() > deadline:
            raise TryLater("strace may not look at the processes")
        time.sleep(0.05)


def _threads(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _tracer(thread: Path) -> int | None:
    """Who traces it, proc(5); 0 for nobody yet, None for what has ended meanwhile."""
    try:
        text = (thread / "status").read_text()
    except OSError:
        return None
    return int(text.partition("TracerPid:")[2].split()[0])
