"""The made mail of the benchmarks: 5 KB of ordinary words, a report of 20 pages, any size. No person in it."""

from __future__ import annotations

import base64
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

SEED = 20261122
SENDER = "amy@riverside.test"
OUTSIDE = "minutes@lakeside.test"
PATIENT = "marguerite@patient.test"
INSIDE = "board@riverside.test"
STAMP = b"X-Bench-Sent"
MESSAGE_ID = b"0123456789abcdef-bench"

_WORDS = (
    "the meeting room plan for next week with more chairs and a second table near window please bring your own cup and "
    "notes about parking budget printer paper new carpet colour and garden fence we agreed that lunch is ordered "
    "before "
    "eleven so that everybody can eat together thank you all for coming and see you again soon"
).split()


@dataclass(frozen=True, slots=True)
class Letter:
    """One message: its recipient, head and body as they go over the wire, without the final dot."""

    recipient: str
    head: bytes
    body: tuple[tuple[bytes, int], ...]
    """Pieces, each with how often it is sent, so that a gigabyte needs no gigabyte here."""

    @property
    def size_bytes(self) -> int:
        """Length on the wire."""
        return len(self.head) + sum(len(piece) * count for piece, count in self.body)

    def pieces(self, stamp: str) -> Iterator[bytes]:
        """What is sent, with that stamp in its head."""
        yield b"%s: %s\r\n" % (STAMP, stamp.encode()) + self.head
        for piece, count in self.body:
            for _ in range(count):
                yield piece


def minutes(bytes_wanted: int = 5 * 1024) -> Letter:
    """An ordinary letter without PHI, as long as asked."""
    head = _head("Minutes of the meeting", OUTSIDE, "text/plain; charset=utf-8")
    source = random.Random(SEED)
    lines, line = bytearray(), ""
    while len(head) + len(lines) < bytes_wanted:
        line = (line + " " + source.choice(_WORDS)).strip()
        if len(line) > 65:
            lines += line.encode() + b".\r\n"
            line = ""
    return Letter(OUTSIDE, head, ((bytes(lines), 1),))


def report_letter(pdf: bytes) -> Letter:
    """A letter with that report attached."""
    return _attached(PATIENT, "Your report", "report.pdf", "application/pdf", _lines(pdf), 1)


def large(recipient: str, bytes_wanted: int) -> Letter:
    """A letter with a binary file of about that length on the wire, which nobody can read."""
    block = _lines(random.Random(SEED).randbytes(57 * 16384))
    return _attached(
        recipient,
        "The recording",
        "recording.bin",
        "application/octet-stream",
        block,
        max(1, bytes_wanted // len(block)),
    )


def many(recipient: str, count: int) -> Letter:
    """A letter with so many small files, each of which says something of a patient's health."""
    head = _head("Your results", recipient, 'multipart/mixed; boundary="bench"')
    pieces = [b"--bench\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nThe files are attached.\r\n"]
    for number in range(count):
        fields = (
            f'--bench\r\nContent-Type: text/plain; name="result-{number}.txt"\r\nContent-Transfer-Encoding: base64\r\n'
            f'Content-Disposition: attachment; filename="result-{number}.txt"\r\n\r\n'
        )
        words = f"Patient Ana Oyelaran, MRN 0048{number:04}, DOB 03/04/1961. Diagnosis: hypertension. HbA1c 8.1 %.\n"
        pieces.append(fields.encode() + _lines(words.encode()))
    return Letter(recipient, head, ((b"".join(pieces) + b"--bench--\r\n", 1),))


def report(pages: int = 20, bytes_wanted: int = 10_000_000) -> bytes:
    """A PDF with a text layer that names a made patient, and a picture on every page (ISO 32000-1)."""
    source = random.Random(SEED)
    side = max(16, int((bytes_wanted / pages) ** 0.5))
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for number in range(1, pages + 1):
        at = len(objects) + 1
        kids.append(at)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R /Resources "
            b"<< /Font << /F1 3 0 R >> /XObject << /Im1 %d 0 R >> >> >>" % (at + 1, at + 2)
        )
        words = zlib.compress(_page_words(number, pages).encode("latin-1"))
        objects.append(b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(words), words))
        picture = source.randbytes(side * side)
        objects.append(
            b"<< /Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 8 "
            b"/Length %d >>\nstream\n%s\nendstream" % (side, side, len(picture), picture)
        )
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(b"%d 0 R" % kid for kid in kids), pages)
    return _pdf(objects)


def _page_words(number: int, pages: int) -> str:
    lines = (
        "Riverside Clinic - Laboratory report",
        "Patient: Marguerite Oyelaran    DOB: 03/14/1948    MRN 4471920",
        f"Page {number} of {pages}    Collected: 11/16/2026 08:10",
        "Hemoglobin A1c 8.1 % (4.0 - 5.6) HIGH    Glucose, fasting 162 mg/dL HIGH",
        "Assessment: type 2 diabetes mellitus, not at goal. Start metformin 500 mg twice daily.",
    )
    shown = "\n".join("({}) Tj T*".format(line.replace("(", r"\(").replace(")", r"\)")) for line in lines * 6)
    return f"q 400 0 0 200 100 50 cm /Im1 Do Q\nBT /F1 10 Tf 56 760 Td 14 TL\n{shown}\nET"


def _pdf(objects: list[bytes]) -> bytes:
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def _head(subject: str, recipient: str, kind: str) -> bytes:
    return (
        f"From: {SENDER}\r\nTo: {recipient}\r\nSubject: {subject}\r\nDate: Sun, 22 Nov 2026 07:00:00 +0000\r\n"
        f"Message-ID: <{MESSAGE_ID.decode()}@riverside.test>\r\nMIME-Version: 1.0\r\nContent-Type: {kind}\r\n\r\n"
    ).encode()


def _attached(recipient: str, subject: str, name: str, kind: str, lines: bytes, count: int) -> Letter:
    head = _head(subject, recipient, 'multipart/mixed; boundary="bench"')
    before = (
        "--bench\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nThe file is attached.\r\n--bench\r\n"
        f'Content-Type: {kind}; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n'
        f'Content-Disposition: attachment; filename="{name}"\r\n\r\n'
    ).encode()
    return Letter(recipient, head, ((before, 1), (lines, count), (b"--bench--\r\n", 1)))


def _lines(data: bytes) -> bytes:
    """Base64 in lines of 76 characters (RFC 2045 6.8)."""
    return base64.encodebytes(data).replace(b"\n", b"\r\n")
