"""Other machines at the keyholder's door: who is admitted by which certificate, and that nobody else is. DESIGN §2."""

from __future__ import annotations

import dataclasses
import json
import re
import secrets
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from keys.client import Connection, OperatorClient, PortalClient, WorkerClient
from keys.errors import Denied, Unavailable
from keys.keyholder import authority, distant, wire
from keys.keyholder.holder import Holder
from tests.support.keyholder import NODE
from tests.unit.keyholder.doors import OTHER, WAIT_SECONDS, Doors, as_it_is, ended, request


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    made = Doors(tmp_path_factory.mktemp("doors"))
    yield made
    made.close()


def line_of(capsys: pytest.CaptureFixture[str], why: str) -> None:
    """Wait for exactly one refusal, and its reason."""
    found: list[str] = []
    until = time.monotonic() + WAIT_SECONDS
    while not found:
        assert time.monotonic() < until, "no line"
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        found = [line["state"] for line in lines if line["event"] == "keyholder:machine-refused"]
        time.sleep(0.01)
    assert found == [why]


def test_machine_calls_as_the_role_of_its_certificate(doors: Doors) -> None:
    worker = WorkerClient(doors.machine())
    assert [one["epoch"] for one in worker.epochs(NODE)]
    assert PortalClient(doors.machine(role="portal")).keys()["public_key"]
    assert OperatorClient(doors.machine(role="operator")).status()["nodes"].keys() >= {NODE, OTHER}


def test_role_of_another_certificate_is_refused_and_recorded(doors: Doors) -> None:
    portal = doors.machine(role="portal")
    before = doors.house.actions("system").count(("call:refused", "not-allowed"))
    with pytest.raises(Denied, match="not-allowed"):
        WorkerClient(portal).take_texts(1)
    with pytest.raises(Denied, match="not-allowed"):
        OperatorClient(portal).status()
    with pytest.raises(Denied, match="not-allowed"):
        OperatorClient(doors.machine()).status()
    assert doors.house.actions("system").count(("call:refused", "not-allowed")) == before + 3
    assert PortalClient(portal).keys()["public_key"], "the connection itself stays good"


@pytest.mark.parametrize("call", ["keys", "node_keys", "epochs", "snapshot", "epoch_done"])
def test_worker_of_one_node_does_not_speak_for_another(doors: Doors, call: str) -> None:
    worker = WorkerClient(doors.machine(OTHER))
    more: tuple[object, ...] = {"snapshot": ({},), "epoch_done": (1,)}.get(call, ())
    with pytest.raises(Denied, match="not-allowed"):
        getattr(worker, call)(NODE, *more)
    getattr(worker, call)(OTHER, *more)  # its own it may have


def test_revoked_certificate_ends_on_open_connections_at_once(doors: Doors, capsys: pytest.CaptureFixture[str]) -> None:
    worker, portal = WorkerClient(doors.machine("node-9")), PortalClient(doors.machine("node-9", "portal"))
    worker.take_texts(0)
    portal.keys()
    assert doors.house.operator.revoke_machine("node-9", "worker") == 1
    capsys.readouterr()
    with pytest.raises(Unavailable, match="does not admit"):
        worker.take_texts(0)
    line_of(capsys, "not-admitted")
    with pytest.raises(Unavailable, match="does not admit"):  # nor by a new connection
        worker.take_texts(0)
    portal.keys()  # the other certificate of that node goes on
    assert doors.house.operator.revoke_machine("node-9") == 1
    with pytest.raises(Unavailable, match="does not admit"):
        portal.keys()
    WorkerClient(doors.machine("node-9")).take_texts(0)  # and a new one is a new one


def test_retired_node_is_admitted_no_more(doors: Doors) -> None:
    doors.house.operator.register_node("node-8", "worker", secrets.token_bytes(32))
    worker = WorkerClient(doors.machine("node-8"))
    worker.take_texts(0)
    doors.house.operator.retire_node("node-8")
    with pytest.raises(Unavailable, match="does not admit"):
        worker.take_texts(0)


def test_certificate_that_ends_while_connected_ends_the_connection(doors: Doors) -> None:
    worker = WorkerClient(doors.machine("node-7"))
    worker.take_texts(0)
    doors.house.wait(91 * 86_400)
    try:
        with pytest.raises(Unavailable, match="does not admit"):
            worker.take_texts(0)
    finally:
        doors.house.wait(-91 * 86_400)


REFUSED: dict[str, tuple[Callable[[Doors], Connection], str, str]] = {
    "another-authority": (
        lambda doors: doors.forged(as_it_is, signer=ec.generate_private_key(ec.SECP256R1())), "not-ours", "certificate",
    ),
    "ended": (lambda doors: doors.forged(ended), "expired", "it has ended"),
    "not-on-the-list": (lambda doors: doors.forged(as_it_is), "not-admitted", "does not admit"),
    "for-a-server": (
        lambda doors: doors.forged(
            lambda one: one.add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), True)
        ),
        "not-ours", "certificate",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_certificate_is_refused_in_one_line_and_with_a_clear_error(
    doors: Doors, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    make, why, said = REFUSED[kind]
    machine = make(doors)
    capsys.readouterr()
    with pytest.raises(Unavailable, match=said):
        WorkerClient(machine).take_texts(0)
    line_of(capsys, why)


def test_certificate_on_the_list_under_another_name_is_refused(
    doors: Doors, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody changed the list: the certificate itself says whose it is, and both must say the same."""
    machine = doors.machine("node-6", "portal")
    doors.house.change("UPDATE machines SET role = 'operator' WHERE node = 'node-6'")
    doors.house.holder.admitted = doors.house.holder.database.run(authority.admitted)
    capsys.readouterr()
    with pytest.raises(Unavailable, match="does not admit"):
        OperatorClient(machine).status()
    line_of(capsys, "misnamed")


def hello(doors: Doors, **changes: object) -> ssl.SSLSocket:
    doors.machine(name="hello")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(doors.authority)
    for name, value in changes.items():
        setattr(context, name, value)
    raw = socket.create_connection(("127.0.0.1", doors.port), WAIT_SECONDS)
    try:
        return context.wrap_socket(raw, server_hostname=wire.SERVER_NAME)
    except BaseException:
        raw.close()
        raise


def test_older_tls_is_refused(doors: Doors, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ssl.SSLError):
        hello(doors, maximum_version=ssl.TLSVersion.TLSv1_2).close()
    line_of(capsys, "old-tls")


def test_without_a_certificate_nothing_is_answered(doors: Doors, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(hello(doors)) as peer, pytest.raises(ssl.SSLError):
        peer.sendall(wire.encode({"id": 1, "method": "status", "params": {}}))
        peer.recv(1)
    line_of(capsys, "no-certificate")


@pytest.mark.parametrize(
    "said", [wire.encode({"id": 1, "method": "status", "params": {}}), b"GET / HTTP/1.1\r\n\r\n"], ids=["ours", "http"]
)
def test_plain_tcp_is_refused(doors: Doors, capsys: pytest.CaptureFixture[str], said: bytes) -> None:
    with closing(socket.create_connection(("127.0.0.1", doors.port), WAIT_SECONDS)) as peer:
        peer.sendall(said)
        answer = b""
        try:
            while piece := peer.recv(4096):
                answer += piece
        except ConnectionError:
            pass
    assert b"tnt_" not in answer
    assert len(answer) <= 7, "an alert of TLS at most"
    line_of(capsys, "no-tls")


def test_silent_handshakes_have_few_places_and_little_time(
    doors: Doors, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = WorkerClient(doors.machine(name="early"))
    worker.take_texts(0)
    capsys.readouterr()
    monkeypatch.setattr(distant, "HANDSHAKE_SECONDS", 600.0)
    silent = []
    try:
        while True:  # a seventeenth of one address finds no place
            peer = socket.create_connection(("127.0.0.1", doors.port), WAIT_SECONDS)
            silent.append(peer)
            assert len(silent) < 100
            if "crowded" in capsys.readouterr().err:
                break
            time.sleep(0.005)
        worker.take_texts(0)  # who is in stays in
    finally:
        for one in silent:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()
    until = time.monotonic() + WAIT_SECONDS
    while doors.server._doors._shaking.total():
        assert time.monotonic() < until
        time.sleep(0.01)
    monkeypatch.setattr(distant, "HANDSHAKE_SECONDS", 0.05)
    capsys.readouterr()
    with closing(socket.create_connection(("127.0.0.1", doors.port), WAIT_SECONDS)) as peer:
        assert peer.recv(1) == b""
    line_of(capsys, "too-slow")


def test_client_tells_nothing_to_whoever_is_not_the_keyholder(doors: Doors, tmp_path: Path) -> None:
    """A node's certificate is of the same authority, and makes no keyholder of whoever stole it."""
    machine = doors.machine(OTHER, name="thief")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(doors.folder / "thief.pem")
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def listen() -> None:
            raw, _ = listener.accept()
            try:
                with context.wrap_socket(raw, server_side=True) as peer:
                    heard.append(peer.recv(100))
            except OSError:
                raw.close()

        thread = threading.Thread(target=listen)
        thread.start()
        place = dataclasses.replace(machine._place, port=listener.getsockname()[1])  # type: ignore[arg-type, type-var]
        with pytest.raises(Unavailable, match="no certificate of its authority"):
            WorkerClient(Connection(place, timeout_seconds=WAIT_SECONDS)).epochs(NODE)
        thread.join(WAIT_SECONDS)
    assert heard in ([], [b""])


def test_renewed_certificate_is_used_without_a_restart(doors: Doors) -> None:
    connection = doors.machine("node-5", name="renewed")
    worker = WorkerClient(connection)
    worker.take_texts(0)
    doors.house.operator.revoke_machine("node-5")
    with pytest.raises(Unavailable):
        worker.take_texts(0)
    doors.machine("node-5", name="renewed")
    worker.take_texts(0)


@pytest.mark.parametrize(
    ("node", "role", "days", "why"),
    [
        ("Node", "worker", 90, "bad-node"), ("a/../b", "worker", 90, "bad-node"), (NODE, "smtp", 90, "bad-role"),
        (NODE, "worker", 0, "bad-days"), (NODE, "worker", 398, "bad-days"),
    ],
)  # fmt: skip
def test_certificate_is_asked_for_in_bounds(doors: Doors, node: str, role: str, days: int, why: str) -> None:
    good = request(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(Denied, match=why):
        doors.house.operator.certify(node, role, good, days)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"no request",
        request(ec.generate_private_key(ec.SECP521R1())),
        request(ed25519.Ed25519PrivateKey.generate()),
    ],
    ids=["empty", "text", "P-521", "Ed25519"],
)
def test_what_is_no_request_of_ours_is_refused(doors: Doors, bad: bytes) -> None:
    with pytest.raises(Denied, match="bad-request"):
        doors.house.operator.certify(NODE, "worker", bad, 90)


def test_request_with_a_changed_key_is_refused(doors: Doors) -> None:
    good = x509.load_pem_x509_csr(request(ec.generate_private_key(ec.SECP256R1()))).public_bytes(Encoding.DER)
    at = len(good) - 1
    bent = good[:at] + bytes([good[at] ^ 1])
    pem = (
        b"-----BEGIN CERTIFICATE REQUEST-----\n"
        + __import__("base64").encodebytes(bent)
        + b"-----END CERTIFICATE REQUEST-----\n"
    )
    with pytest.raises(Denied, match="bad-request"):
        doors.house.operator.certify(NODE, "worker", pem, 90)


def test_authority_survives_a_restart_and_lies_wrapped(tmp_path: Path) -> None:
    made = Doors(tmp_path)
    made.machine()
    first = made.authority.read_text()
    (wrapped,) = made.house.rows("SELECT wrapped FROM authority")[0]
    assert re.match(rb"\x01", bytes(wrapped))
    assert b"PRIVATE" not in bytes(wrapped)
    made.server.stop()
    made.house.reopen()
    assert isinstance(made.house.holder, Holder)
    assert len(made.house.holder.admitted) == 1
    again = made.house.operator.certify(NODE, "portal", request(ec.generate_private_key(ec.SECP256R1())), 1)
    assert again["authority"] == first
    made.house.close()
