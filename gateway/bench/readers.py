"""Clients that download the same thing again and again, as a process of their own: `python -m gateway.bench.readers N`.

Standard input has a URL and a Cookie field, a line each; it ends when that is closed. Standard output gets a line for
each answer: its bytes and seconds. What is read is thrown away.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from urllib.parse import urlsplit

PIECE_BYTES = 1 << 20
LEAST_SECONDS = 1.0
"""From one request to the next of a client: a link has so many requests a minute."""


def fetch(url: str, cookie: str, more: str = "", buffer: bytearray | None = None) -> tuple[int, float, float]:
    """Bytes of the body, seconds to the end of its header and to its last byte. Raises OSError for another status."""
    parts = urlsplit(url)
    buffer = bytearray(PIECE_BYTES) if buffer is None else buffer
    with socket.create_connection(("127.0.0.1", parts.port or 80), 120) as line:
        started = time.perf_counter()
        cookies = f"Cookie: {cookie}\r\n" if cookie else ""
        line.sendall(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{cookies}{more}\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            piece = line.recv(16384)
            if not piece:
                raise OSError("the answer ended in its header")
            head += piece
        first = time.perf_counter() - started
        fields, _, body = head.partition(b"\r\n\r\n")
        status, *lines = fields.decode("latin-1").split("\r\n")
        wanted = next((int(one.split(":")[1]) for one in lines if one.lower().startswith("content-length:")), 0)
        if status.split()[1] not in ("200", "206"):
            raise OSError(f"the answer was {status}")
        got = len(body)
        while got < wanted:
            count = line.recv_into(buffer)
            if count == 0:
                raise OSError("the answer was cut")
            got += count
        return got, first, time.perf_counter() - started


def main() -> int:
    """Until standard input is closed."""
    url, cookie = sys.stdin.readline().strip(), sys.stdin.readline().strip()
    over = threading.Event()

    def client() -> None:
        buffer = bytearray(PIECE_BYTES)
        while not over.is_set():
            got, _, seconds = fetch(url, cookie, buffer=buffer)
            print(got, seconds, flush=True)
            over.wait(max(0.0, LEAST_SECONDS - seconds))

    threads = [threading.Thread(target=client, daemon=True) for _ in range(int(sys.argv[1]))]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    over.set()
    return 0


if __name__ == "__main__":
    sys.exit(main())
