"""What leaves instead of the original: the same bytes, the same mail without its sealed files, or a notice.

Promises: rewriting copies ranges and replaces only those of sealed parts, of the fields that would tell what was
sealed, and of the visible body's beginning; nothing inside multipart/signed or multipart/encrypted is edited; mail
that can be read in two ways is not edited at all. Bcc never travels on in what we rewrite.
RFC 2046 5.1, RFC 1847 2.1, RFC 5322 3.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from gateway.mail import compose, fields
from gateway.mail.dkim import STALE
from gateway.mail.entity import ENCODINGS
from gateway.mail.insert import NoticeBlock, Unclear, inserted
from gateway.mail.known import structural
from gateway.mail.model import Header, Message, Part
from gateway.mail.notices import NoticeWords
from gateway.mail.pieces import Crossed, Edit, Literal, Piece, Pieces, Range, Rendered, apply, render, total
from gateway.mail.source import Source
from gateway.mail.trace import TRACE

__all__ = [
    "Edit",
    "Literal",
    "NoticeBlock",
    "NoticeWords",
    "Piece",
    "Pieces",
    "Range",
    "Rendered",
    "Unrewritable",
    "as_is",
    "render",
    "seal_attachments",
    "secure_notice",
    "total",
]

_Path = tuple[int, ...]
_CLOSED = frozenset({"multipart/signed", "multipart/encrypted"})
_HIDDEN = frozenset({"bcc", "resent-bcc", "content-length", "lines", "x-mozilla-keys", "content-md5"})
#: Fields in which mail programs repeat the subject.
SUBJECT_COPIES = frozenset({"subject", "thread-topic", "keywords", "comments", "x-original-subject", "x-topic"})
_KEPT = ("from", "sender", "reply-to", "to", "cc", "date", "message-id", "in-reply-to", "references")
_ADDRESSES = frozenset({"from", "sender", "reply-to", "to", "cc"})
_KEPT_ALL = (TRACE.lower(), "auto-submitted")
_REPLACED = "This part was sealed. The link at the top of the mail opens it.\n"
_SHORTEST_SECRET, _SECRETS_MAX = 4, 100


class Unrewritable(ValueError):
    """The message cannot be edited safely; seal it as a whole or hold it."""


def as_is(message: Message, top: bytes) -> Pieces:
    """The original as an exact suffix, with `top` (whole header lines) before it."""
    return apply(message.size, (), _checked(top))


def seal_attachments(
    message: Message,
    source: Source,
    removed: Iterable[_Path],
    block: NoticeBlock,
    top: bytes,
    subject: str | None = None,
    *,
    sender_shown: bool = True,
) -> Pieces:
    """The message without the parts at `removed`, with `block` first in every alternative of its visible body.

    `subject` replaces the subject and every field that repeats it, and leaves of the fields of addresses the addresses
    alone (From as it is, if `sender_shown`), for they were judged together; with it, `removed` may be empty. Raises
    `Unrewritable` for an unknown path, a part inside a signed or encrypted one, mail that is ambiguous, and mail that
    stops within a delimiter line.
    """
    if message.ambiguous:
        raise Unrewritable("ambiguous")
    _require_line_ended(message, source)
    gone = _whole_removals(message, frozenset(removed))
    if not gone and subject is None:
        raise Unrewritable("nothing to seal")
    edits: list[Edit] = []
    secrets = {part.filename for path in gone for part in _at(message, path).walk() if part.filename}
    if subject is not None:
        edits += _subject_edits(message, subject)
        secrets.add(message.subject)
    edits += _header_edits(message, secrets, subject is not None, sender_shown)
    stays: dict[_Path, int] = {}
    for path in sorted(gone):
        edits += _removal(message, path, gone, stays)
    if () in gone:
        edits += _new_body(message, block)
        return _applied(message, edits, top)
    bodies = message.visible(gone)
    for part in bodies:
        edits += _into_body(source, part, block, message.newline)
        edits += [Edit(one.raw_start, one.raw_stop) for one in part.headers if one.name.lower() == "content-md5"]
    if not bodies:
        edits.append(_first_child(message, message.root, block.text))
    return _applied(message, edits, top)


def _applied(message: Message, edits: list[Edit], top: bytes) -> Pieces:
    """Raises `Unrewritable` where a part is so short that our words and what is taken out have one place."""
    try:
        return apply(message.size, edits, _checked(top))
    except Crossed as error:
        raise Unrewritable("no place for the link") from error


def secure_notice(
    message: Message,
    words: NoticeWords,
    top: bytes,
    subject: str | None = None,
    *,
    sender_shown: bool = True,
    invitation: tuple[str, str] | None = None,
) -> Pieces:
    """A notice in place of the whole message: the fields that make a thread, and fixed words.

    `invitation` is the method and the text of a calendar object of ours, which stands as the last alternative, so that
    a mail program still offers to accept (RFC 6047 2.4).
    Date, Message-ID, In-Reply-To, References and our own trace are copied; From as well, if `sender_shown`; of Sender,
    Reply-To, To and Cc, and else of From, the addresses alone. `subject` replaces the subject, None keeps it. No byte
    of the body and no other field travels.
    """
    pieces: list[Piece] = [Literal(_checked(top))] if top else []
    seen: set[str] = set()
    for one in message.headers:
        name = one.name.lower()
        if name in _KEPT_ALL or (name not in seen and (name in _KEPT or (name == "subject" and subject is None))):
            seen.add(name)
            bare = name in _ADDRESSES and not (name == "from" and sender_shown)
            pieces.append(Literal(_bare(message, one)) if bare else _copied(message, one))
    newline = message.newline
    own = b"" if subject is None else compose.header("Subject", subject, newline)
    parts = [("text/plain", words.text), ("text/html", words.html)]
    if invitation is not None:
        parts.append((f"text/calendar; method={invitation[0]}", invitation[1]))
    shown = [compose.text_part(kind, text, newline) for kind, text in parts]
    own += b"MIME-Version: 1.0" + newline + compose.multipart("alternative", shown, newline)
    pieces.append(Literal(own))
    return tuple(pieces)


def _checked(top: bytes) -> bytes:
    if top and not top.endswith(b"\n"):
        raise ValueError("the lines on top must be whole lines")
    return top


def _bare(message: Message, one: Header) -> bytes:
    """A field of addresses without the names beside them, which say what their writer likes."""
    found = dict.fromkeys(address for _name, address in message.mailboxes(one.value))
    if not found and one.name.lower() in ("sender", "reply-to"):
        return b""
    value = ",\n ".join(compose.one_line(address, 320) for address in found) or "undisclosed-recipients:;"
    return compose.structured(one.name, value, message.newline)


def _copied(message: Message, one: Header) -> Piece:
    offset = message.root.start
    raw = message.root.header_block[one.raw_start - offset : one.raw_stop - offset]
    whole = raw.endswith(message.newline) and b"\r" not in raw.replace(b"\r\n", b"") and b"\0" not in raw
    if whole:
        return Range(one.raw_start, one.raw_stop)
    return Literal(compose.structured(one.name, compose.one_line(one.value, 900), message.newline))


def _at(message: Message, path: _Path) -> Part:
    part = message.part(path)
    if part is None:
        raise Unrewritable("no such part")
    return part


def _whole_removals(message: Message, removed: frozenset[_Path]) -> frozenset[_Path]:
    """The removals with those below another left out, and a multipart that would be left empty removed itself."""
    gone, left = set(removed), dict[_Path, int]()  # of a multipart, how many of its parts stay
    for path in removed:
        _at(message, path)
        for length in range(len(path)):
            if _at(message, path[:length]).content_type in _CLOSED:
                raise Unrewritable("inside a signed or encrypted part")
    for path in sorted(removed, key=len, reverse=True):
        while path:
            parent = _at(message, path[:-1])
            inside = len(path) > 1 and _at(message, path[:-2]).kind == "multipart"
            if parent.kind != "multipart" or not inside or parent.path in gone:
                break
            if parent.path not in left:
                left[parent.path] = sum(child.path not in gone for child in parent.children)
            if left[parent.path]:
                break
            gone.add(parent.path)
            path = parent.path
            if path[:-1] in left:
                left[path[:-1]] -= 1
    return frozenset(path for path in gone if not any(path[:length] in gone for length in range(len(path))))


def _removal(message: Message, path: _Path, gone: frozenset[_Path], stays: dict[_Path, int]) -> list[Edit]:
    """The edits that take out one part. `stays` remembers of a multipart the last part that is not taken out."""
    part = _at(message, path)
    if not path:
        return []
    parent = _at(message, path[:-1])
    if parent.kind == "message":
        return _emptied(message, part)
    following = parent.children[path[-1]] if path[-1] < len(parent.children) else None
    start = _removal_start(part, parent, gone, stays)
    edits = [Edit(start, following.delimiter_start if following else parent.close_start)]
    first = parent.children[0].path == path
    if first and len(path) > 1 and all(child.path in gone for child in parent.children):
        # Only the multipart of an attached message comes here whole: it must not be left without a part.
        edits.append(_first_child(message, parent, _REPLACED))
    return edits


def _removal_start(part: Part, parent: Part, gone: frozenset[_Path], stays: dict[_Path, int]) -> int:
    """Where to begin: at its delimiter, but in a multipart without an end the last part that stays keeps its own end.

    The line end before a delimiter is the delimiter's; when no delimiter follows any more, it goes as well, unless an
    empty part in the one that stays begins behind it: there may stand the link.
    """
    before = parent.children[part.path[-1] - 2] if part.path[-1] > 1 else None  # parts are numbered from 1
    unclosed = parent.close_start == parent.body_stop
    if before is None or before.path in gone or not unclosed:
        return part.delimiter_start
    if parent.path not in stays:
        stays[parent.path] = max(child.path[-1] for child in parent.children if child.path not in gone)
    if stays[parent.path] > before.path[-1]:
        return part.delimiter_start
    last = before
    while last.kind == "multipart":
        last = last.children[-1]
    return max(before.body_stop, last.body_stop)


def _emptied(message: Message, part: Part) -> list[Edit]:
    """An attached message that is a single file: its fields stay, its contents become a line of our words.

    Raises `Unrewritable` where the header around it has no blank line behind it: what we wrote would belong to it.
    """
    if part.start == _at(message, part.path[:-1]).header_stop:
        raise Unrewritable("an attached message without a beginning")
    return [*_content_fields(part), _body_edit(message, part, compose.text_part("text/plain", _REPLACED, b"\n"))]


def _new_body(message: Message, block: NoticeBlock) -> list[Edit]:
    """The message as a whole is one file: its body becomes the block, as text and as HTML."""
    page = f"<!DOCTYPE html>\n<html><body>\n{block.html}\n</body></html>\n"
    return [
        *_content_fields(message.root),
        _body_edit(message, message.root, compose.alternative(block.text, page, b"\n")),
    ]


def _content_fields(part: Part) -> list[Edit]:
    return [Edit(one.raw_start, one.raw_stop) for one in part.headers if one.name.lower().startswith("content-")]


def _body_edit(message: Message, part: Part, written: bytes) -> Edit:
    newline = message.newline
    lead = b"" if part.header("mime-version") else b"MIME-Version: 1.0\n"
    _require_ended(part)
    data = lead + written
    # Without header and body it may stand directly before a delimiter, whose line end came before the part.
    last = part.body_stop == message.size or part.start == part.body_stop
    tail = data if last else data.rstrip(b"\n")
    return Edit(part.header_stop, part.body_stop, tail.replace(b"\n", newline))


def _into_body(source: Source, part: Part, block: NoticeBlock, newline: bytes) -> list[Edit]:
    """The block in a text part. Where no blank line ends the header, there is no body yet: it gets one.

    Raises `Unrewritable` where the part's letters are such that ours would be no lines of a mail (RFC 5321 2.3.8): wide
    ones, or EBCDIC, in a part without an encoding.
    """
    try:
        edits = [*inserted(source, part, block, newline), *_named_encoding(part, newline)]
    except Unclear as error:
        raise Unrewritable("letters whose order nothing tells") from error
    if re.search(rb"[\0\r\n]", edits[0].data.replace(newline, b"")):
        raise Unrewritable("letters that need an encoding")
    if part.header_stop < part.body_start:
        return edits
    _require_ended(part)
    return [edits[0]._replace(data=newline + edits[0].data), *edits[1:]]


def _named_encoding(part: Part, newline: bytes) -> list[Edit]:
    """A part that we write into says its encoding by a name that every reader knows: some drop what they do not."""
    return [
        Edit(one.raw_start, one.raw_stop, b"Content-Transfer-Encoding: 8bit" + newline)
        for one in part.headers
        if one.name.lower() == "content-transfer-encoding" and one.value.strip().lower() not in ENCODINGS
    ]


def _require_ended(part: Part) -> None:
    """Raises `Unrewritable` for a header that stops within its last line: that field may be one that is taken out."""
    if part.header_block and not part.header_block.endswith(b"\n"):
        raise Unrewritable("a header without an end")


def _require_line_ended(message: Message, source: Source) -> None:
    """Raises `Unrewritable` for a mail that stops within the delimiter line of its last part.

    That part has no place yet where it begins: what we wrote there would belong to the delimiter line, or be read as
    the part's header. RFC 2046 5.1.1: a part begins behind the line end of its delimiter.
    """
    part = message.root
    while part.children:
        part = part.children[-1]
        if part.delimiter_start < part.start == message.size and source.read(part.start - 1, part.start) != b"\n":
            raise Unrewritable("a delimiter without a line end")


def _first_child(message: Message, part: Part, text: str) -> Edit:
    """A text part of ours before every other part of that multipart."""
    if part.kind != "multipart" or part.content_type in _CLOSED or not part.children:
        raise Unrewritable("no place for the link")
    at = part.children[0].delimiter_start
    newline = message.newline
    return Edit(at, at, b"--" + part.boundary + newline + compose.text_part("text/plain", text, newline))


def _subject_edits(message: Message, subject: str) -> list[Edit]:
    written = compose.header("Subject", subject, message.newline)
    found = [one for one in message.headers if one.name.lower() == "subject"]
    if not found:
        return [Edit(message.root.start, message.root.start, written)]
    return [Edit(one.raw_start, one.raw_stop, written if one is found[0] else b"") for one in found]


def _stale(one: Header, new_subject: bool) -> Edit:
    """A signature that our edits make untrue, under a name in which nobody looks for one. With a new subject only while
    it copies no field: z= holds the old one (RFC 6376 3.5).
    """
    if re.search(r"(?:^|;)\s*z\s*=", one.value):
        return Edit(one.raw_start, one.raw_stop)
    return Edit(one.raw_start, one.raw_start + len("DKIM-Signature"), STALE.encode("ascii"))


def _header_edits(message: Message, secrets: set[str], new_subject: bool, sender_shown: bool) -> list[Edit]:
    """Take out Bcc, and every field of the message's header that repeats what is no longer to be said.

    With the subject go the fields that repeat it and all those that were read with it: what nobody knows may say it.
    """
    long = frozenset(one.strip().lower() for one in secrets if len(one.strip()) >= _SHORTEST_SECRET)
    sought = message.told(long)
    many = len(sought) > _SECRETS_MAX  # then any field may go that is neither structure nor kept
    edits: list[Edit] = []
    for one in message.headers:
        name = one.name.lower()
        if name in _HIDDEN:
            edits.append(Edit(one.raw_start, one.raw_stop))
        elif new_subject and name in _ADDRESSES and not (name == "from" and sender_shown):
            edits.append(Edit(one.raw_start, one.raw_stop, _bare(message, one)))
        elif name == "dkim-signature":
            edits.append(_stale(one, new_subject))
        elif name in _KEPT or name == "subject" or (name.startswith("content-") and structural(name)):
            continue
        elif new_subject and (name in SUBJECT_COPIES or not structural(name)):
            edits.append(Edit(one.raw_start, one.raw_stop))
        else:
            told = fields.decode_words(one.value).lower()
            if many or any(secret in told for secret in sought):
                edits.append(Edit(one.raw_start, one.raw_stop))
    return edits
