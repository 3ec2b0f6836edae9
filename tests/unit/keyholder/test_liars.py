"""What answers at the keyholder's place talks nonsense, half sentences or nothing: the caller hears that it is
unavailable, in time, and the next call finds the true one again. Over a socket and over TLS.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keys.client import Connection, Distant, WorkerClient
from keys.errors import Unavailable
from keys.keyholder import distant, wire
from tests.unit.keyholder.doors import Doors

PATIENCE_SECONDS = 0.5
WAIT_SECONDS = 30.0


def frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


LIES: dict[str, bytes | None] = {
    "closes": b"",
    "letters": b"HTTP/1.1 400 Bad Request\r\n\r\n" * 40,
    "no-json": frame(b"\xff" * 40),
    "not-canonical": frame(b'{ "id": 1, "ok": [] }'),
    "no-object": frame(b"[1,2,3]"),
    "another-question": wire.encode({"id": 999_999, "ok": []}),
    "neither-yes-nor-no": wire.encode({"id": 1}),
    "error-unknown": wire.encode({"id": 1, "error": "a word of nobody"}),
    "far-too-long": struct.pack(">I", 0xFFFFFFFF) + b"x" * 100,
    "half": frame(b'{"id":1,"ok":[]}')[:9],
    "nothing-at-all": None,
}


class Liar:
    """Takes connections and gives each the same answer, whatever it asks. `None` holds its tongue."""

    def __init__(self, listener: socket.socket, wrap: Callable[[socket.socket], socket.socket]) -> None:
        self._listener, self._wrap = listener, wrap
        self.says: bytes | None = b""
        self.trickles = False
        self._end = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(raw,), daemon=True).start()

    def _answer(self, raw: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.closing(self._wrap(raw)) as peer:
            peer.settimeout(WAIT_SECONDS)
            peer.recv(4096)
            if self.says is None:
                self._end.wait(WAIT_SECONDS)
            elif self.trickles:
                for at in range(len(self.says)):
                    peer.sendall(self.says[at : at + 1])
                    self._end.wait(PATIENCE_SECONDS / 4)
            else:
                peer.sendall(self.says)
                if self.says == LIES["half"]:
                    self._end.wait(WAIT_SECONDS)

    def close(self) -> None:
        self._end.set()
        self._listener.close()


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    made = Doors(tmp_path_factory.mktemp("liars"))
    yield made
    made.close()


@pytest.fixture(scope="module", params=["socket", "tls"])
def liar(request: pytest.FixtureRequest, doors: Doors) -> Iterator[tuple[Liar, Connection, Connection]]:
    """The liar, the way to it, and the way to the true one."""
    true = doors.machine()
    place: Path | Distant
    if request.param == "tls":
        listener = socket.create_server(("127.0.0.1", 0))
        context = distant.context(*doors.house.holder.identity())
        own = doors.folder / f"{doors.house.config.sockets_dir.name}-liar.pem"
        own.write_bytes((doors.folder / "node-1-worker.pem").read_bytes())
        place = Distant("127.0.0.1", listener.getsockname()[1], doors.authority, own)
        made = Liar(listener, lambda raw: context.wrap_socket(raw, server_side=True))
    else:
        place = doors.folder / "liar.sock"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(place))
        listener.listen()
        made = Liar(listener, lambda raw: raw)
    yield made, Connection(place, timeout_seconds=PATIENCE_SECONDS), true
    made.close()


@pytest.mark.parametrize("lie", LIES)
def test_nonsense_is_unavailable(liar: tuple[Liar, Connection, Connection], lie: str) -> None:
    false, connection, true = liar
    false.says = LIES[lie]
    with pytest.raises(Unavailable):
        connection._next = 0  # so that an answer may bear the right number
        WorkerClient(connection).take_texts(0)
    assert WorkerClient(true).take_texts(0) == []  # the twin: the same question, asked of the true one


def test_what_trickles_in_is_not_waited_for_without_end(liar: tuple[Liar, Connection, Connection]) -> None:
    false, connection, _ = liar
    false.says, false.trickles = frame(b'{"id":1,"ok":"' + b"x" * 400 + b'"}'), True
    begun = time.monotonic()
    try:
        with pytest.raises(Unavailable):
            connection._next = 0
            WorkerClient(connection).take_texts(0)
    finally:
        false.trickles = False
    assert time.monotonic() - begun < WAIT_SECONDS


def test_a_lie_is_not_kept_for_the_next_question(liar: tuple[Liar, Connection, Connection]) -> None:
    """An answer with a tail: the connection's next answer would be the tail."""
    false, connection = liar[0], Connection(liar[1]._place, timeout_seconds=WAIT_SECONDS)
    false.says = wire.encode({"id": 1, "ok": []}) + wire.encode({"id": 2, "ok": ["forged"]})
    assert WorkerClient(connection).take_texts(0) == []
    false.says = wire.encode({"id": 2, "ok": ["fresh"]})
    assert WorkerClient(connection).take_texts(0) == ["fresh"]
