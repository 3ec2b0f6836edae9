"""Certificates are renewed while connections stay open: by SIGHUP, by a changed file, for SMTP and for the portal."""

from __future__ import annotations

import http.client
import signal
import smtplib
import socket
import ssl
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from gateway.certificates import Certificate
from gateway.errors import Misconfigured
from gateway.portal import server as portal_server
from tests.support.faulty import eventually
from tests.support.smtpd import Smtpd, certificates, smtpd


def anyone() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def shown(port: int) -> bytes:
    """The certificate that a new connection with implicit TLS sees."""
    with (
        socket.create_connection(("127.0.0.1", port), 5) as line,
        anyone().wrap_socket(line, server_hostname="localhost") as secured,
    ):
        return secured.getpeercert(binary_form=True) or b""


def starttls(server: Smtpd) -> bytes:
    with server.client("submission") as client:
        client.starttls(context=anyone())
        assert isinstance(client.sock, ssl.SSLSocket)
        return client.sock.getpeercert(binary_form=True) or b""


def der(path: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(path.read_text().split("-----END")[0] + "-----END CERTIFICATE-----\n")


def renewed(folder: Path) -> bytes:
    """Another certificate in the same files; it."""
    return der(certificates(folder)[0])


def test_smtp_shows_a_new_certificate_and_keeps_its_connections(tmp_path: Path) -> None:
    with smtpd(tmp_path / "node", tls=True) as server:
        folder = server.directory
        first = der(folder / "cert.pem")
        assert shown(server.ports["submissions"][0]) == starttls(server) == first
        with smtplib.SMTP_SSL("127.0.0.1", server.ports["submissions"][0], context=anyone()) as client:
            client.ehlo("c.test")
            second = renewed(folder)
            server.process.send_signal(signal.SIGHUP)
            eventually(lambda: shown(server.ports["submissions"][0]) == second)
            assert starttls(server) == second
            assert client.noop()[0] == 250  # it was there before, and goes on
            third = renewed(folder)  # nobody says a word: the files are looked at
            eventually(lambda: shown(server.ports["submissions"][0]) == third, 60)
            assert starttls(server) == third
            (folder / "key.pem").write_text("half a ke")
            server.process.send_signal(signal.SIGHUP)
            eventually(lambda: "certificate:refused" in server.log_text())
            assert shown(server.ports["submissions"][0]) == third
            assert client.noop()[0] == 250


def test_portal_shows_a_new_certificate_and_keeps_its_connections(tmp_path: Path) -> None:
    certificate, key, _ = certificates(tmp_path)
    app = Starlette()
    app.router.routes.append(Route("/", lambda request: PlainTextResponse("here")))
    app.state.pools = ()
    listen = [portal_server.Listen("127.0.0.1", 0)]
    server = portal_server.start(app, listen, cert_file=certificate, key_file=key)
    try:
        port = server.ports[0]
        assert shown(port) == der(certificate)
        line = http.client.HTTPSConnection("127.0.0.1", port, context=anyone(), timeout=60)
        line.request("GET", "/")
        assert line.getresponse().read() == b"here"
        second = renewed(tmp_path)
        server.reload_certificate()
        assert shown(port) == second
        third = renewed(tmp_path)
        eventually(lambda: shown(port) == third, 60)
        line.request("GET", "/")
        assert line.getresponse().read() == b"here"
        line.close()
    finally:
        server.stop()


def test_half_replaced_pair_is_not_used_and_the_whole_one_is(tmp_path: Path) -> None:
    certificate, key, _ = certificates(tmp_path)
    found = Certificate("portal", certificate, key)
    before = found._current
    old_key = key.read_bytes()
    certificates(tmp_path)
    new_key = key.read_bytes()
    key.write_bytes(old_key)  # the certificate is new, its key is not there yet
    assert not found.reload()
    assert found._current is before
    key.write_bytes(new_key)
    found.look()
    assert found._current is not before
    key.unlink()
    assert not found.reload()
    with pytest.raises(Misconfigured, match="tls_key_file"):
        Certificate("smtp", certificate, key)
