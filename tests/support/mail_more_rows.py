"""Made mails for the rows of DESIGN §3 about signed mail, containers, calendars, pictures, messages in messages, unread
files, machines, and harmless mail in every shape; `rows` is every well-formed mail there is.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.support import mail_files as files
from tests.support import mail_keys
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
from tests.support.mail_rows import GROUPS, Made, lab, named


def signed() -> Iterator[Made]:
    """Signed and encrypted mail: never edited."""
    rng = random.Random("signed")
    phi, clean = text(patient("signed").letter()), text(HARMLESS)

    def smime(inner: str) -> str:
        signature = mail_keys.smime_signature(inner.encode(), detached=True)
        kind = 'signed; protocol="application/pkcs7-signature"; micalg=sha-256'
        return multi(kind, inner, file("application/pkcs7-signature", "smime.p7s", signature))

    def pgp(inner: str) -> str:
        kind = 'signed; protocol="application/pgp-signature"; micalg=pgp-sha256'
        return multi(
            kind,
            inner,
            entity("application/pgp-signature; name=signature.asc", mail_keys.pgp_signature(inner.encode())),
        )

    with_file = multi("mixed", clean, file("application/pdf", "report.pdf", lab("signed")), boundary="=_in")
    sealed = entity("application/octet-stream; name=encrypted.asc", mail_keys.pgp_encrypted(rng))
    control = "Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n"
    shapes = [
        (smime(phi), "secure"),
        (pgp(phi), "secure"),
        (smime(clean), "as-is"),
        (pgp(clean), "as-is"),
        (smime(with_file), "secure"),
        (pgp(with_file), "secure"),
        (multi("mixed", pgp(phi), text("-- \r\nmailing list\r\n"), boundary="=_list"), "secure"),
        (multi('encrypted; protocol="application/pgp-encrypted"', control, sealed), "as-is"),
    ]
    yield from named(
        "signed",
        [
            (mime(fields(f"signed-{at:02d}"), one), then, None if then == "secure" else 0)
            for at, (one, then) in enumerate(shapes, 1)
        ],
    )


def tnef() -> Iterator[Made]:
    """winmail.dat: its body and files, clean and not."""
    letter = patient("tnef").letter()
    clean = {"map.txt": b"Turn left at the gate.\r\n"}
    shapes = [
        ("application/ms-tnef", files.winmail(HARMLESS, {"letter.txt": letter.encode()}), "attachments", 1),
        ("application/ms-tnef", files.winmail(HARMLESS, {"report.pdf": lab("tnef"), **clean}), "attachments", 2),
        ("application/octet-stream", files.winmail(HARMLESS, {"letter.txt": letter.encode()}), "attachments", 1),
        ("application/vnd.ms-tnef", files.winmail(letter, {}), "attachments", 1),
        ("application/ms-tnef", files.winmail(letter, {}, rtf=True), "attachments", 1),
        ("application/ms-tnef", files.winmail(HARMLESS, clean), "as-is", 0),
        ("application/ms-tnef", files.winmail(HARMLESS, {}), "as-is", 0),
        ("application/ms-tnef", files.winmail(HARMLESS, {}, rtf=True), "as-is", 0),
        ("application/ms-tnef", files.winmail(HARMLESS, clean)[:-40], "attachments", 1),
        ("application/ms-tnef", files.winmail(HARMLESS, {"": letter.encode()}), "attachments", 1),
    ]
    for number, (kind, data, treatment, moved) in enumerate(shapes, 1):
        name = f"tnef-{number:02d}"
        rest = multi("mixed", text(HARMLESS), file(kind, "winmail.dat", data), boundary="----_=_tnef")
        yield Made("tnef", name, mime(fields(name), rest), treatment, moved)


def calendars() -> Iterator[Made]:
    """Invitations: clean ones work, those with PHI work without it."""
    who = patient("calendar")
    told = f"Visit of {who.name}\\, DOB {who.born}\\, MRN {who.mrn}\\, follow-up of {who.ill}"

    def whole(summary: str, description: str = "", method: str = "REQUEST") -> str:
        said = entity(
            f"text/calendar; charset=utf-8; method={method}", files.invite(summary, description, method=method)
        )
        return multi("alternative", text(HARMLESS), html(HARMLESS), said)

    as_file = files.invite("Team meeting").encode(), files.invite("Visit", told).encode()
    shapes: list[tuple[str, str, int | None]] = [
        (whole("Team meeting"), "as-is", 0),
        (whole("Team meeting", "Bring a chair."), "as-is", 0),
        (whole("Team meeting", method="CANCEL"), "as-is", 0),
        (whole("Team meeting", method="REPLY"), "as-is", 0),
        (entity("text/calendar; charset=utf-8; method=REQUEST", files.invite("Team meeting")), "as-is", 0),
        (whole("Visit", told), "secure", None),
        (whole(told), "secure", None),
        (whole("Visit", told, "CANCEL"), "secure", None),
        (
            entity("text/calendar; charset=utf-8; method=REQUEST", b64(files.invite("Visit", told).encode()), "base64"),
            "secure",
            None,
        ),
        (multi("mixed", text(HARMLESS), file("text/calendar; charset=utf-8", "meeting.ics", as_file[0])), "as-is", 0),
        (multi("mixed", text(HARMLESS), file("application/ics", "visit.ics", as_file[1])), "attachments", 1),
    ]
    yield from named(
        "calendar",
        [(mime(fields(f"calendar-{at:02d}"), one), then, moved) for at, (one, then, moved) in enumerate(shapes, 1)],
    )


def pictures() -> Iterator[Made]:
    """Inline pictures: small ones that the page uses are decoration; all else nobody has read."""
    use = '<img src="cid:logo@riverside.test" alt="">\r\n'

    def shown(width: int, height: int, seed: str, inside: str = use, id: str = "logo@riverside.test") -> str:
        image = file(
            "image/png", "logo.png", files.picture(width, height, seed), f"Content-ID: <{id}>", disposition="inline"
        )
        return multi("related", html(HARMLESS, inside), image)

    report = file("application/pdf", "report.pdf", lab("cid"))
    shapes: list[tuple[str, str, int | None]] = [
        (shown(40, 20, "a"), "as-is", 0),
        (shown(200, 100, "b"), "as-is", 0),
        (multi("alternative", text(HARMLESS), shown(40, 20, "c"), boundary="=_alt"), "as-is", 0),
        (shown(700, 300, "d"), "attachments", 1),
        (shown(300, 400, "e"), "attachments", 1),
        (shown(40, 20, "f", inside=""), "attachments", 1),
        (shown(40, 20, "g", id="other@riverside.test"), "attachments", 1),
        (multi("mixed", shown(40, 20, "h"), report, boundary="=_mix"), "attachments", 1),
        (multi("mixed", text(HARMLESS), file("image/png", "photo.png", files.picture(64, 64, "i"))), "attachments", 1),
    ]
    yield from named(
        "picture",
        [(mime(fields(f"picture-{at:02d}"), one), then, moved) for at, (one, then, moved) in enumerate(shapes, 1)],
    )


def messages() -> Iterator[Made]:
    """Messages in messages, digests, opaque kinds of message."""
    letter, results = patient("forward").letter(), lab("forward")

    def letter_of(number: int, rest: str) -> str:
        return fields(f"inner-{number}", "Inner", to="lee@riverside.test") + "MIME-Version: 1.0\r\n" + rest

    def forwarded(rest: str, depth: int = 1) -> str:
        inner = letter_of(depth, rest)
        for level in range(1, depth):
            inner = letter_of(
                level, multi("mixed", text(HARMLESS), entity("message/rfc822", inner), boundary=f"=_d{level}")
            )
        return entity("message/rfc822", inner, "", "Content-Disposition: attachment; filename=fwd.eml")

    digest = [entity("", letter_of(at, text(one))) for at, one in enumerate((HARMLESS, letter), 1)]
    inside = multi("mixed", text(HARMLESS), file("application/pdf", "report.pdf", results), boundary="=_f")
    zipped = files.zipped({"letter.docx": files.docx(letter.splitlines())})
    archive = multi("mixed", text(HARMLESS), file("application/zip", "all.zip", zipped), boundary="=_z")
    shapes: list[tuple[str, str, int | None]] = [
        (multi("mixed", text(HARMLESS), forwarded(text(HARMLESS))), "as-is", 0),
        (multi("mixed", text(HARMLESS), forwarded(text(letter))), "attachments", 1),
        (multi("mixed", text(HARMLESS), forwarded(inside)), "attachments", 1),
        (multi("mixed", text(HARMLESS), forwarded(archive)), "attachments", 1),
        (multi("mixed", text(HARMLESS), forwarded(text(letter), 3)), "attachments", 1),
        (multi("mixed", text(HARMLESS), forwarded(text(HARMLESS), 4)), "as-is", 0),
        (multi("mixed", text(HARMLESS), multi("digest", *digest, boundary="=_dig")), "attachments", 1),
        (
            multi("mixed", text(HARMLESS), entity("message/partial; id=one; number=1; total=2", HARMLESS)),
            "attachments",
            1,
        ),
        (
            multi(
                "mixed",
                text(HARMLESS),
                entity(
                    'message/external-body; access-type=URL; URL="http://riverside.test/a"',
                    "Content-Type: text/plain\r\n\r\n",
                ),
            ),
            "attachments",
            1,
        ),
    ]
    yield from named(
        "message",
        [(mime(fields(f"message-{at:02d}"), one), then, moved) for at, (one, then, moved) in enumerate(shapes, 1)],
    )


def unread() -> Iterator[Made]:
    """What nobody can read: locked, broken, unknown."""
    letter = patient("unread").letter().encode()
    broken = lab("unread")
    noise = random.Random("unread").randbytes(2000)
    nested = files.zipped({"a.zip": files.zipped({"b.zip": files.zipped({"letter.txt": letter})})})
    held = {
        "locked.zip": files.locked_zip("letter.txt", letter),
        "locked.pdf": files.pdf(["Locked"], encrypted=True),
        "broken.pdf": broken[: len(broken) // 3],
        "broken.zip": files.zipped({"a.txt": letter})[:-30],
        "noise.bin": noise,
        "old.doc": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + noise,
        "broken.docx": files.zipped({"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w:document"}),
        "deep.zip": nested,
        "scan.tif": b"II*\x00" + noise,
        "voice.wav": b"RIFF\x00\x00\x00\x00WAVE" + noise,
    }
    for number, (name, data) in enumerate(held.items(), 1):
        this = f"unread-{number:02d}"
        rest = multi("mixed", text(HARMLESS), file("application/octet-stream", name, data))
        yield Made("unread", this, mime(fields(this), rest), "attachments", 1)


def machines() -> Iterator[Made]:
    """Reports, receipts, answers of machines, lists: checked as all mail is, never answered."""
    letter = patient("machine").letter()

    def report(kind: str, fields_: str, returned: str) -> str:
        human = text("A report about your mail.\r\n")
        about = entity(f"message/{kind}", fields_)
        back = entity("message/rfc822", fields("back", to="x@riverside.test") + "MIME-Version: 1.0\r\n" + returned)
        name = {"delivery-status": "delivery-status", "disposition-notification": "disposition-notification"}[kind]
        return multi(f"report; report-type={name}", human, about, back)

    status = "Reporting-MTA: dns; mx.riverside.test\r\n\r\nFinal-Recipient: rfc822; x@riverside.test\r\n"
    status += "Action: failed\r\nStatus: 5.1.1\r\n"
    seen = "Final-Recipient: rfc822; x@riverside.test\r\nDisposition: manual-action/MDN-sent-manually; displayed\r\n"
    out = "Auto-Submitted: auto-replied"
    made: list[tuple[str, tuple[str, ...], str, str, int | None, str | None]] = [
        (
            "Undelivered",
            ("Auto-Submitted: auto-generated",),
            report("delivery-status", status, text(HARMLESS)),
            "as-is",
            0,
            "",
        ),
        (
            "Undelivered",
            ("Auto-Submitted: auto-generated",),
            report("delivery-status", status, text(letter)),
            "held",
            None,
            "",
        ),
        ("Read", (), report("disposition-notification", seen, text(HARMLESS)), "as-is", 0, ""),
        ("Out of office", (out,), text("I am away until Monday.\r\n"), "as-is", 0, ""),
        ("Out of office", (out,), text("I am away until Monday.\r\n"), "as-is", 0, None),
        ("Out of office", (out,), text(letter), "secure", None, None),
        (
            "Newsletter",
            (
                "List-Id: News <news.riverside.test>",
                "Precedence: bulk",
                "List-Unsubscribe: <mailto:leave@riverside.test>",
            ),
            text(HARMLESS),
            "as-is",
            0,
            "news-bounces+x=outside.test@riverside.test",
        ),
        (
            "Newsletter",
            ("List-Id: News <news.riverside.test>", "Precedence: list"),
            multi("alternative", text(HARMLESS), html(HARMLESS)),
            "as-is",
            0,
            "prvs=0123abcdef=amy@riverside.test",
        ),
        (
            "Alarm",
            ("Auto-Submitted: auto-generated", "X-Mailer: monitor 1.0"),
            text("Disk 3 is 91 % full.\r\n"),
            "as-is",
            0,
            None,
        ),
        (
            "Fax",
            ("X-Mailer: Scanner",),
            multi(
                "mixed", text("\r\n"), file("image/tiff", "fax.tif", b"II*\x00" + random.Random("fax").randbytes(900))
            ),
            "attachments",
            1,
            None,
        ),
    ]
    for number, (said, more, rest, treatment, moved, sender) in enumerate(made, 1):
        name = f"machine-{number:02d}"
        yield Made("machine", name, mime(fields(name, said, *more), rest), treatment, moved, sender=sender)


def clean() -> Iterator[Made]:
    """Harmless mail in charsets, encodings and shapes that must come out as it went in."""
    words = "Grüße – bis Samstag, José. Čau, žluť. Привет.\r\n" + HARMLESS
    western = words.replace("Č", "C").replace("ž", "z").replace("ť", "t").replace("Привет.", "").replace("–", "-")
    shapes: list[bytes | str] = [
        text(HARMLESS),
        "\r\n" + HARMLESS,
        text(""),
        text("\r\n\r\n"),
        text(HARMLESS.rstrip("\r\n")),
        html(HARMLESS),
        entity("text/plain; charset=iso-8859-1", quoted(western, "iso-8859-1"), "quoted-printable"),
        entity("text/plain; charset=windows-1252", b64(western.encode("windows-1252")), "base64"),
        entity("text/plain; charset=iso-2022-jp", "\x1b$B$3$s$K$A$O\x1b(B\r\n" + HARMLESS, "7bit"),
        entity("text/plain; charset=koi8-r", b64("Привет, друзья.\r\n".encode("koi8-r")), "base64"),
        entity("text/plain; charset=gb18030", b64("你好，星期六见。\r\n".encode("gb18030")), "base64"),
        entity("text/plain; charset=big5", b64("你好，星期六見。\r\n".encode("big5")), "base64"),
        entity("text/plain; charset=euc-kr", b64("안녕하세요.\r\n".encode("euc-kr")), "base64"),
        entity("text/plain; charset=utf-7", "Hi Mom -+Jjo--+ACE-\r\n", "7bit"),
        entity("text/plain; charset=utf-8", words, "8bit"),
        entity("text/plain; charset=utf-8; format=flowed", HARMLESS.replace("the one", "the \r\none"), "8bit"),
        entity("text/plain; charset=us-ascii", "word " * 400 + "\r\n" + HARMLESS),
        entity("text/html; charset=utf-8", page(HARMLESS).replace("\r\n", " ") + "\r\n"),
        multi("alternative", text(HARMLESS), html(HARMLESS)),
        multi("alternative", text(HARMLESS), html(HARMLESS), preamble="This is MIME.\r\n", epilogue="\r\n"),
        multi("mixed", text(HARMLESS), file("text/plain", "notes.txt", b"See you there.\r\n")),
        multi("mixed", text(HARMLESS), file("text/csv", "dishes.csv", b"dish,people\r\nsalad,12\r\n")),
        multi(
            "mixed",
            text(HARMLESS),
            file("application/pdf", "map.pdf", files.pdf(["Follow the signs to the second gate."])),
        ),
        multi(
            "mixed",
            text(HARMLESS),
            entity("text/vcard", "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Front Desk\r\nORG:Riverside\r\nEND:VCARD\r\n"),
        ),
        multi("mixed", text(HARMLESS), boundary="a'()+_,-./:=?b"),
        multi("mixed", text(HARMLESS), text("-- \r\nRiverside\r\n"), boundary="x" * 70),
        multi("mixed", text("From the garden\r\n>From the hill\r\n.\r\n..\r\n" + HARMLESS)),
        text("-----Original Message-----\r\n--not-a-boundary\r\n" + HARMLESS),
    ]
    for number, rest in enumerate(shapes, 1):
        name = f"clean-{number:02d}"
        more = ("Subject-Not: x",) if number == 3 else ()
        data = mime(fields(name, "Grüße" if number == 15 else "Parking on the 10th", *more), str(rest))
        yield Made("clean", name, data)


def rows() -> list[Made]:
    """Every made mail that is well formed."""
    return [
        one
        for group in (clean, *GROUPS, signed, tnef, calendars, pictures, messages, unread, machines)
        for one in group()
    ]
