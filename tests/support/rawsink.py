"""A next hop that records every byte it is sent and reads it by the letter: what really goes over the wire.

It takes everything, offers what a smarthost offers, and ends a message at CR LF dot CR LF and nowhere else. `loose()`
reads the same bytes as careless servers do.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from dataclasses import dataclass, field

from tests.fuzz.common import plain_lines
from tests.support.load import PATIENCE

EXTENSIONS = (b"PIPELINING", b"8BITMIME", b"SMTPUTF8", b"DSN", b"ENHANCEDSTATUSCODES", b"SIZE 200000000")


@dataclass
class Sent:
    """One message: the commands of its envelope, its bytes as they stood on the wire up to its end, and unstuffed."""

    commands: list[bytes]
    wire: bytes
    content: bytes

    @property
    def recipients(self) -> list[str]:
        found = [re.match(rb"RCPT TO:<(.*?)>", line) for line in self.commands]
        return [match[1].decode() for match in found if match]


@dataclass
class RawSink:
    """Listens on a port of the system's choice while it is entered."""

    messages: list[Sent] = field(default_factory=list)
    commands: list[bytes] = field(default_factory=list)

    def __enter__(self) -> RawSink:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._arrived = threading.Condition()
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def wait_for(self, recipient: str) -> Sent:
        """The message to that address. Raises TimeoutError."""

        def found() -> list[Sent]:
            return [one for one in self.messages if recipient in one.recipients]

        with self._arrived:
            if not self._arrived.wait_for(found, PATIENCE):
                raise TimeoutError(f"nothing for {recipient} after {PATIENCE} s")
            return found()[0]

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._server.accept()
            except OSError:
                return
            self._open.add(line)
            threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with line, contextlib.suppress(OSError):
            self._converse(line)
        self._open.discard(line)

    def _converse(self, line: socket.socket) -> None:
        line.sendall(b"220 raw.test ESMTP\r\n")
        buffer, commands = b"", list[bytes]()
        while True:
            while b"\r\n" not in buffer:
                if not (more := line.recv(65_536)):
                    return
                buffer += more
            command, _, buffer = buffer.partition(b"\r\n")
            self.commands.append(command)
            verb = command[:4].upper()
            if verb == b"EHLO":
                line.sendall(b"".join(b"250-%s\r\n" % one for one in (b"raw.test", *EXTENSIONS)) + b"250 HELP\r\n")
            elif verb == b"QUIT":
                line.sendall(b"221 2.0.0 bye\r\n")
                return
            elif verb == b"DATA":
                line.sendall(b"354 go\r\n")
                while (read := plain_lines(buffer)) is None:
                    if not (more := line.recv(65_536)):
                        return
                    buffer += more
                content, rest = read
                self._keep(Sent(commands, buffer[: len(buffer) - len(rest)], content))
                buffer, commands = rest, []
                line.sendall(b"250 2.0.0 kept\r\n")
            else:
                commands = [command] if verb == b"MAIL" else [*commands, command]
                line.sendall(b"250 2.0.0 ok\r\n")

    def _keep(self, sent: Sent) -> None:
        with self._arrived:
            self.messages.append(sent)
            self._arrived.notify_all()


def loose(wire: bytes) -> int:
    """How many ends a careless server could see in it: at any line end, or with NULs dropped. One is right.

    Eighth bits are not cut off here: what has some goes to servers only that said 8BITMIME.
    """
    ends = re.compile(rb"(?:\A|\r\n|\r|\n)\.(?=\r\n|\r|\n)")
    return max(len(ends.findall(wire)), len(ends.findall(wire.replace(b"\0", b""))))
