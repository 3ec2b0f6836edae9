"""One message as byte ranges: header fields, the tree of parts, and what is odd about them.

Promises: offsets count bytes from the start of the message; `flags` and `defects` come from the closed lists below;
`ambiguous` is true whenever two mail programs could show different contents, and then nothing may be called read.
Names, subjects and file names are plain strings here: whoever logs or stores them wraps them as Sensitive.
RFC 5322, RFC 2045, RFC 2046.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.mail import fields

#: A field with its folded lines (groups: name, blanks before the colon, value), or a line that is none.
FIELD = re.compile(rb"([!-9;-~]+)([ \t]*):([^\n]*\n?(?:[ \t][^\n]*\n?)*)|([^\n]+\n?|\n)")

#: Two readers may see two different messages. Such mail is never "read, clean".
AMBIGUOUS = frozenset(
    {
        "content-type-twice",
        "encoding-twice",
        "disposition-twice",
        "parameter-twice",
        "parameter-syntax",
        "header-syntax",  # a line in the header that is no field
        "header-space",  # "Content-Type :"
        "header-fold",  # a line of blanks only, which some readers take for the end of the header
        "field-twice",  # two From or two Subject fields that differ
        "boundary-missing",
        "boundary-odd",
        "boundary-overlap",  # one boundary is the beginning of another that is open
        "boundary-prefix",  # a line begins like a delimiter and goes on
        "boundary-unused",  # a multipart without any part
        "delimiter-after-close",
        "encoding-on-multipart",
        "encoding-unknown",
        "bare-cr",
        "mixed-newlines",
        "nul",
        "limit",  # deeper, longer or more numerous than we read
    }
)
#: Broken, but every reader makes the same of it.
MALFORMED = frozenset({"unclosed", "headers-cut", "content-type-syntax"})

_LISTED = (0,)  # parts are numbered from 1
VISIBLE = frozenset({"text", "html"})


@dataclass(frozen=True, slots=True)
class Header:
    """One header field: its name as written, its byte range with the last line end, its unfolded value."""

    name: str
    raw_start: int
    raw_stop: int
    value: str


@dataclass(frozen=True, slots=True)
class Part:
    """One MIME entity.

    `start` is the first byte of its header, `body_stop` the end of its body without the line end that belongs to the
    next delimiter. A part that a delimiter follows at once has no bytes, and begins behind a line end that belongs to
    both: `start` then lies that line end beyond the `body_stop` of the part around it. `delimiter_start` is where the
    delimiter line before it begins (equal to `start` where there is none). `content_id` stands without its angle
    brackets. `preamble` and `epilogue` are the ranges of a multipart that mail programs usually hide.
    """

    path: tuple[int, ...]
    start: int
    header_stop: int
    body_start: int
    body_stop: int
    delimiter_start: int
    content_type: str
    params: dict[str, str]
    disposition: str
    filename: str | None
    content_id: str | None
    charset: str | None
    encoding: str
    kind: str
    header_block: bytes
    children: tuple[Part, ...] = ()
    flags: tuple[str, ...] = ()
    preamble: tuple[int, int] = (0, 0)
    epilogue: tuple[int, int] = (0, 0)
    boundary: bytes = b""
    close_start: int = 0  # where a multipart's closing delimiter line begins; its end where there is none
    _named: dict[str, list[bytes]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _fields: list[tuple[Header, ...]] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def headers(self) -> tuple[Header, ...]:
        """The fields of its header, in order; lines that are no field are left out (and flagged). Read once."""
        if not self._fields:
            self._fields.append(read_headers(self.header_block, self.start))
        return self._fields[0]

    @property
    def id(self) -> str:
        """Its place as text: ``"1.2"``; the message itself is ``"0"``."""
        return ".".join(map(str, self.path)) or "0"

    @property
    def ambiguous(self) -> bool:
        """Whether this entity (not its children) can be read in two ways."""
        return not AMBIGUOUS.isdisjoint(self.flags)

    def header(self, name: str) -> str | None:
        """The unfolded value of the first field of that name (any case)."""
        raw = self.raw_values(name)
        return fields.unfold(raw[0]) if raw else None

    def raw_values(self, name: str) -> list[bytes]:
        """The values of every field of that name, in order, as they stand. The block is gone through once."""
        if not self._named:
            found: dict[str, list[bytes]] = {"": []}
            for match in FIELD.finditer(self.header_block):
                if match[1] is not None:
                    found.setdefault(match[1].decode("ascii").lower(), []).append(match[3])
            self._named.update(found)
        return self._named.get(name.lower(), [])

    def walk(self) -> Iterator[Part]:
        """This part and everything below it, in the order of the message."""
        waiting = [self]
        while waiting:
            part = waiting.pop()
            yield part
            waiting.extend(reversed(part.children))


def read_headers(block: bytes, start: int) -> tuple[Header, ...]:
    """The fields of a header block that begins at byte `start` of the message."""
    return tuple(
        Header(match[1].decode("ascii"), start + match.start(), start + match.end(), fields.unfold(match[3]))
        for match in FIELD.finditer(block)
        if match[1] is not None
    )


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message. `defects` are those of the message as such; `newline` is what its lines end with."""

    root: Part
    size: int
    defects: tuple[str, ...] = ()
    eight_bit: bool = False
    newline: bytes = b"\r\n"
    _index: dict[tuple[int, ...], Part] = field(default_factory=dict, repr=False, compare=False)
    _mailboxes: dict[str, list[tuple[str, str]]] = field(default_factory=dict, repr=False, compare=False)
    _numbers: dict[tuple[int, ...], int] = field(default_factory=dict, repr=False, compare=False)
    _told: dict[frozenset[str], tuple[str, ...]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def headers(self) -> tuple[Header, ...]:
        """The fields of the message's own header, in order."""
        return self.root.headers

    def header(self, name: str) -> str | None:
        """The unfolded value of the first field of that name (any case)."""
        return self.root.header(name)

    def all(self, name: str) -> list[str]:
        """The unfolded values of every field of that name, in order."""
        return [fields.unfold(raw) for raw in self.root.raw_values(name)]

    @property
    def subject(self) -> str:
        """The subject as people read it (RFC 2047 decoded); of several, all, a line each."""
        return "\n".join(fields.decode_words(value) for value in self.all("subject"))

    @property
    def from_address(self) -> str | None:
        """The first address of From, or None."""
        found = self.addresses("from")
        return found[0][1] if found else None

    @property
    def message_id(self) -> str | None:
        """Message-ID with its angle brackets, or None."""
        value = (self.header("message-id") or "").strip()
        return value or None

    def addresses(self, name: str) -> list[tuple[str, str]]:
        """(display name, address) of every mailbox in the fields of that name."""
        return [pair for value in self.all(name) for pair in self.mailboxes(value)]

    def mailboxes(self, value: str) -> list[tuple[str, str]]:
        """The same of one field's value. Read once: a long hostile one takes a second, and each recipient's copy asks
        anew.
        """
        if value not in self._mailboxes:
            self._mailboxes[value] = fields.mailboxes(value)
        return self._mailboxes[value]

    def told(self, words: frozenset[str]) -> tuple[str, ...]:
        """Those of these words, in lower case, that stand somewhere in the header. Looked for once."""
        if words not in self._told:
            header = "\n".join(fields.decode_words(one.value) for one in self.headers).lower()
            self._told[words] = tuple(one for one in words if one in header)
        return self._told[words]

    def parts(self) -> Iterator[Part]:
        """Every part in order, the root first."""
        return self.root.walk()

    def part(self, path: tuple[int, ...]) -> Part | None:
        """The part at that path."""
        if not self._index:
            self._index.update({part.path: part for part in self.root.walk()})
        return self._index.get(path)

    @property
    def flags(self) -> frozenset[str]:
        """All flags and defects of the message and its parts."""
        return frozenset(self.defects).union(*(part.flags for part in self.parts()))

    @property
    def ambiguous(self) -> bool:
        """Whether readers could disagree on the contents: then no part may be called read."""
        return not AMBIGUOUS.isdisjoint(self.flags)

    @property
    def malformed(self) -> bool:
        """Whether anything is broken or ambiguous."""
        return not (AMBIGUOUS | MALFORMED).isdisjoint(self.flags)

    @property
    def signed(self) -> bool:
        """S/MIME or PGP/MIME signed, anywhere: never edited (RFC 1847, RFC 8551)."""
        return any(
            part.content_type == "multipart/signed"
            or (part.content_type in fields.PKCS7_MIME and part.params.get("smime-type", "").lower() == "signed-data")
            for part in self.parts()
        )

    @property
    def encrypted(self) -> bool:
        """It says that it is S/MIME or PGP/MIME encrypted as a whole; `cipher.proven` looks whether it is."""
        return self.root.content_type == "multipart/encrypted" or self.root.kind == "encrypted"

    def hidden(self) -> tuple[tuple[int, int], ...]:
        """Byte ranges before the first and after the last part of each multipart that hold more than line ends.

        Most readers hide them, some show them, all pass them on: they are text to be looked at.
        """
        ranges = [span for part in self.parts() for span in (part.preamble, part.epilogue)]
        return tuple((start, stop) for start, stop in ranges if stop - start > 4)

    @property
    def auto_submitted(self) -> bool:
        """Made by a program (RFC 3834), and so never answered by us."""
        value = (self.header("auto-submitted") or "no").split(";")[0].strip().lower()
        return value not in ("", "no") or (self.header("precedence") or "").strip().lower() in ("bulk", "list", "junk")

    def visible(self, removed: frozenset[tuple[int, ...]] = frozenset()) -> tuple[Part, ...]:
        """Where a reader begins to read: the first text of the body, in every alternative of it.

        Parts in `removed`, attached messages and everything inside multipart/signed or multipart/encrypted are
        passed over. RFC 2046 5.1.3, 5.1.4; RFC 2387 3.
        """
        return _visible(self.root, removed)

    def attachment(self, path: tuple[int, ...]) -> tuple[int, Part] | None:
        """The number, from 1, of the attachment that this path is in, and the attachment. Listed once: a mail may have
        thousands of them, and each is asked for.
        """
        if not self._numbers:
            self._numbers[_LISTED] = 0
            self._numbers.update({part.path: number for number, part in enumerate(self.attachments(), 1)})
        for length in range(len(path) + 1):
            number = self._numbers.get(path[:length])
            part = self.part(path[:length]) if number is not None else None
            if number is not None and part is not None:
                return number, part
        return None

    def other_forms(self) -> tuple[Part, ...]:
        """Listed parts that are one more form of the visible text, such as AMP, rich text or a watch's page.

        A mail program may show such a form and nothing else, and we cannot write into it. RFC 2046 5.1.4.
        """
        branches: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
        for path in (part.path for part in self.visible()):
            for length in range(len(path)):
                branches.setdefault(path[:length], set()).add(path[: length + 1])
        return tuple(part for part in self.attachments() if _other_form(self, part.path, branches))

    def attachments(self) -> tuple[Part, ...]:
        """What a mail program lists as attached, in order; an attached message counts once, its parts do not."""
        found: list[Part] = []
        waiting = [self.root]
        while waiting:
            part = waiting.pop()
            if part.kind == "multipart":
                waiting.extend(reversed(part.children))
            elif part.kind not in ("text", "html", "signature", "calendar", "inline", "report"):
                found.append(part)
        return tuple(found)


def _other_form(message: Message, path: tuple[int, ...], branches: dict[tuple[int, ...], set[tuple[int, ...]]]) -> bool:
    """Whether an alternative above that path has a branch with visible text, and the path lies in another branch."""
    for length in range(len(path)):
        shown = branches.get(path[:length])
        if shown is not None and path[: length + 1] not in shown:
            above = message.part(path[:length])
            return above is not None and above.content_type == "multipart/alternative"
    return False


def _visible(part: Part, removed: frozenset[tuple[int, ...]], depth: int = 0) -> tuple[Part, ...]:
    if part.path in removed or depth > 32:
        return ()
    if part.kind in VISIBLE:
        return (part,)
    if part.kind != "multipart" or part.content_type in ("multipart/signed", "multipart/encrypted"):
        return ()
    if part.content_type == "multipart/alternative":
        return tuple(found for child in part.children for found in _visible(child, removed, depth + 1))
    children = part.children
    if part.content_type == "multipart/related" and "start" in part.params:
        start = fields.content_id(part.params["start"])
        named = [child for child in children if child.content_id and child.content_id == start]
        children = (*named, *children)
    for child in children:
        found = _visible(child, removed, depth + 1)
        if found:
            return found
    return ()
