"""Story 5: PHI in a DOCX in a ZIP in a forwarded mail is found; a locked ZIP is protected and the reason said."""

from __future__ import annotations

import json

import pytest

from gateway.demo import leaks
from gateway.demo.clinic import Clinic
from tests.support import letters
from tests.support import mail_files as files
from tests.support.mail_pieces import HARMLESS, entity, fields, file, mime, multi, patient, text

pytestmark = pytest.mark.full
WHO = patient("story 5")
ATTACHED = "Content-Disposition: attachment; filename=fwd.eml"


def forwarded(archive: bytes) -> bytes:
    inner = multi("mixed", text(HARMLESS), file("application/zip", "all.zip", archive), boundary="=_in")
    whole = fields("inner", "Results", to="lee@riverside.test") + "MIME-Version: 1.0\r\n" + inner
    outer = multi("mixed", text(HARMLESS), entity("message/rfc822", whole, "", ATTACHED))
    return mime(fields("story-5"), outer)


def test_phi_in_a_document_in_an_archive_in_a_forwarded_mail_is_found_and_opens_whole(shared: Clinic) -> None:
    recipient, number = "story5@outside.test", "+15550100150"
    letters.know(shared, recipient, number)
    archive = files.zipped({"letters/visit.docx": files.docx(WHO.letter().splitlines())})
    copy = letters.through(shared, forwarded(archive), recipient)
    assert HARMLESS.splitlines()[2] in copy.text
    assert leaks.words_in(copy, ("visit.docx", "all.zip", WHO.last, WHO.mrn)) == []
    assert copy.attachments == 0
    patient_, page = letters.opened(shared, copy, number)
    ((name, data),) = letters.contents(patient_, page).items()
    assert name == "fwd.eml"
    assert leaks.bytes_in(type(copy)("", (), data), archive) > 100, "the forwarded mail is there with its archive"


def test_an_archive_with_a_password_is_never_passed_as_clean(shared: Clinic) -> None:
    recipient = "story5.locked@outside.test"
    locked = files.locked_zip("letter.txt", WHO.letter().encode())
    body = multi("mixed", text(HARMLESS), file("application/zip", "letter.zip", locked))
    sent = mime(fields("story-5-locked"), body)
    copy = letters.through(shared, sent, recipient)
    assert copy.link is not None
    assert leaks.bytes_in(copy, locked[80:-80]) == 0
    (shared.data / "locked.eml").write_bytes(sent)
    said = json.loads(shared.command("scan", "--json", str(shared.data / "locked.eml")))
    assert "an encrypted file" in json.dumps(said)
