"""Looking for planted words in copied files, in any coding that a program might have written them in.

The search undoes nothing that needs a key: UTF-8 and UTF-16, base64 in its three alignments and its two alphabets,
hexadecimal, quoted-printable, percent signs, and what zlib, gzip or raw deflate packed, wherever in a file it begins.
"""

from __future__ import annotations

import base64
import re
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

ZLIB = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08|PK\x03\x04")
"""How a packed stream begins: RFC 1950, RFC 1952, and an entry of a ZIP."""

UNPACKED_BYTES = 4 << 20
SOFT_BREAK = re.compile(rb"=\r?\n")


def forms(word: str) -> set[bytes]:
    """The word in every coding; a search that knows nothing of where it begins finds each."""
    found: set[bytes] = set()
    for text in {word, word.upper(), word.title()}:
        for plain in (text.encode(), text.encode("utf-16-le"), text.encode("utf-16-be")):
            found |= {plain, plain.hex().encode(), plain.hex().upper().encode()}
            found |= set(_base64(plain))
        found.add("".join(f"={byte:02X}" for byte in text.encode()).encode())
        found.add("".join(f"%{byte:02X}" for byte in text.encode()).encode())
    return found


def _base64(plain: bytes) -> Iterator[bytes]:
    """The letters that hang on the word alone, at each of three alignments (RFC 4648 4 and 5)."""
    for shift in range(3):
        coded = base64.b64encode(bytes(shift) + plain + bytes(3))
        last = (shift + len(plain)) * 8 // 6
        one = coded[-(-shift * 8 // 6) : last]
        yield one
        yield one.replace(b"+", b"-").replace(b"/", b"_")


class Search:
    """Finds which of the words stand in some bytes."""

    def __init__(self, words: dict[str, str]) -> None:
        self._forms = {form: name for name, word in words.items() for form in forms(word)}

    def words_in(self, data: bytes) -> set[str]:
        """Names of the words in it, packed or not."""
        views = [data, SOFT_BREAK.sub(b"", data), *_unpacked(data)]
        return {name for form, name in self._forms.items() if any(form in view for view in views)}

    def in_files(self, paths: Iterable[Path]) -> dict[str, set[str]]:
        """File to what was found in it; a database's rows are looked at one by one besides."""
        found: dict[str, set[str]] = {}
        for path in paths:
            data = path.read_bytes()
            words = self.words_in(data)
            if data.startswith(b"SQLite format 3\0"):
                for rows in _tables(path):
                    words |= self.words_in(rows)
            if words:
                found[path.name] = words
        return found


def _unpacked(data: bytes) -> Iterator[bytes]:
    """What is packed in it, from each place where a packed stream could begin."""
    for start in ZLIB.finditer(data):
        at, bits = start.start(), 47  # zlib or gzip, whichever it says
        if start[0] == b"PK\x03\x04":
            if len(data) < at + 30:
                continue
            name, more = (int.from_bytes(data[at + place : at + place + 2], "little") for place in (26, 28))
            at += 30 + name + more
            bits = -15
        try:
            yield zlib.decompressobj(bits).decompress(data[at : at + UNPACKED_BYTES], UNPACKED_BYTES)
        except zlib.error:
            continue


def _tables(path: Path) -> Iterator[bytes]:
    """Every value of each table: one that is spread over pages is one piece here."""
    connection = sqlite3.connect(path)
    try:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            rows = connection.execute(f'SELECT * FROM "{table}"')
            values = (value for row in rows for value in row if value is not None)
            yield b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in values)
    finally:
        connection.close()
