"""Text folded to plain ASCII of the same length, so that offsets in it are offsets in the original.

Promises: every pattern, list and cue works on the folded form only, so accents, full-width digits, curly quotes, odd
dashes and no-break spaces hide nothing; invisible characters inside a word (soft hyphen, zero-width space) are dropped
and an offset map leads back. A letter of a script without Latin base becomes "X" or "x", so capitals still show.
Clauses: Unicode NFKC (UAX #15).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_SPECIAL = {
    "ß": "s",
    "æ": "a",
    "Æ": "A",
    "œ": "o",
    "Œ": "O",
    "ø": "o",
    "Ø": "O",
    "đ": "d",
    "Đ": "D",
    "ð": "d",
    "Ð": "D",
    "þ": "t",
    "Þ": "T",
    "ł": "l",
    "Ł": "L",
    "ı": "i",
    "ħ": "h",
    "Ħ": "H",
    "‘": "'",
    "’": "'",
    "‚": "'",
    "‛": "'",
    "′": "'",
    "´": "'",
    "`": "'",
    "“": '"',
    "”": '"',
    "„": '"',
    "«": '"',
    "»": '"',
    "″": '"',
    "‐": "-",
    "‑": "-",
    "‒": "-",
    "–": "-",
    "—": "-",
    "―": "-",
    "−": "-",
    "№": "#",
    "º": "o",
    "ª": "a",
    "•": "*",
    "·": "*",
    "…": ".",
    "\u2028": "\n",
    "\u2029": "\n",
    "\x85": "\n",
    "\x0b": "\n",
    "\x0c": "\n",
    "\x00": " ",
}
_INVISIBLE = frozenset("\u00ad\u200b\u200c\u200d\u2060\ufeff\u180e\u034f\u200e\u200f\u202a\u202b\u202c\u202d\u202e")
_NOT_ONE_TO_ONE = re.compile("[\u0300-\u036f\ufb00-\ufb06" + "".join(sorted(_INVISIBLE)) + "]")


def _fold(char: str) -> str:
    special = _SPECIAL.get(char)
    if special is not None:
        return special
    code = ord(char)
    if code < 0x80:
        return char
    compatible = unicodedata.normalize("NFKD", char)
    base = next((one for one in compatible if ord(one) < 0x80), None)
    if base is not None and len(compatible) <= 4:
        return base
    category = unicodedata.category(char)
    if category == "Lu" or category == "Lt":
        return "X"
    if category[0] == "L":
        return "x"
    if category == "Nd":
        return str(unicodedata.digit(char))
    if category[0] in "ZC":
        return " "
    if category == "Pd":
        return "-"
    return "?"


class _Table(dict[int, str]):
    """Fills itself as characters are met; bounded by the size of Unicode."""

    def __missing__(self, code: int) -> str:
        folded = _fold(chr(code))
        self[code] = folded
        return folded


_TABLE = _Table()
_CONTROL = {ord("\x0b"): "\n", ord("\x0c"): "\n", 0: " "}


@dataclass(frozen=True, slots=True)
class Folded:
    """`text` is ASCII; `origin` maps an offset in it to one in the original, or is None when they are equal."""

    text: str
    origin: tuple[int, ...] | None = None

    def back(self, start: int, end: int) -> tuple[int, int]:
        """The original offsets of a span of the folded text."""
        if self.origin is None:
            return start, end
        return self.origin[start], self.origin[end - 1] + 1 if end > start else self.origin[start]


def fold(text: str) -> Folded:
    """Fold any text. Never fails; lone surrogates become spaces."""
    if "\r" in text:
        text = text.replace("\r\n", " \n").replace("\r", "\n")
    if text.isascii():
        return Folded(text.translate(_CONTROL) if "\x00" in text or "\x0c" in text or "\x0b" in text else text)
    if _NOT_ONE_TO_ONE.search(text):
        return _mapped(text)
    return Folded(text.translate(_TABLE))


def _mapped(text: str) -> Folded:
    """The slow way: drops what nobody sees, joins combining marks to their letter, spells out ligatures."""
    out: list[str] = []
    origin: list[int] = []
    for at, char in enumerate(text):
        if char in _INVISIBLE or unicodedata.combining(char):
            continue
        spelt = unicodedata.normalize("NFKC", char) if "ﬀ" <= char <= "ﬆ" else _TABLE[ord(char)]
        for one in spelt:
            out.append(one if one.isascii() else "?")
            origin.append(at)
    origin.append(len(text))
    return Folded("".join(out), tuple(origin))
