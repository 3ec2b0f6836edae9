"""Headers as real programs and thirty years of gateways leave them: names, addresses, dates, folds, raw bytes."""

from __future__ import annotations

from tests.support.real.letters import TONGUES, coded
from tests.support.real.pieces import CRLF, Filling, attached, b64, kind, part, parts, plain, word


def _with(filling: Filling, *more: str, top: str = "") -> str:
    top = top or filling.headers("Parking on the 10th", *more)
    return (
        top
        + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=hd\r\n\r\n"
        + parts("hd", plain(filling), attached(filling))
    )


def _named(name: str, said: str, quiet: str = "as-is") -> None:
    """The file under a name in one notation."""

    def make(filling: Filling) -> str:
        report = part(
            f"Content-Type: {filling.media}\nContent-Disposition: attachment; {said}\nContent-Transfer-Encoding: base64",
            b64(filling.data),
        )
        return (
            filling.headers("Parking on the 10th", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=nm")
            + CRLF
            + parts("nm", plain(filling), report)
        )

    kind(quiet, name=f"name-{name}")(make)


_named("continued", 'filename*0="a long name of a file which the program cut";\n filename*1=" in two.pdf"')
_named("continued-coded", "filename*0*=utf-8''Gr%C3%BC;\n filename*1*=%C3%9Fe;\n filename*2=\" map.pdf\"")
_named("continued-out-of-order", 'filename*1="b.pdf"; filename*0="a"')
_named("language", "filename*=iso-8859-1'de'Stra%DFe.pdf")
_named("raw-utf-8", 'filename="Straße – map.pdf"')
_named("encoded-word", f'filename="{word("Straße.pdf", "utf-8")}"')
_named(
    "encoded-words-folded",
    f'filename="{word("Straße und ", "iso-8859-1", "Q")}\n {word("Weg.pdf", "iso-8859-1", "Q")}"',
)
_named("unquoted-blanks", "filename=the map of the house.pdf")
_named("unquoted-8bit", "filename=Straße.pdf")
_named("quote-inside", 'filename="the \\"new\\" map.pdf"')
_named("right-to-left", 'filename="map\u202efdp.exe"')
_named("with-path", 'filename="C:\\\\Users\\\\amy\\\\map.pdf"')
_named("empty", 'filename=""')
_named("twice-same", 'filename="map.pdf"; filename="map.pdf"')
_named("star-and-plain", "filename=\"map.pdf\"; filename*=utf-8''map.pdf")
_named("single-quotes", "filename='map.pdf'")
_named("parentheses", 'filename="map (1).pdf"')
_named("unquoted-parentheses", "filename=map(1).pdf")
_named("semicolon", 'filename="map; new.pdf"')
_named("very-long", 'filename="' + "m" * 240 + '.pdf"')
_named("no-space", 'filename="map.pdf";size=100;x=y')
_named("trailing-semicolon", 'filename="map.pdf";')


@kind()
def name_raw_shift_jis(filling: Filling) -> bytes:
    """A Japanese name, eight bits, no coding."""
    made = _with(filling).encode()
    return made.replace(f'filename="{filling.name}"'.encode(), b'filename="' + "地図.pdf".encode("shift_jis") + b'"')


def _raw(charset: str) -> None:
    """Subject and sender in raw eight-bit bytes."""

    def make(filling: Filling) -> bytes:
        made = _with(filling).encode()
        said = coded(TONGUES[charset], charset)
        return made.replace(b"Subject: Parking", b"Subject: " + said + b" Parking").replace(
            b"From: Amy Reyes", b"From: " + said
        )

    kind(name=f"raw-subject-{charset}")(make)


for _charset in (
    "utf-8",
    "iso-8859-1",
    "windows-1251",
    "koi8-r",
    "shift_jis",
    "gb18030",
    "euc-kr",
    "big5",
    "iso-2022-jp",
):
    _raw(_charset)


def _top(name: str, top: str, quiet: str = "as-is") -> None:
    """A header of its own; `{id}` is the mail's name."""

    def make(filling: Filling) -> str:
        return _with(filling, top=top.replace("{id}", filling.id))

    kind(quiet, name=f"top-{name}")(make)


_FIVE = "From: Amy Reyes <amy@riverside.test>\r\nTo: reader@outside.test\r\nSubject: Parking\r\nDate: Mon, 16 Nov 2026 09:00:00 -0600\r\nMessage-ID: <{id}@riverside.test>\r\n"
_top("old-date", _FIVE.replace("Mon, 16 Nov 2026 09:00:00 -0600", "Mon, 16 Nov 98 09:00:00 CST"))
_top("comments-in-date", _FIVE.replace("-0600", "-0600 (Central Standard Time)"))
_top("source-route", _FIVE.replace("<amy@riverside.test>", "<@a.riverside.test,@b.riverside.test:amy@riverside.test>"))
_top("group", _FIVE.replace("reader@outside.test", "undisclosed-recipients:;"))
_top("group-with-members", _FIVE.replace("reader@outside.test", "Friends: reader@outside.test, x@outside.test;"))
_top("empty-from", _FIVE.replace("Amy Reyes <amy@riverside.test>", ""))
_top("from-null", _FIVE.replace("Amy Reyes <amy@riverside.test>", "<>"))
_top(
    "several-in-from",
    _FIVE.replace("<amy@riverside.test>", "<amy@riverside.test>, Bob <bob@riverside.test>")
    + "Sender: amy@riverside.test\r\n",
)
_top(
    "international",
    _FIVE.replace("Amy Reyes <amy@riverside.test>", "Zoë <zoë@riverside.test>").replace(
        "reader@outside.test", "читатель@пример.test"
    ),
)
_top("quoted-local", _FIVE.replace("<amy@riverside.test>", '<"amy reyes"@riverside.test>'))
_top("old-comment-name", _FIVE.replace("Amy Reyes <amy@riverside.test>", "amy@riverside.test (Amy Reyes)"))
_top("commas-in-name", _FIVE.replace("Amy Reyes", '"Reyes, Amy (Front Desk)"'))
_top("no-subject", _FIVE.replace("Subject: Parking\r\n", ""))
_top("empty-subject", _FIVE.replace("Subject: Parking", "Subject:"))
_top("subject-folded-thrice", _FIVE.replace("Subject: Parking", "Subject: Parking\r\n on the\r\n\t10th"))
_top(
    "subject-words-split",
    _FIVE.replace("Subject: Parking", f"Subject: {word('Park', 'utf-8')}\r\n {word('ing – 10th', 'utf-8')}"),
)
_top("subject-split-in-letter", _FIVE.replace("Subject: Parking", "Subject: =?utf-8?B?R3LD?=\r\n =?utf-8?B?vMOfZQ==?="))
_top("subject-word-with-blanks", _FIVE.replace("Subject: Parking", "Subject: =?utf-8?Q?Parking on the 10th?="))
_top("subject-word-unknown", _FIVE.replace("Subject: Parking", "Subject: =?x-unknown?Q?Parking=A0?="))
_top("subject-right-to-left", _FIVE.replace("Subject: Parking", "Subject: \u202egnikraP\u202c חניה"))
_top("subject-long", _FIVE.replace("Subject: Parking", "Subject: " + "Parking " * 120))
_top(
    "two-hundred-to",
    _FIVE.replace("reader@outside.test", ",\r\n ".join(f"Reader {at} <r{at}@outside.test>" for at in range(200))),
)
_top("folded-after-name", _FIVE.replace("Subject: Parking", "Subject:\r\n Parking"))
_top("small-letters", _FIVE.replace("From:", "from:").replace("Subject:", "SUBJECT:"))
_top("no-space-after-colon", _FIVE.replace(": ", ":"))
_top("blank-header-value", _FIVE + "X-Empty: \r\nX-Spaces:    \r\n")
_top("mbox-line", "From amy@riverside.test Mon Nov 16 09:00:00 2026\r\n" + _FIVE, "secure")
_top("escaped-mbox-line", ">From amy@riverside.test Mon Nov 16 09:00:00 2026\r\n" + _FIVE, "secure")
_top("bcc-left-in", _FIVE + "Bcc: hidden@outside.test\r\n")
_top(
    "resent",
    "Resent-From: amy@riverside.test\r\nResent-Date: Mon, 16 Nov 2026 10:00:00 -0600\r\nResent-Message-ID: <r{id}@riverside.test>\r\n"
    + _FIVE,
)
_top(
    "bitnet",
    _FIVE
    + "Organization: Riverside\r\nOrganisation: Riverside\r\nX-Organization: Riverside Clinic\r\nReply-To: amy@riverside.test\r\nX-Phone: front desk\r\n",
)
_top("content-length", _FIVE + "Content-Length: 100\r\nLines: 12\r\nStatus: RO\r\nX-Status: \r\nX-UID: 12\r\n")
_top("message-id-odd", _FIVE.replace("<{id}@riverside.test>", "{id} <{id}@riverside.test> (made)"))
_top("two-message-ids", _FIVE + "Message-ID: <second-{id}@riverside.test>\r\n")
_top("two-dates", _FIVE + "Date: Mon, 16 Nov 2026 09:00:00 -0600\r\n")
_top("two-mime-versions", _FIVE + "MIME-Version: 1.0\r\n")
_top("two-subjects-same", _FIVE + "Subject: Parking\r\n")
_top("two-to", _FIVE + "To: second@outside.test\r\n")
_top("tab-fold-references", _FIVE + "References: <a@outside.test>\r\n\t<b@outside.test>\r\n\t<c@outside.test>\r\n")
_top(
    "spam-report",
    _FIVE
    + "X-Spam-Report: \r\n\t*  0.0 HTML_MESSAGE BODY: HTML included in message\r\n\t* -0.1 DKIM_VALID Message has a valid signature\r\nX-Spam-Status: No, score=-0.1\r\n",
)
_top("fold-of-blanks", _FIVE + "X-Folded: one\r\n \r\n two\r\n", "secure")
_top("face", _FIVE + "Face: " + "iVBORw0KGgoAAAANSUhEUgAAADAAAAAw\r\n " * 12 + "AAAA\r\nX-Face: ]*1Fd&%\r\n")
