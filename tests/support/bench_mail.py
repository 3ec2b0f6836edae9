"""Figures of the mail room on this machine: `python -m tests.support.bench_mail`. CPU time, best of several rounds."""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Callable

from gateway.mail.decode import decoded
from gateway.mail.model import Message
from gateway.mail.rewrite import as_is, render
from gateway.mail.scan import scan
from gateway.mail.source import BytesSource
from tests.support.make_mail_corpus import FOLDER


def _best(work: Callable[[], object], rounds: int, times: int) -> float:
    """Seconds of CPU for one call."""
    found = []
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(times):
            work()
        found.append((time.process_time() - start) / times)
    return min(found)


def plain_mail(size: int) -> bytes:
    """A plain text mail of about that many bytes, with a usual header."""
    head = (FOLDER / "plain-1.eml").read_bytes()
    return head + b"The garden party starts at noon and everyone brings a dish.\r\n" * ((size - len(head)) // 61)


def attached_mail(size: int) -> bytes:
    """Text, HTML and one base64 file: about that many bytes in all."""
    data = base64.encodebytes(random.Random(1).randbytes(size * 3 // 4)).replace(b"\n", b"\r\n")
    name = b"mixed-1.eml"
    head, _, rest = (FOLDER / name.decode()).read_bytes().partition(b"ZGlza")
    cut = rest.find(b"\r\n--mix_1--")
    return head + data.rstrip() + rest[cut:]


def main() -> None:
    """Print the figures."""
    small, parts, large = plain_mail(5_000), attached_mail(5_000), attached_mail(10_000_000)
    for name, mail in (("plain", small), ("text and file", parts)):
        source = BytesSource(mail)
        seconds = _best(lambda source=source: scan(source), 7, 400)  # type: ignore[misc]
        print(f"scan, {len(mail)} bytes, {name}: {seconds * 1e6:.0f} µs")
    source = BytesSource(large)
    seconds = _best(lambda: scan(source), 7, 3)
    print(f"scan, {len(large) / 1e6:.1f} MB base64: {len(large) / seconds / 1e6:.0f} MB/s")
    message: Message = scan(source)
    part = message.attachments()[0]
    seconds = _best(lambda: sum(map(len, decoded(source, part))), 5, 2)
    print(f"decode base64: {len(large) / seconds / 1e6:.0f} MB/s")
    seconds = _best(lambda: sum(map(len, render(source, as_is(message, b"")))), 5, 2)
    print(f"render as is: {len(large) / seconds / 1e6:.0f} MB/s")


if __name__ == "__main__":
    main()
