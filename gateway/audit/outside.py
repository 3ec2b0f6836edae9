"""The header by which a notice carries a log's head to where the operator cannot reach it.

``Sealgate-Checkpoint: v1; origin; time; H; signature``: H is base64 of SHA-256(salt ‖ checkpoint note), which tells
nothing of the log's size to whoever lacks the 16 random bytes of salt; the signature is that of the note, so that a
salt and a note which fit H also show that the log's key made them. Pure. Clauses: DESIGN §5; RFC 5322 2.2.3 (folding).
"""

from __future__ import annotations

import base64
import hashlib
import re

from gateway.clock import from_us

HEADER = "Sealgate-Checkpoint"
SALT_BYTES = 16


def header_value(note: str, salt: bytes, at_us: int) -> str:
    """The header of a note with that salt and time. The last line of a note is its signature."""
    origin = note.partition("\n")[0]
    signature = note.rstrip("\n").rpartition(" ")[2]
    digest = base64.b64encode(hashlib.sha256(salt + note.encode()).digest()).decode()
    moment = from_us(at_us).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"v1; {origin}; {moment}; {digest}; {signature}"


def notice_header(mail: bytes) -> str | None:
    """The value of a mail's Sealgate-Checkpoint header, unfolded; None when it has none or several."""
    head = re.split(rb"\r?\n\r?\n", mail, maxsplit=1)[0]
    unfolded = re.sub(rb"\r?\n[ \t]+", b" ", head)
    found = re.findall(rb"(?im)^" + HEADER.encode() + rb":[ \t]*(.*?)[ \t]*\r?$", unfolded)
    if len(found) != 1:
        return None
    parts = [re.sub(r"\s+", "", part) for part in found[0].decode("ascii", "replace").split(";")]
    return "; ".join(parts)
