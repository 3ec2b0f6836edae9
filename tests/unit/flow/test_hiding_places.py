"""Where a mail can carry words that no list of attachments shows: each is read, or said to be unread, never clean."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import Mock

import pytest

from gateway import words
from gateway.actions.copies import NotEditable
from gateway.detect.extract import is_text
from gateway.detect.model import PartInput
from gateway.flow import contents
from gateway.flow.contents import Contents, others
from gateway.flow.facts import mail_facts
from gateway.flow.isolate import Isolated
from gateway.flow.reading import read
from gateway.mail.known import structural
from gateway.mail.rewrite import NoticeBlock, render, seal_attachments
from gateway.mail.scan import scan
from gateway.mail.source import BytesSource
from gateway.policy import Decision, RecipientFacts, decide, load
from gateway.spool.envelope import Envelope, Identity, Recipient

CORPUS = Path(__file__).parents[2] / "data" / "mail"
PHI = b"Patient John Smith, DOB 04/12/1961, MRN 4482913, was diagnosed with HIV and started on Biktarvy."
HEAD = b"From: anna@clinic.test\r\nTo: x@out.test\r\nMIME-Version: 1.0\r\n"
TEXT = b"Content-Type: text/plain\r\n\r\nSee attached, thanks."
WORD = b"=?utf-8?B?" + base64.b64encode(PHI) + b"?="
ATTACHED = b"Content-Type: message/rfc822\r\n\r\n"
FILE = b"Content-Disposition: attachment; filename=a.txt\r\n\r\nok"
REPORT = b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.test\r\n\r\n"
PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8)
LINES = b"\r\n".join(PICTURE[at : at + 76] for at in range(0, len(PICTURE), 76))
PGP = b"-----BEGIN PGP SIGNATURE-----\r\n\r\niQEzBAEBCAAdFiEE\r\n=AbCd\r\n-----END PGP SIGNATURE-----\r\n"


@dataclass(frozen=True)
class Judge:
    """The way from bytes to a decision for an outsider, under `clinic`."""

    isolated: Isolated

    def __call__(self, raw: bytes) -> Decision:
        source, envelope = BytesSource(raw), Envelope(
            tenant="tnt_0000000000000001", queue="spl_0000000000000001", mail_from="anna@clinic.test",
            recipients=(Recipient("x@out.test"),), identity=Identity("network"), arrived_us=0, node="node-1",
        )  # fmt: skip
        message = scan(source)
        reading = read(message, source, words.language())
        facts = mail_facts(message, source, envelope, reading, self.isolated.assess(reading.inputs, reading.unread))
        return decide(load("clinic"), facts, RecipientFacts(False, False, "out.test"))


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Isolated(children=1) as isolated:
        yield Judge(isolated)


def mail(*parts: bytes, subject: bytes = b"hello", extra: bytes = b"") -> bytes:
    inside = b"".join(b"--cut\r\n" + part + b"\r\n" for part in parts)
    top = HEAD + b"Subject: " + subject + b"\r\n" + extra
    return top + b"Content-Type: multipart/mixed; boundary=cut\r\n\r\n" + inside + b"--cut--\r\n"


def page(markup: bytes) -> bytes:
    return b"Content-Type: text/html\r\n\r\n<html><body>hello " + markup + b"</body></html>"


PLACES = {
    "a signature by name alone": mail(TEXT, b"Content-Type: application/pgp-signature\r\n\r\n" + PHI),
    "words behind a true signature": mail(TEXT, b"Content-Type: application/pgp-signature\r\n\r\n" + PGP + PHI),
    "a whole mail called a signature": HEAD + b"Content-Type: application/pkcs7-signature\r\n\r\n" + PHI,
    "a field of the sender's own": mail(TEXT, extra=b"X-Patient: John Doe diabetes\r\n"),
    "an encoded field of the sender's own": mail(TEXT, extra=b"X-Note: " + WORD + b"\r\n"),
    "a content field that nobody knows": mail(TEXT, extra=b"Content-Note: " + PHI + b"\r\n"),
    "a field of a part": mail(b"X-Patient: John Doe diabetes\r\n" + TEXT),
    "a field of an attached mail": mail(TEXT, ATTACHED + b"Subject: hi\r\nX-Patient: " + PHI + b"\r\n\r\nok"),
    "a status that is no status": mail(TEXT, REPORT + b"Status: " + PHI + b"\r\n"),
    "an action that is no action": mail(TEXT, REPORT + b"Action: failed\r\n " + PHI + b"\r\n"),
    "a name beside an address": mail(TEXT, extra=b'Cc: "John Doe diabetes MRN 4829155" <x@out.test>\r\n'),
    "an encoded name beside an address": mail(TEXT, extra=b"Reply-To: " + WORD + b" <x@out.test>\r\n"),
    "the name of a group of addresses": mail(TEXT, extra=b"Cc: John Doe diabetes MRN 4829155: x@out.test;\r\n"),
    "a list of no addresses": mail(TEXT, extra=b"Cc: John Doe diabetes MRN 4829155\r\n"),
    "comments": mail(TEXT, extra=b"Comments: " + PHI + b"\r\n"),
    "encoded keywords": mail(TEXT, extra=b"Keywords: " + WORD + b"\r\n"),
    "another topic than the subject": mail(TEXT, extra=b"Thread-Topic: " + PHI + b"\r\n"),
    "an attached mail's encoded subject": mail(TEXT, ATTACHED + b"Subject: " + WORD + b"\r\n\r\nok"),
    "a subject two mails deep": mail(
        TEXT,
        ATTACHED + b"Subject: hi\r\n" + ATTACHED + b"Subject: " + PHI + b"\r\n\r\nok",
    ),
    "an encoded subject that came back": mail(
        TEXT, b"Content-Type: text/rfc822-headers\r\n\r\nSubject: " + WORD + b"\r\n"
    ),
    "a description": mail(
        TEXT, b"Content-Type: text/plain\r\nContent-Description: " + PHI + b"\r\n" + FILE
    ),
    "a second file name": mail(
        TEXT, b'Content-Type: text/plain; name="' + PHI.replace(b"/", b"-") + b'.txt"\r\n' + FILE
    ),
    "ASCII called EBCDIC": mail(b"Content-Type: text/plain; charset=cp037\r\n\r\n" + PHI),
    "ASCII called UTF-16": mail(b"Content-Type: text/plain; charset=utf-16\r\n\r\n" + PHI + b" " * (len(PHI) % 2)),
    "a drawing in a data URL": mail(page(b'<img src="data:image/svg+xml;utf8,<svg><text>' + PHI + b'</text></svg>">')),
    "short base64 in a data URL": mail(page(b'<a href="data:text/plain;base64,' + base64.b64encode(PHI) + b'">x</a>')),
    "a picture with parameters": mail(page(b'<img src="data:image/png;name=x;base64,' + PICTURE + b'">')),
    "a picture in lines": mail(page(b'<img src="data:image/png;base64,' + LINES + b'">')),
    "a long attribute": mail(page(b'<p title="' + b"x " * 1100 + PHI + b'">x</p>')),
    "words that a style adds": mail(page(b'<style>p:before{content:"' + PHI + b'"}</style><p></p>')),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_words_in_any_place_are_protected(place: str, judge: Judge) -> None:
    assert judge(PLACES[place]).treatment != "as-is"


@pytest.mark.parametrize(
    "raw",
    [
        mail(TEXT, extra=b"Thread-Topic: hello\r\nKeywords: meeting\r\n"),
        mail(TEXT, extra=b"X-Mailer: John Doe diabetes 4482913\r\nX-MS-Exchange-Id: 4482913\r\nX-Room: garden\r\n"),
        mail(TEXT, REPORT + b"Action: failed\r\nStatus: 5.1.1\r\n"),
        mail(TEXT, b"Content-Type: application/pgp-signature; name=signature.asc\r\n\r\n" + PGP),
        mail(page(b'<img src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=">')),
        mail(b"Content-Type: text/plain; charset=utf-7\r\n\r\nSee you tomorrow +AOk-"),
    ],
)
def test_ordinary_mail_still_passes(raw: bytes, judge: Judge) -> None:
    assert judge(raw).treatment == "as-is"


@pytest.mark.parametrize("name", [*(path.name for path in sorted(CORPUS.glob("*.eml")))])
def test_the_fields_of_usual_programs_add_no_finding(name: str, judge: Judge) -> None:
    """What the mails of the corpus say in fields is structure: nothing of it is given to the detector."""
    source = BytesSource((CORPUS / name).read_bytes())
    message = scan(source)
    known = {one.name.lower() for part in message.parts() for one in part.headers if not structural(one.name)}
    assert known <= {"x-long"}


@pytest.mark.parametrize("field", [b"X-Patient: John Doe diabetes", b"Content-Note: John Doe diabetes"])
def test_a_copy_with_another_subject_drops_the_fields_read_with_it(field: bytes, judge: Judge) -> None:
    raw = mail(TEXT, extra=field + b"\r\nX-Mailer: Pine\r\n")
    decision = judge(raw)
    assert decision.neutral_subject
    source = BytesSource(raw)
    block = NoticeBlock("a link", "<p>a link</p>", "https://clinic.test/m/x")
    out = b"".join(render(source, seal_attachments(scan(source), source, (), block, b"", "A secure message")))
    assert b"diabetes" not in out
    assert b"X-Mailer: Pine" in out


def test_a_body_too_long_to_be_read_is_sealed_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    source = BytesSource(mail(b"Content-Type: text/plain\r\n\r\n" + b"word " * 3000))
    message = scan(source)
    seal = Mock()
    sealed = Contents(source, message, read(message, source, words.language()), None, seal, Mock())
    sealed.body()
    assert seal.add.call_args.args[3][0].startswith(b'{"html":null,"text":"word word')
    monkeypatch.setattr(contents, "PART_LIMIT_BYTES", 10_000)
    with pytest.raises(NotEditable):
        sealed.body()


def test_a_secure_message_keeps_what_is_neither_body_nor_attachment() -> None:
    invite = b"Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nEND:VCALENDAR"
    inside = b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\nContent-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR"
    source = BytesSource(mail(TEXT, invite, inside, b"Content-Type: application/pdf\r\n\r\n%PDF-"))
    message = scan(source)
    reading = read(message, source, words.language())
    assert [part.id for part in others(message, reading)] == ["2"]


def test_html_of_very_many_tags_is_for_a_child_with_limits() -> None:
    """Nested deeply, 250 KB of it took two minutes in the process that also serves the portal."""
    few, many = (PartInput("body", "text", "text/html", None, None, b"<div>" * count) for count in (300, 301))
    assert is_text(few, 262_144)
    assert not is_text(many, 262_144)


def test_whose_the_sender_is_says_nothing_of_a_patient_and_a_sentence_there_does(judge: Judge) -> None:
    top = HEAD + b"Subject: Parking\r\nOrganization: %s\r\n"
    assert judge(top % b"Riverside Clinic" + TEXT).treatment == "as-is"
    assert judge(top % PHI + TEXT).neutral_subject


@pytest.mark.parametrize(
    "body",
    [
        "Returned:\r\n\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n{base64}\r\n--b--\r\n",
        "Content-Transfer-Encoding: quoted-printable\r\nContent-Type: text/plain\r\n\r\n{quoted}\r\n",
        "The source:\r\n\r\nSubject: =?utf-8?B?{word}?=\r\n\r\nhello\r\n",
        "=ybegin line=128 size=100 name=a.txt\r\n{quoted}\r\n=yend size=100\r\n",
        "(This file must be converted with BinHex 4.0)\r\n\r\n:{base64}:\r\n",
        "Subject: " + "=?utf-8?B?YQ==?= " * 4_000 + "=?utf-8?B?{word}?=\r\n",
        "begin-base64 644 a.txt\r\n{base64}\r\n====\r\n",
    ],
)
def test_a_mail_or_a_file_in_the_text_itself_is_never_clean(judge: Judge, body: str) -> None:
    coded = {
        "base64": base64.encodebytes(PHI).decode().replace("\n", "\r\n"),
        "quoted": "".join(f"={one:02X}" for one in PHI),
        "word": base64.b64encode(PHI).decode(),
    }
    made = HEAD + b"Subject: Parking\r\nContent-Type: text/plain\r\n\r\n" + body.format(**coded).encode()
    assert judge(made).treatment == "secure"
