"""winmail.dat and rich text: every file is a range of the container, what cannot be followed is unread.

The compressed example is the one of [MS-OXRTFCP] 4.1.1.
"""

from __future__ import annotations

import json
import random
import struct

import pytest

from gateway.detect.extract import Limits, Unreadable, extract
from gateway.detect.extract.rtf import rich, unpack
from gateway.detect.model import Extracted, Inner, PartInput
from gateway.flow.child import ChildFailed, from_wire
from gateway.flow.parser import to_wire
from tests.support.mail_files import docx, pdf, winmail, zipped

HELLO = bytes.fromhex(
    "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
)
FILES = {"report.pdf": pdf(["Hemoglobin"]), "letter.docx": docx(["Dear Sam"]), "notes.txt": b"call Monday\r\n"}


def part(data: bytes) -> PartInput:
    return PartInput("2", "attachment 1", "application/ms-tnef", "winmail.dat", None, data)


def words(found: Extracted) -> str:
    return " ".join(one.text for one in found.texts)


@pytest.mark.parametrize("rtf", [False, True])
def test_each_file_is_a_range_of_the_container_under_its_own_name(rtf: bool) -> None:
    data = winmail("See the files.", FILES, rtf=rtf)
    found = extract(part(data))
    assert not found.unread
    named = {one.name: data[one.start : one.stop] for one in found.inner if one.name}
    assert named == FILES
    assert [one in words(found) for one in ("Hemoglobin", "Dear Sam", "call Monday")] == [True] * 3
    (text,) = (one for one in found.inner if not one.name)
    assert text.text.strip() == "See the files."


def test_a_container_that_ends_early_is_unread_wherever_it_ends() -> None:
    data = winmail("See the files.", {"notes.txt": b"call Monday\r\n"})
    whole = extract(part(data))
    for stop in range(5, len(data)):
        found = extract(part(data[:stop]))
        assert found.unread or found.inner != whole.inner, stop


def test_what_an_archive_holds_is_no_range_of_the_part() -> None:
    found = extract(part(zipped({"winmail.dat": winmail("Hello", FILES)})))
    assert found.inner == ()
    assert "Dear Sam" in words(found)


def test_a_pdf_in_front_does_not_speak_for_what_lies_behind_it_in_an_archive() -> None:
    found = extract(PartInput("2", "attachment 1", "", "a.zip", None, zipped(FILES, stored=True)))
    assert [one in words(found) for one in ("Hemoglobin", "Dear Sam", "call Monday")] == [True] * 3


def test_bytes_that_are_turned_round_never_raise() -> None:
    rng, data = random.Random(7), winmail("See the files.", FILES, rtf=True)
    for _ in range(300):
        broken = bytearray(data)
        for _ in range(rng.randint(1, 8)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        extract(part(bytes(broken)))


def test_files_that_lie_in_one_another_are_refused_from_a_child() -> None:
    one = part(b"x" * 100)
    apart = Extracted(inner=(Inner("2/1", "a", "", 10, 20), Inner("2/2", "b", "", 20, 100)))
    assert from_wire(to_wire(apart), one).inner == apart.inner
    for start, stop in ((15, 30), (90, 101), (30, 25), (-1, 5)):
        lie = Extracted(inner=(Inner("2/1", "a", "", 10, 20), Inner("2/2", "b", "", start, stop)))
        with pytest.raises(ChildFailed):
            from_wire(to_wire(lie), one)
    with pytest.raises(ChildFailed):
        from_wire(
            json.dumps({"texts": [], "unread": [], "formats": [], "inner": [["3", "a", "", 0, 1, ""]]}).encode(), one
        )


def test_the_known_example_of_packed_rich_text() -> None:
    assert unpack(HELLO, Limits()) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    assert rich(unpack(HELLO, Limits())).shown.strip() == "hello world"


def test_packed_rich_text_that_claims_too_much_is_unread() -> None:
    with pytest.raises(Unreadable):
        unpack(struct.pack("<IIII", 16, 1 << 31, 0x75465A4C, 0) + b"\0" * 4, Limits())


def test_rich_text_says_what_is_shown_and_what_stands_behind() -> None:
    found = rich(
        rb"{\rtf1\ansi{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset204 Cyr;}}{\info{\author Jane}}w\'f6rld\par "
        rb"\f1\'cf\'f0\'e8\f0 \u8364?\uc1\u1055 ?\u-10179?\u-8704?{\*\comment note}{\v hidden}\{x\}"
        rb"{\field{\*\fldinst HYPERLINK http://a}{\fldrslt link}}}"
    )
    assert found.shown == "wörld\nПри€П\U0001f600{x}link"
    assert [one in found.behind for one in ("Jane", "note", "hidden", "http://a")] == [True] * 4
    assert found.objects == ()
    assert rich(rb"{\rtf1 a{\pict\wmetafile8 0102}b}").objects == ("a picture in rich text",)
    assert rich(rb"{\rtf1 a\bin3 {{{b}").shown == "ab"


def test_rich_text_nested_past_all_measure_is_unread_and_quick() -> None:
    found = extract(PartInput("2", "attachment 1", "", "a.rtf", None, b"{\\rtf1 " + b"{" * 200_000))
    assert [one.reason for one in found.unread] == ["too deep"]
