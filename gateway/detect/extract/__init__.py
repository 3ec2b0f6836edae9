"""From bytes to text, by what the bytes are and not by what they are called.

Promises: a format is recognised by content; an unknown one, a damaged one, an encrypted one and a picture are unread,
never clean; whatever a parser raises becomes "unread". Sizes, depths and counts are bounded by `Limits`.
The file's name is read as text too. Parsers of foreign binary formats run in a child process; see `is_text`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass

from gateway.detect.model import Extracted, PartInput, Text, Unread


@dataclass(slots=True)
class Limits:
    """What one part may cost; counted down while its insides are read."""

    inflated_bytes: int = 96 * 1024 * 1024
    text_chars: int = 8 * 1024 * 1024
    members: int = 2_000
    depth: int = 5
    pages: int = 2_000
    tell: Callable[[str], None] | None = None
    """Hears of a text as soon as it was read, long before all of them are there."""


HEAD_BYTES = 1024
"""A part is a PDF or a container by what stands in so many bytes at its beginning."""


class Unreadable(Exception):
    """Raised by a parser: `reason` in a few machine words, without any word of the file."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


_CONTROLS = bytes(one for one in range(32) if one not in (9, 10, 11, 12, 13, 27, 28, 29, 30, 31))
_IMAGES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"II*\x00", b"MM\x00*", b"\x00\x00\x01\x00")


def sniff(data: bytes, content_type: str = "") -> str:
    """The kind of a part's bytes: pdf, zip, ole, dicom, image, rtf, tnef, html, text, empty or other."""
    head = data[:HEAD_BYTES]
    if not data or data.isspace():  # what `strip` would leave nothing of, without its copy
        return "empty"
    # Containers come before the PDF that may be their first file: it would speak for all the others.
    if head[:4] == b"\x78\x9f\x3e\x22":
        return "tnef"
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
        return "zip"
    if head[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        return "ole"
    if b"%PDF-" in head:
        return "pdf"
    if data[128:132] == b"DICM":
        return "dicom"
    if (
        head.startswith(_IMAGES)
        or (head[:2] == b"BM" and head[6:10] == bytes(4))  # two letters alone begin many a sentence
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or head[4:12] in (b"ftypheic", b"ftypmif1", b"ftypavif")
    ):
        return "image"
    if head.lstrip()[:5] == b"{\\rtf":
        return "rtf"
    if (
        head[:2] == b"\x1f\x8b"
        or head[:6] in (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07")
        or head[:5] == b"BZh91"
        or head[:6] == b"\xfd7zXZ\x00"
    ):
        return "other"
    if b"-----BEGIN PGP MESSAGE" in head:
        return "other"
    if not _looks_like_text(data):
        return "dicom" if _dicom_without_preamble(data) else "other"
    lower = head.lower() if b"<" in head else b""
    if "html" in content_type or re.search(rb"<(?:!doctype html|html|body|table|div|head)\b", lower):
        return "html" if b"<clinicaldocument" not in lower else "text"
    return "text"


def _dicom_without_preamble(data: bytes) -> bool:
    """Group 0008 first, little endian, with a plausible element: an old ACR-NEMA or raw DICOM stream."""
    return (
        data[:2] == b"\x08\x00"
        and data[2:4] in (b"\x00\x00", b"\x05\x00", b"\x08\x00", b"\x16\x00", b"\x18\x00")
        and len(data) > 200
    )


def _looks_like_text(data: bytes) -> bool:
    """Text in some charset: a byte-order mark, or hardly any control characters in the whole of it."""
    if data[:3] == b"\xef\xbb\xbf" or data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return True
    if b"\x1b$)" in data[:4096]:  # ISO-2022-KR and -CN (RFC 1557, 1922): SO and SI shift between two alphabets
        data = data.translate(None, b"\x0e\x0f")
    nul = b"\0" in data  # the one control character that is sought many bytes at a time
    controls = 1 if nul else len(data) - len(data.translate(None, _CONTROLS))
    if controls == 0:
        return True
    sample = data[:4096]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if max(even, odd) > len(sample) // 8 and min(even, odd) <= len(sample) // 64:
        return True  # UTF-16 without a mark
    return controls * 200 < len(data) and not nul


UNKNOWN = "an unknown format"
_NOBODY_READS = {"image": "a picture", "other": UNKNOWN}
"""Kinds that `_read` has no parser for, and what is said of them."""

HTML_BYTES_HERE, HTML_TAGS_HERE = 16_384, 300
"""HTML beyond this is for a child with limits: 190 KB in one tag full of attributes cost 13 seconds."""


def is_text(part: PartInput, limit_bytes: int) -> bool:
    """Whether this process may read the part itself: text of modest size, no foreign binary format."""
    return _kind_here(part, limit_bytes) is not None


def extract_here(part: PartInput, limit_bytes: int) -> Extracted | None:
    """As `extract` for what `is_text` allows here; None for anything else."""
    kind = _kind_here(part, limit_bytes)
    if kind is None and (reason := _unreadable(part)):
        return Extracted(name_text(part), (Unread(part.part, part.place, reason),))
    return None if kind is None else extract(part, kind=kind)


def _unreadable(part: PartInput) -> str:
    """Why no parser could say anything of this binary file, so that none needs to be asked; else empty."""
    if b"\0" not in part.data[:4096]:
        return ""  # it may be text, and to tell costs time
    kind = sniff(part.data, part.content_type)
    return _NOBODY_READS.get(kind, "")


def _kind_here(part: PartInput, limit_bytes: int) -> str | None:
    if len(part.data) > limit_bytes:
        return None
    kind = sniff(part.data, part.content_type)
    if kind == "html":
        data = part.data
        small = len(data) <= HTML_BYTES_HERE and max(data.count(b"<"), data.count(b"=")) <= HTML_TAGS_HERE
        return kind if small else None
    return kind if kind in ("text", "empty") else None


KINDS = frozenset(
    "bmp cda csv dcm doc docm docx eml gif gz heic hl7 htm html ics jpeg jpg json log md msg odp ods odt pdf png ppt "
    "pptm pptx ps rtf svg tif tiff tsv txt vcf vsd wav webp xls xlsb xlsm xlsx xml xps zip 7z rar tar mp3 mp4".split()
)
"""Endings that say of which kind a file is; any other may be a part of its name."""


def numbered(place: str, name: str) -> str:
    """What people call a file at that place: with its kind, where its name tells one."""
    ending = posixpath.splitext(name)[1].lstrip(".").lower()
    return f"{place} ({ending.upper()})" if ending in KINDS and len(ending) <= 4 else place


def name_text(part: PartInput) -> tuple[Text, ...]:
    """The file's name as text, its separators as blanks."""
    if not part.filename:
        return ()
    words = re.sub(r"[_.+]|(?<=[A-Za-z])-(?=[A-Za-z])", " ", part.filename)
    return (Text(part.part, f"{part.place}, file name", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", words)),)


def extract(part: PartInput, limits: Limits | None = None, depth: int = 0, kind: str | None = None) -> Extracted:
    """Everything there is to read in a part. Never raises: what fails is unread. `kind` is what `sniff` said of it."""
    limits = limits or Limits()
    try:
        found = _read(part, limits, depth, kind)
    except Unreadable as error:
        found = Extracted(unread=(Unread(part.part, part.place, error.reason),))
    except MemoryError:
        found = Extracted(unread=(Unread(part.part, part.place, "over limits"),))
    except Exception:  # whatever a foreign format does to a parser
        found = Extracted(unread=(Unread(part.part, part.place, "cannot be parsed"),))
    # What lies in a container inside an archive is no range of the part itself.
    return Extracted(name_text(part) + found.texts, found.unread, found.formats, found.inner if depth == 0 else ())


def _read(part: PartInput, limits: Limits, depth: int, kind: str | None) -> Extracted:
    kind = kind or sniff(part.data, part.content_type)
    if kind == "empty":
        return Extracted()
    if kind == "text":
        from gateway.detect.extract.plain import read as read_plain

        return read_plain(part, limits)
    if kind == "html":
        from gateway.detect.extract.html import read as read_html

        return read_html(part, limits)
    if kind == "pdf":
        from gateway.detect.extract.pdf import read as read_pdf

        return read_pdf(part, limits)
    if kind == "zip":
        from gateway.detect.extract.archive import read as read_zip

        return read_zip(part, limits, depth)
    if kind == "dicom":
        from gateway.detect.extract.dicom import read as read_dicom

        return read_dicom(part, limits)
    if kind == "rtf":
        from gateway.detect.extract.rtf import read as read_rtf

        return read_rtf(part, limits)
    if kind == "tnef":
        from gateway.detect.extract.tnef import read as read_tnef

        return read_tnef(part, limits, depth)
    if kind == "ole":
        raise Unreadable("an old or encrypted Office file")
    raise Unreadable(_NOBODY_READS.get(kind, UNKNOWN))


def take_text(text: str, limits: Limits) -> str:
    """Count text against the limits. Raises Unreadable when there is too much."""
    limits.text_chars -= len(text)
    if limits.text_chars < 0:
        raise Unreadable("over limits")
    return text
