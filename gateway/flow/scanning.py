"""Between steps 4 and 5 of an outgoing message: every part of it, and all of it, is looked through for malware.

Promises: a message with malware never reaches a parser, a policy or a courier: it is held for everyone, whatever the
policy says; a part of which nobody said "clean" is named as not scanned; without a scanner nothing is claimed. Places
are words for people, never file names. DESIGN §3 (malware), §1.2.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.detect.model import Assessment, Finding, PartVerdict, Unread
from gateway.flow.reading import BODY, Attachment, Reading
from gateway.mail.decode import decoded
from gateway.mail.entity import IDENTITY
from gateway.mail.model import Message, Part
from gateway.mail.sender_notice import place
from gateway.mail.source import Source
from gateway.policy import Decision
from gateway.scan import Infected, Scanner, Unscanned
from gateway.words import Words

RULE = "malware"
DETECTOR = "malware"
HELD = Decision(
    treatment="hold",
    sealed_parts=frozenset(),
    neutral_subject=True,
    rule=RULE,
    policy="built-in",
    reasons=("malware was found",),
)
"""What happens to mail with malware, for every recipient."""


@dataclass(frozen=True, slots=True)
class Hit:
    """Malware in one part: where, and the signature's name."""

    part: str
    place: str
    name: str


@dataclass(frozen=True, slots=True)
class Scanned:
    """What the scanner said of a message. Both empty: all of it is clean, or there is no scanner."""

    hits: tuple[Hit, ...] = ()
    unscanned: tuple[Unread, ...] = ()

    @property
    def parts(self) -> frozenset[str]:
        """The parts of which nobody said "clean"."""
        return frozenset(one.owner for one in self.unscanned)

    @property
    def names(self) -> tuple[str, ...]:
        """The signatures, each once."""
        return tuple(dict.fromkeys(one.name for one in self.hits))

    def assessment(self) -> Assessment:
        """All that is known of a message with malware: its text was not looked at."""
        parts = tuple(
            PartVerdict(one.part, one.place, "unread", 0.0, (Finding("MALWARE", one.place, 1.0, 0, 0),))
            for one in self.hits
        )
        return Assessment(parts, 0.0, False, (), DETECTOR)


def scan(
    scanner: Scanner | None, message: Message, source: Source, reading: Reading, words: Words, seconds: float
) -> Scanned:
    """Look through the message as it came, then through each leaf decoded as mail programs do it, until malware is
    found. `seconds` is for all of it. Raises Tampered when the spooled bytes do not verify.
    """
    if scanner is None:
        return Scanned()
    until = time.monotonic() + seconds
    whole = scanner.scan(source.chunks(0, source.size), until)
    hits: list[Hit] = []
    unscanned: list[Unread] = []
    by_path = {one.part.path: one for one in reading.attachments}
    for part in _leaves(message):
        if part.kind in ("text", "html") and part.encoding in IDENTITY and not isinstance(whole, Unscanned):
            continue  # its text stands in the message as it is, and was looked through there
        owner, where = _place(part, message, by_path, words)
        verdict = scanner.scan(decoded(source, part), until)
        if isinstance(verdict, Infected):
            hits.append(Hit(owner, where, verdict.name))
            break
        if isinstance(verdict, Unscanned):
            unscanned.append(Unread(owner, where, f"not scanned: {verdict.reason}"))
    if isinstance(whole, Infected) and not hits:
        hits.append(Hit(BODY, words.say("mail.place.message"), whole.name))
    if isinstance(whole, Unscanned) and whole.reason != "too large" and not unscanned:
        # Too large as a whole is no gap when each leaf was looked through; everything else is one.
        unscanned.append(Unread(BODY, words.say("mail.place.message"), f"not scanned: {whole.reason}"))
    return Scanned(tuple(hits), () if hits else tuple(unscanned))


def _leaves(message: Message) -> Iterable[Part]:
    return (part for part in message.parts() if not part.children and part.kind != "multipart")


def _place(
    part: Part, message: Message, by_path: Mapping[tuple[int, ...], Attachment], words: Words
) -> tuple[str, str]:  # fmt: skip
    """The part of the message that this leaf belongs to, and what people call it."""
    for length in range(len(part.path) + 1):
        if (one := by_path.get(part.path[:length])) is not None:
            return one.id, one.place
    return BODY, place(words, message, part.path)
