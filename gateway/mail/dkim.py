"""DKIM signatures over mail that we wrote or rewrote: relaxed/relaxed, streamed, every singular field oversigned.

Promises: a message is read once and never held, its header of at most a mebibyte apart; what was signed cannot be added
a second time on the way (a second From, Subject or Content-Type breaks the signature); mail whose From does not say one
domain is not signed. Pure: whoever has a key hands in a function that signs.
Clauses: RFC 6376 3.4.2, 3.4.4, 3.5, 3.7, 5.4, 8.15; RFC 8301 3.1 (rsa-sha256 alone); RFC 8463 (ed25519-sha256).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from gateway.mail.fields import mailboxes, unfold

RSA, ED25519 = "rsa-sha256", "ed25519-sha256"
HEADER_LIMIT_BYTES = 1 << 20
STALE = "Sealgate-Original-DKIM-Signature"
"""The name under which a signature is kept that stood in a message before we rewrote it."""
SIGNED = (
    "From", "Sender", "Reply-To", "To", "Cc", "Subject", "Date", "Message-ID", "In-Reply-To", "References",
    "MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Auto-Submitted", "Sealgate-Checkpoint",
)  # fmt: skip
"""Fields that are signed where they stand; each once more than it stands there, From always (RFC 6376 8.15)."""

_BLANKS = re.compile(rb"[ \t]+")
# Only where a line begins: a line without a colon is passed over once, not once for each of its letters.
_FIELD = re.compile(rb"^([!-9;-~]+)[ \t]*:(.*(?:\r?\n[ \t].*)*)\r?\n", re.MULTILINE)
_LINE = 70
_AUTHOR_BYTES = 8_192
"""A From field longer than that is no person's, and reading a hostile one for each copy takes seconds."""
_BLOCK_LINES = 32_768


@dataclass(frozen=True, slots=True)
class Key:
    """One signing key. `sign` takes the SHA-256 of what is signed and gives the signature's bytes."""

    selector: str
    algorithm: str
    sign: Callable[[bytes], bytes] = field(repr=False)


class BodyHash:
    """SHA-256 of a body in relaxed form, whatever the borders of its chunks (RFC 6376 3.4.4)."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._any = False
        self._lines = 0  # line ends that count only if something follows them
        self._rest = b""  # what of the last line's end may still turn out to be its end

    def feed(self, chunk: bytes) -> None:
        """The body's next bytes."""
        data = self._rest + chunk
        solid = data.rstrip(b" \t\r\n")
        tail = _squeezed(data[len(solid) :])
        if solid:
            self._write(_squeezed(solid))
        at = tail.rfind(b"\r\n") + 2 if b"\r\n" in tail else 0
        self._lines += tail.count(b"\r\n", 0, at)
        self._rest = tail[at:]
        if b"\n" in self._rest or b"\r" in self._rest[:-1]:  # no line end: it stays as it is, and is not collected
            self._write(self._rest)
            self._rest = b""

    def digest(self) -> bytes:
        """The hash of all that was fed: blank lines at the end left out, one line end put there."""
        whole = self._hash.copy()
        if self._any:
            whole.update(b"\r\n")
        return whole.digest()

    def _write(self, data: bytes) -> None:
        while self._lines:
            count = min(self._lines, _BLOCK_LINES)
            self._hash.update(b"\r\n" * count)
            self._lines -= count
        self._any = True
        self._hash.update(data)


def _squeezed(data: bytes) -> bytes:
    """Blanks made one, and none before a line end."""
    if b"\t" in data or b"  " in data:
        data = _BLANKS.sub(b" ", data)
    return data.replace(b" \r\n", b"\r\n") if b" \r\n" in data else data


def relaxed(name: bytes, value: bytes) -> bytes:
    """One field in relaxed form, with its line end (RFC 6376 3.4.2)."""
    unfolded = value.translate(None, b"\r\n")
    return name.strip().lower() + b":" + _BLANKS.sub(b" ", unfolded).strip(b" ") + b"\r\n"


def signatures(
    chunks: Iterable[bytes], domain_of: Callable[[str], str | None], keys: Sequence[Key], now_seconds: int
) -> bytes:
    """DKIM-Signature fields for the message of these chunks, whole lines for its top; empty when it is not signed.

    `domain_of` says in which domain's name mail from a given domain is signed, None for not at all.
    """
    header, body = b"", BodyHash()
    inside = False
    for chunk in chunks:
        if inside:
            body.feed(chunk)
            continue
        # A blank line may begin in what came before: look again at the last three bytes.
        look = max(0, len(header) - 3)
        header += chunk
        end = header.find(b"\r\n\r\n", look)
        if end >= 0:
            inside = True
            body.feed(header[end + 4 :])
            header = header[: end + 2]
        elif len(header) > HEADER_LIMIT_BYTES:
            return b""
    found = [(match[1], match[2]) for match in _FIELD.finditer(header)]
    author = author_domain(found)
    domain = domain_of(author) if author else None
    if domain is None:
        return b""
    names, signed = _chosen(found)
    bodyhash = base64.b64encode(body.digest()).decode("ascii")
    return b"".join(_signature(key, domain, names, signed, bodyhash, now_seconds) for key in keys)


def record(algorithm: str, public: str) -> str:
    """What stands in DNS for a key: `algorithm` is rsa or ed25519, `public` base64 (RFC 6376 3.6.1, RFC 8463 4)."""
    return f"v=DKIM1; k={algorithm}; p={public}"


def published(text: str) -> tuple[str, str] | None:
    """Algorithm and key of a TXT record, blanks left out; None for what is no key record, or a revoked one."""
    tags = {name.strip(): "".join(value.split()) for name, _, value in (one.partition("=") for one in text.split(";"))}
    if tags.get("v", "DKIM1") != "DKIM1" or not tags.get("p"):
        return None
    return tags.get("k", "rsa"), tags["p"]


def author_domain(found: Sequence[tuple[bytes, bytes]]) -> str:
    """The one domain of the one From field, in lower case and A-labels; empty where there is none, or several."""
    values = [value for name, value in found if name.lower() == b"from"]
    if len(values) != 1 or len(values[0]) > _AUTHOR_BYTES:
        return ""
    domains = {address.rpartition("@")[2] for _, address in mailboxes(unfold(values[0]))}
    if len(domains) != 1:
        return ""
    domain = domains.pop().strip().rstrip(".").lower()
    try:
        return domain if domain.isascii() else domain.encode("idna").decode("ascii")
    except UnicodeError:
        return ""


def _chosen(found: Sequence[tuple[bytes, bytes]]) -> tuple[list[str], bytes]:
    """Names for h=, and what they stand for: of several fields of a name the last first (RFC 6376 5.4.2)."""
    names: list[str] = []
    signed: list[bytes] = []
    for wanted in SIGNED:
        here = [relaxed(name, value) for name, value in found if name.lower() == wanted.lower().encode("ascii")]
        if here or wanted == "From":
            names += [wanted] * (len(here) + 1)
            signed += reversed(here)
    return names, b"".join(signed)


def _signature(key: Key, domain: str, names: Sequence[str], signed: bytes, bodyhash: str, now_seconds: int) -> bytes:
    lines = [
        f"v=1; a={key.algorithm}; c=relaxed/relaxed; d={domain};",
        f"s={key.selector}; t={now_seconds};",
        *_folded("h=" + ":".join(names) + ";", ":"),
        f"bh={bodyhash};",
        "b=",
    ]
    value = "\r\n\t".join(lines)
    # The field itself is signed last, with an empty b= and without its line end (RFC 6376 3.7).
    own = relaxed(b"DKIM-Signature", b" " + value.encode("ascii"))[:-2]
    made = base64.b64encode(key.sign(hashlib.sha256(signed + own).digest())).decode("ascii")
    cut = [made[at : at + _LINE] for at in range(0, len(made), _LINE)]
    return b"DKIM-Signature: " + (value + "\r\n\t".join(cut)).encode("ascii") + b"\r\n"


def _folded(text: str, mark: str) -> list[str]:
    """Lines that end behind a mark."""
    lines, line = [], ""
    for word in re.findall(rf"[^{mark}]*{mark}|[^{mark}]+", text):
        if line and len(line) + len(word) > _LINE:
            lines.append(line)
            line = ""
        line += word
    return [*lines, line]
