"""Values of the detector: texts in, an assessment out.

Promises: none of these values that leaves the detector holds a word of the message. A `Finding` says what kind, where
and how sure; `Text` is the only one that carries words, goes in and never comes out.
Clauses: 45 CFR 164.514(b)(2) lists the identifiers; DESIGN §8 fixes the span types.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SPAN_KINDS = ("NAME", "DATE", "LOCATION", "PHONE", "EMAIL", "SSN", "ID", "ACCOUNT", "DEVICE", "AGE90", "URL", "IP")
"""Types of an identifier span, as `sealgate scan --jsonl` prints them."""

CONTEXT_KINDS = ("HEALTH", "FORMAT")
"""Kinds of a finding that is not an identifier: health context, and a format that is PHI by nature."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing seen: its kind, its place in plain words, how sure (0..1), and character offsets in that text."""

    kind: str
    place: str
    confidence: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Text:
    """Text to be judged. `part` is "subject", "body" or a MIME path ("1.2"), with "/n" for what lay inside it.

    `place` is what a person reads: "attachment 2 (PDF), page 2".
    """

    part: str
    place: str
    text: str = field(repr=False)

    @property
    def owner(self) -> str:
        """The part of the message that this text belongs to."""
        return self.part.split("/", 1)[0]


@dataclass(frozen=True, slots=True)
class Unread:
    """A part, or something inside it, that nobody could read, and why in a few machine words."""

    part: str
    place: str
    reason: str

    @property
    def owner(self) -> str:
        """The part of the message that this belongs to."""
        return self.part.split("/", 1)[0]


@dataclass(frozen=True, slots=True)
class Format:
    """A part, or something inside it, whose bytes are PHI by nature: a DICOM object with a patient."""

    part: str
    place: str
    name: str

    @property
    def owner(self) -> str:
        """The part of the message that this belongs to."""
        return self.part.split("/", 1)[0]


@dataclass(frozen=True, slots=True)
class Inner:
    """Something inside a container that is to be sealed by itself: a file of a winmail.dat, or its text.

    `start` and `stop` are its place in the container's decoded bytes; where both are 0, `text` is all there is of it.
    `text` also says what a text shows, so that a copy of the mail's own body is known. `name` is empty for a text.
    Neither is for logs, lists or notices.
    """

    part: str
    name: str = field(repr=False)
    content_type: str
    start: int
    stop: int
    text: str = field(repr=False, default="")

    @property
    def owner(self) -> str:
        """The part of the message that this belongs to."""
        return self.part.split("/", 1)[0]


@dataclass(frozen=True, slots=True)
class PartInput:
    """The decoded bytes of one part, as the flow hands them to the parsers. `filename` is read as text too."""

    part: str
    place: str
    content_type: str
    filename: str | None = field(repr=False)
    charset: str | None
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Extracted:
    """What a parser made of one part. `inner` is there for a container of mail, not for an archive."""

    texts: tuple[Text, ...] = ()
    unread: tuple[Unread, ...] = ()
    formats: tuple[Format, ...] = ()
    inner: tuple[Inner, ...] = ()


@dataclass(frozen=True, slots=True)
class PartVerdict:
    """What is known of one part. `status` is "clean", "phi" or "unread"; unread wins over clean, phi over unread."""

    part: str
    place: str
    status: str
    score: float
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Assessment:
    """All of it: verdicts by part, the message's own score, what was not read, and which detector said so.

    `own_text` tells where PHI of the body stands: "new" in what the sender wrote, "quoted" in what was quoted, "" when
    the body is not PHI. `inner` is what containers hold, for whoever seals them, the only words in it and never shown.
    """

    parts: tuple[PartVerdict, ...]
    score: float
    phi: bool
    unread: tuple[Unread, ...]
    detector: str
    own_text: str = ""
    inner: tuple[Inner, ...] = field(default=(), repr=False)

    def part(self, name: str) -> PartVerdict | None:
        """The verdict on the part of that name."""
        return next((verdict for verdict in self.parts if verdict.part == name), None)

    @property
    def clean(self) -> bool:
        """Every part was read and nothing was found."""
        return not self.phi and not self.unread
