"""A line between a client and a server on loopback that a test can spoil: refused, silent, slow, cut."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Self

_PIECE = 65_536


class Between:
    """Forwards to `port`. `mode`: pass, refuse (closed at once), hang (taken, nothing said), cut (closed after
    `cut_after` bytes of answers), slow (each piece of an answer waits `slow_seconds`).
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self.mode = "pass"
        self.cut_after = 0
        self.slow_seconds = 0.0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        # close alone would leave a thread in accept that keeps the port.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()
        self._thread.join(30)

    def drop(self) -> None:
        """Close every connection now open: clients keep them for their next request."""
        with self._lock:
            found, self._open = self._open, set()
        for one in found:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def spoil(self, mode: str) -> None:
        """Another mode, for connections made from now on; those before are closed."""
        self.mode = mode
        self.drop()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.mode == "refuse":
                client.close()
                continue
            with self._lock:
                self._open.add(client)
            if self.mode == "hang":
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target), 30)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open.add(server)
            threading.Thread(target=self._pipe, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pipe, args=(server, client, True), daemon=True).start()

    def _pipe(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        seen = 0
        with contextlib.suppress(OSError):
            while data := source.recv(_PIECE):
                if answers and self.mode == "slow":
                    time.sleep(self.slow_seconds)
                if answers and self.mode == "cut":
                    data = data[: max(0, self.cut_after - seen)]
                    seen += len(data)
                    sink.sendall(data)
                    if seen >= self.cut_after:
                        break
                    continue
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
