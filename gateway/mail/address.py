"""The arguments of MAIL and RCPT: our own grammar, read at once and never silently changed.

Promises: an address comes back exactly as it was written; what does not fit the grammar is an error with a reply
code, an enhanced code and a sentence that repeats nothing of the input. One blank after the colon is let through,
as scanners write it; source routes are declined (RFC 5321 4.1.1.3 allows both).
RFC 5321 4.1.1.2, 4.1.1.3, 4.1.2, 4.5.3.1; RFC 1870; RFC 3461; RFC 4954; RFC 6152; RFC 6531; RFC 3030.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass

LOCAL_MAX_BYTES = 64
DOMAIN_MAX_BYTES = 255
PATH_MAX_BYTES = 256
#: What a server that offers all of ours understands.
EXTENSIONS = frozenset({"SIZE", "8BITMIME", "SMTPUTF8", "DSN", "AUTH", "BINARYMIME"})

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+"
_LOCAL = re.compile(rf'{_ATOM}(?:\.{_ATOM})*|"(?:[\x20\x21\x23-\x5b\x5d-\x7e\x80-\U0010ffff]|\\[\x20-\x7e])*"')
_LABEL = re.compile(r"[A-Za-z0-9\x80-\U0010ffff](?:[A-Za-z0-9\x80-\U0010ffff-]{0,61}[A-Za-z0-9\x80-\U0010ffff])?\Z")
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([\x21-\x3c\x3e-\x7e\x80-\U0010ffff]+))?\Z")
_XTEXT = re.compile(r"(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|\+[0-9A-F]{2})*\Z")
_ROUTED = frozenset("%!@")
_UTF8_ORCPT = re.compile(r"[\x21-\x2a\x2c-\x3c\x3e-\x7e\x80-\U0010ffff]+\Z")


@dataclass(frozen=True, slots=True)
class GrammarError:
    """Why the command is refused: a sentence for the person who reads the client's log, and the codes."""

    text: str
    code: int
    enhanced: str


@dataclass(frozen=True, slots=True)
class MailCommand:
    """MAIL FROM. `address` is "" for the null sender; `params` are all parameters as written, for the next hop."""

    address: str
    params: tuple[tuple[str, str], ...] = ()
    size: int | None = None
    body: str = ""
    smtputf8: bool = False
    ret: str = ""
    envid: str = ""
    auth: str | None = None


@dataclass(frozen=True, slots=True)
class RcptCommand:
    """RCPT TO. `notify` is NEVER, or some of SUCCESS, FAILURE, DELAY; `orcpt` is ``type;xtext`` as written."""

    address: str
    params: tuple[tuple[str, str], ...] = ()
    notify: frozenset[str] = frozenset()
    orcpt: str = ""


def parse_mail(text: str, extensions: frozenset[str] = EXTENSIONS) -> MailCommand | GrammarError:
    """Read what stands after ``MAIL ``. Parameters of an extension not in `extensions` are refused (555)."""
    split = _split(text, "FROM", "MAIL FROM:<address>")
    if isinstance(split, GrammarError):
        return split
    path, rest = split
    params = _parameters(rest)
    if isinstance(params, GrammarError):
        return params
    read = _MailReader(extensions)
    for key, value in params:
        error = read.take(key.upper(), value)
        if error is not None:
            return error
    if path != "":
        wrong = check_address(path, smtputf8=read.smtputf8)
        if wrong:
            return _bad_path(wrong, "5.1.7", path)
    return MailCommand(path, params, read.size, read.body, read.smtputf8, read.ret, read.envid, read.auth)


def parse_rcpt(
    text: str, extensions: frozenset[str] = EXTENSIONS, *, smtputf8: bool = False
) -> RcptCommand | GrammarError:
    """Read what stands after ``RCPT ``. `smtputf8` is whether MAIL asked for it."""
    split = _split(text, "TO", "RCPT TO:<address>")
    if isinstance(split, GrammarError):
        return split
    path, rest = split
    params = _parameters(rest)
    if isinstance(params, GrammarError):
        return params
    if path == "":
        return GrammarError("A recipient address is needed.", 553, "5.1.3")
    if path.lower() != "postmaster":
        wrong = check_address(path, smtputf8=smtputf8)
        if wrong:
            return _bad_path(wrong, "5.1.3", path)
    notify: frozenset[str] = frozenset()
    orcpt = ""
    for key, value in params:
        name = key.upper()
        if name == "NOTIFY" and "DSN" in extensions:
            words = value.upper().split(",")
            notify = frozenset(words)
            known = notify == {"NEVER"} or notify <= {"SUCCESS", "FAILURE", "DELAY"}
            if not known or len(words) != len(notify):
                return _bad_value("NOTIFY")
        elif name == "ORCPT" and "DSN" in extensions:
            kind, separator, original = value.partition(";")
            well = _XTEXT.match(original) or (kind.lower() == "utf-8" and _UTF8_ORCPT.match(original))
            if not separator or not _PARAMETER.match(kind) or not original or not well or len(value) > 500:
                return _bad_value("ORCPT")
            orcpt = value
        else:
            return _unknown()
    return RcptCommand(path, params, notify, orcpt)


def check_address(address: str, *, smtputf8: bool = False) -> str:
    """What is wrong with a mailbox (``local@domain``), as a sentence; "" where nothing is."""
    if not address.isascii() and not smtputf8:
        return "This address needs SMTPUTF8."
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in address):
        return "The address is not valid UTF-8."
    if address.startswith("@"):
        return "Source routes are not used any more."
    match = _LOCAL.match(address)
    if match is None or address[match.end() : match.end() + 1] != "@":
        return "The part before the @ is not written correctly." if "@" in address else "The address has no @."
    local, domain = match[0], address[match.end() + 1 :]
    if len(local.encode()) > LOCAL_MAX_BYTES:
        return "The part before the @ is too long."
    if len(domain.encode()) > DOMAIN_MAX_BYTES or len(address.encode()) + 2 > PATH_MAX_BYTES:
        return "The address is too long."
    if domain.startswith("["):
        return "" if _literal(domain) else "The address literal is not written correctly."
    if not domain or not all(_LABEL.match(label) for label in domain.split(".")):
        return "The part after the @ is not a domain name."
    return ""


def domain_of(address: str) -> str:
    """The domain of an address in lower case and A-labels; empty for the null sender.

    One of which A-labels would make another name (IDNA 2003 writes "ss" for "ß") stays as it is: it is nobody's that
    a setting names.
    """
    domain = unicodedata.normalize("NFC", address.rpartition("@")[2].lower().rstrip("."))
    if domain.isascii():
        return domain
    try:
        label = domain.encode("idna").decode("ascii")
        return label if label.encode("ascii").decode("idna") == domain else domain
    except UnicodeError:
        return domain


def routed(address: str) -> bool:
    """Whether the local part names a further way: "pat%other.example@clinic.example", "other.example!pat", or
    "pat@other.example" in quotes. Some servers send such mail on to there, so who gets it is not the domain's.
    """
    return not _ROUTED.isdisjoint(address.rpartition("@")[0])


def xtext_decode(text: str) -> str:
    """RFC 3461 4: ``+XX`` back to the character. The text has passed the grammar."""
    return re.sub(r"\+([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), text)


def _split(text: str, word: str, usage: str) -> tuple[str, str] | GrammarError:
    """Path without angle brackets, and the parameters."""
    syntax = GrammarError(f"Write it as {usage}", 501, "5.5.4")
    if text[: len(word) + 1].upper() != word + ":":
        return syntax
    rest = text[len(word) + 1 :]
    rest = rest[1:] if rest.startswith(" ") else rest
    if not rest.startswith("<"):
        return syntax
    stop = _path_stop(rest)
    if stop < 0:
        return syntax
    after = rest[stop + 1 :]
    if after and not after.startswith(" "):
        return syntax
    return rest[1:stop], after.strip(" ")


def _path_stop(text: str) -> int:
    """Index of the closing bracket; one inside a quoted local part is none."""
    quoted = False
    index = 1
    while index < len(text):
        letter = text[index]
        if quoted and letter == "\\":
            index += 1
        elif letter == '"':
            quoted = not quoted
        elif letter == ">" and not quoted:
            return index
        index += 1
    return -1


def _parameters(rest: str) -> tuple[tuple[str, str], ...] | GrammarError:
    found: list[tuple[str, str]] = []
    for word in rest.split(" ") if rest else ():
        if not word:
            continue
        match = _PARAMETER.match(word)
        # AUTH=<> and a value with "=" in it (xtext writes "=" as +3D) are read by their own rules.
        if match is None:
            return GrammarError("A parameter is not written correctly.", 501, "5.5.4")
        if any(match[1].upper() == key.upper() for key, _ in found):
            return GrammarError("A parameter is given twice.", 501, "5.5.4")
        found.append((match[1], match[2] or ""))
    return tuple(found)


class _MailReader:
    """The parameters of MAIL, one by one."""

    def __init__(self, extensions: frozenset[str]) -> None:
        self._extensions = extensions
        self.size: int | None = None
        self.body = self.ret = self.envid = ""
        self.smtputf8 = False
        self.auth: str | None = None

    def take(self, name: str, value: str) -> GrammarError | None:
        upper = value.upper()
        offered = self._extensions
        if name == "SIZE" and "SIZE" in offered:
            if not (value.isascii() and value.isdigit() and len(value) <= 20):
                return _bad_value("SIZE")
            self.size = int(value)
        elif name == "BODY" and "8BITMIME" in offered:
            if upper not in {"7BIT", "8BITMIME"} | ({"BINARYMIME"} & offered):
                return _bad_value("BODY")
            self.body = upper
        elif name == "SMTPUTF8" and "SMTPUTF8" in offered:
            if value:
                return _bad_value("SMTPUTF8")
            self.smtputf8 = True
        elif name == "REQUIRETLS" and "REQUIRETLS" in offered:
            if value:
                return _bad_value("REQUIRETLS")
        elif name == "RET" and "DSN" in offered:
            if upper not in ("FULL", "HDRS"):
                return _bad_value("RET")
            self.ret = upper
        elif name == "ENVID" and "DSN" in offered:
            if not value or len(value) > 100 or not _XTEXT.match(value):
                return _bad_value("ENVID")
            self.envid = value
        elif name == "AUTH" and "AUTH" in offered:
            if value != "<>" and (not value or not _XTEXT.match(value)):
                return _bad_value("AUTH")
            self.auth = "" if value == "<>" else xtext_decode(value)
        else:
            return _unknown()
        return None


def _literal(domain: str) -> bool:
    if not domain.endswith("]"):
        return False
    inner = domain[1:-1]
    try:
        if inner[:5].upper() == "IPV6:":
            return "%" not in inner and bool(ipaddress.IPv6Address(inner[5:]))
        return bool(ipaddress.IPv4Address(inner))
    except ValueError:
        return False


def _bad_path(sentence: str, enhanced: str, path: str) -> GrammarError:
    # RFC 6531 3.5: an address that needs the extension has a code of its own.
    return GrammarError(sentence, 553, enhanced if path.isascii() or "SMTPUTF8" not in sentence else "5.6.7")


def _bad_value(name: str) -> GrammarError:
    return GrammarError(f"The value of {name} is not written correctly.", 501, "5.5.4")


def _unknown() -> GrammarError:
    return GrammarError("This parameter is not known here.", 555, "5.5.4")
