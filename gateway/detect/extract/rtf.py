"""Rich Text: what a reader sees, what its fields and comments say beside it, and its packed form in Outlook's mail.

Promises: every group is read but tables of fonts, colours and styles; a picture or an embedded object is named as
unread; time grows with the length alone, depth and sizes are bounded. Text that only some programs show (HTML packed
inside, hidden text, comments, document properties) counts as text.
Clauses: RTF 1.9.1 (control words, destinations), [MS-OXRTFCP] 2.1 (LZFu), [MS-OXRTFEX] 2.1 (HTML inside).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace

from gateway.detect.extract import Limits, Unreadable, take_text
from gateway.detect.extract.charset import decode
from gateway.detect.model import Extracted, PartInput, Text, Unread

DEPTH = 200
_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?[0-9]{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|([^\\{}\r\n]+)|[\r\n]+|\\"
)
_TABLES = frozenset(
    b"fonttbl colortbl stylesheet listtable listoverridetable rsidtbl latentstyles themedata colorschememapping "
    b"datastore xmlnstbl generator revtbl filetbl pgptbl".split()
)
_OBJECTS = {b"pict": "a picture in rich text", b"objdata": "a file in rich text"}
_SPOKEN = {
    b"par": "\n", b"line": "\n", b"row": "\n", b"page": "\n", b"sect": "\n", b"tab": "\t", b"cell": "\t",
    b"emdash": "\u2014", b"endash": "\u2013", b"lquote": "\u2018", b"rquote": "\u2019", b"ldblquote": "\u201c",
    b"rdblquote": "\u201d", b"bullet": "\u2022", b"emspace": " ", b"enspace": " ",
}  # fmt: skip
_SIGNS = {b"~": "\u00a0", b"_": "-", b"-": "", b"\n": "\n", b"\r": "\n", b"\\": "\\", b"{": "{", b"}": "}"}
_CHARSETS = {
    0: "cp1252", 77: "mac_roman", 128: "cp932", 129: "cp949", 134: "gb18030", 136: "cp950", 161: "cp1253",
    162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251",
    222: "cp874", 238: "cp1250",
}  # fmt: skip
_PAGES = {b"mac": "mac_roman", b"pc": "cp437", b"pca": "cp850", b"ansi": "cp1252"}
_DICTIONARY = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor "
    b"MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20"
    b"\\b\\i\\u\\tab\\tx"
)
RATIO = 40
"""LZFu packs at most 17 bytes into 17 bits: a claim of more than that is none."""


@dataclass(frozen=True, slots=True)
class Rich:
    """`shown` is the text of the page, `behind` what stands in fields, comments and properties."""

    shown: str
    behind: str
    objects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Group:
    """What holds until a group ends: `where` is "shown", "behind", "table" or "object"."""

    where: str = "shown"
    skip: int = 1
    charset: str = ""


class _Reader:
    """One pass over the tokens."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._text: dict[str, list[str]] = {"shown": [], "behind": []}
        self._objects: dict[str, None] = {}
        self._group = _Group()
        self._outer: list[_Group] = []
        self._fonts: dict[int, str] = {}
        self._font = 0
        self._page = "cp1252"
        self._held = bytearray()
        self._owed = 0  # characters of a fallback that \u already said
        self._starred = self._first = False

    def read(self) -> Rich:
        data, at = self._data, 0
        while at < len(data):
            match = _TOKEN.match(data, at)
            if match is None:
                break
            at = match.end()
            if match[5] is not None:
                self._brace(match[5] == b"{")
            elif match[1] is not None:
                at = self._word(match[1], int(match[2]) if match[2] else None, at)
            elif match[3] is not None:
                self._bytes(bytes([int(match[3], 16)]), 1)
            elif match[4] is not None:
                self._sign(match[4])
            elif match[6] is not None:
                self._bytes(match[6], len(match[6]))
        self._flush()
        return Rich("".join(self._text["shown"]), "".join(self._text["behind"]), tuple(self._objects))

    def _brace(self, opening: bool) -> None:
        self._flush()
        self._owed = 0
        if opening:
            if len(self._outer) >= DEPTH:
                raise Unreadable("too deep")
            self._outer.append(self._group)
            self._first = True
        elif self._outer:
            if self._group.where == "behind" and self._outer[-1].where != "behind":
                self._text["behind"].append("\n")
            self._group = self._outer.pop()
            self._first = False
        self._starred = False

    def _sign(self, sign: bytes) -> None:
        if sign == b"*":
            self._starred = self._first
        else:
            self._say(_SIGNS.get(sign, sign.decode("latin-1")))

    def _word(self, word: bytes, number: int | None, at: int) -> int:
        self._first = False
        if word == b"bin" and number and number > 0:
            self._objects["a file in rich text"] = None
            return at + number
        if word in _OBJECTS:
            self._objects[_OBJECTS[word]] = None
            self._move("object")
        elif word in _TABLES:
            self._move("table")
        elif (self._starred and self._outer) or word in (b"info", b"annotation", b"footnote"):
            self._move("behind" if self._group.where == "shown" else self._group.where)
        elif word == b"u" and number is not None:
            self._say(chr(number & 0xFFFF), counted=False)
            self._owed = self._group.skip
        elif word == b"uc":
            self._group = replace(self._group, skip=max(0, min(number or 0, 16)))
        elif word == b"v" and number != 0:
            self._move("behind" if self._group.where == "shown" else self._group.where)
        elif word == b"f" and number is not None:
            self._flush()
            self._font = number
            self._group = replace(self._group, charset=self._fonts.get(number, ""))
        elif word == b"fcharset" and number in _CHARSETS:
            self._fonts[self._font] = _CHARSETS[number]
        elif word == b"ansicpg" and number is not None:
            self._page = "utf-8" if number == 65001 else f"cp{number}"
        elif word in _PAGES:
            self._page = _PAGES[word]
        elif word in _SPOKEN:
            self._say(_SPOKEN[word], counted=False)
        self._starred = False
        return at

    def _move(self, where: str) -> None:
        self._flush()
        self._group = replace(self._group, where=where)

    def _bytes(self, data: bytes, letters: int) -> None:
        """Text in the code page; what \\u said already is left out."""
        self._first = False
        if self._owed:
            left = min(self._owed, letters)
            self._owed -= left
            data = data[left:]
        if self._group.where in self._text:
            self._held += data

    def _say(self, text: str, counted: bool = True) -> None:
        self._first = False
        if counted and self._owed:
            self._owed -= 1
            return
        if not counted:
            self._owed = 0
        self._flush()
        if self._group.where in self._text:
            self._text[self._group.where].append(text)

    def _flush(self) -> None:
        if self._held:
            said = decode(bytes(self._held), self._group.charset or self._page)
            self._text[self._group.where].append(said)
            self._held.clear()


def rich(data: bytes) -> Rich:
    """The text of an RTF file. Raises Unreadable when it is nested too deeply."""
    found = _Reader(data).read()
    # \u says a letter beyond the first plane in two halves (UTF-16).
    whole = [
        one.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") for one in (found.shown, found.behind)
    ]
    return Rich(whole[0], whole[1], found.objects)


def unpack(data: bytes, limits: Limits) -> bytes:
    """The RTF inside PidTagRtfCompressed. Raises Unreadable ([MS-OXRTFCP] 2.1.3)."""
    if len(data) < 16:
        raise Unreadable("a damaged winmail.dat")
    packed_size, size, kind, _crc = struct.unpack_from("<IIII", data)
    packed = data[16 : packed_size + 4]
    if size > limits.inflated_bytes or size > len(packed) * RATIO + 64:
        raise Unreadable("over limits")
    limits.inflated_bytes -= size
    if kind == 0x414C454D:  # "MELA": as it is
        return packed[:size]
    if kind != 0x75465A4C:  # "LZFu"
        raise Unreadable("a damaged winmail.dat")
    window = bytearray(_DICTIONARY.ljust(4096, b"\0"))
    write, at, out = len(_DICTIONARY), 0, bytearray()
    while at < len(packed) and len(out) < size:
        control = packed[at]
        at += 1
        for bit in range(8):
            if at >= len(packed):
                break
            if not control >> bit & 1:
                window[write] = packed[at]
                out.append(packed[at])
                write, at = (write + 1) & 4095, at + 1
                continue
            pair = int.from_bytes(packed[at : at + 2], "big")
            at += 2
            start, length = pair >> 4, (pair & 15) + 2
            if start == write:
                return bytes(out[:size])
            for step in range(length):
                byte = window[(start + step) & 4095]
                window[write] = byte
                out.append(byte)
                write = (write + 1) & 4095
    return bytes(out[:size])


def texts(part: PartInput, data: bytes, limits: Limits) -> tuple[Extracted, str]:
    """What there is to judge in that RTF, and its text as a page shows it."""
    found = rich(data)
    said = [Text(part.part, part.place, take_text(one, limits)) for one in (found.shown, found.behind) if one.strip()]
    unread = tuple(Unread(part.part, part.place, reason) for reason in found.objects)
    return Extracted(tuple(said), unread), found.shown


def read(part: PartInput, limits: Limits) -> Extracted:
    """An RTF file that is attached as such."""
    return texts(part, part.data, limits)[0]
