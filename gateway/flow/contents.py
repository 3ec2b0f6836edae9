"""What of a message is sealed, object by object: its text, its subject, its files, or all of it as one.

Promises: what leaves the mail is in an object; a container whose inside was read is sealed file by file, each a range
of its bytes, and as a whole beside them where not all of it is such a range; a text in it that only repeats the mail's
own is left out. Lists show neutral names, for a file name may say who the patient is. DESIGN §3, §1.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gateway.actions.copies import Copies, NotEditable
from gateway.actions.seal import MessageSeal, Sealed
from gateway.detect.model import Assessment, Inner
from gateway.flow.beforehand import slices
from gateway.flow.reading import PART_LIMIT_BYTES, Attachment, Reading
from gateway.mail import calendar, charset
from gateway.mail.decode import decoded
from gateway.mail.model import Message, Part
from gateway.mail.source import Source
from keys.encoding import canonical

_TEXT_NAMES = {"text/plain": "message.txt", "text/html": "message.html"}


class Contents:
    """Seals the contents of one message into `seal`."""

    def __init__(
        self,
        source: Source,
        message: Message,
        reading: Reading,
        assessment: Assessment | None,
        seal: MessageSeal,
        copies: Copies,
        beforehand: Callable[[tuple[int, ...]], Sealed | None] = lambda path: None,
    ) -> None:
        """`beforehand` gives what was sealed of a file already, once."""
        self._source = source
        self._message = message
        self._reading = reading
        self._assessment = assessment
        self._seal = seal
        self._copies = copies
        self._beforehand = beforehand
        self._texts: list[str] | None = None

    def whole(self) -> None:
        """The message as it came, as one object."""
        self._seal.add("original", "message.eml", "message/rfc822", self._source.chunks(0, self._source.size))

    def subject(self) -> None:
        """The subject as people read it."""
        self._seal.add("subject", "", "text/plain", [self._message.subject.encode()])

    def body(self) -> None:
        """The visible texts. Raises NotEditable when they are too long to be read: it is sealed whole then."""
        self._seal.add("body", "", "application/json", [canonical(self._visible())])

    def invitation(self) -> str:
        """The text of the mail's own invitation, not of a file; empty where there is none or too much of it."""
        for part in self._message.parts():
            if part.kind == "calendar" and part.body_stop - part.body_start <= 2 * calendar.SIZE_BYTES:
                return charset.decode(b"".join(decoded(self._source, part)), part.charset)
        return ""

    def files(self, wanted: Iterable[str], *, secure: bool) -> None:
        """The attachments of those ids; if `secure`, whatever else there is as well."""
        ids = frozenset(wanted)
        for attachment in self._reading.attachments:
            # A decoration stays behind with the mail it decorates, unless it is itself taken out: then it is sealed.
            if attachment.id in ids or (secure and attachment.id not in self._reading.decorations):
                self._attachment(attachment)
        if secure:
            for part in others(self._message, self._reading):
                self._file(part, str(len(self._seal.objects) + 1), part.filename or "", part.content_type)

    def _attachment(self, attachment: Attachment) -> None:
        part = attachment.part
        inner = self._inner(attachment)
        label = str(attachment.number)
        if not inner:
            self._file(part, label, part.filename or "", part.content_type)
            return
        cut = _Cut(decoded(self._source, part))
        for number, one in enumerate(inner, 1):
            # A file may come without a name, and gets a neutral one; only the container's own text has one of its kind.
            kind = one.content_type.partition(";")[0]
            name = one.name or ("" if "/" in one.part else _TEXT_NAMES.get(kind, ""))
            pieces = cut.take(one.start, one.stop) if one.stop else iter([one.text.encode("utf-8", "replace")])
            self._file(part, f"{label}-{number}", name, one.content_type or "application/octet-stream", pieces)
        if self._gaps(attachment):
            self._file(part, label, part.filename or "", part.content_type)

    def _inner(self, attachment: Attachment) -> list[Inner]:
        """What a container holds, in order, without texts that the mail itself shows; nothing where it is all one."""
        if self._assessment is None:
            return []
        found = [one for one in self._assessment.inner if one.owner == attachment.id]
        found = [one for one in found if one.name or "/" in one.part or not self._repeated(one.text)]
        return sorted(found, key=lambda one: (one.stop == 0, one.start))

    def _gaps(self, attachment: Attachment) -> bool:
        """Whether something in a container is no file of its own: an object, a picture in its text."""
        return self._assessment is not None and any(one.part == attachment.id for one in self._assessment.unread)

    def _repeated(self, text: str) -> bool:
        if self._texts is None:
            shown = self._visible()
            self._texts = [_letters(one) for one in shown.values() if one]
        wanted = _letters(text)
        return not wanted or any(wanted in one for one in self._texts)

    def _file(
        self, part: Part, label: str, name: str, content_type: str, chunks: Iterable[bytes] | None = None
    ) -> None:
        extension = self._copies.extension
        media_type = content_type.partition(";")[0].strip().lower()
        name = name or f"attachment-{label}{extension(media_type)}"
        public = f"attachment-{label}{extension(media_type, name)}"
        held = self._reading.contents.get(part.path)
        self._seal.add(
            "file",
            name,
            content_type,
            chunks or (decoded(self._source, part) if held is None else slices(held)),
            public_name=public,
            made=self._beforehand(part.path) if chunks is None else None,
        )

    def _visible(self) -> dict[str, Any]:
        texts: dict[str, list[str]] = {"text": [], "html": []}
        left = PART_LIMIT_BYTES
        for part in self._reading.body:
            pieces: list[bytes] = []
            for one in decoded(self._source, part):
                left -= len(one)
                if left < 0:
                    raise NotEditable("the text is over limits")
                pieces.append(one)
            data = b"".join(pieces)
            texts[part.kind if part.kind == "html" else "text"].append(charset.decode(data, part.charset))
        return {name: "\n\n".join(found) if found else None for name, found in texts.items()}


class _Cut:
    """Ranges of a stream, taken in order: the stream is gone through once, whatever their number."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._held = b""
        self._at = 0  # where what is held begins

    def take(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes from `start` up to `stop`, which lie behind all that was taken before."""
        while self._at < stop:
            if not self._held:
                self._held = next(self._chunks, b"")
                if not self._held:
                    return
            used = min(len(self._held), stop - self._at)
            first = max(0, start - self._at)
            if first < used:
                yield self._held[first:used]
            self._held, self._at = self._held[used:], self._at + used


def _letters(text: str) -> str:
    """Letters and digits alone: how a text is broken into lines and marked up is a matter of the program."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def others(message: Message, reading: Reading) -> tuple[Part, ...]:
    """Leaves that are neither body text nor attachment: invites, reports, stray signatures.

    A notice takes the place of the whole mail, so whatever is not sealed with it would be lost (DESIGN §1.1).
    """
    known = {part.path for part in (*(one.part for one in reading.attachments), *reading.body)}
    return tuple(
        part
        for part in message.parts()
        if part.kind not in ("multipart", "message")
        and not any(part.path[:length] in known for length in range(len(part.path) + 1))
    )
