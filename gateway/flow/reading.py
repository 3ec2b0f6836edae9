"""Step 4 of an outgoing message: from byte ranges to what the detector reads, what a person would call each part, and
what nobody can read.

Promises: every leaf of the message is either an input for the detector, named as unread with a reason, or inert (what
is built like a detached signature); so are the fields in which people write: subject, its copies, comments, keywords,
descriptions, names beside addresses, every name of a part and every field that no program is known to write; bytes are
decoded only up to `PART_LIMIT_BYTES` and `MESSAGE_LIMIT_BYTES`, beyond is "unread". Places are words for people
("attachment 2 (PDF)") and never file names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from gateway.detect.display import worth_judging
from gateway.detect.model import PartInput, Unread
from gateway.mail import cipher, fields
from gateway.mail.decode import decoded
from gateway.mail.image import DECORATION_BYTES, is_decoration
from gateway.mail.known import ADDRESS_FIELDS, structural
from gateway.mail.model import Message, Part
from gateway.mail.rewrite import SUBJECT_COPIES
from gateway.mail.sender_notice import place
from gateway.mail.source import Source
from gateway.words import Words

PART_LIMIT_BYTES = 32 * 1024 * 1024
MESSAGE_LIMIT_BYTES = 64 * 1024 * 1024
BODY, SUBJECT = "body", "subject"
SIGNATURE_LIMIT_BYTES = 65_536
_MACHINE_VALUES = {
    # RFC 3464 2.3.3, 2.3.4: anything else there is what somebody wrote.
    b"action": re.compile(rb"\s*(?:failed|delayed|delivered|relayed|expanded)\s*", re.IGNORECASE),
    b"status": re.compile(rb"\s*\d\.\d{1,3}\.\d{1,3}\s*"),
}
#: Set once in a mail program (RFC 1036 2.2.8): whose the sender is, as in the name beside the address.
_ORGANISATION = frozenset({"organization", "organisation", "x-organization", "x-organisation"})
_MACHINE_FIELDS = frozenset(
    b"return-path received dkim-signature arc-seal arc-message-signature arc-authentication-results "
    b"authentication-results from to cc sender reply-to date message-id mime-version content-type "
    b"content-transfer-encoding references in-reply-to reporting-mta final-recipient original-recipient "
    b"remote-mta arrival-date last-attempt-date original-envelope-id received-from-mta dsn-gateway".split()
)


@dataclass(frozen=True, slots=True)
class Attachment:
    """One thing a mail program would list: its part, its number from 1, and what people call it."""

    part: Part
    number: int
    place: str

    @property
    def id(self) -> str:
        """The detector's name for it: the MIME path."""
        return self.part.id


@dataclass(frozen=True, slots=True)
class Reading:
    """What there is to judge in a message."""

    inputs: tuple[PartInput, ...]
    unread: tuple[Unread, ...]
    attachments: tuple[Attachment, ...]
    body: tuple[Part, ...]
    decorations: frozenset[str]
    contents: Mapping[tuple[int, ...], bytes] = field(default_factory=dict, repr=False)
    """Decoded leaves by their path, as they were read: what is sealed of them needs no second decoding."""


def read(message: Message, source: Source, words: Words) -> Reading:
    """`words` name the places. Raises Tampered when the spooled bytes do not verify."""
    reader = _Reader(source, message, words)
    reader.subjects(message.root, SUBJECT, place(words, message, None))
    attachments: list[Attachment] = []
    body: list[Part] = []
    listed = {part.path for part in message.attachments()}
    referenced = _referenced(message, source)
    decorations: set[str] = set()
    skipped: tuple[int, ...] | None = None
    for part in message.parts():
        if skipped is not None and part.path[: len(skipped)] == skipped:
            continue
        skipped = None
        if part.kind == "multipart":
            reader.labels(part, BODY, words.say("mail.place.message"))
            continue
        inline = part.kind == "inline"
        if part.path in listed or inline:
            where = words.say("place.picture") if inline else place(words, message, part.path)
            attachment = Attachment(part, len(attachments) + 1, where)
            attachments.append(attachment)
            if inline and part.content_id in referenced and reader.is_logo(part):
                decorations.add(part.id)
            reader.attachment(attachment)
            if part.children:
                skipped = part.path
        elif part.kind in ("text", "html", "calendar", "report"):
            if part.kind in ("text", "html"):
                body.append(part)
            where = words.say(f"place.{part.kind}" if part.kind in ("calendar", "report") else "mail.place.body")
            reader.leaf(part, BODY, where)
        elif part.kind == "signature":
            if not reader.is_signature(part):
                reader.leaf(part, BODY, words.say("mail.place.message"))
        else:
            reader.unread.append(Unread(BODY, words.say("mail.place.message"), f"cannot be read: {part.kind}"))
    for start, stop in message.hidden():
        # Text around the parts of a multipart: most programs hide it, some show it, all pass it on.
        if stop - start > PART_LIMIT_BYTES:
            reader.unread.append(Unread(BODY, words.say("mail.place.message"), "over limits"))
            continue
        hidden = source.read(start, stop)
        reader.give(PartInput(BODY, words.say("mail.place.message"), "text/plain", None, None, hidden))
    if message.ambiguous:
        reader.unread.append(Unread(BODY, words.say("mail.place.message"), "can be read in more than one way"))
    return Reading(
        tuple(reader.inputs),
        tuple(reader.unread),
        tuple(attachments),
        tuple(body),
        frozenset(decorations),
        reader.contents,
    )


class _Reader:
    """Collects inputs within the limits."""

    def __init__(self, source: Source, message: Message, words: Words) -> None:
        self.source = source
        self._message = message
        self._words = words
        self.inputs: list[PartInput] = []
        self.unread: list[Unread] = []
        self.contents: dict[tuple[int, ...], bytes] = {}
        self._left = MESSAGE_LIMIT_BYTES
        self._headed: set[tuple[int, ...]] = set()

    def give(self, item: PartInput) -> None:
        self.inputs.append(item)

    def attachment(self, attachment: Attachment) -> None:
        """The attachment itself, or, of an attached message, everything in it."""
        part = attachment.part
        if part.kind != "message" or not part.children:
            self.leaf(part, attachment.id, attachment.place)
            return
        number = 0
        for leaf in part.walk():
            if leaf.kind == "message" and leaf.children:
                where = self._inside(attachment, self._words.say("place.inner_subject"))
                self.subjects(leaf.children[0], f"{attachment.id}/{leaf.id}/subject", where)
            if leaf.children or leaf.kind == "multipart":
                self.labels(leaf, attachment.id, attachment.place)
                continue
            if leaf.kind in ("text", "html", "calendar", "report"):
                words = self._words.say("place.inner_text")
            elif leaf.kind == "signature" and self.is_signature(leaf):
                continue
            else:
                number += 1
                words = self._words.say("place.inner_file", number=number)
            self.leaf(leaf, f"{attachment.id}/{leaf.id}", self._inside(attachment, words))

    def subjects(self, header: Part, name: str, place: str) -> None:
        """The subject of a message, attached or not, and the fields in which programs and people repeat or explain it.

        RFC 5322 3.6.5 (Subject, Comments, Keywords). A copy that says nothing new is left out. Fields that are not
        known are read with the subject, because the copy that hides it leaves them out too.
        """
        self._headed.add(header.path)
        said: list[str] = []
        for one in sorted(header.headers, key=lambda field: field.name.lower() != "subject"):
            if one.name.lower() in SUBJECT_COPIES:
                text = fields.decode_words(one.value)
                if text and not any(text.lower() in before.lower() for before in said):
                    said.append(text)
        said += [one for one in dict.fromkeys(_shown_names(header)) if worth_judging(one)]
        if said:
            self._text(name, place, "\n".join(said))
        self._others(header, name, place)

    def _others(self, part: Part, name: str, place: str) -> None:
        """The fields that are none of a known program's, each with its name, which may be half of what it says."""
        said: list[str] = []
        for one in part.headers:
            if not structural(one.name) and one.name.lower() not in SUBJECT_COPIES and one.value:
                if one.name.lower() in _ORGANISATION and not worth_judging(fields.decode_words(one.value)):
                    continue
                label = re.sub("^x-", "", one.name, flags=re.IGNORECASE).replace("-", " ")
                said.append(f"{label}: {fields.decode_words(one.value)}")
        if said:
            self._text(name, place, "\n".join(said))

    def labels(self, part: Part, name: str, place: str) -> None:
        """What else its header says of a part: a description, a name beside the one that programs show, and more."""
        if part.path not in self._headed:
            self._others(part, name, place)
        description = fields.decode_words(part.header("content-description") or "")
        if description and description != part.filename:
            self._text(name, place, description)
        other = fields.decode_words(part.params.get("name", ""))
        if other and other != part.filename:
            self.give(PartInput(name, place, "text/plain", other, None, b""))

    def _text(self, name: str, place: str, text: str) -> None:
        self.give(PartInput(name, place, "text/plain", None, "utf-8", text.encode("utf-8", "replace")))

    def _inside(self, attachment: Attachment, inner: str) -> str:
        return self._words.say("mail.place.inside", place=attachment.place, inner=inner)

    def leaf(self, part: Part, name: str, place: str) -> None:
        """One leaf, decoded; named as unread when it is too large or encrypted."""
        self.labels(part, name, place)
        if part.kind in ("encrypted", "opaque", "partial"):
            self.unread.append(Unread(name, place, "cannot be opened"))
            return
        data = self.bytes_of(part, min(PART_LIMIT_BYTES, self._left))
        if data is None:
            self.unread.append(Unread(name, place, "over limits"))
            return
        self._left -= len(data)
        self.contents[part.path] = data
        content_type, charset = part.content_type, part.charset
        if part.kind == "report":
            content_type, charset, data = "text/plain", "utf-8", _spoken(data)
        self.give(PartInput(name, place, content_type, part.filename, charset, data))

    def bytes_of(self, part: Part, limit_bytes: int) -> bytes | None:
        """The decoded content, or None when it is longer than the limit."""
        if part.body_stop - part.body_start > 2 * limit_bytes and self._longer(part, limit_bytes):
            return None
        pieces: list[bytes] = []
        total = 0
        for piece in decoded(self.source, part):
            total += len(piece)
            if total > limit_bytes:
                return None
            pieces.append(piece)
        return b"".join(pieces)

    def _longer(self, part: Part, limit_bytes: int) -> bool:
        """The same answer without keeping what is decoded: for what is hardly within the limit."""
        total = 0
        for piece in decoded(self.source, part):
            total += len(piece)
            if total > limit_bytes:
                return True
        return False

    def is_signature(self, part: Part) -> bool:
        """Whether it is what its type says; a signature by name alone would be a place to hide anything."""
        data = self.bytes_of(part, SIGNATURE_LIMIT_BYTES)
        return data is not None and cipher.is_signature(data)

    def is_logo(self, part: Part) -> bool:
        data = self.bytes_of(part, DECORATION_BYTES)
        return data is not None and is_decoration(data)


def _shown_names(header: Part) -> Iterator[str]:
    """What mail programs show beside the addresses of a message, and whatever in such a field is no address."""
    for one in header.headers:
        if one.name.lower() not in ADDRESS_FIELDS or not one.value:
            continue
        whole = fields.decode_words(one.value)
        # What is taken out was read in the beginning of a long field alone; each search of the whole would cost more.
        rest, tail = whole[: fields.FIELD_MAX], whole[fields.FIELD_MAX :]
        for name, address in dict.fromkeys(fields.mailboxes(one.value)):
            yield name
            rest = rest.replace(address, " ")
            if name:
                rest = rest.replace(name, " ")
        if re.search(r"\w{3}", rest + tail):
            yield rest + tail


def _spoken(report: bytes) -> bytes:
    """What a person wrote in a machine's report: the fields that MTAs write (RFC 3464, RFC 5321 4.4) say nothing of a
    patient, but dates, addresses and keys in them look like identifiers. A field that is not known is kept.
    """
    lines: list[list[bytes]] = []
    for line in report.splitlines():
        if line[:1].isspace() and lines:
            lines[-1].append(line)
        else:
            lines.append([line])
    kept = [line for line in map(b"".join, lines) if not _machine(line)]
    # A header that came back is in RFC 2047 like any other: what it says is what a reader sees.
    return "\r\n".join(fields.decode_words(fields.unfold(line)) for line in kept).encode("utf-8", "replace")


def _machine(line: bytes) -> bool:
    """Whether an unfolded field is one that an MTA wrote."""
    name, _, value = line.partition(b":")
    name = name.strip().lower()
    expected = _MACHINE_VALUES.get(name)
    return name in _MACHINE_FIELDS or (expected is not None and expected.fullmatch(value) is not None)


def _referenced(message: Message, source: Source) -> frozenset[str]:
    """Content-IDs that an HTML text of the message shows."""
    found: set[str] = set()
    if any(part.kind == "inline" for part in message.parts()):
        for part in message.parts():
            if part.kind == "html":
                for cid in _cids(part, source):
                    found.add(cid)
    return frozenset(found)


def _cids(part: Part, source: Source) -> Iterator[str]:
    pieces: list[bytes] = []
    total = 0
    for piece in decoded(source, part):
        total += len(piece)
        if total > PART_LIMIT_BYTES:
            return
        pieces.append(piece)
    for match in re.finditer(rb"""cid:([^"'\s>)]{1,200})""", b"".join(pieces), re.IGNORECASE):
        yield unquote(match[1].decode("ascii", "replace"))  # RFC 2392 2: as in any URL
