"""Strangers at the portal's port: how many, how large and how slow they may be."""

from __future__ import annotations

import asyncio
import ipaddress
import resource
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from gateway.portal import crowd, gate, protocol
from gateway.portal import server as portal_server
from gateway.portal.crowd import Crowd, most_connections
from gateway.portal.server import Listen, PortalServer
from tests.unit.infra.test_certificates import certificates

PATIENCE = 60.0
MUCH_BYTES = 20_000_000
"""More than lies between a server and a client who does not read."""


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


async def much(request: Request) -> StreamingResponse:
    return StreamingResponse(iter([b"m" * 250_000] * (MUCH_BYTES // 250_000)))


def served(**more: Path) -> PortalServer:
    app = Starlette()
    app.router.routes.append(Route("/", answer, methods=["GET", "POST"]))
    app.router.routes.append(Route("/much", much, methods=["GET"]))
    app.state.pools = ()
    return portal_server.start(app, [Listen("127.0.0.1", 0)], **more)


@pytest.fixture(scope="module")
def server() -> Iterator[PortalServer]:
    made = served()
    yield made
    made.stop()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEADER_SECONDS", "BODY_GRACE_SECONDS"):
        monkeypatch.setattr(protocol, name, 0.2)
    monkeypatch.setattr(gate, "HANDSHAKE_SECONDS", 0.2)
    monkeypatch.setattr(crowd, "SWEEP_SECONDS", 0.05)


def connected(server: PortalServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.ports[0]), timeout=PATIENCE)


def said(line: socket.socket) -> bytes:
    """Everything until the server ends the connection; a time-out is an error."""
    found = b""
    try:
        while piece := line.recv(65536):
            found += piece
    except ConnectionError:
        pass
    return found


def settled(server: PortalServer, total: int) -> bool:
    until = time.monotonic() + PATIENCE
    while server.crowd.total != total and time.monotonic() < until:
        time.sleep(0.01)
    return server.crowd.total == total


@pytest.mark.parametrize(
    "fields",
    [b"X: " + b"a" * 20_000, b"".join(b"h%d: v\r\n" % n for n in range(101)), b"X: " + b"a" * 400_000],
    ids=["long", "many", "endless"],
)
def test_a_header_beyond_its_bounds_is_refused(server: PortalServer, fields: bytes) -> None:
    with connected(server) as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        try:
            line.sendall(fields.rstrip() + b"\r\nlast: one\r\n\r\n")
        except ConnectionError:
            return
        found = said(line)
        assert not found.startswith(b"HTTP/1.1 200")
        assert found == b"" or found.startswith(b"HTTP/1.1 431")


def test_a_header_within_its_bounds_and_many_requests_on_one_connection_are_answered(server: PortalServer) -> None:
    with connected(server) as line:
        for body in (b"", b"a" * 300_000, b"b"):
            line.sendall(
                b"POST / HTTP/1.1\r\nHost: x\r\nX: "
                + b"a" * 12_000
                + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
                + body
            )
            found = b""
            while b"\r\n\r\n%d" % len(body) not in found:
                piece = line.recv(65536)
                assert piece
                found += piece


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"\r\n",
        b"GET / HTTP/1.1\r\nHost:",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nfew",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n\r\n",
    ],
    ids=["nothing", "empty", "header", "body", "next"],
)
def test_who_says_nothing_more_is_cut_off(server: PortalServer, hasty: None, words: bytes) -> None:
    with connected(server) as line:
        line.sendall(words)
        said(line)
    assert settled(server, 0)


def test_connections_beyond_the_limit_are_refused_and_counted_out_again(
    server: PortalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.crowd, "most", 3)
    lines = [connected(server) for _ in range(3)]
    assert settled(server, 3)
    with connected(server) as one_more:
        assert said(one_more) == b""
    for line in lines:
        line.close()
    assert settled(server, 0)
    with connected(server) as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert said(line).startswith(b"HTTP/1.1 200")


def test_a_handshake_that_does_not_come_is_counted_and_cut_off(tmp_path: Path, hasty: None) -> None:
    certificate, key, _ = certificates(tmp_path)
    server = served(cert_file=certificate, key_file=key)
    try:
        with connected(server) as line:
            assert settled(server, 1)
            said(line)
        assert settled(server, 0)
        with connected(server) as line:
            line.sendall(b"GET / HTTP/1.1\r\n\r\n")
            said(line)
        assert settled(server, 0)
    finally:
        server.stop()


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_who_does_not_read_an_answer_is_cut_off(
    secure: bool, tmp_path: Path, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "STALL_SECONDS", 0.3)
    more: dict[str, Path] = {}
    if secure:
        more["cert_file"], more["key_file"], _ = certificates(tmp_path)
    made = served(**more)
    try:
        with socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            raw.settimeout(PATIENCE)
            raw.connect(("127.0.0.1", made.ports[0]))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            line = context.wrap_socket(raw) if secure else raw
            line.sendall(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
            assert line.recv(1) == b"H"
            assert settled(made, 0)
            assert len(said(line)) < MUCH_BYTES
    finally:
        made.stop()


def test_one_network_leaves_room_for_the_others_and_a_proxy_stands_for_many() -> None:
    loop = asyncio.new_event_loop()
    try:
        found = Crowd(10, [ipaddress.ip_network("10.0.0.1/32")], per_network=2)
        names = [found.enter(f"192.0.2.{n}", loop) for n in range(4)]
        assert names == ["192.0.2.0/24", "192.0.2.0/24", None, None]
        assert found.enter("198.51.100.1", loop)
        assert [found.enter("10.0.0.1", loop) for _ in range(4)] == [""] * 4
        assert [found.enter("2001:db8:0:1::1", loop), found.enter("2001:db8:0:2::1", loop)].count(None) == 0
        assert found.enter("2001:db8:0:3::1", loop) is None
        found.leave("192.0.2.0/24")
        assert found.enter("192.0.2.9", loop)
        assert found.enter("203.0.113.1", loop)
        assert found.enter("203.0.113.1", loop) is None, "all together"
    finally:
        loop.close()


def test_the_portal_leaves_descriptors_for_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1000, 4096))
    assert most_connections() == 600
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (65_536, 65_536))
    assert most_connections() == crowd.MOST


def test_a_role_opens_as_many_files_as_it_is_allowed() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 512)); "
        "from gateway.processes import raise_descriptors as r; r(); print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "(512, 512)"
