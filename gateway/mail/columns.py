"""Lines of one width, as base64 in a large mail has them: seen at a glance, without looking at each line or byte.

Pure. Where every line end stands exactly one width after the one before, line ends are columns: two slices with a step
show them, two deletions with a step take them out, and a search for one byte, which the C library does many bytes at a
time, proves that there are no others. That costs a tenth of counting. Promises: what is said is exact, or nothing is
said and the caller looks closely; RFC 5321 2.3.8 (a line ends with CRLF and with nothing else).
"""

from __future__ import annotations

from dataclasses import dataclass

LEAST_BYTES = 8_192
"""Less is not worth a look."""

LEAST_WIDTH = 16
_CR, _LF = 13, 10


@dataclass(frozen=True, slots=True)
class Columns:
    """Bytes whose every CR and LF stands in one of `count` CRLFs, at least one.

    `leads` holds the first byte of each line but the first, as far as it has one; `text` is all but the line ends.
    """

    count: int
    leads: bytes
    text: bytearray


def columns(data: bytes) -> Columns | None:
    """What is known of these bytes when their line ends are columns; None when they are not, or are too few to tell.

    The first and the last line may be cut anywhere but between CR and LF.
    """
    if len(data) < LEAST_BYTES:
        return None
    first = data.find(b"\r\n", 0, LEAST_BYTES)
    width = data.find(b"\r\n", first + 2, LEAST_BYTES) - first
    if first < 0 or width < LEAST_WIDTH:
        return None
    returns, feeds = data[first::width], data[first + 1 :: width]
    count = len(returns)
    if len(feeds) != count or returns.count(_CR) != count or feeds.count(_LF) != count:
        return None
    text = bytearray(data)
    del text[first + 1 :: width]
    del text[first :: width - 1]
    if _CR in text or _LF in text:
        return None
    return Columns(count, data[first + 2 :: width], text)
