"""Ways to damage a sealed object of more than four segments, each with what may still leave of it."""

from __future__ import annotations

from collections.abc import Callable

from keys import floe

SEGMENT = floe.SEGMENT_BYTES
BORDER = floe.HEADER_BYTES + SEGMENT


def flip(at: int) -> Callable[[bytes], bytes]:
    """One bit of that byte; counted from the end where it is negative."""

    def change(content: bytes) -> bytes:
        changed = bytearray(content)
        changed[at] ^= 1
        return bytes(changed)

    return change


def _twice(content: bytes) -> bytes:
    second = content[BORDER : BORDER + SEGMENT]
    return content[: BORDER + SEGMENT] + second + content[BORDER + 2 * SEGMENT :]


DAMAGE: dict[str, tuple[Callable[[bytes], bytes | None], int]] = {
    "a bit of the version": (flip(0), 0),
    "a bit of the header's tag": (flip(floe.HEADER_BYTES - 1), 0),
    "a bit of the first segment": (flip(floe.HEADER_BYTES + 20), 0),
    "a bit of the last segment": (flip(-1), 0),
    "a bit of the second segment": (flip(BORDER + 20), 1),
    "cut at a border": (lambda content: content[:BORDER], 0),
    "cut within a segment": (lambda content: content[: BORDER + 5], 0),
    "cut within the header": (lambda content: content[:50], 0),
    "emptied": (lambda content: b"", 0),
    "made longer": (lambda content: content + b"\0", 0),
    "the second segment twice": (_twice, 2),
    "gone": (lambda content: None, 0),
}
"""By name: the bytes it makes of a blob (None: no blob), and how many whole segments before the damage may leave."""
