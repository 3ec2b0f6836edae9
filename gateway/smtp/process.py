"""The smtp process: opens the listeners, runs the loop, drains on SIGTERM.

Promises: nothing missing is made anew (node key, pinned key, spool); on SIGTERM no new message is begun, messages under
way may end within the drain time, everyone else hears 421, and what was answered 250 is on the disk already.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import uvloop

from gateway import logs
from gateway.certificates import Certificate
from gateway.clock import Clock, SystemClock
from gateway.errors import Misconfigured
from gateway.logs import Log
from gateway.smtp import replies
from gateway.smtp.config import RELAY, SUBMISSION, SUBMISSIONS, SmtpConfig
from gateway.smtp.dialogue import Dialogue
from gateway.smtp.engine import Services
from gateway.smtp.gate import Gate
from gateway.smtp.limits import Doorkeeper, FailedLogins
from gateway.spool import doors, nodekey
from gateway.spool.snapshot import SnapshotReader
from gateway.spool.writer import SpoolWriter

_log = Log("gateway.smtp")
BACKLOG = 1024
COUNT_SECONDS = 1.0
Listener = tuple[str, socket.socket]
Ready = Callable[[dict[str, list[int]]], None]


def wanted(config: SmtpConfig) -> list[tuple[str, tuple[str, int]]]:
    """(kind, address) of every listener, in the order in which sockets are handed over."""
    found = [(RELAY, address) for address in config.listen]
    found += [(SUBMISSION, address) for address in config.submission_listen]
    found += [(SUBMISSIONS, address) for address in config.submissions_listen]
    return found


def adopt(config: SmtpConfig, descriptors: Sequence[int]) -> list[Listener]:
    """The listeners that the parent bound before it dropped its rights, for ports under 1024. Raises Misconfigured."""
    kinds = [kind for kind, _ in wanted(config)]
    if len(kinds) != len(descriptors):
        raise Misconfigured(f"{len(descriptors)} sockets were handed over for {len(kinds)} listeners; start again")
    try:
        return [(kind, socket.socket(fileno=number)) for kind, number in zip(kinds, descriptors, strict=True)]
    except OSError as error:
        raise Misconfigured(f"a socket that was handed over is none: {error.strerror}") from error


def bind(config: SmtpConfig) -> list[Listener]:
    """The listening sockets, by kind, bound here. Raises Misconfigured naming the address that cannot be had."""
    listeners: list[Listener] = []
    for kind, (host, port) in wanted(config):
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            opened = socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError as error:
            for _, other in listeners:
                other.close()
            raise Misconfigured(f"cannot listen on {host}:{port}: {error.strerror}") from error
        listeners.append((kind, opened))
    return listeners


def certificate(config: SmtpConfig) -> Certificate | None:
    """The configured certificate for TLS 1.2 and later; None without one. Raises Misconfigured."""
    if config.tls_cert_file is None or config.tls_key_file is None:
        if config.submission_listen or config.submissions_listen:
            raise Misconfigured(
                "[smtp] submission needs tls_cert_file and tls_key_file: passwords travel over TLS only"
            )
        return None
    return Certificate("smtp", config.tls_cert_file, config.tls_key_file)


def for_submission(config: SmtpConfig) -> Certificate | None:
    """The same for the submission ports, where clients are asked for theirs; None where they are not."""
    if config.client_ca_file is None or config.tls_cert_file is None or config.tls_key_file is None:
        return None
    return Certificate("smtp", config.tls_cert_file, config.tls_key_file, clients=config.client_ca_file)


class Server:
    """The running server in one event loop."""

    def __init__(self, config: SmtpConfig, clock: Clock | None = None) -> None:
        self.config = config
        self.clock = clock or SystemClock()
        self._servers: list[asyncio.Server] = []
        self._services: Services | None = None
        self._certificates: list[Certificate] = []
        self._counting: asyncio.Task[None] | None = None
        self.stopping = asyncio.Event()

    async def start(self, listeners: Sequence[Listener]) -> dict[str, list[int]]:
        """Begin to accept; the ports by kind. Raises Misconfigured."""
        config, loop = self.config, asyncio.get_running_loop()
        plain, asking = certificate(config), for_submission(config)
        self._certificates = [one for one in (plain, asking) if one is not None]
        key = nodekey.load(config.directory / "node.key")
        pinned = nodekey.pinned(config.directory / nodekey.PINNED_NAME)
        snapshots = SnapshotReader(config.snapshot_file, pinned, config.node, config.directory / "serial")
        limits = config.limits
        gate = Gate(snapshots, config.health_file, config.spool, self.clock, limits.free_disk_bytes)

        def in_loop(deed: Callable[[], None]) -> None:
            loop.call_soon_threadsafe(deed)

        writer = SpoolWriter(
            config.spool,
            config.node,
            key,
            "in",
            gate.epoch_public,
            clock=self.clock,
            settle=in_loop,
        )
        services = Services(
            config=config,
            clock=self.clock,
            gate=gate,
            writer=writer,
            doorkeeper=Doorkeeper(limits.connections, limits.connections_per_host),
            failed_logins=FailedLogins(limits.failed_logins_per_host, limits.failed_logins_window_seconds),
            pool=ThreadPoolExecutor(max_workers=4, thread_name_prefix="spool-large"),
            tls_context=plain.context if plain is not None else None,
            submission_context=asking.context if asking is not None else None,
        )
        self._services = services
        ports: dict[str, list[int]] = {}
        for kind, opened in listeners:
            opened.setblocking(False)
            server = await loop.create_server(
                lambda kind=kind: Dialogue(services, kind, loop),
                sock=opened,
                backlog=BACKLOG,
                ssl=services.context(kind) if kind == SUBMISSIONS else None,
                ssl_handshake_timeout=limits.handshake_seconds if kind == SUBMISSIONS else None,
            )
            self._servers.append(server)
            ports.setdefault(kind, []).append(opened.getsockname()[1])
        for one in self._certificates:
            one.watch()
        self._counting = loop.create_task(self._count(services))
        _log.info("smtp:ready", node=config.node, count=len(listeners))
        return ports

    async def _count(self, services: Services) -> None:
        """Leave the figures beside the spool once a second. A disk that takes none is the gate's concern, not ours."""
        while True:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(doors.write, self.config.spool, services.figures())
            await asyncio.sleep(COUNT_SECONDS)

    def reload_certificate(self) -> None:
        """Read certificate and key again; new handshakes use them. A bad pair is logged and the old one stays."""
        for one in self._certificates:
            one.reload()

    async def stop(self) -> None:
        """Drain: let messages under way end, tell the others, then close the spool."""
        services = self._services
        if services is None:
            return
        services.draining = True
        if self._counting is not None:
            self._counting.cancel()
        for one in self._certificates:
            one.close()
        for server in self._servers:
            server.close()
        for connection in list(services.connections):
            if isinstance(connection, Dialogue) and connection.idle and not connection.in_transaction:
                connection.dismiss(replies.CLOSING)
        end = asyncio.get_running_loop().time() + self.config.limits.drain_seconds
        while services.connections and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.02)
        for connection in list(services.connections):
            connection.dismiss(replies.CLOSING)
        tasks = [connection.task for connection in list(services.connections) if connection.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=5.0)
        await asyncio.to_thread(services.writer.close)
        services.pool.shutdown(wait=True)
        _log.info("smtp:stopped", node=self.config.node)


async def _serve(config: SmtpConfig, listeners: Sequence[Listener], ready: Ready | None, clock: Clock | None) -> None:
    server = Server(config, clock)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stopping.set)
    loop.add_signal_handler(signal.SIGHUP, server.reload_certificate)
    ports = await server.start(listeners)
    if ready is not None:
        ready(ports)
    await server.stopping.wait()
    await server.stop()


def run(
    config: SmtpConfig,
    *,
    listeners: Sequence[Listener] | None = None,
    ready: Ready | None = None,
    clock: Clock | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. `ready` is told the ports by kind once mail can come.

    To be the main thread of a process of its own. Start-up trouble is one line on standard error and exit code 78.
    """
    logs.set_up(config.log_level)
    try:
        opened = list(listeners) if listeners is not None else bind(config)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(config, opened, ready, clock))
    except Misconfigured as error:
        print(f"sealgate smtp: {error.public}", file=sys.stderr)
        return error.exit_code
    return 0
