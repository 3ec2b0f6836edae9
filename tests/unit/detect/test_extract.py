"""Bytes to text: by content, bounded, and what cannot be read is said."""

from __future__ import annotations

import io
import zipfile

import pytest

from gateway.detect.extract import Limits, extract, sniff
from gateway.detect.extract.charset import decode
from gateway.detect.model import Extracted, PartInput
from tests.unit.detect import samples


def read(
    data: bytes, content_type: str = "application/octet-stream", name: str | None = None, limits: Limits | None = None
) -> Extracted:
    return extract(PartInput("2", "attachment 1", content_type, name, None, data), limits)


def words(found: Extracted) -> str:
    return "\n".join(one.text for one in found.texts)


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        ("Noël".encode("utf-16"), None, "Noël"),
        ("diabetes in May".encode("utf-16-le"), "us-ascii", "diabetes in May"),
        (b"No\xebl", "iso-8859-1", "Noël"),
        ("Noël".encode(), "us-ascii", "Noël"),
        (b"\x93quoted\x94", None, "“quoted”"),
        ("Сирота".encode("koi8-r"), "koi8-r", "Сирота"),
        (b"abc", "no-such-charset", "abc"),
        (b"abc", "base64", "abc"),
    ],
)
def test_text_is_decoded_under_the_charset_that_fits(data: bytes, charset: str | None, text: str) -> None:
    assert decode(data, charset) == text


def test_hidden_text_attributes_comments_and_links_of_html_are_read() -> None:
    page = b"""<html><head><title>Ti tle</title></head><body>Dia<b>betes</b><p>one</p>two
    <span style="display:none">HIDDEN</span>
    <img alt="ALT"><!-- COMMENT --><a href="mailto:x@example.org">m</a><input value='VALUE'></body></html>"""
    text = words(read(page, "text/html"))
    for word in ("Diabetes", "one\ntwo", "HIDDEN", "ALT", "COMMENT", "mailto:x@example.org", "VALUE", "Ti tle"):
        assert word in text


def test_a_picture_inside_html_is_unread() -> None:
    page = b"<html><img src='data:image/png;base64," + b"A" * 500 + b"'></html>"
    assert read(page, "text/html").unread[0].reason == "a picture inside HTML"


def test_pages_of_a_pdf_are_read_with_their_number() -> None:
    found = read(samples.pdf("Patient Mary Jones", "MRN 1234567"))
    assert not found.unread
    assert {one.place: one.text.strip() for one in found.texts} == {
        "attachment 1, page 1": "Patient Mary Jones",
        "attachment 1, page 2": "MRN 1234567",
    }


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (samples.pdf("x")[:60], "a damaged PDF"),
        (samples.pdf_with_picture(), "a scanned page"),
        (b"%PDF-1.4\nnonsense", "a damaged PDF"),
        (b"\xff\xd8\xff\xe0" + b"x" * 99, "a picture"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 99, "a picture"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "an old or encrypted Office file"),
        (b"7z\xbc\xaf\x27\x1c" + b"\0" * 50, "an unknown format"),
        (b"\x1f\x8b\x08" + b"\0" * 50, "an unknown format"),
        (b"{\\rtf1 Mary Jones{\\pict 00}}", "a picture in rich text"),
        (b"\x78\x9f\x3e\x22" + b"\x07" * 50, "a damaged winmail.dat"),
        (bytes(range(256)) * 4, "an unknown format"),
        (b"PK\x03\x04" + b"\0" * 50, "a damaged archive"),
        (samples.zipped({"a.txt": b"x"})[:-30], "a damaged archive"),
        (samples.zipped_encrypted(), "an encrypted file"),
        (samples.docx("x", broken=True), "a damaged document"),
        (samples.docx("x", doctype=True), "a document with a DTD"),
        (b"\0" * 128 + b"DICM" + b"\xff" * 40, "a damaged DICOM file"),
        (b"text before\n" + b"QUJD" * 1200, "an encoded file inside text"),
    ],
    ids=lambda value: value if isinstance(value, str) else "data",
)
def test_what_cannot_be_read_is_unread_with_its_reason(data: bytes, reason: str) -> None:
    assert reason in [one.reason for one in read(data).unread]


def test_a_wrong_name_or_type_changes_nothing() -> None:
    data = samples.pdf("Patient Mary Jones")
    assert words(read(data, "image/png", "logo.png")).count("Mary Jones") == 1
    assert sniff(b"\xff\xd8\xff\xe0aaaa", "text/plain") == "image"


def test_every_part_of_a_document_is_read() -> None:
    found = read(samples.docx("Mary Jones"))
    places = {one.place: one.text for one in found.texts}
    assert "Mary Jones" in places["attachment 1"]
    assert "in the header" in places["attachment 1, page header"]
    assert "a comment" in places["attachment 1, comments"]
    assert not found.unread


def test_words_split_over_runs_are_joined() -> None:
    assert "diabetes" in words(read(samples.docx("dia</w:t></w:r><w:r><w:t>betes")))


def test_a_picture_inside_a_document_is_unread() -> None:
    assert [one.reason for one in read(samples.docx("x", picture=True)).unread] == ["a picture"]


def test_hidden_sheets_and_shared_strings_of_a_workbook_are_read() -> None:
    text = words(read(samples.xlsx("Mary Jones", "MRN 1234567")))
    assert "Mary Jones" in text
    assert "MRN 1234567" in text


def test_the_copy_that_a_pivot_table_keeps_of_its_data_is_read() -> None:
    text = words(read(samples.xlsx_with_pivot("Mary Jones", "1962-04-03T00:00:00")))
    for said in ("Patient name", "Mary Jones", "Date of birth", "1962-04-03"):
        assert said in text, said


def test_what_a_template_left_behind_the_page_is_read() -> None:
    text = words(read(samples.docx_of_a_template("Mary Jones", "Diabetes clinic", "77-12345")))
    for said in ("Mary Jones", "Diabetes clinic", "Chosen", "77-12345"):
        assert said in text, said


@pytest.mark.parametrize("form", [False, True])
def test_a_page_that_is_a_picture_with_a_stamped_line_is_unread(form: bool) -> None:
    line = "FAX 2027-03-01 09:12 FROM Elm Street Clinic 555-0100 TO 555-0199 PAGE 1 OF 3 RECEIVED"
    assert [one.reason for one in read(samples.pdf_of(500, 700, line, form=form)).unread] == ["a scanned page"]
    assert read(samples.pdf_of(120, 60, line)).unread == ()  # a letter head


def test_what_stands_before_a_pdf_is_read_and_a_text_that_holds_one_is_unread() -> None:
    data = b"Mary Jones has diabetes\n" + samples.pdf("Directions to the new parking lot")
    assert "Mary Jones has diabetes" in words(read(data))
    assert "a PDF inside text" in [one.reason for one in read(data, "text/plain").unread]
    assert read(samples.pdf("Directions to the new parking lot")).unread == ()


def test_a_sentence_that_begins_like_a_picture_is_text() -> None:
    assert "BMI was fine" in words(read(b"BMI was fine at the last visit", "text/plain"))
    assert sniff(b"BM\x36\x00\x0c\x00" + bytes(60)) == "image"


def test_a_saved_mail_with_a_part_in_base64_is_read_and_unread_where_its_form_is_lost() -> None:
    coded = b"TWFyeSBKb25lcyBoYXMgZGlhYmV0ZXM="
    saved = b"From: a@b.example\r\n%b\r\n\r\n" + coded + b"\r\n"
    found = read(saved % b"Content-Transfer-Encoding: base64")
    assert "Mary Jones has diabetes" in words(found)
    assert found.unread == ()
    quoted = read(saved % b"> CONTENT-TRANSFER-ENCODING :BASE64")
    assert [one.reason for one in quoted.unread] == ["an encoded file inside text"]
    harmless = b"Content-Transfer-Encoding: base64 is a field of mail.\r\nNothing follows it here."
    assert read(harmless).unread == ()


def test_names_of_folders_in_an_archive_are_read() -> None:
    found = read(samples.zipped({"Jones_Mary 1962/labs/a.txt": b"hello", "Roe_Jane/": b""}))
    assert "Jones Mary 1962" in words(found)
    assert "Roe Jane" in words(found)
    assert all(one.owner == "2" for one in found.texts)


def test_members_of_an_archive_are_read_by_their_own_content() -> None:
    inner = samples.zipped({"n.txt": b"diabetes"})
    found = read(samples.zipped({"Smith_John.txt": b"hello", "b.bin": inner, "c.jpg": b"\xff\xd8\xff\xe0xx"}))
    assert "Smith John" in words(found)
    assert "diabetes" in words(found)
    assert [(one.part, one.place) for one in found.unread] == [("2/3", "attachment 1, file 3 (JPG)")]
    assert all(one.owner == "2" for one in found.texts)


def test_an_archive_too_deep_too_large_or_too_full_is_unread() -> None:
    deep = b"x"
    for _ in range(8):
        deep = samples.zipped({"a.zip": deep})
    assert [one.reason for one in read(deep).unread] == ["too deep"]
    bomb = samples.zipped({"a.txt": b"0" * 30_000_000})
    assert [one.reason for one in read(bomb).unread] == ["over limits"]
    many = samples.zipped({f"{n}.txt": b"x" for n in range(50)})
    assert [one.reason for one in read(many, limits=Limits(members=20)).unread] == ["over limits"]


def test_a_member_that_the_directory_does_not_name_is_noticed() -> None:
    hidden = samples.zipped({"secret.txt": b"Mary Jones has diabetes"})
    shown = samples.zipped({"a.txt": b"hello"})
    both = hidden[: hidden.index(b"PK\x01\x02")] + shown
    assert "an archive with hidden members" in [one.reason for one in read(both).unread]
    assert read(shown).unread == ()


def test_a_dicom_object_is_phi_by_nature_and_its_header_is_text() -> None:
    found = read(samples.dicom("Jones^Mary"))
    assert [one.name for one in found.formats] == ["DICOM"]
    assert "Jones^Mary" in words(found)
    assert not found.unread


def test_the_files_name_is_read_as_text() -> None:
    found = read(b"hello", "text/plain", "Jones_Mary-MRI.final.pdf")
    assert found.texts[0].text == "Jones Mary MRI final pdf"
    assert found.texts[0].place == "attachment 1, file name"


def test_an_empty_part_is_read() -> None:
    assert read(b"  \n") == Extracted()


def test_the_samples_are_what_other_tools_would_open() -> None:
    assert zipfile.ZipFile(io.BytesIO(samples.docx("x"))).testzip() is None
