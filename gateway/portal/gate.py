"""The portal's ear: accepts connections itself, so that each is counted before its handshake and not after it.

Promises: who is one too many is hung up on at once, at the cost of one accept; a handshake has `HANDSHAKE_SECONDS`; no
descriptor left is a pause and never the end of listening.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence

import uvicorn

from gateway.logs import Log
from gateway.portal.crowd import Crowd
from gateway.portal.protocol import UNSENT_BYTES, Bounded

HANDSHAKE_SECONDS = 15.0
PAUSE_SECONDS = 0.1
log = Log("sealgate.portal")


class Server(uvicorn.Server):
    """uvicorn with listeners of our own. `listeners` are bound, listening and non-blocking."""

    def __init__(
        self, config: uvicorn.Config, listeners: Sequence[socket.socket], crowd: Crowd, context: ssl.SSLContext | None
    ) -> None:
        super().__init__(config)
        self._listeners, self._crowd, self._context = listeners, crowd, context
        self._tasks: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        loop = asyncio.get_running_loop()
        for one in self._listeners:
            self._keep(loop.create_task(self._accept(loop, one)))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await super().shutdown(sockets=list(self._listeners))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
        while True:
            try:
                line, peer = await loop.sock_accept(listener)
            except OSError as error:  # no descriptor left, or a client that was gone before
                log.warning("portal:accept-failed", error=type(error).__name__, code=error.errno or 0)
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            name = self._crowd.enter(str(peer[0]), loop)
            if name is None:
                line.close()
            else:
                with contextlib.suppress(OSError):  # gone already: the handshake will see it
                    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
                self._keep(loop.create_task(self._greet(loop, line, name)))

    async def _greet(self, loop: asyncio.AbstractEventLoop, line: socket.socket, name: str) -> None:
        made = Bounded(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        made.crowd, made.name = self._crowd, name
        seconds = {} if self._context is None else {"ssl_handshake_timeout": HANDSHAKE_SECONDS}
        try:
            await loop.connect_accepted_socket(lambda: made, line, ssl=self._context, **seconds)
        except (TimeoutError, OSError):  # no TLS, another TLS, or nobody
            pass
        finally:
            if not made.begun:
                line.close()
                self._crowd.leave(name)
