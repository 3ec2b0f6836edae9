"""A TLS certificate that is renewed while connections stay open.

Promises: new handshakes use the newest pair of certificate and key that fits together, and the newest authorities for
clients' certificates; what does not fit (half of a pair was replaced, or a file is broken) is said in the log and what
was before stays; connections that are open go on as they are. The files are looked at every two seconds and at
`reload`. RFC 8446; SIGHUP as for other daemons.
"""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Iterable
from pathlib import Path

from gateway.errors import Misconfigured
from gateway.logs import Log

WATCH_SECONDS = 2.0
log = Log("gateway.certificates")
State = tuple[tuple[int, int, int], ...]


def state(files: Iterable[Path]) -> State:
    """What changes when one of these files is written anew or replaced; a missing one is a state like any other."""
    found = []
    for path in files:
        try:
            stat = os.stat(path)
            found.append((stat.st_mtime_ns, stat.st_ino, stat.st_size))
        except OSError:
            found.append((0, 0, 0))
    return tuple(found)


class Certificate:
    """Certificate chain and private key, PEM. `context` is what a server listens with; with `clients` (authorities,
    PEM) it asks for the client's, which may be none and must be good if there is one. Raises Misconfigured.
    """

    def __init__(self, where: str, certificate: Path, key: Path, clients: Path | None = None) -> None:
        self._where = where
        self._pair = (certificate, key)
        self._clients = clients
        self._files = (certificate, key) if clients is None else (certificate, key, clients)
        self._seen = state(self._files)
        self._current = self._loaded()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self.context = self._loaded()
        # Called for every handshake, with or without SNI: the pair of this moment takes the place of the first one.
        self.context.sni_callback = self._newest

    def reload(self) -> bool:
        """Read the files again. False when they are no pair; then everything stays as it is."""
        with self._lock:
            self._seen = state(self._files)
            try:
                self._current = self._loaded()
            except Misconfigured:
                log.error("certificate:refused", kind=self._where)
                return False
            log.info("certificate:reloaded", kind=self._where)
            return True

    def look(self) -> None:
        """Reload if the files are others than at the last look."""
        if state(self._files) != self._seen:
            self.reload()

    def watch(self) -> None:
        """Look every two seconds, in a thread of its own, until `close`."""
        threading.Thread(target=self._watch, name=f"certificate-{self._where}", daemon=True).start()

    def close(self) -> None:
        """End the watching."""
        self._ending.set()

    def _watch(self) -> None:
        while not self._ending.wait(WATCH_SECONDS):
            try:
                self.look()
            except Exception:  # whatever it is: a later look may go well
                log.exception("certificate:look-failed", kind=self._where)

    def _newest(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        connection.context = self._current

    def _loaded(self) -> ssl.SSLContext:
        certificate, key = self._pair
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise Misconfigured(
                f"[{self._where}] tls_cert_file {certificate} and tls_key_file {key} cannot be used"
            ) from error
        if self._clients is not None:
            try:
                context.load_verify_locations(self._clients)
            except (OSError, ssl.SSLError) as error:
                raise Misconfigured(f"[{self._where}] client_ca_file {self._clients} cannot be used") from error
            context.verify_mode = ssl.CERT_OPTIONAL
            # A device's own certificate may stand there instead of the authority that signed it.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context
