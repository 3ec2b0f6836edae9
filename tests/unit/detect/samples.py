"""Small files made by hand for the extraction tests."""

from __future__ import annotations

import io
import zipfile
from typing import Any


def pdf(*pages: str) -> bytes:
    """A PDF with one line of text a page."""
    return _pdf(
        [f"BT /F1 18 Tf 40 700 Td ({page}) Tj ET".encode() for page in pages],
        b"/Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>",
    )


def pdf_with_picture() -> bytes:
    """A PDF whose page is one inline picture."""
    picture = b"q 500 0 0 700 0 0 cm BI /W 2 /H 2 /CS /G /BPC 8 ID \x00\xff\xff\x00 EI Q"
    return _pdf([picture], b"")


def _pdf(streams: list[bytes], resources: bytes) -> bytes:
    kids = " ".join(f"{3 + 2 * n} 0 R" for n in range(len(streams))).encode()
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(streams), kids)]
    for number, stream in enumerate(streams):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Resources << %s >> /Contents %d 0 R >>"
            % (resources, 4 + 2 * number)
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
    out = b"%PDF-1.4\n"
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + b"".join(
        b"%010d 00000 n \n" % at for at in offsets
    )
    return out + table + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(out))


def zipped(files: dict[str, bytes]) -> bytes:
    """A ZIP of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def zipped_encrypted() -> bytes:
    """A ZIP whose one member says that it is encrypted."""
    data = bytearray(zipped({"a.txt": b"hello"}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def docx(text: str, *, broken: bool = False, doctype: bool = False, picture: bool = False) -> bytes:
    """A Word document with a header and a comment."""
    head = '<!DOCTYPE x [<!ENTITY e "boom">]>' if doctype else ""
    end = "" if broken else "</w:document>"
    body = f"{head}<w:document {_W}><w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body>{end}"
    files: dict[str, bytes] = {
        "[Content_Types].xml": b"<Types/>",
        "word/document.xml": body.encode(),
        "word/header1.xml": f"<w:hdr {_W}><w:p><w:r><w:t>in the header</w:t></w:r></w:p></w:hdr>".encode(),
        "word/comments.xml": (
            f"<w:comments {_W}><w:comment><w:p><w:r><w:t>a comment</w:t></w:r></w:p></w:comment></w:comments>"
        ).encode(),
    }
    if picture:
        files["word/media/image1.png"] = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
    return zipped(files)


def xlsx(shared: str, inline: str) -> bytes:
    """A workbook with a shared string and an inline string on a second sheet."""
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    return zipped(
        {
            "[Content_Types].xml": b"<Types/>",
            "xl/workbook.xml": f'<workbook {space}><sheets><sheet name="Visible"/><sheet name="Second" '
            f'state="veryHidden"/></sheets></workbook>'.encode(),
            "xl/sharedStrings.xml": f"<sst {space}><si><t>{shared}</t></si></sst>".encode(),
            "xl/worksheets/sheet2.xml": f"<worksheet {space}><sheetData><row><c "
            f't="inlineStr"><is><t>{inline}</t></is></c></row></sheetData></worksheet>'.encode(),
        }
    )


def dicom(name: str) -> bytes:
    """A DICOM file with a patient."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset: Any = Dataset()
    dataset.file_meta = meta
    dataset.PatientName = name
    dataset.PatientID = "77123"
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()
