"""One MIME entity while it is being scanned: its header read, its kind decided, then frozen into a `Part`.

Kinds: text, html (shown as the body), multipart, message (an attached message, opened), inline (used by the HTML
through `cid:`), calendar, signature, report (machine-readable parts of a DSN or receipt), encrypted (so it says),
tnef, opaque (nobody could read it), attachment (all else). RFC 2045, RFC 2046, RFC 2183, RFC 8551.
"""

from __future__ import annotations

import re

from gateway.mail import charset, fields
from gateway.mail.model import FIELD, Part

IDENTITY = frozenset({"", "7bit", "8bit", "binary"})
ENCODINGS = IDENTITY | {"quoted-printable", "base64"}
#: What programs write for "nothing was encoded", beside names of character sets. No reader decodes any of it.
_MEANT_IDENTITY = frozenset("7-bit 8-bit 7bits 8bits 7_bit 8_bit none text text/plain plain".split())
BOUNDARY_MAX_BYTES = 256

_WELL_FORMED = re.compile(rb"(?:[!-9;-~]+:[^\n]*\n(?:[ \t]+[^ \t\r\n][^\n]*\n)*)*\Z")
_BLANK_FOLD = re.compile(rb"(?:\A|\n)[ \t]+\r?(?:\n|\Z)")
# RFC 2046 5.1.1 allows fewer signs; all readers take these, and scanners and web mail write them.
_BOUNDARY = re.compile(r"[ !#-\[\]-~]{0,69}[!#-\[\]-~]\Z")
_REPORTS = frozenset(
    {
        "message/delivery-status",
        "message/global-delivery-status",
        "message/disposition-notification",
        "message/global-disposition-notification",
        "message/feedback-report",
        "message/global-headers",
        "text/rfc822-headers",
    }
)
_SIGNATURES = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature"})
_MESSAGES = frozenset({"message/rfc822", "message/global", "message/news"})
_MIME_FIELDS = {
    "content-type": "content-type-twice",
    "content-transfer-encoding": "encoding-twice",
    "content-disposition": "disposition-twice",
}
_WANTED = frozenset(name.encode() for name in (*_MIME_FIELDS, "content-id", "from", "subject"))
_INITIALS = frozenset(bytes([letter]) for letter in b"cCfFsS")
_FOLDS = frozenset({b" ", b"\t"})


def header_flags(block: bytes) -> set[str]:
    """What is odd about a header block as such."""
    if _WELL_FORMED.match(block):
        return set()
    flags = {"header-fold"} if _BLANK_FOLD.search(block) else set()
    for match in FIELD.finditer(block):
        if match[1] is None:
            flags.add("header-syntax")
        elif match[2]:
            flags.add("header-space")
    return flags


def wanted_fields(block: bytes) -> list[tuple[str, str]]:
    """Lower-case name and unfolded value of the fields that decide structure, in order."""
    found: list[tuple[str, str]] = []
    lines = block.split(b"\n")
    for index, line in enumerate(lines):
        if line[:1] in _INITIALS:
            name, colon, value = line.partition(b":")
            key = name.rstrip(b" \t").lower()
            if key in _WANTED and colon:
                after = index + 1
                while after < len(lines) and lines[after][:1] in _FOLDS:
                    after += 1
                found.append((key.decode("ascii"), fields.unfold(b"\n".join((value, *lines[index + 1 : after])))))
    return found


def _encoding(value: str) -> str:
    """A transfer encoding in lower case; what was only meant to say that there is none is 8bit."""
    said = value.strip().lower()
    return "8bit" if said in _MEANT_IDENTITY or (said not in ENCODINGS and charset.codec(said)) else said


def _alike(name: str, one: str, other: str) -> bool:
    """Whether two values of a field of MIME are the same to every reader."""
    if one == other:
        return True
    first, second = _encoding(one), _encoding(other)
    return name == "content-transfer-encoding" and (first == second or {first, second} <= IDENTITY)


class Entity:
    """A part whose end has not been seen yet."""

    __slots__ = (
        "block", "body_start", "boundary", "charset", "children", "close_start", "close_stop", "closed", "content_id",
        "content_type", "delimiter_start", "disposition", "encoding", "filename", "flags", "header_stop", "kind",
        "params", "path", "preamble_stop", "start",
    )  # fmt: skip

    def __init__(self, path: tuple[int, ...], delimiter_start: int, start: int) -> None:
        self.path = path
        self.delimiter_start = delimiter_start
        self.start = self.header_stop = self.body_start = start
        self.block = b""
        self.flags: set[str] = set()
        self.children: list[Part] = []
        self.content_type = "text/plain"
        self.params: dict[str, str] = {}
        self.disposition = ""
        self.filename: str | None = None
        self.content_id: str | None = None
        self.charset: str | None = None
        self.encoding = ""
        self.kind = "opaque"
        self.boundary = b""
        self.closed = False
        self.close_start = self.close_stop = 0
        self.preamble_stop = -1

    def read(self, block: bytes, parent: Entity | None) -> None:
        """Take in the header block and decide the kind."""
        self.block = block
        self.flags |= header_flags(block)
        seen: dict[str, str] = {}
        for name, value in wanted_fields(block):
            if name in _MIME_FIELDS:
                # Said twice in the same words it is one thing to every reader.
                if not _alike(name, seen.setdefault(name, value), value):
                    self.flags.add(_MIME_FIELDS[name])
            elif name == "content-id":
                self.content_id = self.content_id or fields.content_id(value)
            elif (parent is None or parent.kind == "message") and seen.setdefault(name, value) != value:
                self.flags.add("field-twice")
        self._read_type(seen.get("content-type"), parent)
        encoding = _encoding(seen.get("content-transfer-encoding", ""))
        if encoding not in ENCODINGS:
            self.flags.add("encoding-unknown")
        self.encoding = encoding
        disposition = fields.valued(seen.get("content-disposition", ""))
        self.disposition = disposition.value
        self.flags.update(disposition.flags)
        name_given = disposition.params.get("filename") or self.params.get("name")
        self.filename = fields.decode_words(name_given) if name_given else None
        self.charset = self.params.get("charset")
        self.kind = self._kind(parent)

    def _read_type(self, value: str | None, parent: Entity | None) -> None:
        default = "message/rfc822" if parent is not None and parent.content_type == "multipart/digest" else "text/plain"
        self.content_type = default
        if value is None:
            return
        read = fields.valued(value)
        self.params = read.params
        self.flags.update(read.flags)
        if read.value.count("/") == 1:
            self.content_type = read.value
        elif read.value != "text":  # which is text/plain to all
            self.flags.add("content-type-syntax")

    def _kind(self, parent: Entity | None) -> str:
        kind = self.content_type
        major = kind.partition("/")[0]
        if major == "multipart":
            return self._multipart()
        if kind in _MESSAGES:
            if self.encoding in IDENTITY:
                return "message"
            self.flags.add("encoding-on-multipart")
            return "opaque"
        if "encoding-unknown" in self.flags or kind in ("message/partial", "message/external-body"):
            return "opaque"
        if kind in _REPORTS:
            return "report"
        if kind in _SIGNATURES:
            return "signature"
        if kind in fields.PKCS7_MIME:
            claimed = self.params.get("smime-type", "").lower()
            return "encrypted" if claimed in ("enveloped-data", "authenveloped-data") else "opaque"
        if kind in ("application/ms-tnef", "application/vnd.ms-tnef") or (self.filename or "").lower() == "winmail.dat":
            return "tnef"
        if self.disposition == "attachment":
            return "attachment"
        if kind == "text/calendar":
            return "calendar"
        if kind in ("text/plain", "text/html"):
            beside = parent is None or parent.content_type == "multipart/alternative" or parent.kind == "message"
            if self.filename is None or beside:
                return "html" if kind == "text/html" else "text"
            return "attachment"
        if self.content_id and (
            major == "image" or (parent is not None and parent.content_type == "multipart/related")
        ):
            return "inline"
        return "attachment"

    def _multipart(self) -> str:
        boundary = self.params.get("boundary", "")
        if self.encoding not in IDENTITY:
            self.flags.add("encoding-on-multipart")
        if not boundary or len(boundary) > BOUNDARY_MAX_BYTES:
            self.flags.add("boundary-missing" if not boundary else "boundary-odd")
            return "opaque"
        if not _BOUNDARY.match(boundary):
            self.flags.add("boundary-odd")
        self.boundary = boundary.encode("utf-8", "replace").rstrip(b" \t\r\n")
        if not self.boundary:
            return "opaque"
        return "multipart"

    def freeze(self, body_stop: int) -> Part:
        """The finished part, whose body ends there."""
        if body_stop < self.body_start:
            # A delimiter follows at once: the blank line is the line end before it, and there is no body.
            self.body_start = max(self.header_stop, body_stop)
        body_stop = max(self.body_start, body_stop)
        preamble = epilogue = (body_stop, body_stop)
        if self.kind == "multipart":
            stop = self.preamble_stop if self.preamble_stop >= 0 else body_stop
            preamble = (self.body_start, max(self.body_start, stop))
            if self.closed:
                epilogue = (min(self.close_stop, body_stop), body_stop)
            else:
                self.flags.add("unclosed")
            if not self.children:
                self.flags.add("boundary-unused")
                self.kind = "opaque"
        return Part(
            self.path,
            self.start,
            self.header_stop,
            self.body_start,
            body_stop,
            self.delimiter_start,
            self.content_type,
            self.params,
            self.disposition,
            self.filename,
            self.content_id,
            self.charset,
            self.encoding,
            self.kind,
            self.block,
            tuple(self.children),
            tuple(sorted(self.flags)) if self.flags else (),
            preamble,
            epilogue,
            self.boundary,
            self.close_start if self.closed else body_stop,
        )
