"""The lines we put on top of what we relay; `gateway.smtp.data` counts them to cut loops. RFC 5321 4.4, 6.3."""

from __future__ import annotations

import re

TRACE = "Sealgate-Trace"
CHECKPOINT = "Sealgate-Checkpoint"

_WORD = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}\Z")


def trace(node: str, queue: str, newline: bytes = b"\r\n") -> bytes:
    """Our own trace line: node and queue id, nothing about people."""
    return f"{TRACE}: {_word(node)}; {_word(queue)}".encode() + newline


def received(helo: str, client_ip: str, by: str, protocol: str, queue: str, date: str) -> bytes:
    """A Received field. `date` is an RFC 5322 date-time; no recipient is named, so that no Bcc shows."""
    literal = f"IPv6:{client_ip}" if ":" in client_ip else client_ip
    lines = [
        f"Received: from {_word(helo)} ([{_word(literal)}])",
        f"\tby {_word(by)} with {_word(protocol)} id {_word(queue)};",
        f"\t{' '.join(date.split())}",
        "",
    ]
    return "\r\n".join(lines).encode("ascii", "replace")


def protocol(smtputf8: bool, *, extended: bool, tls: bool, signed_in: bool) -> str:
    """The word for the Received field. RFC 3848, RFC 6531 4.3."""
    if not extended:
        return "SMTP"
    return ("UTF8SMTP" if smtputf8 else "ESMTP") + ("S" if tls else "") + ("A" if signed_in else "")


def _word(text: str) -> str:
    """What a client may have made up, as one harmless word."""
    return text if _WORD.match(text) else "unknown"
