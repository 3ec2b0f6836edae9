"""Runs the portal: uvicorn on a thread and loop of its own, one socket per listener, a graceful stop.

Promises: ports are bound before `start` returns, so a taken port stops start-up; `stop` lets answers under way finish
for `GRACE_SECONDS`; connections are bounded (`gate.py`); no access log of uvicorn's is written, for it
would hold paths.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from gateway.certificates import Certificate
from gateway.errors import Misconfigured
from gateway.logs import Log
from gateway.portal.crowd import MOST, Crowd, Network, most_connections
from gateway.portal.gate import Server
from gateway.portal.protocol import Bounded

GRACE_SECONDS = 10
BACKLOG = 512
log = Log("sealgate.portal")


@dataclass(frozen=True, slots=True)
class Listen:
    """Where one listener is bound. Port 0 is chosen by the system."""

    host: str
    port: int


class PortalServer:
    """A running portal. Made by `start`."""

    def __init__(
        self,
        app: Starlette,
        sockets: Sequence[socket.socket],
        cert_file: Path | None,
        key_file: Path | None,
        proxies: Sequence[Network] = (),
    ) -> None:
        self._app = app
        self._sockets = list(sockets)
        for one in self._sockets:
            one.listen(BACKLOG)
            one.setblocking(False)
        self._certificate: Certificate | None = None
        if cert_file is not None and key_file is not None:
            self._certificate = Certificate("portal", cert_file, key_file)
        self.crowd = Crowd(most_connections(), proxies)
        context = self._certificate.context if self._certificate is not None else None
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, date_header=True, proxy_headers=False,
            loop="uvloop", http=Bounded, ws="none", lifespan="off", timeout_keep_alive=15,
            timeout_graceful_shutdown=GRACE_SECONDS, limit_concurrency=2 * MOST,
        )  # fmt: skip
        config.load()
        self._server = Server(config, self._sockets, self.crowd, context)
        self._thread = threading.Thread(target=self._run, name="portal", daemon=True)
        self._failed: BaseException | None = None

    @property
    def ports(self) -> list[int]:
        """The port of each listener, as bound."""
        return [int(one.getsockname()[1]) for one in self._sockets]

    def begin(self) -> None:
        """Start serving; returns when connections are accepted. Raises Misconfigured when it cannot."""
        self._thread.start()
        if self._certificate is not None:
            self._certificate.watch()
        while not self._server.started and self._thread.is_alive():
            self._thread.join(0.01)
        if not self._server.started:
            raise Misconfigured(f"the portal did not start: {type(self._failed).__name__}")

    def alive(self) -> bool:
        """Whether it is serving."""
        return self._thread.is_alive()

    def reload_certificate(self) -> None:
        """Read certificate and key again; new handshakes use them, a pair that does not fit is logged and left."""
        if self._certificate is not None:
            self._certificate.reload()

    def stop(self) -> None:
        """Take no new connections, finish what is under way, end. Safe twice."""
        self._server.should_exit = True
        if self._certificate is not None:
            self._certificate.close()
        if self._thread.ident is not None:
            self._thread.join(GRACE_SECONDS + 5)
        for pool in self._app.state.pools:
            pool.shutdown(wait=True, cancel_futures=False)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._server.config.get_loop_factory()) as runner:
                runner.run(self._server.serve(sockets=[]))
        except BaseException as error:
            self._failed = error
            log.exception("portal:server-ended")
        finally:
            for one in self._sockets:
                one.close()


def start(
    app: Starlette,
    listen: Sequence[Listen],
    *,
    cert_file: Path | None = None,
    key_file: Path | None = None,
    descriptors: Sequence[int] = (),
    proxies: Sequence[Network] = (),
) -> PortalServer:
    """Bind and serve; with `descriptors`, on the sockets that the parent bound. `proxies` stand for many networks.

    Raises Misconfigured for a port that is taken or a certificate that does not load.
    """
    try:
        sockets = [socket.socket(fileno=number) for number in descriptors] or [_bound(one) for one in listen]
        server = PortalServer(app, sockets, cert_file, key_file, proxies)
    except OSError as error:
        raise Misconfigured(f"[portal] cannot listen: {error.strerror or type(error).__name__}") from error
    server.begin()
    return server


def _bound(listen: Listen) -> socket.socket:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((listen.host, listen.port))
    except BaseException:
        one.close()
        raise
    return one
