"""One connection to the smarthost: opened, protected, introduced and, where configured, proved.

Promises: nothing about a message is said before the configured protection stands; what the server says stays in these
objects, it reaches no log line and no exception text.
Clauses: RFC 5321 3.1, 4.1.1.1; RFC 3207; RFC 8314; RFC 4954.
"""

from __future__ import annotations

import hashlib
import select
import smtplib
import socket
import ssl
from collections.abc import Mapping

from gateway.courier.port import Deferred, Evidence
from gateway.courier.reply import Reply
from gateway.sensitive import Sensitive

SUBMISSIONS_PORT = 465  # implicit TLS (RFC 8314 3.3)


class ConnectionFailed(Exception):
    """No message could be begun. `deferred` is what that means for each recipient."""

    def __init__(self, status: str, reason: str, code: int = 0) -> None:
        super().__init__(reason)
        self.deferred = Deferred(status, reason, code)


class Interrupted(Exception):
    """The line is unusable from here on. `reason`: lost, timeout, or closing (the server said 421)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Connection(smtplib.SMTP):
    """smtplib's reading of answers and its log-in; what is sent, we send."""

    def __init__(self, helo_name: str, timeout_seconds: float, end_timeout_seconds: float) -> None:
        super().__init__(local_hostname=helo_name, timeout=timeout_seconds)
        self._timeout_seconds = timeout_seconds
        self._end_timeout_seconds = end_timeout_seconds
        self._implicit: ssl.SSLContext | None = None
        self._verified = False
        self._peer = ("", 0)
        self.authenticated = False
        self.pipelining = False
        self._features: dict[str, str] = {}
        self._waits_seconds = 0.0  # the socket's present timeout; setting it anew is a system call
        self.used = 0  # messages begun
        self.idle_since = 0.0

    def open(
        self,
        host: str,
        port: int,
        tls: str,
        context: ssl.SSLContext | None,
        login: tuple[str, Sensitive[str]] | None = None,
    ) -> None:
        """Connect, protect, introduce, prove. Raises ConnectionFailed, with the line closed."""
        self._peer = (host, port)
        self._host = host  # smtplib has the certificate checked against this name
        self._implicit = context if port == SUBMISSIONS_PORT and tls != "none" else None
        try:
            self._open(tls, context, login)
        except ConnectionFailed:
            self.close()
            raise
        except (OSError, smtplib.SMTPException, ValueError) as error:
            self.close()
            raise ConnectionFailed(*_failure(error)) from None

    def usable(self) -> bool:
        """Whether an idle connection still looks alive: nothing was said and nothing was closed meanwhile."""
        if self.sock is None:
            return False
        try:
            pending = isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()
            return not pending and not select.select([self.sock], [], [], 0)[0]
        except (OSError, ValueError):
            return False

    @property
    def verified(self) -> bool:
        """Whether TLS stands, with a certificate that is the smarthost's."""
        return self._verified and isinstance(self.sock, ssl.SSLSocket)

    def features(self) -> Mapping[str, str]:
        """Upper-case keyword to parameters, of the last EHLO."""
        return self._features

    def evidence(self, answer: Sensitive[str]) -> Evidence:
        """How this line is protected, and what was answered on it."""
        host, port = self._peer
        dsn = "DSN" in self.features()
        if not isinstance(self.sock, ssl.SSLSocket):
            return Evidence(host, port, dsn=dsn, answer=answer)
        cipher = self.sock.cipher()
        return Evidence(
            host,
            port,
            tls_version=self.sock.version() or "",
            cipher=cipher[0] if cipher else "",
            certificate_sha256=hashlib.sha256(self.sock.getpeercert(binary_form=True) or b"").hexdigest(),
            verified=self._verified,
            dsn=dsn,
            answer=answer,
        )

    def send_bytes(self, data: bytes) -> None:
        """Hand it all to the system. Raises Interrupted."""
        if self.sock is None:
            raise Interrupted("lost")
        try:
            self.sock.sendall(data)
        except TimeoutError:
            raise Interrupted("timeout") from None
        except OSError:
            raise Interrupted("lost") from None

    def answer(self, *, to_whole_message: bool = False) -> Reply:
        """The next answer. Raises Interrupted, also for 421: the server closes (RFC 5321 3.8)."""
        self._wait(self._end_timeout_seconds if to_whole_message else self._timeout_seconds)
        try:
            code, text = self.getreply()
        except smtplib.SMTPServerDisconnected as error:
            raise Interrupted(_why(error)) from None
        except (OSError, smtplib.SMTPException):
            raise Interrupted("lost") from None
        if code == 421:
            raise Interrupted("closing")
        return Reply(code, Sensitive(text.decode("utf-8", "replace")))

    def _wait(self, seconds: float) -> None:
        if self.sock is not None and seconds != self._waits_seconds:
            self.sock.settimeout(seconds)
            self._waits_seconds = seconds

    def parting_words(self) -> Reply | None:
        """What the server may have said before it stopped listening; None when nothing is there."""
        try:
            if self.sock is None or not select.select([self.sock], [], [], 1)[0]:
                return None
            return self.answer()
        except (Interrupted, OSError, ValueError):
            return None

    def _open(self, tls: str, context: ssl.SSLContext | None, login: tuple[str, Sensitive[str]] | None) -> None:
        code, _ = self.connect(*self._peer)
        if code != 220:
            raise ConnectionFailed("4.3.2", "greeting", code)
        self._introduce()
        if tls != "none" and self._implicit is None:
            self._secure(tls, context)
        self._verified = tls == "verified"
        if login is not None:
            self._prove(*login)

    def _introduce(self) -> None:
        code, _ = self.ehlo()
        if code // 100 == 5:  # RFC 5321 3.2: an old server
            code, _ = self.helo()
        if code // 100 != 2:
            raise ConnectionFailed("4.3.2", "greeting", code)
        self._features = {name.upper(): value for name, value in self.esmtp_features.items()}
        self.pipelining = "PIPELINING" in self._features

    def _secure(self, tls: str, context: ssl.SSLContext | None) -> None:
        """STARTTLS. Where it was offered, a handshake that fails never falls back to plain text."""
        if self.has_extn("starttls"):
            code, _ = self.starttls(context=context)
            if code != 220:
                raise ConnectionFailed("4.7.4", "no-tls", code)
            self._introduce()
        elif tls == "verified":
            raise ConnectionFailed("4.7.4", "no-tls")

    def _prove(self, username: str, password: Sensitive[str]) -> None:
        try:
            self.login(username, password.reveal())
        except smtplib.SMTPServerDisconnected:
            raise
        except smtplib.SMTPResponseException as error:
            raise ConnectionFailed("4.7.8", "auth", error.smtp_code) from None
        except smtplib.SMTPException:
            raise ConnectionFailed("4.7.8", "auth") from None
        self.authenticated = True

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = socket.create_connection((host, port), timeout)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return plain if self._implicit is None else self._implicit.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise


def _why(error: BaseException) -> str:
    return "timeout" if isinstance(error.__context__, TimeoutError) else "lost"


def _failure(error: Exception) -> tuple[str, str]:
    """Status and machine word of what went wrong while opening. Order matters: most of these are OSErrors."""
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return "4.4.2", _why(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return "4.7.5", "certificate"
    if isinstance(error, ssl.SSLError):
        return "4.7.5", "tls"
    if isinstance(error, socket.gaierror):
        return "4.4.3", "name"
    if isinstance(error, TimeoutError):
        return "4.4.1", "timeout"
    return "4.4.1", "connect"
