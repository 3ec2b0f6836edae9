"""A rewritten message as pieces: ranges of the original and literal bytes between them.

Promises: what no edit touches is copied byte for byte, in order; edits never overlap; no byte of our own that an edit
brings is ever left out without a word. Nothing here re-serialises.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from gateway.mail.source import Source


class Range(NamedTuple):
    """Bytes of the original, from `start` up to `stop`."""

    start: int
    stop: int


class Literal(NamedTuple):
    """Bytes of our own."""

    data: bytes


Piece: TypeAlias = Range | Literal
Pieces: TypeAlias = tuple[Piece, ...]


class Edit(NamedTuple):
    """Replace the bytes from `start` up to `stop` (equal: insert) with `data`."""

    start: int
    stop: int
    data: bytes = b""


class Crossed(ValueError):
    """Edits that meet in a way in which bytes would be lost."""


def apply(size: int, edits: Iterable[Edit], top: bytes = b"") -> Pieces:
    """The pieces of a message of `size` bytes after the edits, with `top` before it.

    What is removed may be removed twice. Raises Crossed where two edits cross, and where one would put bytes into a
    range that another one takes out: they would be lost, and one of them may be the link to what was sealed.
    """
    pieces: list[Piece] = [Literal(top)] if top else []
    at = 0
    # At one place insertions come first, and of two removals the longer one.
    for edit in sorted(edits, key=lambda one: (one.start, one.stop > one.start, -one.stop)):
        if edit.start < at:
            if edit.stop > at:
                raise Crossed("edits cross")
            if edit.data:
                raise Crossed("an edit within a range that is taken out")
            continue
        if edit.start > at:
            pieces.append(Range(at, edit.start))
        if edit.data:
            pieces.append(Literal(edit.data))
        at = edit.stop
    if at < size:
        pieces.append(Range(at, size))
    return tuple(pieces)


def total(pieces: Iterable[Piece]) -> int:
    """Length in bytes of what `render` yields."""
    return sum(len(piece.data) if isinstance(piece, Literal) else piece.stop - piece.start for piece in pieces)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rewritten message's bytes, streamed, as often as somebody goes through them."""

    source: Source = field(repr=False)
    pieces: Pieces = field(repr=False)

    def __iter__(self) -> Iterator[bytes]:
        return render(self.source, self.pieces)


def render(source: Source, pieces: Iterable[Piece]) -> Iterator[bytes]:
    """The bytes of the rewritten message, streamed."""
    for piece in pieces:
        if isinstance(piece, Literal):
            yield piece.data
        else:
            yield from source.chunks(piece.start, piece.stop)
