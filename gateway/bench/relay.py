"""`sealgate bench relay`: the whole pipeline next to relays that do less, in rounds, so that noise meets all alike.

Every message goes through smtp, sealed spool, detection, decision, log and courier of the running product. Rates come
from smtp-source and smtp-sink; times of single messages from our own sender and sink, for all contenders the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.bench import contenders, letters
from gateway.bench.contenders import MIMEDEFANG, PLAIN, POSTFIX, SEALGATE, Contender
from gateway.bench.durable import syncs, waits
from gateway.bench.load import CountingSink, StampedSink, latencies, rate, throwaway, transfer
from gateway.bench.measure import Area, Figure, Peak, Spread, cpu_seconds, percentile, pss_bytes, say
from gateway.demo.ports import free_port
from gateway.errors import Misconfigured, TryLater

ROUND = 1_200
"""Messages of a round. Of 300, fifty connections made and a second of settling were a good part of what was counted: in
the same minutes 4.4 to 4.9 ms a message, and 3.9 with this."""
SLOW = 5
"""MIMEDefang gets so many times fewer messages: it is ten times slower, and the whole bench has ten minutes."""

SETTLE_SECONDS = 1.0
"""How long after the last message a tree's processor time is still counted: outcomes are committed in it."""


class _Bench:
    """One run and what it gathers: takings by figure and contender."""

    def __init__(self, quick: bool) -> None:
        self.quick = quick
        self.area = Area()
        self.taken: dict[str, dict[str, list[float]]] = {}

    def note(self, what: str, name: str, value: float) -> None:
        self.taken.setdefault(what, {}).setdefault(name, []).append(value)

    def figure(self, what: str, unit: str, floor: str = "", *, more: bool = True) -> None:
        found = self.taken.get(what)
        if found:
            values = {name: Spread.of(values) for name, values in found.items()}
            if self.quick:  # the label says the size that was sent
                what = what.replace("1 GB", "8 MB").replace("of 10 MB", "of 0.5 MB")
            self.area.figures.append(Figure(what, unit, values, floor, more))


PARTS = ("rates", "latency", "durable", "report", "large")


def run(*, quick: bool, only: str = "") -> Area:
    """All figures of this subcommand, or one of its `PARTS` and the memory when idle.

    Raises Misconfigured where Postfix's programs or aiosmtplib are missing.
    """
    bench = _Bench(quick)
    folder, next_port = throwaway(), free_port()
    running: list[Contender] = []
    try:
        running = contenders.start(folder, next_port, bench.area.notes)
        _warm(running, next_port, bench.area.notes)
        for one in running:
            bench.note(IDLE, one.name, pss_bytes(one.roots) / 1e6)
        if only in ("", "rates"):
            bare = contenders.sealgate(folder, next_port, detects=False)
            running.append(bare)
            for connections in (10, 50):
                _rates(bench, running, next_port, connections, bare)
            bare.stop()
            running.remove(bare)
        if only in ("", "latency"):
            _latency(bench, running, next_port)
        if only in ("", "durable"):
            _durable(bench, running, next_port)
        if only in ("", "report"):
            _sealed_report(bench, running, next_port)
        if only in ("", "large"):
            for one in running:
                if one.name != SEALGATE:
                    one.stop()
            _unread(bench, running[0], next_port)
            _huge(bench, running[0], next_port)
    finally:
        for one in running:
            one.stop()
        contenders.remove(folder)
    _figures(bench)
    return bench.area


IDLE = "memory (PSS) when idle"
P50, P99 = "5 KB clean, 10 connections: latency p50", "5 KB clean, 10 connections: latency p99"
CPU = "processor time of the whole tree per clean 5 KB message"
BARE_CPU = "the same, the detector's work left out"
REPORT = "20-page PDF of 10 MB with PHI, first byte in to last byte at the sink"
REPORT_CPU = "processor time of the whole tree per report of 10 MB, its text read"
UNREAD_CPU = "processor time of the whole tree per file of 10 MB that is sealed and has no text to read"
WAIT = "5 KB clean, 50 connections: end of data to 250, p99"
SYNCS = "syncs per message, 20 connections"
HUGE = {kind: f"1 GB {kind}" for kind in ("clean", "sealed")}


def _throughput(connections: int) -> str:
    return f"5 KB clean, {connections} connections"


def _warm(running: list[Contender], next_port: int, notes: list[str]) -> None:
    """A few messages through each; a relay of others that does not take them is left out."""
    with StampedSink(next_port) as sink:
        for one in list(running):
            try:
                latencies(one.port, sink, letters.minutes(), 2, 4)
            except TryLater as error:
                if one.name in (SEALGATE, PLAIN):
                    raise
                notes.append(f"{one.name} was left out: {error}")
                say(notes[-1])
                one.stop()
                running.remove(one)
    time.sleep(SETTLE_SECONDS)


def _rates(bench: _Bench, running: list[Contender], next_port: int, connections: int, bare: Contender) -> None:
    """`bare` is measured in turns with the others, for its processor time alone."""
    letter = letters.minutes()
    rounds, count = (1, connections) if bench.quick else (3, ROUND)
    with CountingSink(next_port) as sink:
        for number in range(rounds):
            for one in running:
                sent = max(connections, count // SLOW) if one.name == MIMEDEFANG else count
                before = cpu_seconds(one.roots)
                found = rate(one.port, sink, letter, connections, sent)
                time.sleep(SETTLE_SECONDS)
                spent = (cpu_seconds(one.roots) - before) / sent * 1000
                name = "without detection" if one is bare else one.name
                if one is bare:
                    bench.note(BARE_CPU, SEALGATE, spent)
                else:
                    bench.note(_throughput(connections), one.name, found)
                    bench.note(CPU, one.name, spent)
                say(f"{connections} connections, round {number + 1}: {name} {found:.0f} msgs/s, {spent:.1f} ms CPU")


def _latency(bench: _Bench, running: list[Contender], next_port: int) -> None:
    letter = letters.minutes()
    rounds, each = (1, 2) if bench.quick else (2, 25)
    with StampedSink(next_port) as sink:
        for _ in range(rounds):
            for one in running:
                turns = max(2, each // SLOW) if one.name == MIMEDEFANG else each
                found = [value * 1000 for value in latencies(one.port, sink, letter, 10, turns)]
                bench.note(P50, one.name, percentile(found, 0.5))
                bench.note(P99, one.name, percentile(found, 0.99))
                say(f"latency: {one.name} p99 {percentile(found, 0.99):.0f} ms")


def _durable(bench: _Bench, running: list[Contender], next_port: int) -> None:
    letter = letters.minutes()
    rounds, each, count = (1, 1, 20) if bench.quick else (2, 6, 300)
    with CountingSink(next_port) as sink:
        for _ in range(rounds):
            for one in running:
                if one.name != MIMEDEFANG:  # fifty of its answers take longer than everything else here
                    bench.note(WAIT, one.name, percentile(waits(one.port, sink, letter, 50, each), 0.99) * 1000)
        for one in running:
            if one.name in (SEALGATE, PLAIN):  # Postfix's own user may not be traced everywhere
                try:
                    bench.note(SYNCS, one.name, syncs(one.roots, one.port, sink, letter, 20, count))
                except Misconfigured as error:
                    bench.area.notes.append(f"syncs were not counted: {error}")
                    break


def _sealed_report(bench: _Bench, running: list[Contender], next_port: int) -> None:
    letter = letters.report_letter(letters.report(bytes_wanted=500_000 if bench.quick else 10_000_000))
    with StampedSink(next_port) as sink:
        for number in range(1 if bench.quick else 4):
            for one in running:
                if one.name == MIMEDEFANG and number > 1:
                    continue
                before = cpu_seconds(one.roots)
                seconds, arrival = transfer(one.port, sink, letter)
                if one.name in (SEALGATE, MIMEDEFANG) and arrival.size_bytes > letter.size_bytes / 2:
                    raise TryLater(f"{one.name} let the report through as it came")
                through = letter.size_bytes / 1e6 / seconds
                bench.note(REPORT, one.name, through)
                time.sleep(SETTLE_SECONDS)
                bench.note(REPORT_CPU, one.name, (cpu_seconds(one.roots) - before) * 1000)
                say(f"report of {letter.size_bytes / 1e6:.1f} MB: {one.name} {through:.1f} MB/s")


def _unread(bench: _Bench, ours: Contender, next_port: int) -> None:
    """A file that nobody can read goes the whole way but for the extraction of its text: storing, sealing, the link."""
    letter = letters.large(letters.PATIENT, 500_000 if bench.quick else 10_000_000)
    with StampedSink(next_port) as sink:
        for _ in range(1 if bench.quick else 5):
            before = cpu_seconds(ours.roots)
            _seconds, arrival = transfer(ours.port, sink, letter)
            if arrival.size_bytes > letter.size_bytes / 2:
                raise TryLater("the file was let through as it came")
            time.sleep(SETTLE_SECONDS)
            bench.note(UNREAD_CPU, ours.name, (cpu_seconds(ours.roots) - before) * 1000)
        say(f"file without text: {bench.taken[UNREAD_CPU][ours.name][-1]:.0f} ms CPU")


def _huge(bench: _Bench, ours: Contender, next_port: int) -> None:
    """A gigabyte as it is (within the clinic), and sealed (to somebody outside; nobody can read such a file)."""
    size = 8_000_000 if bench.quick else 1_000_000_000
    wanted: tuple[tuple[str, str, Callable[[int], bool]], ...] = (
        ("clean", letters.INSIDE, lambda arrived: arrived > size / 2),
        ("sealed", letters.PATIENT, lambda arrived: arrived < 1_000_000),
    )
    with StampedSink(next_port) as sink:
        for kind, recipient, holds in wanted:
            letter = letters.large(recipient, size)
            idle = pss_bytes(ours.roots)
            with Peak(ours.roots) as peak:
                seconds, arrival = transfer(ours.port, sink, letter)
                time.sleep(SETTLE_SECONDS)
            if not holds(arrival.size_bytes):
                raise TryLater(f"the large message was not {kind}")
            bench.note(HUGE[kind] + ": time", ours.name, seconds)
            bench.note(HUGE[kind] + ": memory above idle", ours.name, max(0, peak.bytes - idle) / 1e6)
            say(f"large, {kind}: {seconds:.1f} s, {(peak.bytes - idle) / 1e6:.0f} MB above idle")


def _figures(bench: _Bench) -> None:
    bench.figure(_throughput(10), "msgs/s")
    bench.figure(_throughput(50), "msgs/s", f"≥ 2 × {PLAIN}, 1.2 × {POSTFIX}, 5 × {MIMEDEFANG}")
    for what in (P50, P99):
        bench.figure(what, "ms", more=False)
    bench.figure(WAIT, "ms", f"≤ {POSTFIX}'s", more=False)
    bench.figure(SYNCS, "", "≤ 1", more=False)
    bench.figure(CPU, "ms", "≤ 2 ms", more=False)
    bench.figure(BARE_CPU, "ms", "≤ 1 ms", more=False)
    bench.figure(IDLE, "MB", more=False)
    bench.figure(REPORT, "MB/s", f"≥ 8 × {PLAIN}, 2 × {MIMEDEFANG}")
    bench.figure(REPORT_CPU, "ms", more=False)
    bench.figure(UNREAD_CPU, "ms", "≤ 120 ms", more=False)
    for kind in HUGE.values():
        bench.figure(kind + ": time", "s", more=False)
        bench.figure(kind + ": memory above idle", "MB", "≤ 96 MB", more=False)
