"""Part of `sealgate bench vault`: large files out of the running portal, next to nginx sending the plain file.

The object came in by mail and was sealed by the product. Eight readers that download it without end are a process of
their own; what is measured beside them is another client's. A stalled reader asked for the file, took its first bytes
and no more.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from gateway.bench import budget, contenders, letters
from gateway.bench.load import StampedSink, end, program, transfer, wait_for_port
from gateway.bench.measure import Figure, Spread, percentile, pss_bytes, say
from gateway.bench.portal import Target, file_of, walk
from gateway.bench.readers import fetch
from gateway.demo.ports import free_port
from gateway.errors import Misconfigured, TryLater
from keys.client import PortalClient

OURS, NGINX, ALONE = "Sealgate", "nginx, the plain file", "Sealgate with no download"
DOWNLOADS, STALLED, SETTLE_SECONDS = 8, 20, 2.0
HEALTH_SECONDS = 0.12  # one network has 600 a minute
_NGINX = """daemon off; master_process off; worker_processes 1; pid {home}/pid; error_log {home}/error;
events {{ worker_connections 64; }}
http {{ access_log off; sendfile on; tcp_nopush on; client_body_temp_path {home}/b; proxy_temp_path {home}/p;
fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
server {{ listen 127.0.0.1:{port}; root {root}; }} }}
"""


def through_the_portal(folder: Path, *, quick: bool) -> tuple[list[Figure], list[str]]:
    """The figures and what has to be said beside them. Raises TryLater when a part does not start."""
    size = 8_000_000 if quick else 1_000_000_000
    next_port = free_port()
    ours = contenders.sealgate(folder, next_port, budgets=True)
    plain: subprocess.Popen[bytes] | None = None
    notes: list[str] = []
    try:
        assert ours.clinic is not None
        with StampedSink(next_port) as sink:
            _, arrival = transfer(ours.port, sink, letters.large(letters.PATIENT, size))
            visitor, page, _ = walk(ours.clinic, arrival.link)
            target = file_of(ours.clinic, visitor, page)
            spent = budget.figure(ours, sink, target, ours.clinic.data, quick=quick)
        length, _, _ = fetch(target[0], target[1]["Cookie"])
        targets: dict[str, Target] = {OURS: target}
        try:
            plain, targets[NGINX] = _nginx(folder, length)
        except Misconfigured as error:
            notes.append(f"nginx is left out: {error}")
        figures = [_rate(targets, length, 1 if quick else 5)]
        figures += _beside(target, ours.clinic.portal, 1.0 if quick else 20.0)
        figures.append(_stalled(target, ours.roots, *((2, 0.1) if quick else (STALLED, SETTLE_SECONDS))))
        figures.append(_releases(ours.clinic.data, target, 5 if quick else 100))
        figures.append(spent)
        if quick:
            notes.append("quick: the file through the portal was of 8 MB")
        return figures, notes
    finally:
        if plain is not None:
            end(plain)
        ours.stop()


def _nginx(folder: Path, length: int) -> tuple[subprocess.Popen[bytes], Target]:
    found = program("nginx", "nginx-light")
    home, root, port = folder / "nginx", folder / "nginx" / "root", free_port()
    root.mkdir(parents=True)
    with open(root / "file", "wb") as out:
        block = bytes(range(256)) * 4096
        for at in range(0, length, len(block)):
            out.write(block[: length - at])
    (home / "nginx.conf").write_text(_NGINX.format(home=home, root=root, port=port))
    server = subprocess.Popen(
        [found, "-e", str(home / "error"), "-p", str(home), "-c", str(home / "nginx.conf")],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        wait_for_port(port)
    except BaseException:
        end(server)
        raise
    return server, (f"http://127.0.0.1:{port}/file", {"Cookie": ""})


def _rate(targets: dict[str, Target], length: int, rounds: int) -> Figure:
    taken: dict[str, list[float]] = {name: [] for name in targets}
    for _ in range(rounds):
        for name, (url, fields) in targets.items():
            got, _, seconds = fetch(url, fields["Cookie"])
            if got != length:
                raise TryLater("two files of the benchmark have two lengths")
            taken[name].append(length / 1e6 / seconds)
    say(f"vault, through the portal: {taken[OURS][-1]:.0f} MB/s")
    what = f"a file of {length / 1e9:.1g} GB through the portal, one client"
    return Figure(what, "MB/s", _spreads(taken), f"≥ 0.2 × {NGINX}")


def _beside(target: Target, portal: str, seconds: float) -> list[Figure]:
    """/healthz and a ninth client's first byte while eight others download; the same while nobody does."""
    url, cookie = target[0], target[1]["Cookie"]
    alone_health, alone_first = _asked(target, portal, seconds / 2)
    readers = subprocess.Popen(
        [sys.executable, "-s", "-m", "gateway.bench.readers", str(DOWNLOADS)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True, text=True,
    )  # fmt: skip
    assert readers.stdin is not None
    try:
        readers.stdin.write(f"{url}\n{cookie}\n")
        readers.stdin.flush()
        time.sleep(min(1.0, seconds / 4))
        health, first = _asked(target, portal, seconds)
    finally:
        readers.stdin.close()
        end(readers, 5)
    say(
        f"vault, beside eight downloads: /healthz p99 {percentile(health, 0.99):.0f} ms, first byte {max(first):.0f} ms"
    )
    beside = f"beside {DOWNLOADS} downloads at full speed"
    return [
        Figure(
            f"/healthz, p99, {beside}",
            "ms",
            {OURS: Spread.of([percentile(health, 0.99)]), ALONE: Spread.of([percentile(alone_health, 0.99)])},
            "≤ 50 ms",
            False,
        ),
        Figure(
            f"a ninth client's first byte, {beside}",
            "ms",
            {OURS: Spread.of(first), ALONE: Spread.of(alone_first)},
            "≤ 100 ms",
            False,
        ),
    ]


def _asked(target: Target, portal: str, seconds: float) -> tuple[list[float], list[float]]:
    """Milliseconds to the end of /healthz, and to the first byte of the file."""
    url, cookie = target[0], target[1]["Cookie"]
    health: list[float] = []
    first: list[float] = []
    until = time.perf_counter() + seconds
    while not health or time.perf_counter() < until:
        if len(health) % 8 == 0:  # a link has so many requests a minute
            first.append(fetch(url, cookie, "Range: bytes=0-1023\r\n")[1] * 1000)
        health.append(fetch(f"{portal}/healthz", "")[2] * 1000)
        time.sleep(HEALTH_SECONDS)
    return health, first


def _stalled(target: Target, roots: list[int], count: int, settle_seconds: float) -> Figure:
    """Memory that a reader costs who asked, read a little and stopped."""
    parts = urlsplit(target[0])
    lines: list[socket.socket] = []
    time.sleep(settle_seconds)
    before = pss_bytes(roots)
    try:
        for _ in range(count):
            line = socket.socket()
            lines.append(line)
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            line.connect(("127.0.0.1", parts.port or 80))
            fields = f"Host: {parts.netloc}\r\nCookie: {target[1]['Cookie']}\r\n"
            line.sendall(f"GET {parts.path} HTTP/1.1\r\n{fields}\r\n".encode())
            line.recv(1000)
        time.sleep(settle_seconds)
        each = max(0, pss_bytes(roots) - before) / count / 1e6
    finally:
        for line in lines:
            line.close()
    say(f"vault, a stalled reader: {each:.2f} MB")
    return Figure("memory for each stalled reader", "MB", {OURS: Spread.of([each])}, "≤ 4 MB", False)


def _releases(data: Path, target: Target, count: int) -> Figure:
    """One first release at the keyholder: its record durable, the share and its receipt here."""
    (place,) = data.rglob("portal.sock")
    keyholder = PortalClient(place)
    parts = urlsplit(target[0]).path.split("/")
    cookies = dict(one.strip().split("=", 1) for one in target[1]["Cookie"].split(";"))
    handle = next(value for name, value in cookies.items() if name.removeprefix("__Host-").startswith("session-"))
    times = []
    try:
        for number in range(count):
            purpose = "bench-" + "".join("abcdefghij"[int(digit)] for digit in str(number))
            started = time.perf_counter()
            keyholder.release(handle, f"lnk_{parts[2]}", parts[4], purpose, f"req_bench{number}")
            times.append((time.perf_counter() - started) * 1000)
    finally:
        keyholder.close()
    say(f"vault, one release: {percentile(times, 0.5):.2f} ms")
    return Figure("one release by the keyholder, durable", "ms", {OURS: Spread.of(times)}, "≤ 3 ms", False)


def openssl_speed(seconds: int) -> float:
    """MB/s of `openssl speed` for AES-256-GCM in pieces of a segment, by the clock. Raises Misconfigured without it."""
    command = [program("openssl", "openssl"), "speed", "-mr", "-elapsed", "-evp", "aes-256-gcm", "-bytes", "262144"]
    answer = subprocess.run(
        [*command, "-seconds", str(seconds)], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    return float(next(line for line in answer.splitlines() if line.startswith("+F:")).split(":")[3]) / 1e6


def _spreads(taken: dict[str, list[float]]) -> dict[str, Spread]:
    return {name: Spread.of(values) for name, values in taken.items()}


__all__ = ["openssl_speed", "through_the_portal"]
