"""Every conversation of tests/dialogs, held with the real process: whole, byte by byte, and cut at odd places."""

from __future__ import annotations

import base64
import codecs
import fnmatch
import hashlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.smtpd import Smtpd, smtpd, trusting
from tests.support.spool import tenant

DIALOGS = sorted((Path(__file__).parents[2] / "dialogs").glob("*.txt"))


def app_password(username: str, password: bytes, user: str = "usr_0000000000000001") -> dict[str, str]:
    salt = b"0123456789abcdef"
    return {
        "username": username,
        "user": user,
        "salt": base64.b64encode(salt).decode(),
        "verifier": base64.b64encode(hashlib.sha256(salt + password).digest()).decode(),
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Smtpd]:
    users = (app_password("scanner", b"old-password"), app_password("scanner", b"right-password"))
    with smtpd(
        tmp_path_factory.mktemp("dialogs") / "node",
        tls=True,
        max_message_bytes=1 << 20,
        max_recipients=5,
        snapshot={"tenants": [tenant(users=users)]},
    ) as running:
        yield running


class Talk:
    """One side of a conversation. `piece` cuts what is sent into packets of that size."""

    def __init__(self, server: Smtpd, listener: str, piece: int) -> None:
        self.server = server
        self.piece = piece
        self.socket: socket.socket = server.connect(listener)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if listener == "submissions":
            self.tls()
        self.buffer = b""

    def tls(self) -> None:
        self.socket = trusting(self.server.directory).wrap_socket(self.socket, server_hostname="127.0.0.1")

    def send(self, data: bytes) -> None:
        piece = self.piece if len(data) < 20_000 else 0
        for at in range(0, len(data), piece or len(data) or 1):
            self.socket.sendall(data[at : at + (piece or len(data))])

    def line(self) -> str:
        while b"\n" not in self.buffer:
            try:
                more = self.socket.recv(65_536)
            except ConnectionResetError:
                more = b""
            if not more:
                assert self.buffer == b""
                return "closed"
            self.buffer += more
        line, _, self.buffer = self.buffer.partition(b"\n")
        assert line.endswith(b"\r")
        return line[:-1].decode("utf-8")

    def expect(self, pattern: str) -> None:
        if pattern == "...":
            while not re.match(r"[0-9]{3} ", self.line()):
                pass
            return
        found = self.line()
        assert fnmatch.fnmatchcase(found, pattern.replace("[", "[[]")), f"expected {pattern!r}, came {found!r}"

    def perform(self, line: str) -> int:
        """One line of the file; how many messages it says were stored."""
        word, _, rest = line.partition(":")
        rest = rest.removeprefix(" ")
        if line == "starttls":
            self.tls()
        elif word == "c":
            self.send(rest.encode() + b"\r\n")
        elif word == "raw":
            self.send(_unescape(rest))
        elif word == "fill":
            self.send((b"x" * 70 + b"\r\n") * (int(rest) // 72))
        elif word == "repeat":
            count, _, text = rest.partition(" ")
            self.send(_unescape(text) * int(count))
        elif word == "repeat-s":
            count, _, text = rest.partition(" ")
            for _ in range(int(count)):
                self.expect(text)
        elif word == "s":
            self.expect(rest)
        elif word == "stored":
            return int(rest)
        elif word != "listener":
            raise AssertionError(f"unknown line {line!r}")
        return 0


def _unescape(text: str) -> bytes:
    return codecs.escape_decode(text.encode())[0]  # type: ignore[attr-defined,no-any-return]


def hold(server: Smtpd, path: Path, piece: int) -> None:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    listener = lines[0].partition(": ")[2] if lines[0].startswith("listener:") else "relay"
    before = len(server.messages())
    talk = Talk(server, listener, piece)
    with talk.socket:
        stored = sum(talk.perform(line) for line in lines)
    assert len(server.messages()) - before == stored
    assert list((server.spool / "large").glob("*.part")) == []


@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
def test_dialog(server: Smtpd, path: Path) -> None:
    hold(server, path, 0)


@pytest.mark.parametrize("piece", [1, 3])
@pytest.mark.parametrize("name", ["plain", "pipelined", "smuggling-lf", "bdat", "loop"])
def test_dialog_in_split_packets(server: Smtpd, name: str, piece: int) -> None:
    hold(server, Path(__file__).parents[2] / "dialogs" / f"{name}.txt", piece)


def test_stored_bytes_are_the_sent_ones_without_stuffing(tmp_path: Path) -> None:
    message = b"..Subject: dots\r\n\r\n.\x2e\r\n.line\r\n.. two\r\nend without a dot."
    with smtpd(tmp_path / "node") as running, running.connect() as connection:
        stuffed = message.replace(b"\r\n.", b"\r\n..")
        stuffed = b"." + stuffed if stuffed.startswith(b".") else stuffed
        connection.sendall(
            b"EHLO c.test\r\nMAIL FROM:<a@clinic.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n"
            + stuffed
            + b"\r\n.\r\nQUIT\r\n"
        )
        while connection.recv(65_536):
            pass
        assert running.messages() == [message + b"\r\n"]
        (envelope,) = running.envelopes()
        assert (envelope.mail_from, envelope.helo, envelope.client_ip) == ("a@clinic.test", "c.test", "127.0.0.1")
        assert (envelope.identity.kind, envelope.tls, envelope.listener) == ("network", "", "relay")


def test_normalize_mends_bare_newlines_and_still_ends_only_at_the_true_dot(tmp_path: Path) -> None:
    with smtpd(tmp_path / "node", normalize_newlines=True) as running, running.connect() as connection:
        connection.sendall(
            b"EHLO c.test\r\nMAIL FROM:<a@clinic.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n"
            b"one\ntwo\rthree\r\n\n.\nMAIL FROM:<x@clinic.test>\n.\r\nend\r\n.\r\nQUIT\r\n"
        )
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
        assert answer.count(b"250 2.0.0 OK: queued") == 1
        assert running.messages() == [b"one\r\ntwo\r\nthree\r\n\r\n.\r\nMAIL FROM:<x@clinic.test>\r\n.\r\nend\r\n"]
        assert "message:newlines-mended" in running.log_text()


def parameters(envelope: Any) -> tuple[Any, ...]:
    return (envelope.mail_params, *(one.params for one in envelope.recipients))


def test_parameters_travel_verbatim(tmp_path: Path) -> None:
    with smtpd(tmp_path / "node") as running, running.client() as client:
        client.ehlo("c.test")
        client.mail("a@clinic.test", ["ret=Hdrs", "ENVID=Q+2B1", "AUTH=<>"])
        client.rcpt("b@example.test", ["NOTIFY=success,FAILURE", "ORCPT=rfc822;B@example.test"])
        assert client.data(b"x\r\n")[0] == 250
        (envelope,) = running.envelopes()
        assert parameters(envelope) == (
            (("ret", "Hdrs"), ("ENVID", "Q+2B1"), ("AUTH", "<>")),
            (("NOTIFY", "success,FAILURE"), ("ORCPT", "rfc822;B@example.test")),
        )


def test_extensions_the_smarthost_lacks_are_neither_offered_nor_taken(tmp_path: Path) -> None:
    with smtpd(tmp_path / "node", snapshot={"extensions": {"SMTPUTF8": False}}) as running, running.client() as client:
        client.ehlo("c.test")
        assert not client.has_extn("8bitmime")
        assert not client.has_extn("smtputf8")
        assert client.mail("a@clinic.test", ["BODY=8BITMIME"])[0] == 555
        assert client.docmd("MAIL", "FROM:<a@clinic.test> SMTPUTF8")[0] == 555
