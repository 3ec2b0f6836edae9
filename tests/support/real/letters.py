"""Character sets and transfer encodings as they really arrive: right, wrong, missing, cut in the middle of a letter."""

from __future__ import annotations

import base64
import codecs

from tests.support.mail_pieces import multi
from tests.support.real.pieces import CRLF, Filling, attached, b64, kind, page, part, parts

#: What a sender in that language writes around the rest, by the name of the character set on the wire.
TONGUES = {
    "us-ascii": "Hello",
    "utf-8": "Grüße, 你好, שלום, привет",
    "iso-8859-1": "Grüße aus Zürich",
    "iso-8859-2": "Dobrý večer, žluťoučký kůň",
    "iso-8859-7": "Καλημέρα",
    "iso-8859-8-i": "שלום רב",
    "iso-8859-9": "Günaydın, İstanbul",
    "iso-8859-15": "Prix : 5 €",
    "windows-1250": "Dzień dobry, łódź",
    "windows-1251": "Добрый день",
    "windows-1252": "“Quoted” – 5 €",
    "windows-1255": "שלום",
    "windows-1256": "مرحبا",
    "koi8-r": "Привет",
    "koi8-u": "Привіт, їжак",
    "iso-2022-jp": "こんにちは",
    "shift_jis": "こんにちは",
    "euc-jp": "こんにちは",
    "euc-kr": "안녕하세요",
    "ks_c_5601-1987": "안녕하세요",
    "iso-2022-kr": "안녕하세요",
    "gb2312": "你好",
    "gbk": "你好",
    "gb18030": "你好，𠀀",
    "big5": "你好",
    "hz-gb-2312": "你好",
    "utf-7": "Grüße – 你好",
    "utf-16": "Grüße 你好",
    "utf-16le": "Grüße 你好",
    "utf-16be": "Grüße 你好",
    "utf-32": "Grüße 你好",
    "macintosh": "Grüße",
    "cp437": "Grüße",
    "tis-620": "สวัสดี",
}
_PYTHON = {"iso-8859-8-i": "iso-8859-8", "ks_c_5601-1987": "cp949", "macintosh": "mac_roman", "hz-gb-2312": "hz"}
WIDE = ("utf-16", "utf-16le", "utf-16be", "utf-32")


def coded(text: str, charset: str) -> bytes:
    """The text in that character set."""
    return text.encode(_PYTHON.get(charset, charset), "replace")


def carried(data: bytes, encoding: str) -> bytes:
    """Bytes in a transfer encoding; soft breaks fall where the line is full, letter or not."""
    if encoding == "base64":
        return b64(data).encode()
    if encoding != "quoted-printable":
        return data
    lines = []
    for line in data.split(b"\r\n") if b"\0" not in data else [data]:
        units = [bytes([one]) if 33 <= one <= 126 and one != 61 else b"=%02X" % one for one in line]
        row = b""
        for unit in units:
            if len(row) + len(unit) > 73:
                lines.append(row + b"=")
                row = b""
            row += unit
        lines.append(row)
    return b"\r\n".join(lines)


def lettered(filling: Filling, charset: str, encoding: str, said: str | None = None) -> bytes:
    """Text and HTML in that character set, with the file beside them. `said` is what the label claims."""
    claim = charset if said is None else said
    label = f'; charset="{claim}"' if claim else ""
    words = f"{TONGUES.get(charset, 'Hello')}\r\n\r\n{filling.words}"
    one = Filling(filling.id, words, filling.name, filling.media, filling.data)
    texts = [("plain", words), ("html", page(one))]
    marks = [f"\0{at}\0".encode() for at in range(2)]
    inner = parts(
        "ltr",
        *(
            part(f"Content-Type: text/{kind_}{label}\nContent-Transfer-Encoding: {encoding}", mark.decode())
            for (kind_, _), mark in zip(texts, marks, strict=True)
        ),
    )
    top = filling.headers("Parking on the 10th", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=ltm")
    whole = (
        top + CRLF + parts("ltm", part("Content-Type: multipart/alternative; boundary=ltr", inner), attached(filling))
    ).encode()
    for (_kind, text), mark in zip(texts, marks, strict=True):
        whole = whole.replace(mark, carried(coded(text, charset), encoding))
    return whole


def _in(charset: str, encoding: str, quiet: str = "as-is", said: str | None = None, name: str = "") -> None:
    def make(filling: Filling) -> bytes:
        return lettered(filling, charset, encoding, said)

    kind(quiet, name=name or f"letters-{charset}-{encoding}")(make)


for _charset in TONGUES:
    _in(_charset, "base64")
    if _charset not in WIDE:
        _in(_charset, "quoted-printable")
        _in(
            _charset,
            "7bit" if _charset in ("us-ascii", "iso-2022-jp", "utf-7", "hz-gb-2312", "iso-2022-kr") else "8bit",
        )
_in("utf-16le", "quoted-printable")
_in("windows-1252", "8bit", said="iso-8859-1", name="label-narrower")
_in("utf-8", "8bit", said="iso-8859-1", name="label-latin-for-utf-8")
_in("iso-8859-1", "quoted-printable", said="utf-8", name="label-utf-8-for-latin")
_in("utf-8", "base64", said="", name="label-missing")
_in("koi8-r", "8bit", said="us-ascii", name="label-ascii-for-koi8")
_in("shift_jis", "base64", said="iso-2022-jp", name="label-jis-for-shift-jis")
_in("gb18030", "base64", said="gb2312", name="label-old-chinese")
_in("utf-8", "base64", said="default", name="label-default")
_in("utf-8", "base64", said="unicode-1-1-utf-8", name="label-old-unicode")
_in("windows-1252", "quoted-printable", said="_iso-8859-1$ESC", name="label-nonsense")
_in("utf-8", "8bit", said="utf-8; x=y", name="label-with-more")


def _one_text(name: str, quiet: str = "as-is") -> object:
    def register(made: object) -> object:
        return kind(quiet, name=name)(made)  # type: ignore[arg-type]

    return register


def _beside(filling: Filling, head: str, body: bytes) -> bytes:
    """One text part of any bytes, and the file."""
    top = filling.headers("Parking on the 10th", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=one")
    whole = (top + CRLF + parts("one", part(head, "\0"), attached(filling))).encode()
    return whole.replace(b"\0", body)


@kind()
def base64_one_long_line(filling: Filling) -> bytes:
    """No line ends in the coded text."""
    return _beside(
        filling,
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64",
        base64.b64encode(filling.words.encode() * 3),
    )


@kind()
def base64_without_padding(filling: Filling) -> bytes:
    """The signs of equality at the end were lost."""
    words = filling.words if len(filling.words) % 3 else filling.words + " "
    return _beside(
        filling,
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64",
        base64.b64encode(words.encode()).rstrip(b"="),
    )


@kind()
def base64_with_blanks(filling: Filling) -> bytes:
    """Blanks at the ends of lines, a line of blanks, tabs."""
    rows = b64(filling.words.encode()).encode().replace(b"\r\n", b" \t\r\n").replace(b"\t\r\n", b"\t\r\n   \r\n", 1)
    return _beside(filling, "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64", rows)


@kind()
def base64_in_pieces(filling: Filling) -> bytes:
    """Two runs with padding each, as a program wrote that coded line by line."""
    lines = filling.words.encode().splitlines(keepends=True)
    return _beside(
        filling,
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64",
        b"\r\n".join(base64.b64encode(one) for one in lines) + b"\r\n",
    )


@kind()
def base64_with_a_mark(filling: Filling) -> bytes:
    """A byte-order mark first."""
    return _beside(
        filling,
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64",
        b64(codecs.BOM_UTF8 + filling.words.encode()).encode(),
    )


@kind()
def quoted_lower_case(filling: Filling) -> bytes:
    """Escapes in small letters, blanks escaped at the ends of lines, a soft break at the very end."""
    body = filling.words.encode().replace(b"the ", b"the=20=\r\n").replace(b",", b"=2c") + b"=\r\n"
    return _beside(
        filling, "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: Quoted-Printable", body
    )


@kind()
def quoted_with_bare_equals(filling: Filling) -> bytes:
    """A program that says quoted-printable and writes what it likes: links with signs of equality."""
    body = filling.words.encode() + b'<a href="https://riverside.test/?a=b&c==d&page=3D1">map</a> x = y\r\n'
    return _beside(filling, "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable", body)


@kind()
def quoted_cut_in_letters(filling: Filling) -> bytes:
    """Soft breaks between the bytes of one letter."""
    body = "Grüße 你好 ".encode() + filling.words.encode()
    rows = b"".join(b"=%02X=\r\n" % one if one > 127 else bytes([one]) for one in body)
    return _beside(
        filling, "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable", rows
    )


@kind()
def encoding_with_hyphen(filling: Filling) -> bytes:
    """Seven bits, misspelt, as many programs do."""
    return _beside(
        filling, "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8-bit", filling.words.encode()
    )


@kind()
def encoding_is_a_charset(filling: Filling) -> bytes:
    """A character set where the transfer encoding belongs."""
    return _beside(
        filling, "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: utf-8", filling.words.encode()
    )


@kind()
def encoding_said_twice(filling: Filling) -> bytes:
    """The same field twice with the same value."""
    head = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: 7bit"
    return _beside(filling, head, filling.words.encode())


@kind()
def type_said_twice(filling: Filling) -> bytes:
    """The same type twice."""
    head = "Content-Type: text/plain; charset=utf-8\nContent-Type: text/plain; charset=utf-8"
    return _beside(filling, head, filling.words.encode())


@kind()
def charset_said_twice(filling: Filling) -> bytes:
    """One parameter twice with one value."""
    return _beside(filling, "Content-Type: text/plain; charset=utf-8; charset=utf-8", filling.words.encode())


@kind("secure")
def encoding_of_a_multipart(filling: Filling) -> str:
    """quoted-printable said of a multipart that is none."""
    rest = multi("mixed", f"Content-Type: text/plain\r\n\r\n{filling.words}", attached(filling), boundary="enc")
    return (
        filling.headers("Parking on the 10th", "MIME-Version: 1.0", "Content-Transfer-Encoding: quoted-printable")
        + rest
    )


@kind("secure", file=False)
def uuencoded_in_text(filling: Filling) -> str:
    """A file in the text itself, as before MIME."""
    import binascii

    data = filling.data
    rows = "".join(
        binascii.b2a_uu(data[at : at + 45], backtick=True).decode().rstrip("\n") + CRLF
        for at in range(0, len(data), 45)
    )
    return filling.top + CRLF + filling.words + f"\r\nbegin 644 {filling.name}\r\n{rows}`\r\nend\r\n"


@kind("secure", file=False)
def yenc_in_text(filling: Filling) -> bytes:
    """A file in the text as news groups carry it."""
    body = (
        bytes((one + 42) % 256 for one in filling.data)
        .replace(b"\0", b"=@")
        .replace(b"\r", b"=M")
        .replace(b"\n", b"=J")
    )
    rows = b"\r\n".join(body[at : at + 128] for at in range(0, len(body), 128))
    head = f"\r\n=ybegin line=128 size={len(filling.data)} name={filling.name}\r\n".encode()
    return (filling.top + CRLF + filling.words).encode() + head + rows + b"\r\n=yend size=1\r\n"


@kind("secure", file=False)
def binhex_in_text(filling: Filling) -> str:
    """A file of the old Mac in the text."""
    rows = (
        '(This file must be converted with BinHex 4.0)\r\n\r\n:"dpLB@jcGf9ZEh"849K0!!!!%!!!!!!!'
        + "\r\n".join(["abcdefhijklmpqr0123456" * 3] * 12)
        + ":\r\n"
    )
    return filling.top + CRLF + filling.words + rows
