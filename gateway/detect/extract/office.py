"""DOCX, XLSX, PPTX by walking every XML part of the package: headers, comments, hidden sheets, text boxes, properties.

Promises: XML is read with entities off and without network; runs within a paragraph join without a gap, cells are set
apart; an embedded object is read by its own content; embedded pictures and macros cannot be read and are said.
Clauses: ECMA-376 (Office Open XML).
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from typing import Any

from gateway.detect.extract import Limits, Unreadable, extract, take_text
from gateway.detect.extract.archive import member_bytes
from gateway.detect.model import Extracted, Format, PartInput, Text, Unread

_BREAKS = frozenset("p br tr tab cr row si title sld comment".split())
_CELLS = frozenset("tc c v t is".split())
_OWN = re.compile(r"customXml/item\d{0,6}\.xml", re.I)
_SKIP = re.compile(
    r"\[content_types\]\.xml|(?:.*/)?(?:(?:styles|fonttable|websettings|numbering|styleswitheffects|tablestyles)\.xml|"
    r"theme/(?:theme|themeoverride)\d{0,4}\.xml)",
    re.I,
)
"""Parts that a program writes for itself, by their whole name: another that merely ends alike may say anything."""

_TITLES = ("descr", "title", "alt", "name", "author", "val", "target", "Target")
_ATTRIBUTES = {
    **dict.fromkeys(
        ("docPr", "cNvPr", "sheet", "comment", "ins", "del", "definedName", "hyperlink", "alias", "tag"), _TITLES
    ),
    "hyperlink": (*_TITLES, "tooltip", "display"),
    # Variables of a document and the choices of a list (17.15.1.30, 17.5.2): a template fills them in, no page shows
    # all of them.
    "docVar": ("name", "val"),
    "listItem": ("displayText", "value"),
    "comboBox": ("lastValue",),
    "dropDownList": ("lastValue",),
    "tableColumn": ("name",),
    "person": ("displayName",),
    # The copy of its data that a pivot table keeps (18.10.1), also when the sheet they came from is gone.
    "cacheField": ("name", "caption"),
    "s": ("v",),
    "n": ("v",),
    "d": ("v",),
    "i": ("c",),
}
"""Elements of whose attributes people may read some, by their local names."""

_SMALL_PICTURE_BYTES = 4096
"""An embedded picture smaller than this is a bullet or a rule."""


def xml_text(data: bytes, *, every: bool = False) -> str:
    """All character data, and attribute values that people may read (`every`: all), in document order.

    Raises Unreadable.
    """
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, huge_tree=False, recover=False, load_dtd=False, remove_comments=False
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise Unreadable("a damaged document") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise Unreadable("a document with a DTD")
    out: list[str] = []
    _walk(root, out, every)
    return "".join(out)


def _walk(root: Any, out: list[str], every: bool) -> None:
    from lxml import etree

    for event, node in etree.iterwalk(root, events=("start", "end", "comment")):
        if event == "comment":
            out.append(f"\n{node.text or ''}\n")
            continue
        name = etree.QName(node).localname
        if event == "start":
            if name in ("tab", "br", "cr"):
                out.append("\t" if name == "tab" else "\n")
            keys = _ATTRIBUTES.get(name)
            if keys is not None or every:
                for key, value in node.items():
                    if len(value) > 3 and (every or (keys is not None and etree.QName(key).localname in keys)):
                        out.append(f"\n{value}\n")
            if node.text:
                out.append(node.text)
        else:
            if name in _BREAKS:
                out.append("\n")
            elif name in _CELLS and name != "t":
                out.append("\t")
            if node.tail:
                out.append(node.tail)


def read(part: PartInput, archive: zipfile.ZipFile, limits: Limits, depth: int) -> Extracted:
    """Everything in the package."""
    texts: list[Text] = []
    unread: list[Unread] = []
    formats: list[Format] = []
    number = 0
    for member in archive.infolist():
        if member.is_dir() or _SKIP.fullmatch(member.filename):
            continue
        data = member_bytes(archive, member, limits)
        suffix = posixpath.splitext(member.filename)[1].lower()
        if suffix in (".xml", ".rels", ".vml"):
            # Data of a form's own making (customXml) stand in attributes as often as not.
            every = _OWN.fullmatch(member.filename) is not None
            shown = take_text(xml_text(data, every=every), limits) if suffix != ".rels" else _targets(data)
            if shown.strip():
                texts.append(Text(part.part, _place(part.place, member.filename), shown))
            continue
        number += 1
        place = f"{part.place}, embedded file {number}"
        if suffix in (".png", ".jpg", ".jpeg", ".gif", ".emf", ".wmf", ".bmp", ".tif", ".tiff"):
            if len(data) > _SMALL_PICTURE_BYTES:
                unread.append(Unread(f"{part.part}/{number}", place, "a picture"))
            continue
        if posixpath.basename(member.filename).startswith("printerSettings") or suffix in (".fntdata", ".odttf"):
            continue
        inner = extract(PartInput(f"{part.part}/{number}", place, "", None, None, data), limits, depth + 1)
        texts += inner.texts
        unread += inner.unread
        formats += inner.formats
    return Extracted(tuple(texts), tuple(unread), tuple(formats))


def _place(place: str, name: str) -> str:
    """Words for a part of the package that a person would understand."""
    low = name.lower()
    for mark, words in (
        ("header", "page header"),
        ("footer", "page footer"),
        ("comment", "comments"),
        ("footnote", "footnotes"),
        ("docprops", "document properties"),
    ):
        if mark in low:
            return f"{place}, {words}"
    if "worksheets/sheet" in low:
        return _counted(place, "sheet", low)
    if "slides/slide" in low:
        return _counted(place, "slide", low)
    return place


def _counted(place: str, what: str, name: str) -> str:
    """The number that a program gave that part of the package, if it is one."""
    found = re.fullmatch(rf"{what}([0-9]{{1,5}})\.xml", posixpath.basename(name))
    return f"{place}, {what} {found[1]}" if found is not None else place


def _targets(data: bytes) -> str:
    """Addresses of external links in a relationships part."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise Unreadable("a damaged document") from None
    return "\n".join(node.get("Target", "") for node in root if node.get("TargetMode") == "External")
