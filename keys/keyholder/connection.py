"""The client's end of a role's socket: a small pool, one question and one answer at a time on each connection.

The keyholder may be on another machine: then it is TLS 1.3, with a certificate on both sides. Promises: nothing is
asked twice by itself; a connection that the keyholder closed while idle is not used again; certificates are read anew
once their files change, so that a renewal needs no restart; no question leaves before the other side proved that it is
the keyholder. DESIGN §2.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keys.errors import Denied, Tampered, Unavailable
from keys.keyholder import wire


@dataclass(frozen=True, slots=True)
class Distant:
    """A keyholder on another machine: where it listens, its authority (PEM), and this machine's certificate with its
    private key (one PEM file, so that a renewal replaces both at once).
    """

    host: str
    port: int
    authority: Path
    own: Path
    _seen: list[tuple[object, ssl.SSLContext]] = field(default_factory=list, repr=False, compare=False)

    def connect(self, timeout_seconds: float) -> ssl.SSLSocket:
        """A connection that proved itself. Raises OSError, of which ssl.SSLError is one."""
        raw = socket.create_connection((self.host, self.port), timeout=timeout_seconds)
        try:
            wire.alive(raw)
            return self._context().wrap_socket(raw, server_hostname=wire.SERVER_NAME)
        except BaseException:
            raw.close()
            raise

    def _context(self) -> ssl.SSLContext:
        state = tuple((one.st_mtime_ns, one.st_ino, one.st_size) for one in map(os.stat, (self.authority, self.own)))
        if not self._seen or self._seen[-1][0] != state:
            made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            made.minimum_version = ssl.TLSVersion.TLSv1_3
            made.verify_flags |= ssl.VERIFY_X509_STRICT
            made.load_verify_locations(self.authority)
            made.load_cert_chain(self.own)
            self._seen[:] = [(state, made)]
        return self._seen[-1][1]


class Connection:
    """A small pool of connections to one keyholder; any thread may call. At most `size` idle ones are kept."""

    def __init__(self, place: str | Path | Distant, *, timeout_seconds: float = 5.0, size: int = 8) -> None:
        self._place = place if isinstance(place, Distant) else str(place)
        self._timeout = timeout_seconds
        self._size = size
        self._lock = threading.Lock()
        self._idle: list[socket.socket] = []
        self._next = 0

    def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """The answer.

        Raises Denied with the keyholder's reason (also for a method this role does not have), Tampered when the
        keyholder found its own store changed, Unavailable for everything else that went wrong.
        """
        with self._lock:
            self._next += 1
            number = self._next
        try:
            peer = self._take()
        except OSError as error:
            raise wire.unavailable(error) from error
        try:
            peer.sendall(wire.encode({"id": number, "method": method, "params": dict(params)}))
            answer = wire.receive(peer, seconds=self._timeout)
            peer.settimeout(self._timeout)
        except (OSError, wire.BadFrame, ValueError) as error:
            peer.close()
            raise wire.unavailable(error) from error
        if answer is not None and answer.get("error") == "not-admitted":
            peer.close()
            raise Unavailable("the keyholder does not admit this machine: its certificate was revoked or has ended")
        if answer is None or answer.get("id") != number:
            peer.close()
            raise Unavailable("the keyholder closed the connection or answered another question")
        self._give(peer)
        if "ok" in answer:
            return answer["ok"]
        denied = answer.get("denied")
        if isinstance(denied, dict):
            raise Denied(str(denied.get("reason", "")), {k: v for k, v in denied.items() if k != "reason"})
        word = answer.get("error")
        if word == "tampered":
            raise Tampered("the keyholder found one of its own records changed")
        if word in ("not-allowed", "bad-call"):
            raise Denied(str(word))
        raise Unavailable("the keyholder could not do this")

    def close(self) -> None:
        """Close the idle connections; a later call opens a new one."""
        with self._lock:
            idle, self._idle = self._idle, []
        for peer in idle:
            peer.close()

    def _take(self) -> socket.socket:
        while True:
            with self._lock:
                peer = self._idle.pop() if self._idle else None
            if peer is None:
                break
            # Readable while idle means closed by the other side (a restart): asking over it would be a lost question.
            # What is left over of an earlier answer would be taken for the next one.
            left = isinstance(peer, ssl.SSLSocket) and peer.pending()
            if not left and not select.select([peer], [], [], 0)[0]:
                return peer
            peer.close()
        if isinstance(self._place, Distant):
            return self._place.connect(self._timeout)
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            peer.settimeout(self._timeout)
            peer.connect(self._place)
        except BaseException:
            peer.close()
            raise
        return peer

    def _give(self, peer: socket.socket) -> None:
        with self._lock:
            if len(self._idle) < self._size:
                self._idle.append(peer)
                return
        with contextlib.suppress(OSError):
            peer.close()
