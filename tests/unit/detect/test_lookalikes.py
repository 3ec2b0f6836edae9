"""What is called a style or begins like a logo may say anything, and is read."""

from __future__ import annotations

import io
import zipfile
import zlib

import pytest

from gateway.detect.extract import extract
from gateway.detect.model import PartInput
from gateway.mail.image import is_decoration


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


START = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", (20).to_bytes(4, "big") * 2 + bytes((8, 0, 0, 0, 0)))
PNG = START + chunk(b"IDAT", zlib.compress(bytes(21 * 20))) + chunk(b"IEND", b"")
GIF = b"GIF89a\x14\x00\x14\x00\x80\x00\x00" + bytes(20) + b"\x00\x3b"
JPEG = b"\xff\xd8\xff\xc0\x00\x11\x08\x00\x14\x00\x14\x03" + bytes(30) + b"\xff\xd9"
WORDS = b" John Doe diabetes" * 100


@pytest.mark.parametrize("picture", [PNG, GIF, JPEG, PNG + b"\r\n", GIF + b"\r\n", JPEG + b"\n"])
def test_a_small_picture_is_a_decoration(picture: bytes) -> None:
    assert is_decoration(picture)


@pytest.mark.parametrize(
    "picture",
    [
        *(picture + WORDS for picture in (PNG, GIF, JPEG)),
        *(picture[:28] + WORDS for picture in (PNG, GIF, JPEG)),
        START + WORDS + chunk(b"IEND", b""),
        START + chunk(b"tEXt", b"Comment\0" + WORDS) + chunk(b"IEND", b""),
    ],
)
def test_words_behind_the_beginning_of_a_picture_are_no_decoration(picture: bytes) -> None:
    assert not is_decoration(picture)


@pytest.mark.parametrize("name", ["word/mystyles.xml", "word/theme/notes.xml", "customXml/theme/item1.xml"])
def test_a_part_that_merely_ends_like_a_style_is_read(name: str) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", "<document><p>hello</p></document>")
        archive.writestr("word/styles.xml", "<styles>Heading</styles>")
        archive.writestr("word/theme/theme1.xml", "<theme>Office</theme>")
        archive.writestr(name, "<item>John Doe diabetes</item>")
    found = extract(PartInput("2", "attachment 1", "", "a.docx", None, made.getvalue()))
    text = " ".join(one.text for one in found.texts)
    assert "John Doe diabetes" in text
    assert "Heading" not in text
    assert "Office" not in text
