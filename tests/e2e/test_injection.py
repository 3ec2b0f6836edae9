"""Names that decode to line ends and header fields stay words: in copies, notices, pages, downloads, logs and texts.

RFC 2047 and RFC 2231 let a subject, a display name and a file name hold any character, CR and LF among them.
"""

from __future__ import annotations

import base64
import re
import smtplib
from pathlib import Path
from urllib.parse import unquote

import pytest

from gateway.demo import documents
from gateway.demo.clinic import Clinic
from gateway.mail.scan import scan
from gateway.mail.source import BytesSource
from tests.fuzz.common import BARE_NEWLINE
from tests.support.patient import Patient

pytestmark = pytest.mark.full
PATIENT, PHONE = "injected@outside.test", "+15550100162"
MARK = "Smuggled-9175"
EVIL = f"=0D=0A{MARK}=3A_x=0D=0A=0D=0A=3Cscript=3E{MARK}"
EVIL_NAME = f"%0D%0A{MARK}%3A%20x%0D%0A%0D%0A%3Cscript%3E{MARK}%E2%80%AEfdp.exe"
FIELDS = frozenset(
    ["received", "sealgate-trace", "sealgate-checkpoint", "sealgate-original-dkim-signature", "dkim-signature", "from",
     "to", "subject", "date", "message-id", "in-reply-to", "references", "reply-to", "mime-version", "content-type",
     "content-transfer-encoding", "auto-submitted"]
)  # fmt: skip


def letter(subject: str) -> bytes:
    """A lab report whose every name says more than a name."""
    head = (
        f"From: =?utf-8?q?Amy{EVIL}?= <amy@riverside.test>\r\nTo: =?utf-8?q?Pat{EVIL}?= <{PATIENT}>\r\n"
        f"Reply-To: =?utf-8?q?Amy{EVIL}?= <amy@riverside.test>\r\nSubject: =?utf-8?q?{subject}{EVIL}?=\r\n"
        f"Message-ID: <{MARK}@riverside.test>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/mixed; boundary=out\r\n\r\n"
        "--out\r\nContent-Type: text/plain\r\n\r\nplease find the results attached\r\n"
        f'--out\r\nContent-Type: application/pdf; name="=?utf-8?q?lab{EVIL}?="\r\nContent-Transfer-Encoding: base64\r\n'
        f"Content-Disposition: attachment; filename*=utf-8''lab{EVIL_NAME}\r\n\r\n"
    )
    body = base64.encodebytes(documents.lab_report()).replace(b"\n", b"\r\n").decode()
    return (head + body + "--out--\r\n").encode()


def sound(data: bytes) -> None:
    """A mail with no line that is not ours, and no field but known ones."""
    assert BARE_NEWLINE.search(data) is None
    message = scan(BytesSource(data))
    assert {one.name.lower() for one in message.headers} <= FIELDS
    assert not message.ambiguous
    assert re.search(rf"^{MARK}".encode(), data, re.MULTILINE) is None
    assert f"<script>{MARK}".encode() not in data


def test_names_with_line_ends_stay_names_wherever_they_go(shared: Clinic, tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text(f"address,name,phone,language\n{PATIENT},Pat,{PHONE},en\n")
    shared.command("people", "import", str(people))
    for subject in ("results", f"MRN_{documents.MRN}_{documents.PATIENT.replace(' ', '_')}"):
        with smtplib.SMTP("127.0.0.1", shared.smtp_port, timeout=60) as server:
            server.sendmail(shared.amy.address, [PATIENT], letter(subject))
    copies = shared.sink.wait_for(PATIENT, 2)
    for copy in copies:
        sound(copy.data)
        assert copy.link
    reader = Patient(shared, copies[0].link or "", PHONE)
    page = reader.open()
    assert page.status == 200
    assert f"<script>{MARK}" not in page.text
    (path,) = set(re.findall(r'href="(/m/\w+/files/obj_\w+)"', page.text))
    file = reader.browser.get(shared.portal + path)
    assert file.body == documents.lab_report()
    assert MARK.lower() not in [name.lower() for name in file.headers]
    said = file.headers["content-disposition"]
    assert re.fullmatch(r'attachment; filename="[A-Za-z0-9 ._()+=@,-]+"; filename\*=UTF-8\'\'[A-Za-z0-9._~%-]+', said)
    assert unquote(said).isprintable()
    assert "<" not in said
    log = (shared.data / "gateway.log").read_text()
    assert MARK not in log
    assert MARK not in "".join(one["text"] for one in shared.texts())
