"""Made mails that are broken, odd or hostile: in boundaries, headers, encodings, depth and size.

Each exists twice: with harmless words, and with PHI placed where one reader sees it and another does not. Under
`observe` all of them pass as they came; under `clinic` those with PHI must not leave in clear, whatever they are.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.support import mail_files as files
from tests.support.mail_pieces import (
    HARMLESS,
    b64,
    entity,
    fields,
    file,
    html,
    mime,
    multi,
    page,
    patient,
    quoted,
    text,
)
from tests.support.mail_rows import Made

_MIME = "MIME-Version: 1.0\r\n"


def _boundaries(words: str) -> Iterator[str]:
    """Rests of mails: fields of MIME, blank line, body."""
    inside, note = text(words), text("See the other part.\r\n")
    yield f'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n{note}\r\n--b\r\n{inside}'  # never closed
    yield f'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n{note}\r\n--b--\r\n--b\r\n{inside}\r\n--b--\r\n'
    yield f"Content-Type: multipart/mixed\r\n\r\n--b\r\n{inside}\r\n--b--\r\n"  # no boundary said
    yield f'Content-Type: multipart/mixed; boundary=""\r\n\r\n--\r\n{inside}\r\n----\r\n'
    yield f'Content-Type: multipart/mixed; boundary="b"\r\n\r\n{words}'  # none ever comes
    yield f'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b \t\r\n{note}\r\n--b\r\n{inside}\r\n--b-- \r\n'
    yield f'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n{note}\r\n--bb\r\n{inside}\r\n--b--\r\n'
    yield (
        f'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n'
        f'Content-Type: multipart/mixed; boundary="bb"\r\n\r\n'
        f"--bb\r\n{inside}\r\n--bb--\r\n--b--\r\n"
    )
    yield (
        f'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
        f"--b\r\n{inside}\r\n--b--\r\n--b--\r\n"
    )
    yield (
        f'Content-Type: multipart/mixed; boundary="a"; boundary="b"\r\n\r\n--a\r\n{note}\r\n--a--\r\n'
        f"--b\r\n{inside}\r\n--b--\r\n"
    )
    yield f"Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\r\n\r\n--ab\r\n{inside}\r\n--ab--\r\n"
    yield f"Content-Type: multipart/mixed; boundary*=utf-8''b\r\n\r\n--b\r\n{inside}\r\n--b--\r\n"
    yield f'Content-Type: multipart/mixed; boundary="b\\"c"\r\n\r\n--b"c\r\n{inside}\r\n--b"c--\r\n'
    yield f"Content-Type: multipart/mixed; boundary=b (a comment)\r\n\r\n--b\r\n{inside}\r\n--b--\r\n"
    yield f'Content-Type: multipart/mixed; boundary="grün"\r\n\r\n--grün\r\n{inside}\r\n--grün--\r\n'
    yield (
        f'Content-Type: multipart/mixed; boundary="{"y" * 200}"\r\n\r\n--{"y" * 200}\r\n{inside}\r\n--{"y" * 200}--\r\n'
    )
    # before the first
    yield (f'Content-Type: multipart/mixed; boundary="b"\r\n\r\n{words}\r\n--b\r\n{note}\r\n--b--\r\n')
    yield f'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n{note}\r\n--b--\r\n{words}'  # after the last
    yield 'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b--\r\n' + words
    yield f'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n--b\r\n{inside}\r\n--b--\r\n'
    yield f'Content-Type: multipart/mixed; boundary="b"\n\n--b\n{inside}\n--b--\n'.replace("\n", "\r\n").replace(
        "\r\r", "\r"
    )


def _headers(words: str) -> Iterator[str]:
    """Fields of MIME that readers take differently."""
    shown = page(words)
    yield f"Content-Type: text/plain\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{shown}"
    yield f"Content-Type: text/html; charset=utf-8\r\nContent-Type: application/octet-stream\r\n\r\n{shown}"
    yield f"Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit\r\n\r\n{words}"
    yield f"Content-Type: text/plain; charset=utf-8; charset=utf-7\r\n\r\n{words}"
    yield f"Content-Type : text/html\r\n\r\n{shown}"
    yield f"Content-Type:\r\n text/html;\r\n\tcharset=utf-8\r\n\r\n{shown}"
    yield f"content-type:text/html\r\n\r\n{shown}"
    yield f"Content-Type: text\r\n\r\n{words}"
    yield f"Content-Type: text/plain;;; charset=utf-8;\r\n\r\n{words}"
    yield f"Content-Type: text/plain; charset\r\n\r\n{words}"
    yield f"Content-Type: (one) text (two) / (three) html (four); charset=utf-8\r\n\r\n{shown}"
    yield f"Content-Type: text/plain; name==?utf-8?Q?a?=\r\n\r\n{words}"
    yield f"Content-Type: text/x-unknown\r\n\r\n{words}"
    yield f"Content-Type: made/up\r\n\r\n{words}"
    yield f"this line is no field\r\nContent-Type: text/plain\r\n\r\n{words}"
    yield f" a line that continues nothing\r\nContent-Type: text/plain\r\n\r\n{words}"
    yield f"Content-Type: text/plain\r\n \r\n\r\n{words}"
    yield f"X-Folded: one\r\n \t \r\n two\r\nContent-Type: text/plain\r\n\r\n{words}"
    yield f"X-Eight-Bit: Grüße\r\nContent-Type: text/plain\r\n\r\n{words}"
    yield f"Subject: a second subject\r\nContent-Type: text/plain\r\n\r\n{words}"
    yield f"From: Somebody Else <other@riverside.test>\r\nContent-Type: text/plain\r\n\r\n{words}"
    yield f"X-Long: {'y' * 5000}\r\nContent-Type: text/plain\r\n\r\n{words}"
    yield "".join(f"X-Many-{at}: {at}\r\n" for at in range(900)) + f"Content-Type: text/plain\r\n\r\n{words}"
    yield (
        f"Content-Disposition: attachment; filename=a.txt\r\nContent-Disposition: inline\r\n"
        f"Content-Type: text/plain\r\n\r\n{words}"
    )
    yield f'Content-Disposition: attachment; filename="a\\\r\n b.txt"\r\nContent-Type: text/plain\r\n\r\n{words}'
    yield f"Content-ID: <a@b>\r\nContent-ID: <c@d>\r\nContent-Type: text/plain\r\n\r\n{words}"
    yield f"MIME-Version: 2.0\r\nContent-Type: text/html\r\n\r\n{shown}"


def _encodings(words: str) -> Iterator[str]:
    """Transfer encodings and charsets that lie."""
    raw = words.encode()
    coded = b64(raw)
    rows = "".join(f"{_uu(raw[at : at + 45])}\r\n" for at in range(0, len(raw), 45))
    uuencoded = f"begin 644 letter.txt\r\n{rows}`\r\nend\r\n"
    attached = 'Content-Disposition: attachment; filename="letter.txt"'
    parts = (
        entity("text/plain", coded.replace("\r\n", "*\r\n", 1), "base64"),
        entity("text/plain", coded.rstrip("=\r\n") + "\r\n", "base64"),
        entity("text/plain", coded[: len(coded) // 2].rstrip() + "=\r\n" + coded[len(coded) // 2 :], "base64"),
        entity("text/plain", coded + "\r\n-- \r\nlist footer\r\n", "base64"),
        entity("text/plain", words, "base64"),
        entity("text/plain", coded, "x-made-up"),
        entity("text/plain", coded, "base64 (comment)"),
        entity("text/plain", coded, '"base64"'),
        entity("text/plain", words, "8bit, 7bit"),
        entity("text/plain; charset=utf-8", quoted(words).replace(" ", "=2", 1), "quoted-printable"),
        entity("text/plain; charset=utf-8", quoted(words).replace("e", "=65", 40).lower(), "quoted-printable"),
        entity("text/plain; charset=utf-8", quoted(words) + "=", "quoted-printable"),
        entity("text/plain; charset=utf-16", words),
        entity("text/plain; charset=made-up", words),
        entity("text/plain; charset=us-ascii", "Grüße. " + words),
        entity("text/plain; charset=utf-8", b64(words.encode("utf-16")), "base64"),
        entity("text/plain", uuencoded),
        entity("text/plain", uuencoded, "x-uuencode", attached),
        entity("text/html; charset=utf-8", page(words).replace("<p>", "<p><!-- ").replace("</p>", " --></p>")),
        entity("text/html; charset=utf-8", "<div style='display:none'>" + page(words) + "</div>"),
        entity("text/html; charset=utf-8", "".join(f"&#{ord(one)};" for one in words)),
        entity("text/html; charset=utf-8", page(words).replace("</body></html>", "")),
        entity("text/html; charset=utf-8", "<b>" * 3000 + words),
    )
    yield from parts


def _uu(data: bytes) -> str:
    import binascii

    return binascii.b2a_uu(data, backtick=True).decode().rstrip("\n")


def _deep(words: str) -> Iterator[str]:
    """Nesting, numbers and names past what a reader should follow."""
    for depth in (20, 60, 200):
        inner = text(words)
        for level in range(depth):
            inner = multi("mixed", inner, boundary=f"=_{level}")
        yield inner
    inner = text(words)
    for level in range(30):
        inner = entity("message/rfc822", fields(f"level-{level}") + _MIME + inner)
    yield multi("mixed", text("Forwarded.\r\n"), inner, boundary="=_fwd")
    yield multi("mixed", *[text("one\r\n")] * 600, text(words))
    yield multi("mixed", text(HARMLESS), file("text/plain", "n" * 900 + ".txt", words.encode()))
    yield multi("alternative", *[text("one\r\n")] * 40, html(words))
    yield multi(
        "mixed",
        text(HARMLESS),
        file(
            "application/zip",
            "a.zip",
            files.zipped({f"{at}.txt": b"a" for at in range(400)} | {"b.txt": words.encode()}),
        ),
    )
    yield multi("mixed", entity("multipart/alternative", words), text(HARMLESS))
    yield multi("mixed", entity("multipart/mixed; boundary=x", b64(words.encode()), "base64"), text(HARMLESS))


def _bytes(name: str, words: str) -> Iterator[bytes]:
    """What only bytes can say."""
    top = fields(name)
    yield mime(top, text(words)).replace(b"parking", b"par\0king").replace(b"Patient", b"Pat\0ient")
    yield mime(top, text(words.replace("\r\n", " " * 1100 + "\r\n", 1)))
    yield mime(top, text("x" * 70_000 + "\r\n" + words))
    yield mime(top, text(words)).replace(b"Subject: P", b"Subject: \xff\xfeP")
    yield f"{_MIME}{text(words)}".encode()  # no From, To, Subject, Date
    yield (top + _MIME).encode()  # fields and nothing else: no blank line, no body
    yield b"\r\n" + words.encode()  # no field at all
    yield mime(top, text(words)).replace(b"\r\n\r\n", b"\r\n", 1)
    yield mime(top, text(words)) + b"\r\n" * 200
    yield mime(top, text(words)).replace(b" ", b"\x0b", 1).replace(b"the ", b"the\x0c", 1)
    yield mime(top, text(words)).replace(b"Message-ID: <", b"Message-ID: <<").replace(b"Date: Mon", b"Date: Yesterday")


def broken() -> list[Made]:
    """Every odd mail, harmless and with PHI."""
    found: list[Made] = []
    for kind, words in (("quiet", HARMLESS), ("phi", patient("broken").letter())):
        number = 0
        for group in (_boundaries, _headers, _encodings, _deep):
            for rest in group(words):
                number += 1
                name = f"broken-{kind}-{number:03d}"
                found.append(
                    Made("broken", name, mime(fields(name), rest), "" if kind == "quiet" else "protected", None)
                )
        for data in _bytes(f"broken-{kind}", words):
            number += 1
            holds = kind == "phi" and len(data) > 300
            found.append(Made("broken", f"broken-{kind}-{number:03d}", data, "protected" if holds else "", None))
    return found
