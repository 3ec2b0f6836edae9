"""Transfer decoding of a part, streamed, as lenient as mail programs are.

Promises: never raises on any bytes; holds one chunk at a time; base64 goes on after padding in the middle, because
some readers do, and what any reader could show must be looked at. RFC 2045 6.7, 6.8.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Iterator

import pybase64

from gateway.mail.columns import columns
from gateway.mail.entity import IDENTITY
from gateway.mail.model import Part
from gateway.mail.source import Source

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
JUNK = bytes(byte for byte in range(256) if byte not in _ALPHABET + b"=")
_LINE_MAX = 65_536


def base64_stream(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The decoded bytes of base64 text; foreign characters are passed over."""
    held = b""
    for chunk in chunks:
        strict = _strict(held, chunk)
        if strict is not None:
            held = strict[1]
            yield strict[0]
            continue
        clean = held + chunk.translate(None, JUNK)
        held = b""
        if b"=" in clean:
            runs = clean.split(b"=")
            for run in runs[:-1]:
                decoded = _quads(run)
                if decoded:
                    yield decoded
            clean = runs[-1]
        whole = len(clean) & ~3
        if whole:
            yield pybase64.b64decode(clean[:whole])
        held = clean[whole:]
    decoded = _quads(held)
    if decoded:
        yield decoded


def _strict(held: bytes, chunk: bytes) -> tuple[bytes, bytes] | None:
    """What lines of one width give that hold nothing but the alphabet: decoded, and up to three characters left over.

    None for any other chunk. The decoder checks the characters as it goes, many at a time.
    """
    even = columns(chunk)
    if even is None or b"=" in even.text:
        return None
    clean = even.text
    clean[:0] = held
    whole = len(clean) & ~3
    rest = bytes(clean[whole:])
    if rest.translate(None, _ALPHABET):
        return None
    try:
        return pybase64.b64decode(memoryview(clean)[:whole], validate=True), rest
    except binascii.Error:
        return None


def _quads(run: bytes) -> bytes:
    """A run that ended: its last group filled up; one character alone carries no byte."""
    if len(run) % 4 == 1:
        run = run[:-1]
    return pybase64.b64decode(run + b"=" * (-len(run) % 4)) if run else b""


def quoted_printable_stream(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The decoded bytes of quoted-printable text; what is no valid escape stays as it is."""
    held = b""
    for chunk in chunks:
        held += chunk
        cut = held.rfind(b"\n") + 1
        if not cut and len(held) > _LINE_MAX:
            cut = len(held) - 3
            escape = held.rfind(b"=", cut - 2, cut)
            cut = escape if escape > 0 else cut
        if cut:
            yield binascii.a2b_qp(held[:cut])
            held = held[cut:]
    if held:
        yield binascii.a2b_qp(held)


def decoded(source: Source, part: Part) -> Iterator[bytes]:
    """The part's contents without their transfer encoding, in bounded pieces.

    An unknown encoding yields the bytes as they stand; such a part is `opaque` and flagged, never "read".
    """
    chunks = source.chunks(part.body_start, part.body_stop)
    if part.encoding == "base64":
        return base64_stream(chunks)
    if part.encoding == "quoted-printable":
        return quoted_printable_stream(chunks)
    return iter(chunks)


def head(source: Source, part: Part, limit_bytes: int) -> bytes:
    """At most the first `limit_bytes` of the decoded contents."""
    # base64 grows by a third plus line ends, quoted-printable at most threefold.
    factor = 1 if part.encoding in IDENTITY else 4
    stop = min(part.body_stop, part.body_start + limit_bytes * factor + 1024)
    chunks: Iterable[bytes] = source.chunks(part.body_start, stop)
    if part.encoding == "base64":
        chunks = base64_stream(chunks)
    elif part.encoding == "quoted-printable":
        chunks = quoted_printable_stream(chunks)
    return b"".join(chunks)[:limit_bytes]
