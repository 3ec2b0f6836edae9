"""A smarthost that spoils each stage of a delivery once: STARTTLS, AUTH, PIPELINING, and a fault where a test asks.

Stages of a connection (`opening`, one fault for each new connection, in order): `banner ehlo starttls handshake auth`.
Stages of a message, asked for by its addresses (a localpart ``fault-stage+anything``, of the sender for `mail`), each
met once: `mail rcpt data content end`. Faults: `4xx` and `5xx` answer so, `drop` resets the line, `hang` says nothing
until the client is gone, `half` closes its own direction and goes on reading. At `end`, what says nothing has taken the
mail.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from gateway.demo.sink import Received
from tests.support.load import PATIENCE

OPENING = ("banner", "ehlo", "starttls", "handshake", "auth")
STAGES = ("mail", "rcpt", "data", "content", "end")
FAULTS = ("4xx", "5xx", "drop", "hang", "half")
ANSWERS = {"4xx": b"451 4.3.2 marked-server-text later\r\n", "5xx": b"554 5.7.1 marked-server-text never\r\n"}
SLOW_SECONDS = 1.0


class _Over(Exception):
    """The line is of no use any more."""


@dataclass
class Spoiled:
    """See the module's words. `login` is what AUTH PLAIN must say."""

    certificate: Path
    key: Path
    login: tuple[str, str]
    opening: deque[tuple[str, str]] = field(default_factory=deque)
    mails: list[Received] = field(default_factory=list)
    unheard: list[Received] = field(default_factory=list)
    """Taken, and the client did not hear of it, or only after a second."""
    early: list[str] = field(default_factory=list)
    """Commands that name a person or a password and came before TLS and AUTH."""
    met: set[str] = field(default_factory=set)
    port: int = 0

    def start(self) -> int:
        """Begin to listen; the port."""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, self.key)
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", self.port))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self.port

    def stop(self) -> None:
        """Stop listening."""
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._socket.accept()
            except OSError:
                return
            line.settimeout(PATIENCE)
            threading.Thread(target=_Talk(self, line).run, daemon=True).start()

    def once(self, address: str, stage: str) -> str:
        """The fault that this address asks for at this stage, the first time; else nothing."""
        local = address.rpartition("@")[0]
        fault, _, where = local.partition("+")[0].partition("-")
        with self._lock:
            if where != stage or fault not in FAULTS or address in self.met:
                return ""
            self.met.add(address)
            return fault


class _Talk:
    """One connection."""

    def __init__(self, owner: Spoiled, line: socket.socket) -> None:
        self._owner = owner
        self._line = line
        self._read = b""
        with owner._lock:
            self._stage, self._fault = owner.opening.popleft() if owner.opening else ("", "")
        self._secure = self._proved = False

    def run(self) -> None:
        with suppress(_Over, OSError):
            self._open("banner")
            self._say(b"220 smarthost.test\r\n")
            while True:
                self._command(self._readline())
        self._line.close()

    # faults

    def _open(self, stage: str) -> None:
        if stage == self._stage:
            fault, self._stage = self._fault, ""
            self._spoil(fault)
            raise _Over

    def _spoil(self, fault: str) -> bool:
        """Whether the connection serves on afterwards."""
        if fault in ANSWERS:
            self._say(ANSWERS[fault])
            return True
        if fault == "drop":
            self._line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise _Over
        if fault == "half":
            self._line.shutdown(socket.SHUT_WR)
        while self._line.recv(65_536):
            pass
        raise _Over

    # the line

    def _say(self, data: bytes) -> None:
        self._line.sendall(data)

    def _more(self) -> None:
        data = self._line.recv(65_536)
        if not data:
            raise _Over
        self._read += data

    def _readline(self) -> str:
        while b"\r\n" not in self._read:
            self._more()
        line, _, self._read = self._read.partition(b"\r\n")
        return line.decode()

    # the dialogue

    def _command(self, line: str) -> None:
        word = line.partition(" ")[0].upper()
        if word in ("AUTH", "MAIL", "RCPT", "DATA") and not (self._secure and (self._proved or word == "AUTH")):
            self._owner.early.append(word)
        if word == "EHLO":
            self._open("ehlo")
            more = b"AUTH PLAIN" if self._secure else b"STARTTLS"
            self._say(b"250-smarthost.test\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250 " + more + b"\r\n")
        elif word == "STARTTLS":
            self._open("starttls")
            self._say(b"220 2.0.0 go on\r\n")
            self._open("handshake")
            self._line = self._owner._context.wrap_socket(self._line, server_side=True)
            self._read, self._secure = b"", True
        elif word == "AUTH":
            self._open("auth")
            self._proved = True
            self._say(b"235 2.7.0 proved\r\n")
        elif word == "MAIL":
            self._from, self._to = _path(line), list[str]()
            if self._spoiled([self._from], "mail"):
                self._from = ""
                self._to = ["nobody"]  # what is pipelined behind it is refused
                return
            self._say(b"250 2.1.0 ok\r\n")
        elif word == "RCPT":
            self._rcpt(_path(line))
        elif word == "DATA":
            self._data()
        else:
            self._to = []
            self._say(b"221 2.0.0 bye\r\n" if word == "QUIT" else b"250 2.0.0 ok\r\n")

    def _rcpt(self, address: str) -> None:
        if self._to == ["nobody"]:
            self._say(b"503 5.5.1 MAIL first\r\n")
        elif not self._spoiled([address], "rcpt"):
            self._to.append(address)
            self._say(b"250 2.1.5 ok\r\n")

    def _data(self) -> None:
        if not self._to or self._to == ["nobody"]:
            self._say(b"503 5.5.1 RCPT first\r\n")
            return
        if self._spoiled(self._to, "data"):
            return
        self._say(b"354 go on\r\n")
        if any("-content+" in one and one not in self._owner.met for one in self._to):
            self._more()
            if self._spoiled(
                self._to, "content"
            ):  # answered within the content, of which the rest is read all the same
                while b"\r\n.\r\n" not in self._read:
                    self._more()
                raise _Over
        while b"\r\n.\r\n" not in self._read:
            self._more()
        data, _, self._read = self._read.partition(b"\r\n.\r\n")
        began = time.monotonic()
        taken = Received(self._from, tuple(self._to), data.replace(b"\r\n..", b"\r\n.") + b"\r\n")
        fault = next(filter(None, (self._owner.once(one, "end") for one in self._to)), "")
        if fault in ANSWERS:
            self._spoil(fault)
            return
        self._owner.mails.append(taken)
        if fault:
            self._owner.unheard.append(taken)
            self._spoil(fault)
        self._say(b"250 2.0.0 taken\r\n")
        if time.monotonic() - began > SLOW_SECONDS:
            self._owner.unheard.append(taken)

    def _spoiled(self, addresses: list[str], stage: str) -> bool:
        fault = next(filter(None, (self._owner.once(one, stage) for one in addresses)), "")
        return self._spoil(fault) if fault else False


def _path(line: str) -> str:
    return line.partition("<")[2].partition(">")[0]
