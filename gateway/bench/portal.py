"""`sealgate bench portal`: downloads through the running portal next to uvicorn and Starlette sending the same file.

A download of ours is a guarded request, a release by the keyholder with its receipt, an entry committed before the
first byte, and decryption with every segment verified. The reference answers the same bytes from memory and from disk.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from urllib.parse import urlsplit

from gateway.bench import contenders, letters
from gateway.bench.load import StampedSink, end, throwaway, transfer, wait_for_port
from gateway.bench.measure import Area, Figure, Spread, percentile, say
from gateway.demo.clinic import PEOPLE, Clinic
from gateway.demo.ports import free_port
from gateway.demo.visitor import Page, Visitor
from gateway.errors import TryLater

OURS, MEMORY, DISK = "Sealgate", "uvicorn from memory", "uvicorn from disk"
CLIENTS = (1, 10, 50)
_FILE = re.compile(r'href="([^"]*/files/obj_[^"/?]+)"')
_CODE = re.compile(r"\b(\d{6})\b")

Target = tuple[str, dict[str, str]]
"""A URL and the fields that a request for it carries."""

Way = tuple[str, list[Target]]
"""A contender's name, and what its clients ask for in turn: ours takes so many requests a minute for one link."""


def run(*, quick: bool) -> Area:
    """All figures of this subcommand. Raises TryLater when a part does not start."""
    folder, next_port = throwaway(), free_port()
    clinic: Clinic | None = None
    server: subprocess.Popen[bytes] | None = None
    try:
        ours = contenders.sealgate(folder, next_port)
        clinic = ours.clinic
        assert clinic is not None
        pdf = letters.report(bytes_wanted=500_000 if quick else 10_000_000)
        area = Area()
        with StampedSink(next_port) as sink:
            walks, targets = [], list[Target]()
            for _ in range(1 if quick else 3):
                _seconds, arrival = transfer(ours.port, sink, letters.report_letter(pdf))
                if not arrival.link:
                    raise TryLater("the benchmark's mail came without a link")
                visitor, page, seconds = walk(clinic, arrival.link)
                walks.append(seconds * 1000)
                targets.append(file_of(clinic, visitor, page))
                say(f"portal: open, code, read in {seconds * 1000:.0f} ms")
        place = folder / "file"
        place.write_bytes(pdf)
        port = free_port()
        server = subprocess.Popen(
            [sys.executable, "-s", "-m", "gateway.bench.fileserver", str(port), str(place)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        wait_for_port(port)
        ways: list[Way] = [
            (OURS, targets),
            (MEMORY, [(f"http://127.0.0.1:{port}/memory", {})]),
            (DISK, [(f"http://127.0.0.1:{port}/disk", {})]),
        ]
        for clients in CLIENTS:
            area.figures += _downloads(ways, clients, len(pdf), quick)
        area.figures.append(_figure("whole walk: open, ask for a code, type it, read", "ms", {OURS: walks}, more=False))
        if quick:
            area.notes.append("quick: the file was of 0.5 MB")
        return area
    finally:
        if server is not None:
            end(server)
        if clinic is not None:
            clinic.stop()
        shutil.rmtree(folder, ignore_errors=True)


def file_of(clinic: Clinic, visitor: Visitor, page: Page) -> Target:
    found = _FILE.search(page.text)
    if found is None:
        raise TryLater("the benchmark's message shows no file")
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in visitor.jar)
    return f"{clinic.portal}{urlsplit(found[1]).path}", {"Cookie": cookies}


def files_of(clinic: Clinic, visitor: Visitor, page: Page) -> list[Target]:
    """Every file of the page."""
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in visitor.jar)
    found = sorted(set(_FILE.findall(page.text)))
    return [(f"{clinic.portal}{urlsplit(one).path}", {"Cookie": cookies}) for one in found]


def walk(clinic: Clinic, link: str, who: str = letters.PATIENT) -> tuple[Visitor, Page, float]:
    """Open a link as its recipient does; the page that shows the message, and the seconds that the answers took."""
    phone = {address: number for address, _, number, _ in PEOPLE}[who]
    before = sum(text["to"] == phone for text in clinic.texts())
    visitor = Visitor()
    started = time.monotonic()
    asked = visitor.submit(visitor.get(link), "/code", last4=phone[-4:])
    text = clinic.wait_for_text(phone, before + 1)
    code = _CODE.search(text)
    if code is None:
        raise TryLater("the benchmark's text came without a code")
    page = visitor.submit(asked, "/verify", code=code[1])
    seconds = time.monotonic() - started
    if page.status != 200:
        raise TryLater(f"the portal answered {page.status} to the right code")
    return visitor, page, seconds


def _downloads(ways: list[Way], clients: int, size: int, quick: bool) -> list[Figure]:
    whole: dict[str, list[float]] = {}
    rate: dict[str, list[float]] = {}
    p50: dict[str, list[float]] = {}
    p99: dict[str, list[float]] = {}
    rounds = 1 if quick else 2
    for _ in range(rounds):
        for way in ways:
            count = max(clients, 2 if quick else 12)
            times, seconds = _together(way, clients, count, size, {})
            whole.setdefault(way[0], []).append(len(times) * size / 1e6 / seconds)
            times, seconds = _together(way, clients, clients * (1 if quick else 3), 1024, {"Range": "bytes=0-1023"})
            rate.setdefault(way[0], []).append(len(times) / seconds)
            p50.setdefault(way[0], []).append(percentile(times, 0.5) * 1000)
            p99.setdefault(way[0], []).append(percentile(times, 0.99) * 1000)
    say(f"portal, {clients} clients: {whole[OURS][-1]:.0f} MB/s, {rate[OURS][-1]:.0f} requests/s")
    who = f"{clients} client{'s' if clients > 1 else ''}"
    return [
        _figure(f"downloads of the report, {who}", "MB/s", whole),
        _figure(f"openings of its first KiB, {who}", "requests/s", rate),
        _figure(f"openings of its first KiB, {who}: p50", "ms", p50, more=False),
        _figure(f"openings of its first KiB, {who}: p99", "ms", p99, more=False),
    ]


def _together(way: Way, clients: int, count: int, size: int, more: dict[str, str]) -> tuple[list[float], float]:
    """Seconds of each request, and of all: `count` of them by that many clients, each over one kept connection."""
    _name, targets = way
    turns = [count // clients + (number < count % clients) for number in range(clients)]

    def client(number: int, turn: int) -> list[float]:
        url, fields = targets[number % len(targets)]
        parts = urlsplit(url)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=120)
        times = []
        try:
            for _ in range(turn):
                started = time.perf_counter()
                connection.request("GET", parts.path, headers={**fields, **more})
                answer = connection.getresponse()
                got = 0
                while piece := answer.read(1 << 18):
                    got += len(piece)
                if answer.status not in (200, 206) or got != size:
                    raise TryLater(f"a download of the benchmark answered {answer.status} with {got} bytes")
                times.append(time.perf_counter() - started)
        finally:
            connection.close()
        return times

    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        times = [seconds for found in pool.map(client, range(clients), turns) for seconds in found]
    return times, time.perf_counter() - started


def _figure(what: str, unit: str, taken: dict[str, list[float]], *, more: bool = True) -> Figure:
    return Figure(what, unit, {name: Spread.of(values) for name, values in taken.items()}, more_is_better=more)
