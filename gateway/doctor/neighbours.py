"""Short questions to servers beside us: the first line of a greeting, who listens, one page of the portal."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

SECONDS = 4.0
_DATE = re.compile(r"[A-Z][a-z]{2}, {1,2}[0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} (?:[+-][0-9]{4}|GMT|UT)")


def first_line(host: str, port: int) -> str:
    """What a server says first, without the line's end; empty when nothing answers within four seconds."""
    try:
        with socket.create_connection((host, port), SECONDS) as peer:
            peer.settimeout(SECONDS)
            text = b""
            while b"\n" not in text and len(text) < 2048:
                piece = peer.recv(1024)
                if not piece:
                    break
                text += piece
            return text.split(b"\n", 1)[0].decode("latin-1").strip()
    except OSError:
        return ""


def date_in(greeting: str) -> datetime | None:
    """The time that some servers say in their greeting (Exchange Online, Exim, Sendmail); None without one."""
    found = _DATE.search(greeting)
    if found is None:
        return None
    try:
        said = parsedate_to_datetime(found[0])
    except ValueError:
        return None
    return said if said.tzinfo else said.replace(tzinfo=UTC)


def listens(host: str, port: int) -> bool:
    """Whether anybody takes connections there."""
    try:
        with socket.create_connection((reachable(host), port), 1.5):
            return True
    except OSError:
        return False


def reachable(host: str) -> str:
    """An address at which a listener on `host` can be reached from this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound


def certificate(host: str, port: int, *, starttls: bool) -> bytes | None:
    """The certificate that a listener shows, DER; None when it shows none. STARTTLS as RFC 3207 has it."""
    context = ssl.create_default_context()
    context.check_hostname = False  # it is compared with a file, not believed
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((reachable(host), port), SECONDS) as plain:
            if starttls:
                for said in (b"", b"EHLO doctor.invalid\r\n", b"STARTTLS\r\n"):
                    plain.sendall(said)
                    if not _answered(plain):
                        return None
            with context.wrap_socket(plain) as line:
                return line.getpeercert(binary_form=True)
    except OSError:
        return None


VERIFIED, UNVERIFIED, NO_TLS, UNREACHABLE = "verified", "unverified", "no-tls", "unreachable"


def mail_tls(host: str, port: int = 25) -> str:
    """How a mail server answers STARTTLS: with a certificate that holds for its name, with another, not at all; or
    nobody reaches it from here. RFC 3207.
    """
    worst = UNREACHABLE
    for verify in (True, False):
        context = ssl.create_default_context()
        if not verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with socket.create_connection((host, port), SECONDS) as plain:
                for said in (b"", b"EHLO doctor.invalid\r\n", b"STARTTLS\r\n"):
                    plain.sendall(said)
                    if not _answered(plain):
                        return NO_TLS if said.startswith(b"START") else UNREACHABLE
                worst = NO_TLS
                with context.wrap_socket(plain, server_hostname=host):
                    return VERIFIED if verify else UNVERIFIED
        except OSError:  # ssl.SSLError is one
            continue
    return worst


def _answered(line: socket.socket) -> bool:
    """Whether a whole answer of SMTP came, and a good one (RFC 5321 4.2.1)."""
    text = b""
    while not re.search(rb"(?m)^[0-9]{3} .*\r\n\Z", text):
        piece = line.recv(4096)
        if not piece or len(text) > 65_536:
            return False
        text += piece
    return text[:1] == b"2"


def portal_alive(host: str, port: int, *, tls: bool, name: str) -> int:
    """HTTP status of an empty page of `name`'s portal on that listener; 0 when nothing that speaks HTTP answers."""
    connection: http.client.HTTPConnection
    if tls:
        context = ssl.create_default_context()
        context.check_hostname = False  # whether the name fits is another check's question
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(reachable(host), port, timeout=SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(reachable(host), port, timeout=SECONDS)
    try:
        connection.request("GET", "/robots.txt", headers={"Host": name})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
