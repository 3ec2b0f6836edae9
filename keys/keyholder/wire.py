"""Frames between the keyholder and its clients: u32 big-endian length, then canonical JSON of at most 1 MiB.

Promises: a frame is read whole or not at all; what is not the canonical spelling of an object is refused; nothing is
allocated for a length that is over the limit. Bytes travel as standard base64 (RFC 4648 4). RFC 8785.
"""

from __future__ import annotations

import base64
import binascii
import socket
import ssl
import struct
import time
from typing import Any

from keys.encoding import canonical, parse_canonical
from keys.errors import Unavailable

MAX_FRAME_BYTES = 1 << 20
SERVER_NAME = "keyholder.sealgate.internal"
"""What the keyholder's own certificate says; the name of its machine does not matter, so that it may change."""
_LENGTH = struct.Struct(">I")
_ALERTS = {
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it has ended",
    "TLSV1_ALERT_UNKNOWN_CA": "another authority made it",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it is not one for this",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it is not one for this",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "it is not one for this",
    "TLSV1_ALERT_DECRYPT_ERROR": "it does not hold",
}
"""What the other side says of our certificate (RFC 8446 6.2), under the names that the `ssl` module has for it."""


class BadFrame(Exception):
    """The other side does not speak this protocol. The connection is closed; nothing of the frame is repeated."""


def b64(data: bytes) -> str:
    """Standard base64, padded."""
    return base64.b64encode(data).decode("ascii")


def unb64(text: str) -> bytes:
    """The bytes of standard base64. ValueError for any other spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64") from error
    if b64(data) != text:
        raise ValueError("not canonical base64")
    return data


def encode(value: dict[str, Any]) -> bytes:
    """One frame. Raises BadFrame when it would be over the limit, ValueError for what JSON cannot hold."""
    body = canonical(value)
    if len(body) > MAX_FRAME_BYTES:
        raise BadFrame("a frame is over the limit")
    return _LENGTH.pack(len(body)) + body


def receive(peer: socket.socket, *, seconds: float | None = None) -> dict[str, Any] | None:
    """Read one frame; None when the peer closed between frames. Raises BadFrame, or OSError (time-outs included).

    `seconds`: for the whole of it, however it trickles in; the peer's own time-out is changed by that.
    """
    until = None if seconds is None else time.monotonic() + seconds
    head = _exactly(peer, _LENGTH.size, until, at_start=True)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if not 2 <= length <= MAX_FRAME_BYTES:
        raise BadFrame("a frame's length is out of range")
    body = _exactly(peer, length, until, at_start=False)
    try:
        value = parse_canonical(body or b"")
    except ValueError as error:
        raise BadFrame("a frame is not canonical JSON") from error
    if not isinstance(value, dict):
        raise BadFrame("a frame is not an object")
    return value


def _exactly(peer: socket.socket, count: int, until: float | None, *, at_start: bool) -> bytes | None:
    chunks = bytearray()
    while len(chunks) < count:
        if until is not None:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            peer.settimeout(left)
        chunk = peer.recv(min(count - len(chunks), 65536))
        if not chunk:
            if at_start and not chunks:
                return None
            raise BadFrame("the connection ended inside a frame")
        chunks += chunk
    return bytes(chunks)


def alive(one: socket.socket) -> None:
    """Have the kernel find out within two minutes that the other machine is gone, and send small frames at once."""
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000)


def unavailable(error: Exception) -> Unavailable:
    """What a client raises for trouble with the connection: the class of the trouble, none of its words. What a person
    must mend, a certificate, is said.
    """
    if isinstance(error, ssl.SSLError):
        if isinstance(error, ssl.SSLCertVerificationError):
            return Unavailable("what answers at the keyholder's address has no certificate of its authority")
        if (word := _ALERTS.get(error.reason or "")) is not None:
            return Unavailable(f"the keyholder refused this machine's certificate: {word}")
    return Unavailable(f"the keyholder does not answer ({type(error).__name__})")
