"""One made-up mail of a kind: harmless words about a garden party, in every shape that mail comes in."""

from __future__ import annotations

import binascii
import random
import struct
import zlib
from collections.abc import Callable

from tests.support import mail_keys
from tests.support.mail_keys import b64

_WORDS = (
    "the garden party starts at noon and everyone brings a dish for the long table under the old oak while the band "
    "plays tunes we all know please tell us by friday if you can come and whether you need a chair or a ride"
)
_DATE = "Mon, 4 Mar 2024 10:00:00 +0000"


def _prose(rng: random.Random, sentences: int) -> str:
    words = _WORDS.split()
    picked = [" ".join(rng.sample(words, rng.randint(6, 12))) for _ in range(sentences)]
    return "".join(f"{one.capitalize()}.\r\n" for one in picked)


def _top(kind: str, number: int, more: str = "") -> str:
    lines = [
        "Return-Path: <events@clinic.example>",
        f"Received: from desk.clinic.example (desk.clinic.example [192.0.2.{number}])",
        f"\tby mx.clinic.example with ESMTPS id {kind}{number};\r\n\t{_DATE}",
        "From: Events Desk <events@clinic.example>",
        "To: friend@mail.example",
        f"Subject: Garden party {number} ({kind})",
        f"Date: {_DATE}",
        f"Message-ID: <{kind}-{number}@clinic.example>",
        more + "MIME-Version: 1.0",
    ]
    return "".join(f"{line}\r\n" for line in lines)


def _qp(text: str, name: str = "utf-8") -> str:
    coded = binascii.b2a_qp(text.encode(name).replace(b"\r\n", b"\n"), istext=True)
    return coded.decode().replace("\n", "\r\n")


def _entity(content_type: str, body: str, encoding: str = "7bit", *more: str) -> str:
    fields = [f"Content-Type: {content_type}", f"Content-Transfer-Encoding: {encoding}", *more]
    return "".join(f"{one}\r\n" for one in fields) + "\r\n" + body


def _file(content_type: str, name: str, data: bytes) -> str:
    return _entity(
        f"{content_type}; name={name}", b64(data), "base64", f"Content-Disposition: attachment; filename={name}"
    )


def _multi(kind: str, boundary: str, *parts: str, preamble: str = "") -> str:
    inner = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    return f'Content-Type: multipart/{kind};\r\n boundary="{boundary}"\r\n\r\n{preamble}{inner}--{boundary}--\r\n'


def _text(text: str, more: str = "") -> str:
    return _entity(f"text/plain; charset=utf-8{more}", text)


def _page(text: str, inside: str = "") -> str:
    rows = "".join(f"<p>{line}</p>\r\n" for line in text.splitlines())
    return f"<!DOCTYPE html>\r\n<html><head><title>Party</title></head>\r\n<body>\r\n{rows}{inside}</body></html>\r\n"


def _html(text: str, inside: str = "") -> str:
    return _entity("text/html; charset=utf-8", _page(text, inside))


def _png(rng: random.Random) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + rng.randbytes(8 * 3) for _ in range(8))
    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def _winmail(text: str, name: str) -> bytes:
    """A winmail.dat: version, code page, class, body and one attachment ([MS-OXTNEF] 2.1.3)."""
    out = struct.pack("<IH", 0x223E9F78, 1)
    for level, attribute, data in (
        (1, 0x00089006, struct.pack("<I", 0x00010000)),
        (1, 0x00069007, struct.pack("<II", 1252, 0)),
        (1, 0x00078008, b"IPM.Microsoft Mail.Note\0"),
        (1, 0x0002800C, text.encode() + b"\0"),
        (2, 0x00069002, struct.pack("<HIHHI", 1, 0xFFFFFFFF, 0, 0, 0)),
        (2, 0x00018010, name.encode() + b"\0"),
        (2, 0x0006800F, text.encode()),
    ):
        out += struct.pack("<BII", level, attribute, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)
    return out


def _plain(top: str, text: str, first: bool, rng: random.Random) -> str:
    return top + (_text(text) if first else "\r\n" + text)


def _quoted(top: str, text: str, first: bool, rng: random.Random) -> str:
    name = "utf-8" if first else "iso-8859-1"
    words = "Grüße aus dem Café = heute!\r\n" + text + "x" * 100 + "\r\n"
    return top + _entity(f"text/plain; charset={name}", _qp(words, name), "quoted-printable")


def _base64(top: str, text: str, first: bool, rng: random.Random) -> str:
    coded = b64(("Grüße ✓\r\n" + text).encode())
    return top + _entity(
        "text/plain; charset=utf-8", coded if first else coded.replace("\r\n", "\r\n\r\n", 1), "base64"
    )


def _eight_bit(top: str, text: str, first: bool, rng: random.Random) -> str:
    name = "utf-8" if first else "windows-1252"
    return top + _entity(f"text/plain; charset={name}", "Grüße – bis Samstag, José\r\n" + text, "8bit")


def _only_html(top: str, text: str, first: bool, rng: random.Random) -> str:
    if first:
        return top + _html(text)
    return top + _entity("text/html; charset=utf-8", _qp(_page(text).replace("Party", "Fête")), "quoted-printable")


def _alternative(top: str, text: str, first: bool, rng: random.Random) -> str:
    between = [] if first else [_entity("text/markdown; charset=utf-8", "# Party\r\n")]
    return top + _multi("alternative", "=_alt", _text(text), *between, _html(text))


def _related(top: str, text: str, first: bool, rng: random.Random) -> str:
    more = ("Content-ID: <logo@clinic.example>", "Content-Disposition: inline; filename=logo.png")
    image = _entity("image/png; name=logo.png", b64(_png(rng)), "base64", *more)
    page = _html(text, '<img src="cid:logo@clinic.example" alt="">\r\n')
    inner = page if first else _multi("alternative", "=_in", _text(text), page)
    return top + _multi("related", "=_rel", inner, image)


def _mixed(top: str, text: str, first: bool, rng: random.Random) -> str:
    name = "filename=dishes.csv" if first else "filename*=utf-8''pl%C3%A4ne%20f%C3%BCr%20alle.csv"
    table = b64(b"dish,people\r\nsalad,12\r\n")
    file = _entity("text/csv; charset=utf-8", table, "base64", f"Content-Disposition: attachment; {name}")
    last = [] if first else [_text("The end.\r\n")]
    return top + _multi("mixed", "mix_1", _text(text), file, *last, preamble="This is a message in parts.\r\n")


def _nested(top: str, text: str, first: bool, rng: random.Random) -> str:
    inner = _top("inner", 1) + _text(text) if first else _mixed(_top("inner", 2), text, True, rng)
    forwarded = _entity("message/rfc822", inner, "7bit", "Content-Disposition: attachment; filename=fwd.eml")
    return top + _multi("mixed", "fwd", _text("See below.\r\n"), forwarded)


def _digest(top: str, text: str, first: bool, rng: random.Random) -> str:
    letters = ["\r\n" + _top("letter", number) + _text(_prose(rng, 2)) for number in range(1, 4 if first else 6)]
    return top + _multi("mixed", "out", _text("Today.\r\n"), _multi("digest", "dig", *letters))


def _smime_signed(top: str, text: str, first: bool, rng: random.Random) -> str:
    if not first:
        sealed = mail_keys.smime_signature(_text(text).encode(), detached=False)
        return top + _file("application/pkcs7-mime; smime-type=signed-data", "smime.p7m", sealed)
    signature = _file(
        "application/pkcs7-signature", "smime.p7s", mail_keys.smime_signature(_text(text).encode(), detached=True)
    )
    return top + _multi(
        'signed; protocol="application/pkcs7-signature"; micalg=sha-256', "=_sig", _text(text), signature
    )


def _pgp_signed(top: str, text: str, first: bool, rng: random.Random) -> str:
    entity = _text(text) if first else _multi("alternative", "in", _text(text), _html(text))
    signature = _entity("application/pgp-signature; name=signature.asc", mail_keys.pgp_signature(entity.encode()))
    return top + _multi('signed; protocol="application/pgp-signature"; micalg=pgp-sha256', "pgp", entity, signature)


def _encrypted(top: str, text: str, first: bool, rng: random.Random) -> str:
    if first:
        sealed = mail_keys.smime_encrypted(_text(text).encode())
        return top + _file("application/pkcs7-mime; smime-type=enveloped-data", "smime.p7m", sealed)
    control = "Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n"
    sealed_text = _entity("application/octet-stream; name=encrypted.asc", mail_keys.pgp_encrypted(rng))
    return top + _multi('encrypted; protocol="application/pgp-encrypted"', "enc", control, sealed_text)


def _calendar(top: str, text: str, first: bool, rng: random.Random) -> str:
    lines = [
        *("BEGIN:VCALENDAR", "PRODID:-//made up//EN", "VERSION:2.0", "METHOD:REQUEST", "BEGIN:VEVENT"),
        *("UID:party@clinic.example", "DTSTAMP:20240304T100000Z", "DTSTART:20240601T120000Z"),
        *("SUMMARY:Garden party", "END:VEVENT", "END:VCALENDAR"),
    ]
    invite = _entity("text/calendar; charset=utf-8; method=REQUEST", "".join(f"{line}\r\n" for line in lines))
    between = [_html(text)] if first else []
    return top + _multi("alternative", "cal", _text(text), *between, invite)


def _tnef(top: str, text: str, first: bool, rng: random.Random) -> str:
    kind = "application/ms-tnef" if first else "application/octet-stream"
    return top + _multi("mixed", "----_=_tnef", _text(text), _file(kind, "winmail.dat", _winmail(text, "plan.txt")))


def _dsn(top: str, text: str, first: bool, rng: random.Random) -> str:
    groups = (
        "Reporting-MTA: dns; mx.mail.example\r\n\r\n"
        "Final-Recipient: rfc822; friend@mail.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
    )
    kept = _top("kept", 1)
    returned = _entity("text/rfc822-headers", kept + "\r\n") if first else _entity("message/rfc822", kept + _text(text))
    top = top.replace("<events@clinic.example>", "<>", 1).replace("MIME-", "Auto-Submitted: auto-replied\r\nMIME-")
    status = _entity("message/delivery-status", groups)
    human = _text("It could not be delivered.\r\n")
    return top + _multi("report; report-type=delivery-status", "rep", human, status, returned)


def _list(top: str, text: str, first: bool, rng: random.Random) -> str:
    more = (
        "List-Id: Garden friends <garden.lists.example>\r\nList-Unsubscribe: <mailto:leave@lists.example>\r\n"
        "Precedence: list\r\nSender: garden-bounces@lists.example\r\nReply-To: garden@lists.example\r\n"
    )
    top = top.replace("MIME-", more + "MIME-")
    footer = _text(text + "-- \r\n_____________\r\ngarden mailing list\r\n")
    return top + (footer if first else _multi("mixed", "===============42==", _text(text), footer))


def _flowed(top: str, text: str, first: bool, rng: random.Random) -> str:
    flowed = text.replace(" and ", " and \r\n") + "\r\n> quoted \r\n> words\r\n From stuffed\r\n"
    return top + _text(flowed, "; format=flowed" + ("" if first else "; delsp=yes"))


def _long_lines(top: str, text: str, first: bool, rng: random.Random) -> str:
    long = "word " * 900
    if first:
        return top + _text(text + long + "\r\n")
    return top.replace("MIME-", "X-Long: " + "y" * 3000 + "\r\nMIME-") + _html(text, f"<p>{long}</p>\r\n")


def _malformed(top: str, text: str, first: bool, rng: random.Random) -> str:
    if first:
        return f"{top}Content-Type: multipart/mixed; boundary=never\r\n\r\n--never\r\n{_text(text)}"
    return f"{top}Content-Type: text/plain\r\nContent-Type: text/html\r\nthis line is no field\r\n\r\n{text}"


KINDS: dict[str, Callable[[str, str, bool, random.Random], str]] = {
    "plain": _plain,
    "quoted-printable": _quoted,
    "base64": _base64,
    "eight-bit": _eight_bit,
    "html": _only_html,
    "alternative": _alternative,
    "related": _related,
    "mixed": _mixed,
    "nested": _nested,
    "digest": _digest,
    "smime-signed": _smime_signed,
    "pgp-signed": _pgp_signed,
    "encrypted": _encrypted,
    "calendar": _calendar,
    "tnef": _tnef,
    "dsn": _dsn,
    "list": _list,
    "flowed": _flowed,
    "long-lines": _long_lines,
    "malformed": _malformed,
}


def make(kind: str, number: int) -> bytes:
    """The first or second mail of a kind."""
    rng = random.Random(f"{kind} {number}")
    made = KINDS[kind](_top(kind, number), _prose(rng, 3 + number), number == 1, rng)
    return made.encode("windows-1252" if (kind, number) == ("eight-bit", 2) else "utf-8")
