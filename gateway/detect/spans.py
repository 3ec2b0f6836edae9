"""All identifiers of one text with offsets, for `sealgate scan`: the full look everywhere, no gate."""

from __future__ import annotations

from gateway.detect.assess import REPORTED, chunks
from gateway.detect.identify import Span, look
from gateway.detect.scorer import model


def spans_of(text: str) -> list[Span]:
    """Identifiers in order of their place; offsets are Python character offsets of `text`."""
    words = model().words
    found: list[Span] = []
    at = 0
    for chunk in chunks(text):
        found += [
            Span(at + one.start, at + one.end, one.kind, one.confidence, one.source, one.labelled)
            for one in look(chunk, words, full=True).spans
            if one.confidence >= REPORTED
        ]
        at += len(chunk)
    return found
