"""Text of PDF by pdfium, page by page; form fields, annotations and document information too.

Promises: encrypted, damaged or empty files are unread; a page that shows pictures and has next to no text is unread
(a scan), and so is one that is mostly pictures with no more text than a fax line or a stamp; places name the page.
Attachments inside a PDF are unread. What stands before the file begins is text.
"""

from __future__ import annotations

import unicodedata
from typing import Any

from gateway.detect.extract import Limits, Unreadable, take_text
from gateway.detect.extract.charset import decode
from gateway.detect.model import Extracted, PartInput, Text, Unread

FEW_CHARS = 40
"""A page with an image and fewer characters of text than this has not been read."""
SOME_CHARS, MOSTLY = 300, 0.4
"""Nor has one with fewer than so many whose images cover at least that part of it: a fax machine or a scanner may have
stamped a line of text onto its picture."""


def read(part: PartInput, limits: Limits) -> Extracted:
    """Texts by page. Raises Unreadable for what pdfium cannot open."""
    import pypdfium2
    import pypdfium2.raw as raw

    try:
        document = pypdfium2.PdfDocument(_lent(part.data))
    except pypdfium2.PdfiumError as error:
        raise Unreadable("an encrypted PDF" if "password" in str(error).lower() else "a damaged PDF") from None
    texts: list[Text] = []
    unread: list[Unread] = []
    try:
        count = len(document)
        if count == 0:
            raise Unreadable("a damaged PDF")
        if count > limits.pages:
            raise Unreadable("over limits")
        _before(part, texts, unread, limits)
        _information(document, part, texts, limits)
        if raw.FPDFDoc_GetAttachmentCount(document.raw) > 0:
            unread.append(Unread(part.part, part.place, "a file inside a PDF"))
        for number in range(count):
            place = f"{part.place}, page {number + 1}"
            page = document[number]
            try:
                _page(page, raw, part, place, limits, texts, unread)
            finally:
                page.close()
    finally:
        document.close()
    return Extracted(tuple(texts), tuple(unread))


def _lent(data: Any) -> Any:
    """The bytes for pdfium, which copies neither; memory that is mapped is lent as it lies."""
    if isinstance(data, bytes):
        return data
    import ctypes

    return (ctypes.c_char * len(data)).from_buffer(data)


def _information(document: Any, part: PartInput, texts: list[Text], limits: Limits) -> None:
    values = [value for value in document.get_metadata_dict(skip_empty=True).values() if value]
    if values:
        texts.append(Text(part.part, f"{part.place}, document properties", take_text("\n".join(values), limits)))


def _before(part: PartInput, texts: list[Text], unread: list[Unread], limits: Limits) -> None:
    """What readers of PDF pass over, and a mail program shows of a part that says it is text."""
    if part.content_type.startswith("text/"):
        unread.append(Unread(part.part, part.place, "a PDF inside text"))
    before = part.data[: max(0, part.data.find(b"%PDF-"))]
    if before.strip():
        texts.append(Text(part.part, part.place, take_text(decode(before, part.charset), limits)))


def _page(
    page: Any, raw: Any, part: PartInput, place: str, limits: Limits, texts: list[Text], unread: list[Unread]
) -> None:
    layer = page.get_textpage()
    try:
        shown = layer.get_text_bounded() or ""
    finally:
        layer.close()
    shown = unicodedata.normalize("NFKC", shown) + _annotations(page, raw)
    if shown.strip():
        texts.append(Text(part.part, place, take_text(shown, limits)))
        if limits.tell is not None:
            limits.tell(shown)
    letters = sum(map(str.isalnum, shown))
    covered = _covered(page, raw) if letters < SOME_CHARS else None
    if covered is not None and (letters < FEW_CHARS or covered >= MOSTLY):
        unread.append(Unread(part.part, place, "a scanned page"))
    elif letters == 0 and page.count_objects() > 0:
        unread.append(Unread(part.part, place, "a page without text"))


def _covered(page: Any, raw: Any) -> float | None:
    """Which part of the page its pictures cover, overlaps counted twice; None for a page without one."""
    width, height = page.get_size()
    area, found = 0.0, False
    for item in page.get_objects(max_depth=1):
        if item.type == raw.FPDF_PAGEOBJ_FORM:  # what is drawn in it has coordinates of its own
            if not any(one.type == raw.FPDF_PAGEOBJ_IMAGE for one in page.get_objects(max_depth=6, form=item, level=1)):
                continue
        elif item.type != raw.FPDF_PAGEOBJ_IMAGE:
            continue
        left, bottom, right, top = item.get_bounds()
        area += max(0.0, right - left) * max(0.0, top - bottom)
        found = True
    return area / max(1.0, width * height) if found else None


def _annotations(page: Any, raw: Any) -> str:
    """Contents and values of annotations and form fields."""
    import ctypes

    found: list[str] = []
    for number in range(min(raw.FPDFPage_GetAnnotCount(page.raw), 2_000)):
        annotation = raw.FPDFPage_GetAnnot(page.raw, number)
        if not annotation:
            continue
        try:
            for key in (b"Contents", b"V", b"TU", b"DV"):
                size = raw.FPDFAnnot_GetStringValue(annotation, key, None, 0)
                if 2 < size <= 65_536:
                    buffer = ctypes.create_string_buffer(size)
                    raw.FPDFAnnot_GetStringValue(
                        annotation, key, ctypes.cast(buffer, ctypes.POINTER(raw.FPDF_WCHAR)), size
                    )
                    found.append(buffer.raw[: size - 2].decode("utf-16-le", "replace"))
        finally:
            raw.FPDFPage_CloseAnnot(annotation)
    return "\n" + "\n".join(found) if found else ""
