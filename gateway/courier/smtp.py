"""The courier to a smarthost over SMTP: a small pool of persistent connections, one outcome per recipient.

Promises: under tls = "verified" no command that names a person leaves before the certificate was checked against the
smarthost's name; a connection that the server closed while it was idle costs no message an attempt; a smarthost that
hangs keeps one thread and no more (`patience.py`); a renewed certificate or password counts from the next connection.
Addresses and the server's words reach no log.
Clauses: RFC 5321 4.5.4.1 (queueing is the caller's), RFC 8314 (port 465), RFC 9325 (TLS 1.2 at least).
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.certificates import state
from gateway.courier.connection import Connection, ConnectionFailed
from gateway.courier.patience import Patience
from gateway.courier.plan import plan
from gateway.courier.port import Deferred, Outbound, Outcome, RecipientOutcome
from gateway.courier.transaction import ConnectionLost, transact
from gateway.errors import Misconfigured
from gateway.logs import Log
from gateway.sensitive import Sensitive
from gateway.settings import Courier as Settings

ASK_SECONDS = 10.0
_log = Log("gateway.courier")


class _WentStale(Exception):
    """A connection from the pool was dead; nothing was handed over on it."""


class SmtpCourier:
    """Implements `port.Courier`. Raises Misconfigured when made with files that cannot be used."""

    def __init__(self, settings: Settings, helo_name: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._helo_name = f"[{helo_name}]" if helo_name.replace(".", "").isdigit() else helo_name
        self._monotonic = monotonic
        self._files = _tls_files(settings)
        self._seen = state(self._files)
        self._context = tls_context(settings)
        self._login()
        self._patience = Patience(monotonic)
        self._slots = threading.BoundedSemaphore(settings.max_connections)
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._features: frozenset[str] = frozenset()
        self._closed = False
        self._asking: threading.Thread | None = None

    def deliver(self, outbound: Outbound) -> list[RecipientOutcome]:
        """One outcome per recipient, in order. Raises only what `outbound.chunks` raises."""
        with self._slots:
            outcomes = self._attempt(outbound)
        return [RecipientOutcome(recipient, outcomes[index]) for index, recipient in enumerate(outbound.recipients)]

    def extensions(self) -> frozenset[str]:
        """What the smarthost offered last. If nobody has been there yet it is asked, and an answer waited for a short
        time: a smarthost that says nothing must not keep the gateway from starting.
        """
        if not self._features:
            with self._lock:
                if self._asking is None or not self._asking.is_alive():
                    self._asking = threading.Thread(target=self._ask, name="smarthost", daemon=True)
                    self._asking.start()
                asking = self._asking
            asking.join(ASK_SECONDS)
        # Without a verified certificate the promise of RFC 8689 4.2.1 could not be kept: then it is not passed on.
        return self._features if self._settings.tls == "verified" else self._features - {"REQUIRETLS"}

    def _ask(self) -> None:
        with self._slots, suppress(ConnectionFailed), self._connection(fresh=False):
            pass

    def close(self) -> None:
        """End idle connections; those in use end after their message."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            _leave(connection)

    def _attempt(self, outbound: Outbound) -> dict[int, Outcome]:
        everyone = range(len(outbound.recipients))
        try:
            with self._patience.attempt():
                try:
                    return self._once(outbound, fresh=False)
                except _WentStale:  # the server had closed an idle connection: nothing was taken, so begin again
                    return self._once(outbound, fresh=True)
        except ConnectionFailed as failure:
            return dict.fromkeys(everyone, failure.deferred)
        except ConnectionLost as loss:
            # After the end of data the smarthost may have it: a second copy is better than none.
            _log.warning("courier:unknown" if loss.ended else "courier:lost", reason=loss.reason)
            code = 421 if loss.reason == "closing" else 0
            return dict.fromkeys(everyone, Deferred("4.4.2", loss.reason, code, unknown=loss.ended))

    def _once(self, outbound: Outbound, *, fresh: bool) -> dict[int, Outcome]:
        with self._connection(fresh=fresh) as connection:
            reused = connection.used > 0
            todo = plan(
                outbound, connection.features(), authenticated=connection.authenticated, verified=connection.verified
            )
            try:
                sent = transact(connection, outbound, todo) if todo.rcpt else {}
            except ConnectionLost as loss:
                if reused and not loss.ended and not fresh:
                    raise _WentStale from None
                raise
            return {**todo.settled, **sent}

    @contextmanager
    def _connection(self, *, fresh: bool) -> Iterator[Connection]:
        """An idle connection that still looks alive, or a new one; it goes back if it is still open."""
        connection = (None if fresh else self._reusable()) or self._new()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        connection.idle_since = self._monotonic()
        with self._lock:
            # Servers often count; leaving first is cheaper than being thrown out.
            more = connection.used < self._settings.messages_per_connection and not self._closed
            if connection.sock is not None and more:
                self._idle.append(connection)
                return
        _leave(connection)

    def _reusable(self) -> Connection | None:
        found: Connection | None = None
        stale: list[Connection] = []
        oldest = self._monotonic() - self._settings.idle_seconds
        with self._lock:
            while self._idle and found is None:
                connection = self._idle.pop()
                if connection.idle_since >= oldest and connection.usable():
                    found = connection
                else:
                    stale.append(connection)
            stale += [connection for connection in self._idle if connection.idle_since < oldest]
            self._idle = [connection for connection in self._idle if connection.idle_since >= oldest]
        for connection in stale:
            _leave(connection)
        return found

    def _login(self) -> tuple[str, Sensitive[str]] | None:
        """Name and password, read anew for each connection, so that a changed password needs no restart."""
        file = self._settings.password_file
        return (self._settings.username, file.read()) if file else None

    def _tls(self) -> ssl.SSLContext | None:
        """How a new connection speaks TLS: made anew when a file of it is another one than before. Where the new ones
        cannot be used (half of a pair was replaced), the ones before still count.
        """
        with self._lock:
            seen = state(self._files)
            if seen != self._seen:
                self._seen = seen
                try:
                    self._context = tls_context(self._settings)
                except Misconfigured:
                    _log.error("courier:certificate-refused")
                else:
                    _log.info("courier:certificate-reloaded")
            return self._context

    def _new(self) -> Connection:
        settings = self._settings
        connection = Connection(self._helo_name, settings.timeout_seconds, settings.end_timeout_seconds)
        try:
            login = self._login()
        except Misconfigured:  # it was readable at start; mail waits until it is again
            _log.error("courier:password-unreadable")
            raise ConnectionFailed("4.3.5", "setup") from None
        context = self._tls()
        try:
            connection.open(settings.smarthost.host, settings.smarthost.port, settings.tls, context, login)
        except ConnectionFailed as failure:
            _log.warning(
                "courier:unreachable",
                reason=failure.deferred.reason,
                code=failure.deferred.code,
                host_port=str(settings.smarthost),
            )
            raise
        self._features = frozenset(connection.features())
        return connection


def _tls_files(settings: Settings) -> tuple[Path, ...]:
    """What `tls_context` reads; without authorities of our own, those of the system."""
    if settings.tls == "none":
        return ()
    system = ssl.get_default_verify_paths().cafile
    authorities = settings.ca_file or (Path(system) if system else None)
    wanted = (authorities, settings.client_cert_file, settings.client_key_file)
    return tuple(one for one in wanted if one is not None)


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """How we speak TLS; None for tls = "none". Raises Misconfigured for files that cannot be used."""
    if settings.tls == "none":
        return None
    try:
        context = ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.tls == "opportunistic":  # RFC 7435: better than none, and recorded as unverified
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if settings.client_cert_file:
            context.load_cert_chain(settings.client_cert_file, settings.client_key_file)
    except (OSError, ValueError) as error:
        raise Misconfigured(
            f"[courier] TLS files cannot be used: {type(error).__name__} (ca_file, client_cert_file, "
            "client_key_file must be PEM, and key and certificate must belong together)"
        ) from error
    return context


def _leave(connection: Connection) -> None:
    """Say goodbye if anybody listens; the answer is not waited for, since nothing hangs on it (RFC 5321 4.1.1.10)."""
    if connection.sock is not None:
        try:
            connection.sock.settimeout(1)
            connection.sock.sendall(b"QUIT\r\n")
        except OSError:
            pass
        connection.close()
