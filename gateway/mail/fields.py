"""Header fields: unfolding, encoded words, parameters, mailboxes. Reading only, lenient, and never an exception.

RFC 5322 2.2.3 (folding), RFC 2047 (encoded words), RFC 2045 5.1 and RFC 2231 (parameters).
"""

from __future__ import annotations

import binascii
import email.utils
import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from gateway.mail import charset

PKCS7_MIME = ("application/pkcs7-mime", "application/x-pkcs7-mime")
FIELD_MAX = 65_536

_WORD = re.compile(r"=\?([!-<>@-~]{1,64}?)(?:\*[A-Za-z0-9-]*)?\?([bBqQ])\?([^?\s]*)\?=")
_BETWEEN = re.compile(r"(\?=)[ \t\r\n]+(?==\?)")
_WORDLIKE = r"[^\x00-\x20()<>@,;:\\\"/\[\]?=\x7f]+"
_TYPE = re.compile(rf"\s*({_WORDLIKE}\s*/\s*{_WORDLIKE}|{_WORDLIKE})\s*")
# A value may be a token, a quoted string, or (lenient, as every mail program is) anything up to the next semicolon.
_PARAMETER = re.compile(
    r';\s*(?:([^\x00-\x20()<>@,;:\\"/\[\]?=\x7f]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;"]*))\s*)?', re.DOTALL
)
# What nearly all mail looks like, read in one go; everything else takes the long way below.
_PLAIN = re.compile(r'\s*([\w.+/-]+)((?:;\s*[\w-]+=(?:"[^"\\]*"|[^\s;"()\\<>@,\[\]]+)\s*)*)(?:;\s*)?', re.ASCII)
_PLAIN_PARAMETER = re.compile(r';\s*([\w-]+)=(?:"([^"\\]*)"|([^\s;"()\\]+))', re.ASCII)
# One address, alone or behind a name of plain words: most address fields. Nothing in it has a meaning of its own.
_DOTTED = r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*@[\w-]+(?:\.[\w-]+)*"
_ONE_MAILBOX = re.compile(rf"\s*(?:([\w-]+(?: +[\w-]+)*) *<({_DOTTED})>|<({_DOTTED})>|({_DOTTED}))\s*", re.ASCII)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
# Not in a token (RFC 2045 5.1): without quotes some readers end a boundary there. "=", "/", "?" and ":" all take in.
_ENDS_TOKEN = re.compile(r"[<>@,\[\]\\]")
_NAMES = ("name", "filename")
_SECTION = re.compile(r"([^*]+)(?:\*(\d{1,3}))?(\*)?\Z")


def unfold(raw: bytes) -> str:
    """The text of a field's raw value: line ends taken out, UTF-8, else Latin-1 (RFC 6532, RFC 5322 2.2.3)."""
    flat = raw.replace(b"\r", b"").replace(b"\n", b"") if b"\n" in raw else raw
    try:
        return flat.decode("utf-8").strip()
    except UnicodeDecodeError:
        return flat.decode("latin-1").strip()


def content_id(value: str) -> str | None:
    """The id in a Content-ID field or a `start` parameter, without its angle brackets (RFC 2045 7, RFC 2387 3.2)."""
    return value.strip().removeprefix("<").removesuffix(">").strip() or None


def decode_words(value: str) -> str:
    """RFC 2047 encoded words as text; neighbours of one charset are decoded together, as senders split letters."""
    if "=?" not in value:
        return value
    rest = value[FIELD_MAX:]  # of a longer field the end stays as it is: cut off, nobody would look at it
    value = _BETWEEN.sub(r"\1", value[:FIELD_MAX])
    out: list[str] = []
    held, held_charset, at = b"", "", 0
    for match in _WORD.finditer(value):
        between = value[at : match.start()]
        data = _word_bytes(match.group(2), match.group(3))
        if held and (between or match.group(1).lower() != held_charset):
            out.append(charset.decode(held, held_charset))
            held = b""
        out.append(between)
        held, held_charset, at = held + data, match.group(1).lower(), match.end()
    if held:
        out.append(charset.decode(held, held_charset))
    out.append(value[at:] + rest)
    return "".join(out)


def _word_bytes(how: str, text: str) -> bytes:
    raw = text.encode("utf-8", "replace")
    if how in "bB":
        try:
            return binascii.a2b_base64(raw + b"=" * (-len(raw) % 4))
        except binascii.Error:
            return raw
    return binascii.a2b_qp(raw, header=True)


class Valued(NamedTuple):
    """A structured field: its first word in lower case, its parameters, and what is wrong with it."""

    value: str
    params: dict[str, str]
    flags: tuple[str, ...] = ()


def valued(text: str) -> Valued:
    """Read ``type/subtype; name=value; …`` or ``attachment; filename=…``.

    Flags: `parameter-twice` (two values, also in two notations), `parameter-syntax` (comments, junk in between).
    """
    text = text[:FIELD_MAX]
    if quick := _PLAIN.fullmatch(text):
        found = _PLAIN_PARAMETER.findall(quick[2])
        simple = {name.lower(): quoted or bare for name, quoted, bare in found}
        if len(simple) == len(found):
            return Valued(quick[1].lower(), simple)
    head = _TYPE.match(text)
    if head is None:
        return Valued("", {}, ("parameter-syntax",) if text.strip() else ())
    value = "".join(head.group(1).split()).lower()
    at = head.end()
    if at >= len(text):
        return Valued(value, {})
    flags: set[str] = set()
    plain: dict[str, str] = {}
    sections: dict[str, list[tuple[int, bool, str]]] = {}
    while at < len(text):
        match = _PARAMETER.match(text, at)
        if match is None:
            flags.add("parameter-syntax")
            break
        at = match.end()
        name, quoted, bare = match.group(1), match.group(2), match.group(3)
        if name is None:  # an empty parameter: ";;" or a last ";"
            continue
        content = _QUOTED_PAIR.sub(r"\1", quoted) if quoted is not None else bare.strip()
        if _disputed(name.lower(), quoted, content, last=not text[at : at + 9].strip("; \t")):
            flags.add("parameter-syntax")
        section = _SECTION.match(name.lower())
        if section is None or (section.group(2) is None and section.group(3) is None):
            before = plain.get(name.lower(), content)
            if before != content and (name.lower() != "charset" or before.lower() != content.lower()):
                flags.add("parameter-twice")
            plain.setdefault(name.lower(), content)
        else:
            rows = sections.setdefault(section.group(1), [])
            number = int(section.group(2) or 0)
            if any(number == row[0] for row in rows):
                flags.add("parameter-twice")
            rows.append((number, section.group(3) is not None, content))
    for name, rows in sections.items():
        joined = _join(rows)
        # A plain twin is common for file names (for old readers) and harmless there; elsewhere readers differ.
        if name in plain and name not in ("filename", "name") and plain[name] != joined:
            flags.add("parameter-twice")
        plain[name] = joined
    return Valued(value, plain, tuple(sorted(flags)))


def _disputed(name: str, quoted: str | None, content: str, last: bool) -> bool:
    """Whether readers take that parameter for different things.

    A file's name without quotes, as many programs write it, may hold blanks and parentheses where nothing follows it:
    we read all of it, and the name decides nothing. A boundary with quoted pairs some readers take as it stands.
    """
    if quoted is not None:
        return name == "boundary" and "\\" in quoted
    if name == "boundary" and _ENDS_TOKEN.search(content):
        return True
    return (" " in content or "(" in content) and not (last and name in _NAMES)


def _join(rows: list[tuple[int, bool, str]]) -> str:
    """RFC 2231: sections in order, the charset in the first extended one."""
    rows.sort(key=lambda row: row[0])
    name: str | None = None
    data = b""
    for index, (_, extended, content) in enumerate(rows):
        if extended and index == 0 and content.count("'") >= 2:
            name, _, content = content.split("'", 2)
        raw = content.encode("utf-8", "surrogateescape") if not content.isascii() else content.encode()
        data += unquote_to_bytes(raw) if extended else raw
    return charset.decode(data, name)


def mailboxes(value: str) -> list[tuple[str, str]]:
    """(display name, address) pairs of an address list. What cannot be read is left out."""
    if quick := _ONE_MAILBOX.fullmatch(value[:FIELD_MAX]):
        return [(" ".join((quick[1] or "").split()), quick[2] or quick[3] or quick[4])]
    try:
        found = email.utils.getaddresses([value[:FIELD_MAX]])
    except Exception:  # the library is known to raise KeyError, IndexError and others on hostile input
        return []
    return [(decode_words(name).strip(), address) for name, address in found if "@" in address]
