"""What the mails of real programs are put together from: what a person wrote, the file beside it, and registered kinds.

A kind makes the whole mail of one program from a filling, to the byte, so that each can be filled with harmless words,
with PHI in the words, and with PHI in the file. Everything is of our own making, after the formats and the habits of
the programs; nothing is copied from a mailbox.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Callable
from dataclasses import dataclass

from tests.support import mail_files as files
from tests.support.mail_pieces import HARMLESS, SENDER, patient
from tests.support.mail_pieces import b64 as b64
from tests.support.mail_pieces import quoted as quoted

CRLF = "\r\n"


@dataclass(frozen=True, slots=True)
class Filling:
    """What one mail says: its name, the words of its text, the name, media type and bytes of its file."""

    id: str
    words: str
    name: str
    media: str
    data: bytes

    @property
    def top(self) -> str:
        """From, To, Subject, Date, Message-ID: most programs write these five in some order."""
        return self.headers()

    def headers(self, subject: str = "Parking on the 10th", *more: str, to: str = "") -> str:
        """The usual five with further fields, without those of MIME."""
        lines = (
            f"From: Amy Reyes <{SENDER}>",
            f"To: {to or 'Reader <reader@outside.test>'}",
            f"Subject: {subject}",
            "Date: Mon, 16 Nov 2026 09:00:00 -0600",
            f"Message-ID: <{self.id}@riverside.test>",
            *more,
        )
        return "".join(f"{line}{CRLF}" for line in lines)

    def rows(self, before: str = "<p>", after: str = "</p>") -> str:
        """The words as HTML, a paragraph for each line."""
        return CRLF.join(f"{before}{html.escape(line)}{after}" for line in self.words.splitlines() if line)


@dataclass(frozen=True, slots=True)
class Kind:
    """One program's way to write. `quiet` is what becomes of the harmless one under `clinic`.

    `has_file`: the file of the filling is in it. `says`: the words are in it where a reader sees them.
    """

    name: str
    make: Callable[[Filling], str | bytes]
    quiet: str
    has_file: bool
    says: bool

    def mail(self, filling: Filling) -> bytes:
        """The whole mail."""
        made = self.make(filling)
        return made if isinstance(made, bytes) else made.encode("utf-8", "surrogateescape")


KINDS: dict[str, Kind] = {}


def kind(
    quiet: str = "as-is", *, file: bool = True, says: bool = True, name: str = ""
) -> Callable[[Callable[[Filling], str | bytes]], Callable[[Filling], str | bytes]]:
    """Register a maker under its function's name."""

    def register(make: Callable[[Filling], str | bytes]) -> Callable[[Filling], str | bytes]:
        called = (name or make.__name__).replace("_", "-")
        assert called not in KINDS, called
        KINDS[called] = Kind(called, make, quiet, file, says)
        return make

    return register


def part(head: str, body: str) -> str:
    """An entity from its fields, one a line, and its body."""
    return head.strip("\n").replace("\n", CRLF) + CRLF + CRLF + body


def parts(boundary: str, *inside: str, preamble: str = "", epilogue: str = "") -> str:
    """The body of a multipart."""
    between = "".join(f"--{boundary}{CRLF}{one}{CRLF}" for one in inside)
    return f"{preamble}{between}--{boundary}--{CRLF}{epilogue}"


def attached(filling: Filling, *more: str, disposition: str = "attachment", media: str = "") -> str:
    """The file as most programs attach it."""
    fields = "".join(f"\n{one}" for one in more)
    return part(
        f'Content-Type: {media or filling.media}; name="{filling.name}"\n'
        f'Content-Disposition: {disposition}; filename="{filling.name}"\n'
        f"Content-Transfer-Encoding: base64{fields}",
        b64(filling.data),
    )


def plain(filling: Filling, more: str = "; charset=utf-8", encoding: str = "7bit") -> str:
    """The words as text/plain."""
    return part(f"Content-Type: text/plain{more}\nContent-Transfer-Encoding: {encoding}", filling.words)


def page(filling: Filling, head: str = "", body: str = "", inside: str = "") -> str:
    """The words as a page."""
    return f"<html><head>{head}</head><body{body}>{CRLF}{filling.rows()}{inside}</body></html>{CRLF}"


def hyper(shown: str, more: str = "; charset=utf-8", encoding: str = "7bit") -> str:
    """A text/html entity."""
    coded = quoted(shown) if encoding == "quoted-printable" else shown
    coded = b64(shown.encode()) if encoding == "base64" else coded
    return part(f"Content-Type: text/html{more}\nContent-Transfer-Encoding: {encoding}", coded)


def logo() -> str:
    """A small picture in base64."""
    return b64(files.picture(24, 12, "logo"))


def word(text: str, charset: str, how: str = "B") -> str:
    """One RFC 2047 encoded word."""
    raw = text.encode(charset)
    if how == "B":
        return f"=?{charset}?B?{base64.b64encode(raw).decode()}?="
    return f"=?{charset}?Q?{''.join(f'={one:02X}' for one in raw)}?="


def fillings(one: Kind) -> dict[str, Filling]:
    """The harmless filling; the one with PHI in its words and the one with PHI in its file, where it shows them."""
    id = one.name
    who = patient("real")
    clean = files.pdf(["Follow the signs to the second gate."])
    quiet = Filling(f"{id}-quiet", HARMLESS, "map.pdf", "application/pdf", clean)
    told = Filling(f"{id}-words", f"Hello,\r\n\r\n{who.letter()}\r\nAmy\r\n", "map.pdf", "application/pdf", clean)
    found = {"quiet": quiet}
    if one.says:
        found["words"] = told
    if one.has_file:
        lab = files.pdf(["Riverside Clinic - Laboratory report", *patient("real-file").letter("\n").splitlines()])
        found["file"] = Filling(f"{id}-file", HARMLESS, "report.pdf", "application/pdf", lab)
    return found


SEEDS = ("real", "real-file")
