"""Story 45: a copy of database, blobs, spool and configuration without the root key holds no planted word in any
coding.
"""

from __future__ import annotations

import base64
import gzip
import io
import shutil
import smtplib
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from email.message import EmailMessage
from email.policy import SMTP
from functools import partial
from pathlib import Path

import pytest

from gateway.demo.clinic import DOMAIN
from gateway.demo.sink import LINK
from tests.e2e.conftest import running
from tests.support.canaries import Search
from tests.support.faulty import eventually
from tests.support.smarthost import Smarthost

pytestmark = pytest.mark.full
WORDS = {
    "sender": "quobrisender", "recipient": "vexlorecipient", "subject": "zumbasubject", "body": "plithobody",
    "file name": "grunkfilename", "file": "dwozzlecontent", "waiting": "skelwaiting", "held": "frimpheld",
}  # fmt: skip
"""Made-up words by where each is planted."""

HEALTH = (
    "Patient Marguerite Oyelaran, born 03/14/1948, MRN 4471920. Diagnosis: type 2 diabetes, start metformin 500 mg."
)
LEFT = ("kek", "phone.jsonl")
"""Not copied: the root key; and what the pretend phone was told, which in life is another company's."""


def letter(recipient: str, subject: str, body: str, name: str = "", content: str = "") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = f"{WORDS['sender']}@{DOMAIN}", recipient, subject
    mail.set_content(f"{HEALTH}\n{body}\n")
    if name:
        mail.add_attachment(f"{HEALTH}\n{content}\n".encode() * 20, maintype="text", subtype="plain", filename=name)
    return mail


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What lies on the disk of a clinic through which the words went: one mail delivered, one waiting, one held."""
    folder = tmp_path_factory.mktemp("copied")
    with Smarthost() as smarthost:
        for clinic in running(folder, smarthost=f"127.0.0.1:{smarthost.port}"):
            gone = letter(f"{WORDS['recipient']}@outside.test", WORDS["subject"], WORDS["body"],
                          f"{WORDS['file name']}.txt", WORDS["file"])  # fmt: skip
            waits = letter(f"temperror+{WORDS['waiting']}@outside.test", WORDS["waiting"], WORDS["waiting"])
            held = letter(f"{WORDS['held']}@outside.test", WORDS["held"], WORDS["held"])
            with smtplib.SMTP("127.0.0.1", clinic.smtp_port, timeout=60) as server:
                server.send_message(gone)
                server.send_message(waits)
                server.sendmail("", [held["To"]], held.as_bytes(policy=SMTP))
            taken = smarthost.wait(1)
            assert LINK.search(taken[0].content.decode())
            for event in ("action:message:held", "action:message:deferred"):
                eventually(partial(clinic.search, event), 60)
            clinic.stop_gateway()
            shutil.copytree(clinic.data, folder / "copy", ignore=shutil.ignore_patterns("*.sock"))
            for name in LEFT:
                (folder / "copy" / name).unlink(missing_ok=True)
            yield folder / "copy"


def files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def test_no_planted_word_is_in_a_copy_without_the_root_key(copied: Path) -> None:
    names = [str(path.relative_to(copied)) for path in files(copied)]
    for part in ("gateway.toml", "gateway.log", "db/sealgate.db", "keys/keyholder.db"):
        assert part in names
    assert len([name for name in names if name.startswith("vault/")]) >= 4, "both sealed mails have blobs"
    assert [name for name in names if name.startswith("spool/out/")]
    assert "kek" not in names
    assert Search(WORDS).in_files(files(copied)) == {}
    assert Search({"domain": DOMAIN}).in_files([copied / "gateway.toml"]) == {"gateway.toml": {"domain"}}, "it reads"


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.txt", data)
    return out.getvalue()


CODINGS = {
    "utf-8": str.encode,
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16-be": lambda text: text.encode("utf-16-be"),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64-1": lambda text: base64.b64encode(b"x" + text.encode()),
    "base64-2": lambda text: base64.b64encode(b"xy" + text.encode()),
    "base64-url": lambda text: base64.urlsafe_b64encode(b"\xff\xfe" + text.encode()),
    "base64-utf-16": lambda text: base64.b64encode(text.encode("utf-16-le")),
    "hex": lambda text: text.encode().hex().encode(),
    "upper-hex": lambda text: text.encode().hex().upper().encode(),
    "quoted-printable": lambda text: "".join(f"={byte:02X}" for byte in text.encode()).encode(),
    "soft-break": lambda text: text[:4].encode() + b"=\r\n" + text[4:].encode(),
    "percent": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()).encode(),
    "zlib": lambda text: zlib.compress(text.encode()),
    "gzip": lambda text: gzip.compress(text.encode()),
    "zip": lambda text: zipped(text.encode()),
    "upper-case": lambda text: text.upper().encode(),
}  # fmt: skip


@pytest.mark.parametrize("coding", CODINGS)
def test_twin_the_search_finds_each_word_in_each_coding(coding: str) -> None:
    search = Search(WORDS)
    for name, word in WORDS.items():
        noise = bytes(range(256)) * 3
        assert search.words_in(noise + CODINGS[coding](f"a {word} b") + noise) == {name}


def test_twin_the_search_finds_a_word_in_a_row_of_a_database(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE some (word BLOB)")
        conn.execute("INSERT INTO some VALUES (?)", ("x" * 4078 + WORDS["subject"] + "x" * 9000,))
        conn.commit()
    assert Search(WORDS).in_files([path]) == {"some.db": {"subject"}}
