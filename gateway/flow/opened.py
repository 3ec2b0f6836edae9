"""What a download hands to the page: a message to read, files as cards, and objects whose opening is committed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.flow.counting import Left
from gateway.flow.sending import Sending
from gateway.store.rows import Row


@dataclass(frozen=True, slots=True)
class File:
    """One file of a message as its card shows it."""

    id: str
    kind: str
    name: str
    media_type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as its recipient reads it. `text` and `html` are as they were sent; html is not yet sanitised."""

    subject: str
    sender: str
    text: str | None
    html: str | None
    too_large: bool
    files: tuple[File, ...]
    received_at_us: int


@dataclass(frozen=True, slots=True)
class Opened:
    """An object whose opening is committed.

    `part(start, stop)` sends those of its plain bytes, verified, and logs how it ended; `close` is for those who do
    not read. `settled` writes the ends of several together. The blob is opened with the first byte asked for.
    """

    name: str
    media_type: str
    size_bytes: int
    etag: str
    part: Callable[[int, int], Sending]
    close: Callable[[], None]
    settled: Callable[[Sequence[Left]], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """A file of a message as its row describes it: the plain length and the ETag."""

    row: Row = field(repr=False)
    size_bytes: int
    etag: str


@dataclass(frozen=True, slots=True)
class MeasuredAll:
    """The files of a message as their rows describe them, when it came (microseconds), and the ETag of them all."""

    rows: tuple[Row, ...] = field(repr=False)
    moment_us: int
    etag: str


def etag(row: Row) -> str:
    """Strong validator of an object (RFC 9110 8.8.3): its header tag commits to every byte of it."""
    return f'"{row["header_tag"].hex()[:32]}"'


def shown_files(objects: list[Row]) -> list[Row]:
    """The files a recipient sees: the parts, or the whole original where it was sealed as one.

    An original beside parts is what an officer reads of held mail; it is not the recipient's.
    """
    files = [row for row in objects if row["kind"] == "file"]
    if files or any(row["kind"] == "body" for row in objects):
        return files
    return [row for row in objects if row["kind"] == "original"][:1]
