"""What tests of `doctor` share: one check by itself, the repair line typed, a server that says fixed lines."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from gateway.doctor import Case
from gateway.doctor.finding import CHECKS, Finding
from gateway.settings import Endpoint, Settings


def look(id: str, settings: Settings, config: Path, resolver: Endpoint | None = None) -> Finding:
    """What one check finds now."""
    return CHECKS.get(id).look(Case(settings, config, resolver))


def shell(line: str) -> None:
    """Type the repair line."""
    subprocess.run(["sh", "-ec", line], check=True, capture_output=True, timeout=60)


@contextlib.contextmanager
def saying(*answers: bytes) -> Iterator[int]:
    """A server that says these one after another, the first at once; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listener.accept()
                with peer:
                    peer.settimeout(5)
                    for answer in answers:
                        peer.sendall(answer)
                        peer.recv(1024)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
