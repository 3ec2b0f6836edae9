"""Story 9: a logo that the page shows by its cid stays where it is; a picture that no page shows is moved."""

from __future__ import annotations

import pytest

from gateway.demo import documents, leaks
from gateway.demo.clinic import Clinic
from tests.support import letters
from tests.support import mail_files as files
from tests.support.mail_pieces import HARMLESS, fields, file, html, mime, multi

pytestmark = pytest.mark.full
LOGO = files.picture(120, 60, "story 9")
USED = '<img src="cid:logo@riverside.test" alt="Riverside">\r\n'


def picture(name: str, data: bytes, cid: str) -> str:
    return file("image/png", name, data, f"Content-ID: <{cid}>", disposition="inline")


def test_the_logo_stays_and_the_photographed_form_goes(shared: Clinic) -> None:
    recipient, number = "story9@outside.test", "+15550100190"
    letters.know(shared, recipient, number)
    form = documents.photographed_form()
    parts = (html(HARMLESS, USED), picture("logo.png", LOGO, "logo@riverside.test"), picture("f.png", form, "f@x.test"))
    copy = letters.through(shared, mime(fields("story-9"), multi("related", *parts)), recipient)
    assert leaks.bytes_in(copy, form[100:-100]) == 0
    (kept,) = (one for one in copy.parsed.walk() if one.get_content_maintype() == "image")
    assert kept.get_payload(decode=True) == LOGO
    assert kept["Content-ID"] == "<logo@riverside.test>"
    assert "cid:logo@riverside.test" in copy.text
    patient_, page = letters.opened(shared, copy, number)
    assert letters.contents(patient_, page) == {"f.png": form}
