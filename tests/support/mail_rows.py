"""Made mails for every row of what happens to mail (DESIGN §3): each says what must become of it under `clinic`.

PHI in attachments, body and subject, and what the sender asks for; the other rows are in `mail_more_rows`, broken mail
in `mail_broken`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Made:
    """One mail. `clinic` is the treatment of an outside recipient: as-is, attachments, secure or held.

    `moved` is how many files leave the mail; None where the whole leaves. `neutral`: the subject does not travel.
    `sender` is the reverse-path when it is not Amy's.
    """

    row: str
    name: str
    data: bytes
    clinic: str = "as-is"
    moved: int | None = 0
    neutral: bool = False
    sender: str | None = None


def named(row: str, found: list[tuple[bytes, str, int | None]]) -> Iterator[Made]:
    for number, (data, treatment, moved) in enumerate(found, 1):
        yield Made(row, f"{row}-{number:02d}", data, treatment, moved)


def lab(seed: str) -> bytes:
    return files.pdf(["Riverside Clinic - Laboratory report", *patient(seed).letter("\n").splitlines()])


def _forms(seed: str) -> dict[str, tuple[str, bytes]]:
    """File name to (media type, bytes): each holds PHI in another format."""
    who = patient(seed)
    letter = who.letter()
    office = "application/vnd.openxmlformats-officedocument."
    table = (("Name", "DOB", "MRN", "Diagnosis"), (who.name, who.born, who.mrn, who.ill))
    return {
        "report.pdf": ("application/pdf", lab(seed)),
        "letter.txt": ("text/plain; charset=utf-8", letter.encode()),
        "letter.docx": (office + "wordprocessingml.document", files.docx(letter.splitlines())),
        "list.xlsx": (office + "spreadsheetml.sheet", files.xlsx(table)),
        "list.csv": ("text/csv; charset=utf-8", "".join(",".join(row) + "\r\n" for row in table).encode()),
        "letter.html": ("text/html; charset=utf-8", page(letter).encode()),
        "result.hl7": ("application/hl7-v2", files.hl7((who.first, who.last), who.born, who.mrn, who.result)),
        "all.zip": ("application/zip", files.zipped({"inner/letter.txt": letter.encode(), "readme.txt": b"hello"})),
        "comment.docx": (
            office + "wordprocessingml.document",
            files.docx(["Please see the comment."], comment=letter.splitlines()[1]),
        ),
        "hidden.xlsx": (office + "spreadsheetml.sheet", files.xlsx(table, hidden=True)),
    }


def attachments() -> Iterator[Made]:
    """PHI in attachments: formats, encodings, names, places."""
    found: list[tuple[bytes, str, int | None]] = []
    for number, (name, (kind, data)) in enumerate(_forms("forms").items(), 1):
        body = multi("mixed", text(HARMLESS), file(kind, name, data))
        found.append((mime(fields(f"attachments-{number:02d}"), body), "attachments", 1))
    letter = patient("encodings").letter()
    said = 'Content-Disposition: attachment; filename="letter.txt"'
    coded = (
        ("quoted-printable", quoted(letter)),
        ("7bit", letter),
        ("8bit", letter.replace("weeks", "wéeks")),
        ("base64", b64(letter.encode(), 60)),
        ("BASE64", b64(letter.encode()).replace("\r\n", "\r\n\r\n", 2)),
    )
    for encoding, body in coded:
        part = entity("text/plain; charset=utf-8", body, encoding, said)
        found.append(
            (mime(fields(f"attachments-{len(found) + 1:02d}"), multi("mixed", text(HARMLESS), part)), "attachments", 1)
        )
    results, clean = lab("places"), files.pdf(["Directions to the new parking lot."])
    report = file("application/pdf", "report.pdf", results)
    names = (
        "Content-Disposition: attachment; filename*=utf-8''Befund%20M%C3%BCller.pdf",
        'Content-Disposition: attachment; filename*0="a very long";\r\n filename*1=" name.pdf"',
        "Content-Disposition: attachment; filename==?utf-8?B?QmVmdW5kLnBkZg==?=",
        "Content-Disposition: attachment",
        "Content-Disposition: inline; filename=report.pdf",
        'Content-Disposition: attachment; filename="..\\\\..\\\\report.pdf"',
    )
    shapes = [multi("mixed", text(HARMLESS), entity("application/pdf", b64(results), "base64", one)) for one in names]
    shapes += [
        multi("mixed", report, text(HARMLESS)),
        multi("mixed", text(HARMLESS), file("application/pdf", "map.pdf", clean), report),
        multi("mixed", multi("alternative", text(HARMLESS), html(HARMLESS), boundary="=_alt"), report),
        multi("mixed", text(HARMLESS), entity("application/pdf", b64(results), "base64")),
        multi("mixed", text(HARMLESS), multi("mixed", report, boundary="=_in")),
        multi("mixed", text(HARMLESS), file("application/octet-stream", "report", results)),
        multi("mixed", text(HARMLESS), file("image/jpeg", "photo.jpg", results)),
        multi("mixed", text(HARMLESS), report, text("Regards, Amy\r\n")),
        multi("related", html(HARMLESS), report),
        multi("mixed", html(HARMLESS), report),
    ]
    found += [
        (mime(fields(f"attachments-{len(found) + at:02d}"), one), "attachments", 1) for at, one in enumerate(shapes, 1)
    ]
    two = multi("mixed", text(HARMLESS), report, file("text/plain", "letter.txt", letter.encode()))
    found.append((mime(fields(f"attachments-{len(found) + 1:02d}"), two), "attachments", 2))
    only = file("application/pdf", "report.pdf", results)
    found.append((mime(fields(f"attachments-{len(found) + 1:02d}"), only), "attachments", 1))
    yield from named("attachments", found)


def body() -> Iterator[Made]:
    """PHI in the body: shapes, charsets, encodings; in quoted text alone."""
    found: list[tuple[bytes, str, int | None]] = []
    letter = patient("body").letter()
    hello = "Hello,\r\n\r\n" + letter + "\r\nAmy\r\n"
    odd = hello.replace("weeks", "weeks – naïve café")
    quote = "Thank you, see you then.\r\n\r\nAmy\r\n\r\nOn Monday, Dr. Lee wrote:\r\n" + "".join(
        f"> {line}\r\n" for line in letter.splitlines()
    )
    shapes = [
        text(hello),
        "\r\n" + hello,
        entity("text/plain; charset=utf-8", quoted(odd), "quoted-printable"),
        entity("text/plain; charset=iso-8859-1", quoted(odd.replace("–", "-"), "iso-8859-1"), "quoted-printable"),
        entity("text/plain; charset=windows-1252", quoted(odd, "windows-1252"), "quoted-printable"),
        entity("text/plain; charset=utf-16", b64(hello.encode("utf-16")), "base64"),
        entity("text/plain; charset=utf-8", b64(odd.encode()), "base64"),
        html(hello),
        multi("alternative", text(hello), html(hello)),
        multi("alternative", text("This mail is in HTML.\r\n"), html(hello)),
        multi("alternative", text(hello), html("<p>See the text part.</p>\r\n")),
        multi("mixed", text(HARMLESS), text(hello)),
        multi(
            "mixed", multi("alternative", text(hello), html(hello), boundary="=_a"), file("text/plain", "a.txt", b"hi")
        ),
        text(hello.replace(" and ", " and \r\n"), "; charset=utf-8; format=flowed"),
        text(hello.replace(" and ", " and \r\n"), "; charset=utf-8; format=flowed; delsp=yes"),
        text(quote),
        multi("alternative", text(quote), html(quote)),
        entity("text/html; charset=utf-8", quoted(page(odd)), "quoted-printable"),
        multi(
            "related",
            html(hello, '<img src="cid:a@b" alt="">'),
            file("image/png", "a.png", files.picture(8, 8, "a"), "Content-ID: <a@b>", disposition="inline"),
        ),
        text(
            "Ms. "
            + patient("lower").name.lower()
            + ", born "
            + patient("lower").born
            + ", has asthma. Call her today.\r\n"
        ),
    ]
    found = [(mime(fields(f"body-{at:02d}"), one), "secure", None) for at, one in enumerate(shapes, 1)]
    yield from named("body", found)


def subject() -> Iterator[Made]:
    """PHI in the subject alone, as people and programs write subjects."""
    who = patient("subject")
    plain = f"Results of {who.name}, DOB {who.born}, MRN {who.mrn}, diabetes"
    coded = base64.b64encode(plain.encode()).decode()
    said = [
        plain,
        f"Re: {plain}",
        f"Fwd: {plain}",
        f"=?utf-8?B?{coded}?=",
        plain.replace(", MRN", ",\r\n MRN"),
        f"=?utf-8?Q?{plain.replace(' ', '_').replace(',', '=2C')}?=",
    ]
    shapes = (text(HARMLESS), multi("alternative", text(HARMLESS), html(HARMLESS)), html(HARMLESS))
    for number, one in enumerate(said * 2, 1):
        threads = ("In-Reply-To: <asked@outside.test>", "References: <first@outside.test>\r\n <asked@outside.test>")
        top = fields(f"subject-{number:02d}", one, *(threads if number > len(said) else ()))
        data = mime(top, shapes[number % 3])
        yield Made("subject", f"subject-{number:02d}", data, "attachments", 0, neutral=True)


def words() -> Iterator[Made]:
    """What the sender asks for: tags in the subject, fields about sensitivity and importance."""
    phi = text(patient("words").letter())
    asked = [
        ("[secure] Parking", (), text(HARMLESS), "secure"),
        ("[SECURE] Parking", (), text(HARMLESS), "secure"),
        ("Parking [secure]", (), text(HARMLESS), "secure"),
        ("[secure] Letter", (), phi, "secure"),
        ("Re: [secure] Parking", (), html(HARMLESS), "secure"),
        ("[plain] Letter", (), phi, "secure"),
        ("[plain] Parking", (), text(HARMLESS), "as-is"),
        ("[urgent] Letter", (), phi, "secure"),
        ("[urgent] Parking", (), text(HARMLESS), "as-is"),
        *(
            ("Parking", (f"Sensitivity: {one}",), text(HARMLESS), "secure")
            for one in ("Private", "Personal", "Company-Confidential", "private")
        ),
        ("Parking", ("Sensitivity: Normal",), text(HARMLESS), "as-is"),
        *(
            ("Letter", (one,), phi, "secure")
            for one in ("Importance: high", "X-Priority: 1 (Highest)", "Priority: urgent")
        ),
        *(("Parking", (one,), text(HARMLESS), "as-is") for one in ("Importance: low", "Priority: non-urgent")),
    ]
    for number, (said, more, rest, treatment) in enumerate(asked, 1):
        name = f"words-{number:02d}"
        yield Made(
            "words", name, mime(fields(name, said, *more), rest), treatment, None if treatment == "secure" else 0
        )


GROUPS = (attachments, body, subject, words)
