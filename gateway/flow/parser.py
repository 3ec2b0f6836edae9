"""The parser child: reads parts from one socket, answers with their text. Run as `python -m gateway.flow.parser FD`.

Promises: confined before the first job (`confine.py`); answers are JSON, so that a taken-over child can lie about text
but run nothing in the parent; a job that raises is answered as unread.
Wire: u32 length and JSON head with `size`, then that many bytes; the answer is u32 length and JSON.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from typing import Any

from gateway.detect.extract import Limits, extract
from gateway.detect.model import Extracted, PartInput
from gateway.flow.confine import allow_seconds, confine

MEMORY_BYTES = 1_536 * 1024 * 1024


def to_wire(found: Extracted) -> bytes:
    """An extraction as JSON."""
    return json.dumps(
        {
            "texts": [[one.part, one.place, one.text] for one in found.texts],
            "unread": [[one.part, one.place, one.reason] for one in found.unread],
            "formats": [[one.part, one.place, one.name] for one in found.formats],
        }
    ).encode("ascii")


def _read(descriptor: int, count: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < count:
        piece = os.read(descriptor, min(1_048_576, count - len(pieces)))
        if not piece:
            raise EOFError
        pieces += piece
    return bytes(pieces)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def serve(descriptor: int, memory_bytes: int) -> None:
    """Answer jobs until the parent closes the socket."""
    held = confine(memory_bytes=memory_bytes)
    _send(descriptor, held)
    while True:
        try:
            (length,) = struct.unpack(">I", _read(descriptor, 4))
        except EOFError:
            return
        head: dict[str, Any] = json.loads(_read(descriptor, length))
        data = _read(descriptor, head["size"])
        allow_seconds(head["seconds"])
        part = PartInput(head["part"], head["place"], head["content_type"], head["filename"], head["charset"], data)
        answer = to_wire(extract(part, Limits()))
        _write(descriptor, struct.pack(">I", len(answer)) + answer)


def _send(descriptor: int, value: object) -> None:
    data = json.dumps(value).encode("ascii")
    _write(descriptor, struct.pack(">I", len(data)) + data)


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else MEMORY_BYTES)
