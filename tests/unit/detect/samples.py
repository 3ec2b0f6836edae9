"""Small files made by hand for the extraction tests."""

from __future__ import annotations

import io
import zipfile
from typing import Any

_FONT = b"/Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>"


def pdf(*pages: str) -> bytes:
    """A PDF with one line of text a page."""
    return _pdf(
        [f"BT /F1 18 Tf 40 700 Td ({page}) Tj ET".encode() for page in pages],
        _FONT,
    )


def pdf_with_picture() -> bytes:
    """A PDF whose page is one inline picture."""
    return pdf_of(500, 700)


def pdf_of(width: int, height: int, line: str = "", *, form: bool = False) -> bytes:
    """A PDF whose page of 600 by 800 shows a picture of that size, perhaps drawn in a form, under a line of text."""
    picture = b"q %d 0 0 %d 0 0 cm BI /W 2 /H 2 /CS /G /BPC 8 ID \x00\xff\xff\x00 EI Q" % (width, height)
    text = f"BT /F1 9 Tf 40 780 Td ({line}) Tj ET\n".encode() if line else b""
    return _pdf([text + (b"/X1 Do" if form else picture)], _FONT, form=picture if form else b"")


def _pdf(streams: list[bytes], resources: bytes, form: bytes = b"") -> bytes:
    kids = " ".join(f"{3 + 2 * n} 0 R" for n in range(len(streams))).encode()
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(streams), kids)]
    for number, stream in enumerate(streams):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Resources << %s >> /Contents %d 0 R >>"
            % (resources, 4 + 2 * number)
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
    if form:
        resources_at = len(objects) + 1
        objects[2] = objects[2].replace(b"/Resources <<", b"/Resources << /XObject << /X1 %d 0 R >>" % resources_at)
        head = b"<< /Type /XObject /Subtype /Form /BBox [0 0 600 800] /Length %d >>" % len(form)
        objects.append(head + b"\nstream\n" + form + b"\nendstream")
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


def xlsx_with_pivot(name: str, born: str) -> bytes:
    """A workbook without any sheet's data, but with the copy that a pivot table made of them."""
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    cache = (
        f'<pivotCacheDefinition {space}><cacheFields count="2"><cacheField name="Patient name"><sharedItems>'
        f'<s v="{name}"/></sharedItems></cacheField><cacheField name="Date of birth"><sharedItems><d v="{born}"/>'
        "</sharedItems></cacheField></cacheFields></pivotCacheDefinition>"
    )
    return zipped({
        "[Content_Types].xml": b"<Types/>",
        "xl/workbook.xml": f"<workbook {space}><sheets/></workbook>".encode(),
        "xl/pivotCache/pivotCacheDefinition1.xml": cache.encode(),
    })  # fmt: skip


def docx_of_a_template(name: str, chosen: str, own: str) -> bytes:
    """A Word document whose template left data in a variable, in a list's choice and in XML of its own."""
    return zipped({
        "[Content_Types].xml": b"<Types/>",
        "word/settings.xml": f'<w:settings {_W}><w:docVars><w:docVar w:name="pt" w:val="{name}"/></w:docVars>'
        "</w:settings>".encode(),
        "word/document.xml": f'<w:document {_W}><w:body><w:sdt><w:sdtPr><w:alias w:val="Chosen"/><w:dropDownList '
        f'w:lastValue="x"><w:listItem w:displayText="{chosen}" w:value="x1"/></w:dropDownList></w:sdtPr></w:sdt>'
        "</w:body></w:document>".encode(),
        "customXml/item1.xml": f'<visit mrn="{own}"/>'.encode(),
    })  # fmt: skip


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
