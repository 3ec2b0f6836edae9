"""winmail.dat, Outlook's container: its fields, its text and its files, each file as a range of its bytes.

Promises: every file is read by its own content or named as unread; the strings of properties and what looks like text
in other ones count as text; a container that ends too early, or whose lengths do not fit, is unread as a whole. Nothing
is copied out: a file is a place in the container, so that whoever seals it takes the bytes from the mail itself.
Checksums ([MS-OXTNEF] 2.1.3.3) are not judged: a program that does shows less than is read here, never more, and a
wrong one says nothing of what it sums.
Clauses: [MS-OXTNEF] 2.1.3 (attributes), 2.1.3.4 (property lists), [MS-OXPROPS] (properties), [MS-OXCMSG] 2.2.2.
"""

from __future__ import annotations

import posixpath
import re
import struct
from dataclasses import dataclass, field

from gateway.detect.extract import Limits, Unreadable, extract, numbered, rtf, take_text
from gateway.detect.extract.charset import decode
from gateway.detect.model import Extracted, Format, Inner, PartInput, Text, Unread

SIGNATURE = b"\x78\x9f\x3e\x22"
_CODE_PAGE, _BODY, _PROPERTIES, _RECIPIENTS = 0x9007, 0x800C, 0x9003, 0x9004
_RENDERING, _TITLE, _DATA, _ATTACHMENT, _TRANSPORT_NAME = 0x9002, 0x8010, 0x800F, 0x9005, 0x9001
_SUBJECT, _CLASS = 0x8004, 0x8008  # what else is text; the other attributes hold addresses, dates and numbers
_FIXED = {2: 4, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 10: 4, 11: 4, 20: 8, 64: 8, 72: 16}
_STRING8, _UNICODE, _OBJECT, _BINARY = 0x1E, 0x1F, 0x0D, 0x102
_LONG_NAME, _SHORT_NAME, _SHOWN_NAME, _MEDIA_TYPE = 0x3707, 0x3704, 0x3001, 0x370E
_CONTENT, _RTF, _HTML, _PLAIN = 0x3701, 0x1009, 0x1013, 0x1000
_MESSAGE_IN = bytes.fromhex("0703020000000000c000000000000046")  # IID_IMessage: an attached message
_MACHINE = frozenset(
    # Class, addresses and their names, ids, transport fields: as in a header, they are no sentence of a person.
    (0x001A, 0x003D, 0x003B, 0x003F, 0x0040, 0x0041, 0x0042, 0x0043, 0x0044, 0x0051, 0x0052, 0x0064, 0x0065, 0x0070,
     0x0071, 0x0075, 0x0076, 0x0077, 0x0078, 0x007D, 0x007F, 0x0C19, 0x0C1A, 0x0C1D, 0x0C1E, 0x0C1F, 0x0E02, 0x0E03,
     0x0E04, 0x0FF6, 0x0FF9, 0x0FFA, 0x0FFB, 0x0FFF, 0x1035, 0x1039, 0x1042, 0x300B, 0x3002, 0x3003, 0x3013, 0x3016,
     0x30F9, 0x3703, 0x3712, 0x3FF8, 0x3FFA, 0x3FFC, 0x39FE, 0x39FF, 0x5FF6, 0x5FF7)
)  # fmt: skip
_RUN = re.compile(rb"[\x20-\x7e\r\n\t]{12,}|(?:[\x20-\x7e]\0){8,}")


@dataclass(slots=True)
class _File:
    """One file while its attributes come."""

    name: str = ""
    long_name: str = ""
    media_type: str = ""
    range: tuple[int, int] | None = None
    message: bool = False
    other: bool = False  # an object of another program


@dataclass(slots=True)
class _Opened:
    """One container: what is said in it, its bodies and its files. Offsets count from the start of the part."""

    said: list[str] = field(default_factory=list)
    files: list[_File] = field(default_factory=list)
    plain: tuple[int, int] | None = None
    html: tuple[int, int] | None = None
    rich: bytes | None = None
    plain_unicode: str = ""
    code_page: str = "cp1252"


class _Container:
    """Reads the attributes of one container in order. Raises Unreadable."""

    def __init__(self, data: bytes, start: int, stop: int, limits: Limits) -> None:
        self._data = data
        self._start, self._stop = start, stop
        self._limits = limits
        self.opened = _Opened()

    def read(self) -> _Opened:
        data, at = self._data, self._start
        if data[at : at + 4] != SIGNATURE:
            raise Unreadable("a damaged winmail.dat")
        at += 6
        while at < self._stop:
            if at + 9 > self._stop:
                if data[at : self._stop].strip(b"\0\r\n "):
                    raise Unreadable("a damaged winmail.dat")
                break
            level, tag, _kind, length = struct.unpack_from("<BHHI", data, at)
            start, stop = at + 9, at + 9 + length
            if level not in (1, 2) or stop + 2 > self._stop:
                raise Unreadable("a damaged winmail.dat")
            self._attribute(level, tag, start, stop)
            at = stop + 2  # over the checksum
        return self.opened

    def _attribute(self, level: int, tag: int, start: int, stop: int) -> None:
        opened, data = self.opened, self._data
        if tag == _CODE_PAGE and stop - start >= 4:
            opened.code_page = _codec(int.from_bytes(data[start : start + 4], "little"))
        elif tag == _BODY:
            opened.plain = (start, _without_end(data, start, stop))
        elif tag == _PROPERTIES:
            self._message(start, stop)
        elif tag == _RECIPIENTS:
            at = start + 4
            for _ in range(min(int.from_bytes(data[start : start + 4], "little"), 10_000)):
                at = self._list(at, stop, None)
        elif tag == _RENDERING:
            self._limits.members -= 1
            if self._limits.members < 0:
                raise Unreadable("over limits")
            opened.files.append(_File())
        elif level == 2:
            self._of_file(tag, start, stop)
        elif tag in (_SUBJECT, _CLASS):
            opened.said.append(decode(data[start:stop].rstrip(b"\0"), opened.code_page))

    def _of_file(self, tag: int, start: int, stop: int) -> None:
        if not self.opened.files:
            self.opened.files.append(_File())
        last = self.opened.files[-1]
        if tag in (_TITLE, _TRANSPORT_NAME):
            last.name = decode(self._data[start:stop].rstrip(b"\0"), self.opened.code_page) or last.name
        elif tag == _DATA:
            if last.range is not None:
                raise Unreadable("a damaged winmail.dat")
            last.range = (start, stop)
        elif tag == _ATTACHMENT:
            self._list(start, stop, last)

    def _message(self, start: int, stop: int) -> None:
        self._list(start, stop, self.opened)

    def _list(self, at: int, stop: int, owner: _Opened | _File | None) -> int:
        """One property list; where it ends."""
        try:
            (count,) = struct.unpack_from("<I", self._data, at)
            at += 4
            if count > 65_536:
                raise Unreadable("over limits")
            for _ in range(count):
                at = self._property(at, stop, owner)
        except struct.error:
            raise Unreadable("a damaged winmail.dat") from None
        return at

    def _property(self, at: int, stop: int, owner: _Opened | _File | None) -> int:
        data = self._data
        kind, tag = struct.unpack_from("<HH", data, at)
        at += 4
        if tag >= 0x8000:  # a named property: whose, and its number or name
            (named,) = struct.unpack_from("<I", data, at + 16)
            at += 20
            if named == 1:
                (length,) = struct.unpack_from("<I", data, at)
                at += length + -length % 4
            at += 4
        several = bool(kind & 0x1000)
        kind &= 0xEFFF
        variable = kind in (_STRING8, _UNICODE, _OBJECT, _BINARY)
        count = 1
        if several or variable:
            (count,) = struct.unpack_from("<I", data, at)
            at += 4
        if not variable:
            if kind not in _FIXED:
                raise Unreadable("a damaged winmail.dat")
            at += _FIXED[kind] * count
        else:
            for _ in range(min(count, 65_536)):
                (length,) = struct.unpack_from("<I", data, at)
                at += 4
                if at + length > stop:
                    raise Unreadable("a damaged winmail.dat")
                self._value(kind, tag, at, at + length, owner)
                at += length + -length % 4
        if at > stop + 3:
            raise Unreadable("a damaged winmail.dat")
        return at

    def _value(self, kind: int, tag: int, start: int, stop: int, owner: _Opened | _File | None) -> None:
        data, opened = self._data, self.opened
        if isinstance(owner, _File):
            if tag == _CONTENT:
                self._content(kind, start, stop, owner)
                return
            if tag == _MEDIA_TYPE:
                owner.media_type = self._string(kind, start, stop)
                return
            if tag in (_LONG_NAME, _SHORT_NAME, _SHOWN_NAME):
                name = self._string(kind, start, stop)
                owner.long_name = name if tag == _LONG_NAME else owner.long_name
                owner.name = owner.name or name
                return
        elif isinstance(owner, _Opened):
            if tag == _RTF and kind == _BINARY:
                opened.rich = rtf.unpack(data[start:stop], self._limits)
                return
            if tag == _HTML:
                opened.html = (start, stop)
                return
            if tag == _PLAIN:
                if kind == _UNICODE:
                    opened.plain_unicode = self._string(kind, start, stop)
                else:
                    opened.plain = (start, _without_end(data, start, stop))
                return
        elif tag == _SHOWN_NAME:
            return
        if tag in _MACHINE:
            return
        if kind in (_STRING8, _UNICODE):
            opened.said.append(self._string(kind, start, stop))
        else:
            for run in _RUN.finditer(data, start, stop):
                opened.said.append(run[0].replace(b"\0", b"").decode("ascii"))

    def _string(self, kind: int, start: int, stop: int) -> str:
        if kind == _UNICODE:
            return self._data[start:stop].decode("utf-16-le", "replace").rstrip("\0")
        return decode(self._data[start:stop].rstrip(b"\0"), self.opened.code_page)

    def _content(self, kind: int, start: int, stop: int, owner: _File) -> None:
        if owner.range is not None and stop > start:
            raise Unreadable("a damaged winmail.dat")
        if kind == _OBJECT:
            if self._data[start : start + 16] == _MESSAGE_IN:
                owner.range, owner.message = (start + 16, stop), True
            else:
                owner.range, owner.other = (start + 16, stop), True
        else:
            owner.range = (start, stop)


def _without_end(data: bytes, start: int, stop: int) -> int:
    """Where a string ends that may have a NUL or more behind it."""
    return start + len(data[start:stop].rstrip(b"\0"))


def _codec(number: int) -> str:
    return "utf-8" if number == 65001 else f"cp{number}" if number else "cp1252"


def read(part: PartInput, limits: Limits, depth: int) -> Extracted:
    """All there is in a container; `inner` lists its text and its files. Raises Unreadable."""
    found = _Found(part, limits)
    found.take(0, len(part.data), depth)
    return Extracted(tuple(found.texts), tuple(found.unread), tuple(found.formats), tuple(found.inner))


class _Found:
    """What one part gives, containers inside it included."""

    def __init__(self, part: PartInput, limits: Limits) -> None:
        self._part, self._limits = part, limits
        self.texts: list[Text] = []
        self.unread: list[Unread] = []
        self.formats: list[Format] = []
        self.inner: list[Inner] = []
        self._number = 0

    def take(self, start: int, stop: int, depth: int) -> None:
        part, limits = self._part, self._limits
        if depth >= limits.depth:
            raise Unreadable("too deep")
        opened = _Container(part.data, start, stop, limits).read()
        self._body(opened)
        if opened.said:
            said = "\n".join(dict.fromkeys(one for one in opened.said if one.strip()))
            self.texts.append(Text(part.part, part.place, take_text(said, limits)))
        for one in opened.files:
            self._number += 1
            name = posixpath.basename((one.long_name or one.name).replace("\\", "/"))
            if one.range is None:
                if name:
                    self.texts.append(Text(part.part, part.place, name))
                self.unread.append(Unread(part.part, part.place, "a file that is not there"))
            elif one.message:
                self.texts.append(Text(part.part, part.place, take_text(name, limits)))
                self.take(*one.range, depth + 1)
            elif one.other:
                self.unread.append(Unread(part.part, part.place, "an object of another program"))
            else:
                self._file(name, one, depth)

    def _body(self, opened: _Opened) -> None:
        part, limits = self._part, self._limits
        shown = ""
        for where, kind in ((opened.plain, "text/plain"), (opened.html, "text/html")):
            if where is None or where[0] == where[1]:
                continue
            data = part.data[slice(*where)]
            found = extract(PartInput(part.part, part.place, kind, None, opened.code_page, data), limits, 1)
            self._add(found)
            said = found.texts[0].text if found.texts else ""
            self.inner.append(Inner(part.part, "", f"{kind}; charset={opened.code_page}", *where, text=said))
        if opened.plain_unicode:
            self.texts.append(Text(part.part, part.place, take_text(opened.plain_unicode, limits)))
            shown = opened.plain_unicode
        if opened.rich is not None:
            found, in_rich = rtf.texts(part, opened.rich, limits)
            self._add(found)
            shown = shown or in_rich
        if shown.strip():
            self.inner.append(Inner(part.part, "", "text/plain; charset=utf-8", 0, 0, text=shown))

    def _file(self, name: str, one: _File, depth: int) -> None:
        assert one.range is not None
        part = self._part
        place = numbered(f"{part.place}, file {self._number}", name)
        data = part.data[slice(*one.range)]
        inside = f"{part.part}/{self._number}"
        self._add(extract(PartInput(inside, place, one.media_type, name, None, data), self._limits, depth + 1))
        self.inner.append(Inner(inside, name, one.media_type, *one.range))

    def _add(self, found: Extracted) -> None:
        self.texts += found.texts
        self.unread += found.unread
        self.formats += found.formats
