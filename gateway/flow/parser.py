"""The parser: one process that reads nothing foreign and forks a child for each message. Run with -m and a descriptor.

Promises: a child is confined before its first job (`confine.py`), holds nothing of any other message and has no way to
the process that forked it; answers are JSON, so that a taken-over child can lie about text but run nothing in the
parent; a job that raises is answered as unread. When the gateway goes, all of them end.
Control, in packets: a socket asks for a child on it and is answered with its u32 number; such a number ends that child.
Jobs: u32 length and JSON head with `size`, then that many bytes, or, where `given`, one byte with a descriptor to read
them from; the answer is u32 length and JSON. Frames before it whose length has its highest bit set are texts that will
stand in the answer, in UTF-8.
"""

from __future__ import annotations

import gc
import importlib
import json
import mmap
import os
import signal
import socket
import struct
import sys
from typing import Any, cast

from gateway.detect.extract import HEAD_BYTES, Limits, extract, sniff
from gateway.detect.model import Extracted, PartInput
from gateway.flow.child import AHEAD
from gateway.flow.confine import allow_seconds, apart, confine

MEMORY_BYTES = 1_536 * 1024 * 1024
_READERS = ("archive", "charset", "dicom", "html", "office", "pdf", "plain", "rtf", "tnef")
_WARM = (*(f"gateway.detect.extract.{name}" for name in _READERS), "pypdfium2", "pypdfium2.raw", "selectolax.lexbor")

PRACTICE = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>endobj\n"
    b"4 0 obj<</Length 31>>stream\nBT /F 9 Tf 9 9 Td (practice) Tj ET\nendstream endobj\n"
    b"5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)
"""A page of our own that the reader of PDF files meets before any other."""


def to_wire(found: Extracted) -> bytes:
    """An extraction as JSON."""
    return json.dumps(
        {
            "texts": [[one.part, one.place, one.text] for one in found.texts],
            "unread": [[one.part, one.place, one.reason] for one in found.unread],
            "formats": [[one.part, one.place, one.name] for one in found.formats],
            "inner": [[one.part, one.name, one.content_type, one.start, one.stop, one.text] for one in found.inner],
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


def _given(door: socket.socket, count: int) -> mmap.mmap:
    """The memory whose descriptor comes next; a reader's own changes would be seen by that reader alone.

    Raises EOFError, or ValueError when there are fewer bytes.
    """
    _byte, descriptors, _flags, _address = socket.recv_fds(door, 1, 1)
    if len(descriptors) != 1:
        raise EOFError
    try:
        # Writable for ctypes, which lends no other memory; it is sealed and the mapping private all the same.
        return mmap.mmap(descriptors[0], count, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    finally:
        os.close(descriptors[0])


def _handed_over(door: socket.socket, head: dict[str, Any]) -> tuple[bytes, str | None]:
    """What was given, and its kind where that is told by its beginning: a PDF is read where it lies, without a copy."""
    given = _given(door, head["size"])
    if sniff(given[:HEAD_BYTES], head["content_type"]) == "pdf":
        return cast(bytes, given), "pdf"
    with given:
        return given[:], None


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def forks(descriptor: int, memory_bytes: int) -> None:
    """Fork a child for each socket that comes, until the parent closes the control socket."""
    for name in _WARM:
        importlib.import_module(name)
    alone = apart()
    gc.freeze()
    control = socket.socket(fileno=descriptor)
    alive: set[int] = set()
    try:
        while True:
            order, given, _flags, _address = socket.recv_fds(control, 16, 1)
            if not order:
                return
            if not given:
                (number,) = struct.unpack(">I", order)
                if number in alive:  # not waited for yet, so the number is still this child's
                    alive.discard(number)
                    _end(number)
                continue
            number = os.fork()
            if number == 0:
                control.close()
                _live(given[0], memory_bytes, alone)
            alive.add(number)
            os.close(given[0])
            control.send(struct.pack(">I", number))
    finally:
        for number in alive:
            _end(number)


def _end(number: int) -> None:
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)


def _live(descriptor: int, memory_bytes: int, alone: bool) -> None:
    """A child's whole life; it never returns to what forked it."""
    try:
        serve(descriptor, memory_bytes, alone)
    finally:
        os._exit(0)


def serve(descriptor: int, memory_bytes: int, alone: bool) -> None:
    """Answer the jobs of one message until the parent closes the socket."""
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, descriptor)
    held = confine(memory_bytes=memory_bytes, alone=alone)
    extract(PartInput("", "", "application/pdf", None, None, PRACTICE))  # what is touched first costs, so it is now
    _send(descriptor, held)

    def tell(text: str) -> None:
        said = text.encode("utf-8", "replace")
        _write(descriptor, struct.pack(">I", len(said) | AHEAD) + said)

    while True:
        try:
            (length,) = struct.unpack(">I", _read(descriptor, 4))
        except EOFError:
            return
        head: dict[str, Any] = json.loads(_read(descriptor, length))
        data, kind = _handed_over(door, head) if head["given"] else (_read(descriptor, head["size"]), None)
        allow_seconds(head["seconds"])
        part = PartInput(head["part"], head["place"], head["content_type"], head["filename"], head["charset"], data)
        answer = to_wire(extract(part, Limits(tell=tell), kind=kind))
        _write(descriptor, struct.pack(">I", len(answer)) + answer)


def _send(descriptor: int, value: object) -> None:
    data = json.dumps(value).encode("ascii")
    _write(descriptor, struct.pack(">I", len(data)) + data)


if __name__ == "__main__":
    forks(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else MEMORY_BYTES)
