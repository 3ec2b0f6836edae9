"""Made files for made mails: PDF, DOCX, XLSX, ZIP, TNEF, calendars, pictures; the same bytes at every run."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence

_THEN = (2026, 11, 16, 9, 0, 0)


def pdf(lines: Sequence[str], *, encrypted: bool = False) -> bytes:
    """One page with a text layer (ISO 32000-1); `encrypted` names a security handler, so that nobody reads it."""
    escaped = [line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)") for line in lines]
    content = "BT /F1 11 Tf 56 760 Td 16 TL\n" + "\n".join(f"({line}) Tj T*" for line in escaped) + "\nET"
    packed = zlib.compress(content.encode("latin-1", "replace"))
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    if encrypted:
        bodies.append(b"<< /Filter /Standard /V 1 /R 2 /P -64 /O <%s> /U <%s> >>" % (b"61" * 32, b"62" * 32))
    out, places = io.BytesIO(), []
    out.write(b"%PDF-1.4\n")
    for number, body in enumerate(bodies, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(bodies) + 1))
    for place in places:
        out.write(b"%010d 00000 n \n" % place)
    more = b" /Encrypt 6 0 R /ID [<00><00>]" if encrypted else b""
    out.write(b"trailer\n<< /Size %d /Root 1 0 R%s >>\nstartxref\n%d\n%%%%EOF\n" % (len(bodies) + 1, more, start))
    return out.getvalue()


def zipped(members: Mapping[str, bytes], *, stored: bool = False) -> bytes:
    """A ZIP (APPNOTE 6.3) with fixed times."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, _THEN), data)
    return out.getvalue()


def locked_zip(name: str, data: bytes) -> bytes:
    """A ZIP whose one member says that it is encrypted (APPNOTE 4.4.4, bit 0); its bytes are noise."""
    made = bytearray(zipped({name: random.Random(name).randbytes(len(data) + 12)}, stored=True))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        made[made.index(mark) + at] |= 1
    return bytes(made)


def docx(paragraphs: Sequence[str], *, comment: str = "", header: str = "") -> bytes:
    """A Word document (ISO/IEC 29500); the comment and the header are parts of their own."""
    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    body = "".join(f"<w:p><w:r><w:t>{one}</w:t></w:r></w:p>" for one in paragraphs)
    members = {
        "[Content_Types].xml": f'{head}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="xml" ContentType="application/xml"/>'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.'
        'wordprocessingml.document.main+xml"/></Types>',
        "_rels/.rels": f'{head}<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/'
        'officeDocument" Target="word/document.xml"/></Relationships>',
        "word/document.xml": f"{head}<w:document {space}><w:body>{body}</w:body></w:document>",
    }
    if comment:
        inner = f'<w:comment w:id="1"><w:p><w:r><w:t>{comment}</w:t></w:r></w:p></w:comment>'
        members["word/comments.xml"] = f"{head}<w:comments {space}>{inner}</w:comments>"
    if header:
        members["word/header1.xml"] = f"{head}<w:hdr {space}><w:p><w:r><w:t>{header}</w:t></w:r></w:p></w:hdr>"
    return zipped({name: text.encode() for name, text in members.items()})


def xlsx(rows: Sequence[Sequence[str]], *, hidden: bool = False) -> bytes:
    """A workbook of one sheet with inline strings (ISO/IEC 29500), shown or hidden."""
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    cells = "".join(
        "<row>" + "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in row) + "</row>" for row in rows
    )
    state = ' state="hidden"' if hidden else ""
    members = {
        "[Content_Types].xml": f'{head}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.'
        'spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/'
        'vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>',
        "_rels/.rels": f'{head}<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/'
        'officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'{head}<workbook xmlns="{main}" xmlns:r="http://schemas.openxmlformats.org/officeDocument/'
        f'2006/relationships"><sheets><sheet name="Sheet1" sheetId="1"{state} r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'{head}<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
        'relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/'
        'relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'{head}<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>',
    }
    return zipped({name: text.encode() for name, text in members.items()})


def hl7(name: tuple[str, str], born: str, mrn: str, result: str) -> bytes:
    """An observation report (HL7 v2.5.1 ORU^R01); `born` as MM/DD/YYYY."""
    month, day, year = born.split("/")
    segments = (
        "MSH|^~\\&|LAB|RIVERSIDE|EHR|CLINIC|20261116090000||ORU^R01|1|P|2.5.1",
        f"PID|1||{mrn}^^^RIVERSIDE^MR||{name[1].upper()}^{name[0].upper()}||{year}{month}{day}|F",
        "OBR|1|||4548-4^Hemoglobin A1c^LN|||20261116081000",
        f"OBX|1|TX|4548-4^Hemoglobin A1c^LN||{result}||||||F",
    )
    return "".join(f"{one}\r" for one in segments).encode()


def picture(width: int, height: int, seed: str) -> bytes:
    """A PNG of noise (ISO/IEC 15948)."""
    rng = random.Random(seed)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + rng.randbytes(width) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def winmail(body: str, files: Mapping[str, bytes], *, rtf: bool = False) -> bytes:
    """A winmail.dat: version, code page, class, body, and each file with its long name ([MS-OXTNEF] 2.1.3, 2.1.3.4)."""
    out = struct.pack("<IH", 0x223E9F78, 1)

    def attribute(level: int, id: int, data: bytes) -> bytes:
        return struct.pack("<BII", level, id, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)

    def padded(data: bytes) -> bytes:
        return struct.pack("<II", 1, len(data)) + data + bytes(-len(data) % 4)

    out += attribute(1, 0x00089006, struct.pack("<I", 0x00010000))
    out += attribute(1, 0x00069007, struct.pack("<II", 1252, 0))
    out += attribute(1, 0x00078008, b"IPM.Microsoft Mail.Note\0")
    if rtf:
        words = ("{\\rtf1\\ansi " + body.replace("\r\n", "\\par ") + "}").encode("cp1252", "replace")
        # Stored, not compressed ([MS-OXRTFCP] 2.1.3.1): sizes, the word MELA, no checksum, the text itself.
        stored = struct.pack("<IIII", len(words) + 12, len(words), 0x414C454D, 0) + words
        out += attribute(1, 0x00069003, struct.pack("<IHH", 1, 0x0102, 0x1009) + padded(stored))
    else:
        out += attribute(1, 0x0002800C, body.encode("cp1252", "replace") + b"\0")
    for name, data in files.items():
        out += attribute(2, 0x00069002, struct.pack("<HIHHI", 1, 0xFFFFFFFF, 0, 0, 0))
        out += attribute(2, 0x00018010, name.upper().encode("ascii", "replace")[:12] + b"\0")
        out += attribute(2, 0x0006800F, data)
        long_name = name.encode("utf-16-le") + b"\0\0"
        out += attribute(2, 0x00069005, struct.pack("<IHH", 1, 0x001F, 0x3707) + padded(long_name))
    return out


def invite(summary: str, description: str = "", *, method: str = "REQUEST", place: str = "Room 2") -> str:
    """A calendar object (RFC 5545), its lines folded at 75 octets (3.1)."""
    lines = (
        "BEGIN:VCALENDAR", "PRODID:-//Riverside//EN", "VERSION:2.0", f"METHOD:{method}", "BEGIN:VEVENT",
        "UID:visit-1@riverside.test", "DTSTAMP:20261116T150000Z", "DTSTART:20261201T150000Z",
        "DTEND:20261201T153000Z", "ORGANIZER;CN=Amy Reyes:mailto:amy@riverside.test",
        f"SUMMARY:{summary}", *((f"DESCRIPTION:{description}",) if description else ()), f"LOCATION:{place}",
        "END:VEVENT", "END:VCALENDAR",
    )  # fmt: skip
    return "".join("\r\n ".join(line[at : at + 73] for at in range(0, len(line), 73)) + "\r\n" for line in lines)
