"""Looking for what must not be there: words and pieces of a file, in any coding that a mail could carry them in.

Promises: base64 is found at each of its three alignments and across line ends, quoted-printable across soft breaks,
hexadecimal and UTF-16 in either order; letters in either case. A search that finds nothing proves something only beside
one that finds: callers look in the unprotected original as well.
"""

from __future__ import annotations

import base64
import quopri
import re
from collections.abc import Iterable
from functools import lru_cache

from gateway.demo.sink import Received

WINDOW_BYTES = 12
_SPACE = re.compile(rb"[\s]+")
_HEX = re.compile(rb"[0-9A-Fa-f]{16,}")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{16,}={0,2}")


def words_in(mail: Received, words: Iterable[str]) -> list[str]:
    """Those of the words that stand in the mail in some coding."""
    views = b"\n".join(_views(mail))
    return [word for word in words if any(form in views for form in _forms(word))]


def bytes_in(mail: Received, content: bytes) -> int:
    """How many windows of 12 bytes of the content stand in the mail, in any coding that `_views` undoes."""
    return len(_windows(content) & set().union(*(_windows(view) for view in _views(mail))))


def _windows(content: bytes) -> set[bytes]:
    return {content[at : at + WINDOW_BYTES] for at in range(len(content) - WINDOW_BYTES + 1)}


def _views(mail: Received) -> list[bytes]:
    """The mail as it travelled, each part decoded, and what looks like base64 or hexadecimal decoded wherever it is."""
    raw = mail.everything()
    squeezed = _SPACE.sub(b"", raw)
    views = [raw, squeezed, quopri.decodestring(raw)]
    for run in _BASE64.findall(squeezed):
        for shift in range(4):
            piece = run[shift:].rstrip(b"=")
            views.append(base64.b64decode(piece[: len(piece) // 4 * 4]))
    for run in _HEX.findall(squeezed):
        views += [bytes.fromhex(run[shift : shift + (len(run) - shift) // 2 * 2].decode()) for shift in range(2)]
    return [*views, *(view.lower() for view in views)]


@lru_cache(maxsize=1024)
def _forms(word: str) -> frozenset[bytes]:
    """The word as it is, in lower case, without spaces, and in the codings that `_views` does not undo."""
    forms: set[bytes] = set()
    for text in {word, word.lower(), word.upper()}:
        plain = text.encode()
        forms |= {plain, _SPACE.sub(b"", plain), plain.hex().encode(), plain.hex().upper().encode()}
        forms |= {text.encode("utf-16-le"), text.encode("utf-16-be")}
        for shift in range(3):
            coded = base64.b64encode(b"\0" * shift + plain)
            forms.add(coded[(0, 2, 3)[shift] : len(coded) - 4 if (len(plain) + shift) % 3 else len(coded)])
    return frozenset(form for form in forms if len(form) >= 5)
