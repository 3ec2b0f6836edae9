"""Story 7: a mail with winmail.dat is unpacked, and its inner files are listed one by one in the portal."""

from __future__ import annotations

import pytest

from gateway.demo import leaks
from gateway.demo.clinic import Clinic
from tests.support import letters
from tests.support import mail_files as files
from tests.support.mail_pieces import HARMLESS, fields, file, mime, multi, patient, text

pytestmark = pytest.mark.full
WHO = patient("story 7")
INNER = {
    "lab report.pdf": files.pdf(["Laboratory report", *WHO.letter("\n").splitlines()]),
    "letter.docx": files.docx(["Dear colleague, see the report."]),
    "notes.txt": b"Call the front desk on Monday.\r\n",
}


def test_each_file_of_a_winmail_dat_is_listed_and_opens_as_it_was_attached(shared: Clinic) -> None:
    recipient, number = "story7@outside.test", "+15550100170"
    letters.know(shared, recipient, number)
    container = files.winmail(HARMLESS, INNER, rtf=True)
    body = multi("mixed", text(HARMLESS), file("application/ms-tnef", "winmail.dat", container))
    copy = letters.through(shared, mime(fields("story-7"), body), recipient)
    assert "3 files" in copy.text
    assert copy.attachments == 0
    assert leaks.bytes_in(copy, INNER["lab report.pdf"][200:-200]) == leaks.bytes_in(copy, INNER["notes.txt"]) == 0
    patient_, page = letters.opened(shared, copy, number)
    assert "winmail" not in page.text
    assert letters.contents(patient_, page) == INNER


def test_a_winmail_dat_without_phi_passes_as_it_is(shared: Clinic) -> None:
    body = multi("mixed", text(HARMLESS), file("application/ms-tnef", "winmail.dat", files.winmail(HARMLESS, {})))
    sent = mime(fields("story-7-clean"), body)
    assert letters.through(shared, sent, "story7.clean@outside.test").data.endswith(sent)
