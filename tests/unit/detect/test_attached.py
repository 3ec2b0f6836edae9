"""Every kind of file that a clinic attaches: its words come out, or it is said to be unread; nothing passes unread."""

from __future__ import annotations

import pytest

from gateway.detect.assess import assess_texts
from gateway.detect.extract import extract
from gateway.detect.model import PartInput
from tests.support.real.attachments import WHO, read, unread

READ, UNREAD = list(read()), list(unread())


def part(name: str, media: str, data: bytes) -> PartInput:
    return PartInput("2", "attachment 1", media, name, None, data)


@pytest.mark.parametrize(("name", "media", "data"), READ, ids=[one[0] for one in READ])
def test_a_file_that_is_read_gives_the_patient(name: str, media: str, data: bytes) -> None:
    found = extract(part(name, media, data))
    said = "\n".join(one.text for one in found.texts).lower()
    assert WHO.last.lower() in said
    assert assess_texts(found.texts, found.unread, found.formats).phi
    assert not found.unread


@pytest.mark.parametrize(("name", "media", "data"), UNREAD, ids=[one[0] for one in UNREAD])
def test_a_file_that_nobody_reads_is_unread(name: str, media: str, data: bytes) -> None:
    assert extract(part(name, media, data)).unread


@pytest.mark.parametrize("media", ["text/plain", "text/html", "application/pdf", "message/rfc822"])
def test_what_a_file_claims_to_be_decides_nothing(media: str) -> None:
    for name, _, data in UNREAD:
        assert extract(part(name, media, data)).unread, name


@pytest.mark.parametrize(
    "text",
    [
        "we begin 644 years ago\nand so on\n",
        "begin 100 m sprint\nat noon\n",
        "The =ybegin line of a yEnc file is described on that page.\n",
        "BinHex files are old.\n",
        "Content-Transfer-Encoding: base64 is a field of a header.\nNothing follows.\n",
    ],
)
def test_words_about_encodings_are_words(text: str) -> None:
    assert not extract(part("notes.txt", "text/plain", text.encode())).unread
