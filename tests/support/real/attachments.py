"""Files that clinics attach, each with the words of a patient in it: what is read must give the words, all else is unread.

Made by hand or by Python's own modules, so that no other program is needed; of formats that nobody reads here the first
bytes are right and the rest is noise, or the patient's words as they would stand in it.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import quopri
import random
import struct
import tarfile
import zlib
from collections.abc import Iterator

from tests.support import mail_files as files
from tests.support.mail_pieces import patient

WHO = patient("attached")
LETTER = WHO.letter()
TABLE = (("Name", "DOB", "MRN", "Diagnosis"), (WHO.name, WHO.born, WHO.mrn, WHO.ill))
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'


def _noise(seed: str, size: int = 1500) -> bytes:
    return random.Random(seed).randbytes(size)


def _lines(text: str, tag: str) -> str:
    return "".join(f"<{tag}>{line}</{tag}>" for line in text.splitlines())


def _open_document(kind: str, body: str, **more: bytes) -> bytes:
    space = "urn:oasis:names:tc:opendocument:xmlns"
    content = (
        f'{_HEAD}<office:document-content xmlns:office="{space}:office:1.0" xmlns:text="{space}:text:1.0" '
        f'xmlns:table="{space}:table:1.0"><office:body><office:{kind}>{body}</office:{kind}></office:body>'
        "</office:document-content>"
    )
    media = f"application/vnd.oasis.opendocument.{kind}"
    return files.zipped({"mimetype": media.encode(), "content.xml": content.encode(), **more}, stored=True)


def _pptx() -> bytes:
    space = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
    rows = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in LETTER.splitlines())
    slide = (
        f"{_HEAD}<p:sld {space}><p:cSld><p:spTree><p:sp><p:txBody>{rows}</p:txBody></p:sp></p:spTree></p:cSld></p:sld>"
    )
    return files.zipped(
        {
            "[Content_Types].xml": f"{_HEAD}<Types/>".encode(),
            "ppt/presentation.xml": f"{_HEAD}<p:presentation {space}/>".encode(),
            "ppt/slides/slide1.xml": slide.encode(),
        }
    )


def _eml(body: str, encoding: str, subject: str = "Letter", media: str = "text/plain; charset=utf-8") -> bytes:
    top = f"From: amy@riverside.test\r\nTo: lee@riverside.test\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
    return f"{top}Content-Type: {media}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}".encode()


def _base64(text: str) -> str:
    return base64.encodebytes(text.encode()).decode().replace("\n", "\r\n")


def _web_archive() -> bytes:
    page = f"<html><body>{_lines(LETTER, 'p')}</body></html>"
    inner = f"--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\nContent-Location: file:///C:/letter.htm\r\n\r\n{_base64(page)}\r\n--b--\r\n"
    return (
        f'MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary="b"; type="text/html"\r\n\r\n{inner}'.encode()
    )


def _ole(stream: str) -> bytes:
    """The head of a compound file and a stream in UTF-16, as an Outlook item or an old Word file has it."""
    return (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
        + bytes(16)
        + b"\x3e\x00\x03\x00\xfe\xff\x09\x00"
        + bytes(480)
        + stream.encode("utf-16-le")
        + bytes(512)
    )


def _tar(mode: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        info = tarfile.TarInfo("letter.txt")
        info.size = len(LETTER.encode())
        archive.addfile(info, io.BytesIO(LETTER.encode()))
    return out.getvalue()


def _dicom() -> bytes:
    def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
        value += b" " * (len(value) % 2)
        return struct.pack("<HH2sH", group, number, kind, len(value)) + value

    month, day, year = WHO.born.split("/")
    meta = element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1\0"[:20])
    body = element(8, 0x60, b"CS", b"CT") + element(16, 0x10, b"PN", f"{WHO.last}^{WHO.first}".encode())
    body += element(16, 0x20, b"LO", WHO.mrn.encode()) + element(16, 0x30, b"DA", f"{year}{month}{day}".encode())
    return bytes(128) + b"DICM" + element(2, 0, b"UL", struct.pack("<I", len(meta))) + meta + body


def _ccd() -> str:
    month, day, year = WHO.born.split("/")
    return (
        f'{_HEAD}<ClinicalDocument xmlns="urn:hl7-org:v3"><recordTarget><patientRole><id extension="{WHO.mrn}" '
        f'root="2.16.840.1.113883.19"/><patient><name><given>{WHO.first}</given><family>{WHO.last}</family></name>'
        f'<birthTime value="{year}{month}{day}"/></patient></patientRole></recordTarget><component><structuredBody>'
        f"<component><section><text>{LETTER}</text></section></component></structuredBody></component></ClinicalDocument>"
    )


def _fhir() -> str:
    return json.dumps(
        {
            "resourceType": "Patient",
            "id": "p1",
            "identifier": [{"value": WHO.mrn}],
            "name": [{"family": WHO.last, "given": [WHO.first]}],
            "birthDate": "1950-04-02",
        }
    )


def _rtf() -> str:
    return "{\\rtf1\\ansi{\\fonttbl{\\f0 Arial;}}\\f0 " + LETTER.replace("\r\n", "\\par ") + "}"


def _pages() -> bytes:
    """iWork: a ZIP of packed archives that nobody reads here, with a picture of the first page."""
    return files.zipped(
        {
            "Index/Document.iwa": b"\0" + _noise("iwa"),
            "Metadata/Properties.plist": b"bplist00" + _noise("p", 60),
            "preview.jpg": b"\xff\xd8\xff\xe0" + _noise("j"),
        },
        stored=True,
    )


def _pdf_with_file() -> bytes:
    made = files.pdf(["See the file inside."])
    return made.replace(
        b"/Type /Catalog",
        b"/Names << /EmbeddedFiles << /Names [(a.txt) << /Type /Filespec /F (a.txt) >>] >> >> /Type /Catalog",
    )


def _svg() -> str:
    return f'{_HEAD}<svg xmlns="http://www.w3.org/2000/svg"><text x="10" y="20">{LETTER}</text></svg>'


def read() -> Iterator[tuple[str, str, bytes]]:
    """Name, media type and bytes of files that are read: the words must come out."""
    office = "application/vnd.openxmlformats-officedocument."
    lines = LETTER.splitlines()
    yield "letter.docx", office + "wordprocessingml.document", files.docx(lines)
    yield "letter.docm", "application/octet-stream", files.docx(["Hello"], header=" ".join(lines))
    yield "list.xlsx", office + "spreadsheetml.sheet", files.xlsx(TABLE)
    yield "talk.pptx", office + "presentationml.presentation", _pptx()
    yield "letter.odt", "application/vnd.oasis.opendocument.text", _open_document("text", _lines(LETTER, "text:p"))
    cells = "".join(
        "<table:table-row>"
        + "".join(f"<table:table-cell><text:p>{one}</text:p></table:table-cell>" for one in row)
        + "</table:table-row>"
        for row in TABLE
    )
    yield "list.ods", "application/octet-stream", _open_document("spreadsheet", f"<table:table>{cells}</table:table>")
    yield "letter.rtf", "application/rtf", _rtf().encode()
    yield "letter-as-word.doc", "application/msword", _rtf().encode()
    yield "page-as-word.doc", "application/msword", f"<html><body>{_lines(LETTER, 'p')}</body></html>".encode()
    yield "report.pdf", "application/pdf", files.pdf(lines)
    yield "letter.txt", "text/plain", LETTER.encode()
    yield "letter-utf16.txt", "text/plain", LETTER.encode("utf-16")
    yield "letter.md", "text/markdown", LETTER.encode()
    yield "list.csv", "text/csv", "".join(",".join(row) + "\r\n" for row in TABLE).encode()
    yield "list.tsv", "text/tab-separated-values", "".join("\t".join(row) + "\r\n" for row in TABLE).encode()
    yield (
        "list-utf16.csv",
        "application/vnd.ms-excel",
        "".join("\t".join(row) + "\r\n" for row in TABLE).encode("utf-16"),
    )
    yield "letter.html", "text/html", f"<html><body>{_lines(LETTER, 'p')}</body></html>".encode()
    yield (
        "letter.xhtml",
        "application/xhtml+xml",
        f'{_HEAD}<html xmlns="http://www.w3.org/1999/xhtml"><body>{_lines(LETTER, "p")}</body></html>'.encode(),
    )
    yield "archive.mht", "message/rfc822-archive", _web_archive()
    yield "letter.eml", "application/octet-stream", _eml(LETTER, "7bit")
    yield "letter-base64.eml", "application/octet-stream", _eml(_base64(LETTER), "base64")
    yield (
        "letter-quoted.eml",
        "text/plain",
        _eml(quopri.encodestring(LETTER.replace("a", "=61").encode()).decode(), "quoted-printable"),
    )
    yield (
        "page-base64.eml",
        "application/octet-stream",
        _eml(_base64(f"<html><body>{_lines(LETTER, 'p')}</body></html>"), "base64", media="text/html; charset=utf-8"),
    )
    subject = base64.b64encode(" ".join(lines[:1]).encode()).decode()
    yield "subject.eml", "application/octet-stream", _eml("See the subject.\r\n", "7bit", f"=?utf-8?B?{subject}?=")
    yield (
        "folder.mbox",
        "application/mbox",
        b"From amy@riverside.test Mon Nov 16 09:00:00 2026\r\n" + _eml(_base64(LETTER), "base64") + b"\r\n",
    )
    yield (
        "card.vcf",
        "text/vcard",
        f"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:{WHO.name}\r\nBDAY:1950-04-02\r\nNOTE:{' '.join(lines)}\r\nEND:VCARD\r\n".encode(),
    )
    yield (
        "visit.ics",
        "text/calendar",
        files.invite("Visit", LETTER.replace("\r\n", "\\n").replace(",", "\\,")).encode(),
    )
    yield "record.xml", "text/xml", _ccd().encode()
    yield "record-utf16.xml", "application/xml", _ccd().replace("UTF-8", "UTF-16").encode("utf-16")
    yield "result.hl7", "application/hl7-v2", files.hl7((WHO.first, WHO.last), WHO.born, WHO.mrn, WHO.result)
    yield "patient.json", "application/fhir+json", _fhir().encode()
    yield "scan.dcm", "application/dicom", _dicom()
    yield "drawing.svg", "image/svg+xml", _svg().encode()
    yield "all.zip", "application/zip", files.zipped({"inner/letter.docx": files.docx(lines), "readme.txt": b"hello"})
    yield "mail.zip", "application/zip", files.zipped({"letter.eml": _eml(_base64(LETTER), "base64")})
    yield (
        "book.epub",
        "application/epub+zip",
        files.zipped(
            {
                "mimetype": b"application/epub+zip",
                "OEBPS/one.xhtml": f"<html><body>{_lines(LETTER, 'p')}</body></html>".encode(),
            },
            stored=True,
        ),
    )
    yield (
        "query.sql",
        "application/sql",
        f"INSERT INTO patients VALUES ('{WHO.name}', '{WHO.born}', 'MRN {WHO.mrn}', '{WHO.ill}');\r\n".encode(),
    )
    yield (
        "letter.tex",
        "application/x-tex",
        f"\\documentclass{{letter}}\\begin{{document}}{LETTER}\\end{{document}}".encode(),
    )
    yield "winmail.dat", "application/ms-tnef", files.winmail("Hello\r\n", {"letter.txt": LETTER.encode()})


def unread() -> Iterator[tuple[str, str, bytes]]:
    """Files that nobody reads here: said to be unread, never passed."""
    letter = LETTER.encode()
    heads: tuple[tuple[str, bytes], ...] = (
        ("item.msg", _ole(LETTER)), ("old.doc", _ole(LETTER)), ("old.xls", _ole(LETTER)), ("old.ppt", _ole(LETTER)),
        ("locked.docx", _ole("EncryptedPackage")), ("works.wps", _ole(LETTER)), ("note.one", bytes.fromhex("e4525c7b8cd8a74daeb15378d02996d3") + _noise("one")),
        ("photo.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + _noise("jpg")), ("scan.png", files.picture(700, 300, "scan")),
        ("fax.tif", b"II*\x00" + _noise("tif")), ("fax-big.tif", b"II+\x00" + _noise("bigtif")), ("motorola.tif", b"MM\x00*" + _noise("mm")),
        ("photo.heic", b"\x00\x00\x00\x18ftypheic" + _noise("heic")), ("picture.webp", b"RIFF\x00\x04\x00\x00WEBPVP8 " + _noise("webp")),
        ("picture.gif", b"GIF89a" + _noise("gif")), ("picture.bmp", b"BM" + _noise("bmp")), ("picture.jp2", b"\x00\x00\x00\x0cjP  \r\n\x87\n" + _noise("jp2")),
        ("picture.emf", b"\x01\x00\x00\x00" + bytes(36) + b" EMF" + _noise("emf")), ("picture.wmf", b"\xd7\xcd\xc6\x9a" + _noise("wmf")), ("book.djvu", b"AT&TFORM" + _noise("djvu")),
        ("letter.txt.gz", gzip.compress(letter, mtime=0)), ("letter.bz2", bz2.compress(letter)), ("letter.xz", lzma.compress(letter)),
        ("letter.zst", b"\x28\xb5\x2f\xfd" + _noise("zst")), ("letter.lz4", b"\x04\x22\x4d\x18" + _noise("lz4")), ("letter.Z", b"\x1f\x9d\x90" + _noise("Z")),
        ("all.tar", _tar("w")), ("all.tgz", _tar("w:gz")), ("all.7z", b"7z\xbc\xaf\x27\x1c" + _noise("7z")), ("all.rar", b"Rar!\x1a\x07\x01\x00" + _noise("rar")),
        ("all.cab", b"MSCF\0\0\0\0" + _noise("cab")), ("all.arj", b"\x60\xea" + _noise("arj")), ("all.lzh", b"\x21\x0d-lh5-" + _noise("lzh")), ("disc.iso", bytes(32769) + b"CD001" + letter),
        ("locked.zip", files.locked_zip("letter.txt", letter)), ("broken.zip", files.zipped({"a.txt": letter})[:-30]), ("locked.pdf", files.pdf(["Locked"], encrypted=True)),
        ("letter.pages", _pages()), ("list.numbers", _pages()), ("talk.key", _pages()),
        ("mail.pst", b"!BDN" + _noise("pst")), ("base.mdb", b"\x00\x01\x00\x00Standard Jet DB\x00" + letter + _noise("mdb")), ("base.sqlite", b"SQLite format 3\x00" + letter + _noise("sqlite")),
        ("letter.wpd", b"\xffWPC" + _noise("wpd")), ("voice.wav", b"RIFF\x24\x04\x00\x00WAVEfmt " + _noise("wav")), ("voice.mp3", b"ID3\x03\x00" + _noise("mp3")),
        ("voice.m4a", b"\x00\x00\x00\x20ftypM4A " + _noise("m4a")), ("film.mp4", b"\x00\x00\x00\x20ftypisom" + _noise("mp4")), ("letter.p7m", b"\x30\x82\x05\xdc\x06\x09" + _noise("p7m")),
        ("letter.pgp", b"\x85\x01\x0c\x03" + _noise("pgp")), ("letter.asc", b"-----BEGIN PGP MESSAGE-----\n\n" + base64.encodebytes(_noise("asc")) + b"-----END PGP MESSAGE-----\n"),
        ("letter.ps.gz", zlib.compress(letter)), ("table.parquet", b"PAR1" + _noise("parquet")), ("printed.xps.oxps", files.zipped({"Documents/1/Pages/1.fpage": b"\x00" + _noise("xps")})),
        ("with-file.pdf", _pdf_with_file()), ("cda-with-pdf.xml", f"{_HEAD}<doc><text mediaType='application/pdf' representation='B64'>{base64.b64encode(_noise('cda', 6000)).decode()}</text></doc>".encode()),
        ("letter.uue", b"begin 644 letter.txt\n" + b"".join(__import__("binascii").b2a_uu(letter[at : at + 45], backtick=True) for at in range(0, len(letter), 45)) + b"`\nend\n"),
        ("short.uue", b"begin 644 letter.txt\n" + __import__("binascii").b2a_uu(letter[:40]) + b"`\nend\n"),
        ("letter.yenc", b"=ybegin line=128 size=100 name=letter.txt\r\n" + bytes((one + 42) % 256 for one in letter).replace(b"\n", b"=J").replace(b"\r", b"=M") + b"\r\n=yend size=100\r\n"),
        ("letter.hqx", b'(This file must be converted with BinHex 4.0)\r\n\r\n:"dpLB@jcGf9ZEh"849K0' + b"abcdefhijklm" * 60 + b":\r\n"),
        ("pdf-in.eml", _eml(base64.encodebytes(files.pdf(LETTER.splitlines())).decode(), "base64", media="application/pdf")),
        ("fork.bin", b"\x00\x05\x16\x07\x00\x02\x00\x00" + _noise("fork")),
    )  # fmt: skip
    for name, data in heads:
        yield name, "application/octet-stream", data
