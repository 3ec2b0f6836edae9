"""Listening for other machines: TLS 1.3 with certificates on both sides, and who stands at the other end.

Promises: no byte of a request is read before the other side showed a certificate of our authority that is on the
keyholder's list and says the node and role of its entry; the handshake has five seconds and few places, of which one
address takes a quarter at most; what is refused is one line in the journal that says why, at most thirty a minute of a
kind. Nothing is resumed, so every connection proves itself. DESIGN §2; RFC 8446, RFC 9325 4.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from keys.keyholder import journal, wire
from keys.keyholder.authority import Admitted, name_of
from keys.keyholder.config import BadConfig
from keys.keyholder.holder import Holder

HANDSHAKE_SECONDS = 5.0
_MOST_HANDSHAKES = 64
_MOST_OF_ONE_ADDRESS = 16
_MOST_LINES = 30
_DAY_SECONDS = 86_400.0
_REASONS = {
    "CERTIFICATE_VERIFY_FAILED": "not-ours", "PEER_DID_NOT_RETURN_A_CERTIFICATE": "no-certificate",
    "UNSUPPORTED_PROTOCOL": "old-tls", "HTTP_REQUEST": "no-tls", "WRONG_VERSION_NUMBER": "no-tls",
    "HTTPS_PROXY_REQUEST": "no-tls",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Machine:
    """The other end of a connection: the fingerprint of its certificate, and whom that admits."""

    fingerprint: bytes
    known: Admitted


class Doors:
    """The listeners for other machines. `serve(role, connection, machine)` gets whoever was admitted, in a thread of
    that connection's own; it must close the connection.
    """

    def __init__(self, holder: Holder, serve: Callable[[str, socket.socket, Machine], None]) -> None:
        self._holder = holder
        self._serve = serve
        self._listeners: list[socket.socket] = []
        self._guard = threading.Lock()
        self._shaking: Counter[str] = Counter()
        self._lines: Counter[str] = Counter()
        self._minute = 0.0
        self._context: ssl.SSLContext | None = None
        self._made = 0.0
        self._stopping = False

    def start(self) -> list[int]:
        """Bind and accept; the ports. Raises BadConfig naming the address that cannot be had."""
        ports = []
        for host, port in self._holder.config.listen:
            opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
            self._listeners.append(opened)
            try:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                opened.bind((host, port))
                opened.listen(64)
            except OSError as error:
                raise BadConfig(f"{host}:{port}: cannot listen there ({error.strerror})") from error
            ports.append(int(opened.getsockname()[1]))
            threading.Thread(target=self._accept, args=(opened,), name="accept-machines", daemon=True).start()
        return ports

    def stop(self) -> None:
        """Take nobody more. What was admitted is the server's to end."""
        self._stopping = True
        for one in self._listeners:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def in_force(self, machine: Machine) -> bool:
        """Whether that certificate admits somebody still: asked before each answer, on open connections as well."""
        known = self._holder.admitted.get(machine.fingerprint)
        return known is not None and self._holder.now_us() < known.expires_us

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                raw, address = listener.accept()
            except OSError:
                if self._stopping:
                    return
                journal.line("keyholder:accept-failed", role="machines")
                threading.Event().wait(0.1)  # out of descriptors: let some connections end
                continue
            host = str(address[0])
            with self._guard:
                full = self._shaking.total() >= _MOST_HANDSHAKES or self._shaking[host] >= _MOST_OF_ONE_ADDRESS
                if not full:
                    self._shaking[host] += 1
            if full:
                self._tell("crowded")
                raw.close()
                continue
            threading.Thread(target=self._met, args=(raw, host), name="machine", daemon=True).start()

    def _met(self, raw: socket.socket, host: str) -> None:
        try:
            try:
                admitted = self._shake(raw)
            finally:
                with self._guard:
                    self._shaking[host] -= 1
                    self._shaking += Counter()  # an address nobody calls from is forgotten
        except ssl.SSLError as error:
            raw.close()
            self._tell(_reason(error))
        except TimeoutError:
            raw.close()
            self._tell("too-slow")
        except OSError:
            raw.close()
            self._tell("left")
        except Exception as error:
            raw.close()
            journal.failure("keyholder:connection-failed", error, role="machines")
        else:
            if admitted is not None:
                self._serve(admitted[1].known.role, *admitted)

    def _shake(self, raw: socket.socket) -> tuple[ssl.SSLSocket, Machine] | None:
        """Whom the other side proved to be; None after it was told that it is nobody."""
        wire.alive(raw)
        raw.settimeout(HANDSHAKE_SECONDS)
        peer = self._current().wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
        try:
            try:
                peer.do_handshake()
            except ssl.SSLError:
                _let_read(peer)
                raise
            machine, why = self._named(peer)
            if machine is not None:
                peer.settimeout(None)
                return peer, machine
            self._tell(why)
            peer.sendall(wire.encode({"id": 0, "error": "not-admitted"}))
            with contextlib.suppress(OSError):
                peer.unwrap()
        except BaseException:
            peer.close()
            raise
        peer.close()
        return None

    def _named(self, peer: ssl.SSLSocket) -> tuple[Machine | None, str]:
        fingerprint = hashlib.sha256(peer.getpeercert(binary_form=True) or b"").digest()
        known = self._holder.admitted.get(fingerprint)
        if known is None:
            return None, "not-admitted"
        names = (peer.getpeercert() or {}).get("subjectAltName")
        if names != (("URI", name_of(known.node, known.role)),):
            return None, "misnamed"
        machine = Machine(fingerprint, known)
        return (machine, "") if self.in_force(machine) else (None, "expired")

    def _current(self) -> ssl.SSLContext:
        """Our own certificate is made anew each day; it rests nowhere."""
        with self._guard:
            now = time.monotonic()
            if self._context is None or now - self._made > _DAY_SECONDS:
                self._context, self._made = context(*self._holder.identity()), now
            return self._context

    def _tell(self, why: str) -> None:
        with self._guard:
            now = time.monotonic()
            if now - self._minute > 60:
                self._minute = now
                self._lines.clear()
            self._lines[why] += 1
            count = self._lines[why]
        if count <= _MOST_LINES:
            journal.line("keyholder:machine-refused", state=why)


def context(authority: bytes, own: bytes) -> ssl.SSLContext:
    """TLS for listening: version 1.3, our certificate with its key, and theirs needed. No session is resumed, because
    that would go on after a revocation.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    made.options |= ssl.OP_NO_TICKET
    made.num_tickets = 0
    made.load_verify_locations(cadata=authority.decode("ascii"))
    # The module reads keys from files alone: this one has no name, no place on a disk, and is gone when closed.
    descriptor = os.memfd_create("own", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, own)
        made.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return made


def _let_read(peer: ssl.SSLSocket) -> None:
    """Take in what the other side sent already: closed before that, the kernel would take back the alert that says why.

    A second of it and 64 KiB at most. RFC 1122 4.2.2.13.
    """
    with contextlib.suppress(OSError):
        peer.shutdown(socket.SHUT_WR)
        peer.settimeout(0.2)
        for _ in range(5):
            if not peer.recv(16_384):
                return


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_code == 10:
        return "expired"
    return _REASONS.get(error.reason or "", "no-handshake")
