"""Figures for a monitoring system, on a listener of their own: queues, ages, outcomes, latencies, refusals, log, disk.

Promises: off unless set; a registry of our own, so that nothing is shown which is not named here; no label holds an id,
an address, a tenant or anything that somebody typed: labels are fixed words of ours. A figure that cannot be had is
left out and `sealgate_scrape_ok` is 0; asking is answered from what was found within the last second, so asking often
costs little. Read-only: a scrape writes nothing. Clauses: DESIGN §1.2, §8; Prometheus text format 0.0.4.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, func, select

from gateway.audit.event import OUTCOMES, SYSTEM, Action
from gateway.clock import Clock
from gateway.errors import Misconfigured, TryLater
from gateway.logs import Log
from gateway.settingtypes import Endpoint
from gateway.spool import doors, health
from gateway.spool.reader import SpoolReader
from gateway.store import schema, waiting
from gateway.store.database import Store

log = Log("gateway.metrics")
FRESH_SECONDS = 1.0
PATH = "/metrics"
_LATENCY_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 21_600, 86_400)
_KEYHOLDER_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_ACTIONS = frozenset(str(action) for action in Action)
_PAGE = 5000


@dataclass(frozen=True, slots=True)
class Parts:
    """What is looked at. `folders` are measured for free room, by fixed names; `sign` is the worker's last word.

    Queues are those of this `node`; the logs are the installation's; `doors` is what the smtp process counted, or None.
    """

    store: Store
    spools: Mapping[str, SpoolReader]
    folders: Mapping[str, Path]
    sign: Callable[[], health.Health]
    clock: Clock
    node: str
    doors: Callable[[], doors.Doors | None] = lambda: None


class Figures(Collector):
    """Collects at each scrape. `observe_keyholder` is told how long the keyholder took, in seconds."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        self._at = 0.0
        self._found: list[Metric] = []
        self._events: Counter[tuple[str, str]] = Counter()
        self._sizes: dict[str, int] | None = None
        self._seen: dict[str, dict[str, float]] = {name: {} for name in parts.spools}
        self.registry = CollectorRegistry(auto_describe=False)
        self._delivered = Histogram(
            "sealgate_delivery_seconds", "From acceptance to the smarthost's answer.", registry=self.registry,
            buckets=_LATENCY_BUCKETS,
        )  # fmt: skip
        self._keyholder = Histogram(
            "sealgate_keyholder_seconds", "How long the keyholder took to answer a call.", registry=self.registry,
            buckets=_KEYHOLDER_BUCKETS,
        )  # fmt: skip
        self._keyholder_up = 0.0
        self.registry.register(self)

    def observe_keyholder(self, seconds: float | None) -> None:
        """One call: how long it took, or None when it was not answered."""
        self._keyholder_up = 0.0 if seconds is None else 1.0
        if seconds is not None:
            self._keyholder.observe(seconds)

    def text(self) -> bytes:
        """All figures in the text format."""
        with self._lock:
            if time.monotonic() - self._at >= FRESH_SECONDS:
                self._found = self._look()
                self._at = time.monotonic()
        return generate_latest(self.registry)

    def collect(self) -> Iterable[Metric]:
        """For the registry: what the last look found."""
        return self._found

    def _look(self) -> list[Metric]:
        found = [*self._health(), *self._smtp(), *self._spool(), *self._disk()]
        try:
            with self._parts.store.reading() as conn:
                found += [*self._queues(conn), *self._log(conn)]
            ok = 1.0
        except TryLater:
            ok = 0.0
        found.append(_gauge("sealgate_scrape_ok", "1 when the database could be asked.", ok))
        events = CounterMetricFamily(
            "sealgate_events", "Entries of the logs since this process started.", labels=["action", "outcome"]
        )
        for (action, outcome), count in sorted(self._events.items()):
            events.add_metric([action, outcome], count)
        return [*found, events]

    def _health(self) -> Iterable[Metric]:
        sign = self._parts.sign()
        healthy = GaugeMetricFamily(
            "sealgate_healthy", "1 while mail can be taken; 0 with the first check that says no.", labels=["check"]
        )
        healthy.add_metric([sign.reason if not sign.ok else ""], 1.0 if sign.ok else 0.0)
        yield healthy
        age = max(0.0, (self._parts.clock.now_us() - sign.time_us) / 1e6) if sign.time_us else 0.0
        yield _gauge("sealgate_sign_of_life_age_seconds", "Since the worker last looked after itself.", age)
        room = self._parts.store.room.whole
        yield _gauge("sealgate_reserve_whole", "0 while the room put by on the database's disk is in use.", float(room))

    def _smtp(self) -> Iterable[Metric]:
        """Of the two roles without a listener: what smtp counted, and whether the keyholder answers."""
        yield _gauge("sealgate_keyholder_up", "1 while the keyholder answers.", self._keyholder_up)
        found = self._parts.doors()
        yield _gauge("sealgate_smtp_up", "1 while the smtp process leaves its figures.", float(found is not None))
        if found is None:
            return
        yield _gauge("sealgate_smtp_connections", "Open SMTP connections.", found.connections)
        answers = CounterMetricFamily(
            "sealgate_smtp_answers", "Messages accepted, answers 5xx and 4xx, since smtp started.", labels=["kind"]
        )
        for kind, count in (("accepted", found.accepted), ("refused", found.refused), ("later", found.later)):
            answers.add_metric([kind], count)
        yield answers

    def _spool(self) -> Iterable[Metric]:
        items = GaugeMetricFamily("sealgate_spool_items", "Items that wait in the spool.", labels=["direction"])
        oldest = GaugeMetricFamily(
            "sealgate_spool_oldest_seconds", "For how long the oldest was seen waiting.", labels=["direction"]
        )
        refused = GaugeMetricFamily(
            "sealgate_spool_refused", "Records that do not verify, kept as evidence.", labels=["direction"]
        )
        now = time.monotonic()
        for name, spool in self._parts.spools.items():
            waiting = {entry.id for entry in spool.waiting()}
            seen = self._seen[name]
            for gone in seen.keys() - waiting:
                del seen[gone]
            for id in waiting:
                seen.setdefault(id, now)
            items.add_metric([name], len(waiting))
            oldest.add_metric([name], now - min(seen.values(), default=now))
            refused.add_metric([name], len(list(spool.refused)))
        return (items, oldest, refused)

    def _disk(self) -> Iterable[Metric]:
        free = GaugeMetricFamily("sealgate_disk_free_bytes", "Room left on the disk of a folder.", labels=["folder"])
        for name, folder in self._parts.folders.items():
            try:
                disk = os.statvfs(folder)
            except OSError:
                continue
            free.add_metric([name], disk.f_bavail * disk.f_frsize)
        return (free,)

    def _queues(self, conn: Connection) -> Iterable[Metric]:
        # By node and state, as the index of `deliveries` has them: a scrape must not read what is long settled.
        table, now_us = schema.deliveries.c, self._parts.clock.now_us()
        waiting = GaugeMetricFamily("sealgate_deliveries_waiting", "Recipients still to be served.", labels=["state"])
        oldest = GaugeMetricFamily("sealgate_deliveries_oldest_seconds", "Age of the oldest of them.", labels=["state"])
        for state in ("ready", "deferred"):
            mine = (table.node == self._parts.node, table.state == state)
            count, first = conn.execute(select(func.count(), func.min(table.created_at)).where(*mine)).one()
            waiting.add_metric([state], count)
            oldest.add_metric([state], (now_us - first) / 1e6 if first else 0.0)
        mine = (table.node == self._parts.node, table.state == "held")
        held, since = conn.execute(
            select(func.count(table.message.distinct()), func.min(table.created_at)).where(*mine)
        ).one()
        yield waiting
        yield oldest
        yield _gauge("sealgate_held_messages", "Messages that wait for an officer.", held)
        yield _gauge("sealgate_held_oldest_seconds", "Age of the oldest.", (now_us - since) / 1e6 if since else 0.0)

    def _log(self, conn: Connection) -> Iterable[Metric]:
        leaves, signed = schema.log_leaves.c, schema.log_checkpoints.c
        names = [*conn.execute(select(schema.tenants.c.id)).scalars(), SYSTEM]
        sizes: dict[str, int] = {}
        times: list[int] = []
        for name in names:  # one by one: each is a look at the end of a primary key
            last = conn.execute(select(func.max(leaves.idx)).where(leaves.log == name)).scalar()
            sizes[name] = 0 if last is None else int(last) + 1
            newest = select(signed.signed_at).where(signed.log == name).order_by(signed.size.desc()).limit(1)
            times += conn.execute(newest).scalars()
        started = self._sizes is None
        for name, size in sizes.items():
            # Counting begins with this process, as counters do; a tenant that is new since then begins at its start.
            self._count(conn, name, size if started else (self._sizes or {}).get(name, 0), size)
        self._sizes = sizes
        age = (self._parts.clock.now_us() - min(times)) / 1e6 if times else 0.0
        unnumbered = waiting.everywhere(conn)
        since = unnumbered.since_us
        late = 0.0 if since is None else max(0.0, (self._parts.clock.now_us() - since) / 1e6)
        yield _gauge("sealgate_log_waiting", "Entries that are committed and wait for their number.", unnumbered.count)
        yield _gauge("sealgate_log_waiting_oldest_seconds", "For how long the oldest of them has waited.", late)
        yield _gauge("sealgate_log_entries", "Entries of all logs.", sum(sizes.values()))
        yield _gauge("sealgate_checkpoint_age_seconds", "Since the log that was signed least recently was signed.", age)

    def _count(self, conn: Connection, name: str, start: int, stop: int) -> None:
        table = schema.log_leaves
        while start < stop:
            end = min(stop, start + _PAGE)
            statement = (
                select(table.c.action, table.c.outcome, func.count())
                .where(table.c.log == name, table.c.idx >= start, table.c.idx < end)
                .group_by(table.c.action, table.c.outcome)
            )
            for action, outcome, count in conn.execute(statement):
                if action in _ACTIONS and outcome in OUTCOMES:  # words of ours, whatever stands in the table
                    self._events[str(action), str(outcome)] += int(count)
            self._latencies(conn, name, start, end)
            start = end

    def _latencies(self, conn: Connection, name: str, start: int, stop: int) -> None:
        """Of what the log says was delivered in that range, its acceptance looked up by primary keys."""
        leaves, deliveries, messages = schema.log_leaves.c, schema.deliveries.c, schema.messages.c
        statement = (
            select(leaves.ts, messages.received_at)
            .join_from(schema.log_leaves, schema.deliveries, leaves.object == deliveries.id)
            .join(schema.messages, deliveries.message == messages.id)
            .where(leaves.log == name, leaves.idx >= start, leaves.idx < stop)
            .where(leaves.action == str(Action.MESSAGE_DELIVERED), leaves.outcome == "ok")
        )
        for delivered_us, received_us in conn.execute(statement):
            self._delivered.observe(max(0.0, (delivered_us - received_us) / 1e6))


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=value)


class MetricsServer:
    """The listener. `ports` are as bound. Raises Misconfigured for an address that cannot be had."""

    def __init__(self, listen: Sequence[Endpoint], figures: Figures) -> None:
        self._servers: list[_Server] = []
        for one in listen:
            try:
                self._servers.append(_Server((one.host, one.port), figures.text))
            except OSError as error:
                self.stop()
                raise Misconfigured(f"[metrics] cannot listen on {one}: {error.strerror}") from error

    @property
    def ports(self) -> list[int]:
        """The port of each listener."""
        return [int(server.server_address[1]) for server in self._servers]

    def start(self) -> None:
        """Answer, in threads of its own."""
        for server in self._servers:
            threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()

    def stop(self) -> None:
        """Close the listeners."""
        for server in self._servers:
            if server.serving:
                server.shutdown()
            server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 16

    def __init__(self, address: tuple[str, int], text: Callable[[], bytes]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.text = text
        self.serving = False
        super().__init__(address, _Answer)

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        self.serving = True
        super().serve_forever(poll_interval)


class _Answer(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10.0
    server_version, sys_version = "Sealgate", ""

    def do_GET(self) -> None:
        if self.path != PATH:
            self.send_error(404)
            return
        try:
            body = self.server.text()
        except Exception:
            log.exception("metrics:failed")
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: who asks is nobody's business."""
