"""What targets share: choices and cuts made from the input itself, and the slow readers they compare with."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

BARE_NEWLINE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
SLOW_SECONDS = 1.0
LONGEST_BYTES = 16_384


def split(data: bytes, tail: int = 4) -> tuple[bytes, bytes]:
    """The bytes themselves, and the last few, with which a target makes its choices."""
    return (data[:-tail], data[-tail:]) if len(data) > tail else (b"", data.ljust(tail, b"\0"))


def pieces(data: bytes, choice: int) -> Iterator[bytes]:
    """The bytes cut into pieces of odd lengths; choices differ in the cuts. 0 is one piece, 1 byte by byte."""
    if choice == 0:
        yield data
        return
    at, state = 0, choice
    while at < len(data):
        state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
        length = 1 if choice == 1 else 1 + (state >> 16) % (3 if choice % 2 else 40)
        yield data[at : at + length]
        at += length


def plain_lines(stream: bytes) -> tuple[bytes, bytes] | None:
    """RFC 5321 4.5.2 a line at a time: the message and what follows its end; None where it has no end."""
    out, at = [], 0
    while (end := stream.find(b"\r\n", at)) >= 0:
        line, at = stream[at : end + 2], end + 2
        if line == b".\r\n":
            return b"".join(out), stream[at:]
        out.append(line[1:] if line[:1] == b"." else line)
    return None


def timed(check: Callable[[bytes], None], data: bytes) -> None:
    """Run one input. AssertionError where it takes a second of processor time, three times out of three.

    Once may be the machine's doing: on a crowded one, 404 bytes were once said to have taken 1.2 s, and take 1 ms.
    """
    took = SLOW_SECONDS
    for _ in range(3):
        before = time.process_time()
        check(data)
        took = min(took, time.process_time() - before)
        if took < SLOW_SECONDS:
            return
    raise AssertionError(f"more than {SLOW_SECONDS} s for {len(data)} bytes, three times")
