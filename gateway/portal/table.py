"""Tables for spreadsheet programs (RFC 4180), harmless to open.

Promises: a cell that a spreadsheet would take for a formula is defused (CWE-1236): it begins with an apostrophe; no
control character reaches a cell; UTF-8 with a byte-order mark, which is what those programs need to read it as such.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def defused(value: object) -> str:
    """A cell's text. Numbers stay numbers; their sign is ours."""
    if isinstance(value, int):
        return str(value)
    text = str(value)
    plain = "".join(character if character.isprintable() else " " for character in text)
    # Judged as it came and as it will stand there: what was taken out in front of a sign does not hide it.
    runs = text.lstrip(" ").startswith(_FORMULA) or plain.lstrip().startswith(_FORMULA)
    return f"'{plain}" if runs else plain


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """The file."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow([defused(cell) for cell in row])
    return b"\xef\xbb\xbf" + out.getvalue().encode("utf-8")
