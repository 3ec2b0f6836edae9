"""Mail as Outlook, Outlook Express and Exchange write it."""

from __future__ import annotations

from tests.support import mail_files as files
from tests.support.real.pieces import (
    CRLF,
    Filling,
    attached,
    b64,
    kind,
    logo,
    part,
    parts,
    quoted,
)

_WORD = """<html xmlns:v="urn:schemas-microsoft-com:vml" xmlns:o="urn:schemas-microsoft-com:office:office" xmlns:w="urn:schemas-microsoft-com:office:word" xmlns="http://www.w3.org/TR/REC-html40"><head>
<META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset=us-ascii"><meta name=Generator content="Microsoft Word 15 (filtered medium)">
<!--[if !mso]><style>v\\:* {behavior:url(#default#VML);}
o\\:* {behavior:url(#default#VML);}</style><![endif]--><style><!--
@font-face {font-family:"Cambria Math"; panose-1:2 4 5 3 5 4 6 3 2 4;}
p.MsoNormal, li.MsoNormal, div.MsoNormal {margin:0in; font-size:11.0pt; font-family:"Calibri",sans-serif;}
@page WordSection1 {size:8.5in 11.0in; margin:1.0in 1.0in 1.0in 1.0in;}
div.WordSection1 {page:WordSection1;}
--></style><!--[if gte mso 9]><xml>
<o:shapedefaults v:ext="edit" spidmax="1026" />
</xml><![endif]--><!--[if gte mso 9]><xml>
<o:shapelayout v:ext="edit">
<o:idmap v:ext="edit" data="1" />
</o:shapelayout></xml><![endif]--></head><body lang=EN-US link="#0563C1" vlink="#954F72" style='word-wrap:break-word'><div class=WordSection1>
"""


def _word_page(filling: Filling, inside: str = "") -> str:
    rows = filling.rows("<p class=MsoNormal>", "<o:p></o:p></p>")
    head = _WORD.replace("\n", CRLF)
    return f"{head}{rows}{CRLF}<p class=MsoNormal><o:p>&nbsp;</o:p></p>{inside}</div></body></html>{CRLF}"


def _vml() -> str:
    return (
        '<!--[if gte vml 1]><v:shapetype id="_x0000_t75" coordsize="21600,21600" path="m@4@5l@4@11@9@11@9@5xe">'
        '<v:stroke joinstyle="miter"/></v:shapetype><v:shape id="Picture_1" type="#_x0000_t75" '
        "style='width:24pt;height:12pt'><v:imagedata src=\"cid:image001.png@01DC5722.8E1D0C40\"/></v:shape>"
        '<![endif]--><![if !vml]><img width=24 height=12 src="cid:image001.png@01DC5722.8E1D0C40" '
        'v:shapes="Picture_1"><![endif]>'
    )


@kind()
def outlook_mixed(filling: Filling) -> str:
    """Word HTML with VML and a logo, in related, in mixed."""
    first, second, third = (f"----=_NextPart_00{at}_0012_01DC5722.8E1D0C40" for at in range(3))
    texts = parts(
        third,
        part('Content-Type: text/plain;\n\tcharset="us-ascii"\nContent-Transfer-Encoding: 7bit', filling.words),
        part(
            'Content-Type: text/html;\n\tcharset="us-ascii"\nContent-Transfer-Encoding: quoted-printable',
            quoted(_word_page(filling, _vml())),
        ),
    )
    picture = part(
        'Content-Type: image/png;\n\tname="image001.png"\nContent-Transfer-Encoding: base64\n'
        "Content-ID: <image001.png@01DC5722.8E1D0C40>",
        logo(),
    )
    related = part(f'Content-Type: multipart/alternative;\n\tboundary="{third}"', texts)
    both = part(f'Content-Type: multipart/related;\n\tboundary="{second}"', parts(second, related, picture))
    report = part(
        f'Content-Type: {filling.media};\n\tname="{filling.name}"\nContent-Transfer-Encoding: base64\n'
        f'Content-Disposition: attachment;\n\tfilename="{filling.name}"',
        b64(filling.data),
    )
    top = filling.headers(
        "Parking on the 10th",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/mixed;\r\n\tboundary="{first}"',
        "X-Mailer: Microsoft Outlook 16.0",
        "Thread-Index: AQHdVyKLr0b8b1Xq0kSgkz4m8Q8y7g==",
        "Content-Language: en-us",
    )
    return top + CRLF + parts(first, both, report, preamble="This is a multipart message in MIME format.\r\n\r\n")


@kind(file=False)
def outlook_voting_and_receipt(filling: Filling) -> str:
    """Delivery and read receipts asked for, a follow-up flag, voting by subject."""
    top = filling.headers(
        "Approve: Parking on the 10th",
        "Return-Receipt-To: <amy@riverside.test>",
        "Disposition-Notification-To: <amy@riverside.test>",
        "X-Message-Flag: Follow up",
        "Reply-By: Tue, 17 Nov 2026 17:00:00 -0600",
        "X-MSMail-Priority: Normal",
        "X-Priority: 3",
        "Importance: Normal",
        "X-MimeOLE: Produced By Microsoft MimeOLE V16.0.1",
        "MIME-Version: 1.0",
    )
    return top + part('Content-Type: text/plain;\n\tcharset="us-ascii"\nContent-Transfer-Encoding: 7bit', filling.words)


@kind()
def exchange_online(filling: Filling) -> str:
    """Base64 texts, long X-MS fields, ARC, sizes and dates in the disposition."""
    mixed, both = "_004_SN6PR01MB1234ABCDEF0123456789SN6PR01MB1234prod_", "_000_SN6PR01MB1234ABCDEF0123456789SN6P_"
    shown = (
        f'<html>\r\n<head>\r\n<meta http-equiv="Content-Type" content="text/html; charset=utf-8">\r\n'
        f'<style type="text/css" style="display:none;"> P {{margin-top:0;margin-bottom:0;}} </style>\r\n</head>\r\n'
        f'<body dir="ltr">\r\n<div class="elementToProof" style="font-family: Aptos; font-size: 12pt;">\r\n'
        f'{filling.rows("<div>", "</div>")}</div>\r\n<div id="Signature"><p>Amy</p></div>\r\n</body>\r\n</html>\r\n'
    )
    texts = parts(
        both,
        part(
            'Content-Type: text/plain; charset="utf-8"\nContent-Transfer-Encoding: base64',
            b64(filling.words.encode()),
        ),
        part('Content-Type: text/html; charset="utf-8"\nContent-Transfer-Encoding: base64', b64(shown.encode())),
    )
    size = len(filling.data)
    report = part(
        f'Content-Type: {filling.media}; name="{filling.name}"\nContent-Description: {filling.name}\n'
        f'Content-Disposition: attachment; filename="{filling.name}"; size={size};\n'
        '\tcreation-date="Mon, 16 Nov 2026 14:59:11 GMT";\n\tmodification-date="Mon, 16 Nov 2026 15:00:00 GMT"\n'
        "Content-Transfer-Encoding: base64",
        b64(filling.data),
    )
    top = filling.headers(
        "Parking on the 10th",
        "Thread-Topic: Parking on the 10th",
        "Thread-Index: AQHdVyKLr0b8b1Xq0kSgkz4m8Q8y7g==",
        "Accept-Language: en-US",
        "X-MS-Has-Attach: yes",
        "X-MS-TNEF-Correlator:",
        "msip_labels:",
        "x-ms-publictraffictype: Email",
        "x-ms-office365-filtering-correlation-id: 1f2e3d4c-5b6a-7988-0011-223344556677",
        "x-microsoft-antispam: BCL:0;ARA:13230040|1800799024|366016|376014|38070700021;",
        "x-ms-exchange-antispam-messagedata-0:\r\n =?us-ascii?Q?"
        + "uHcTkQ8sAqL2v7" * 4
        + "?=\r\n =?us-ascii?Q?"
        + "f3K9xYwPz0Rm1B" * 4
        + "?=",
        "X-OriginatorOrg: riverside.test",
        f'Content-Type: multipart/mixed;\r\n\tboundary="{mixed}"',
        "MIME-Version: 1.0",
    )
    return top + CRLF + parts(mixed, part(f'Content-Type: multipart/alternative;\n\tboundary="{both}"', texts), report)


@kind()
def outlook_tnef_with_file(filling: Filling) -> str:
    """winmail.dat beside the text, as Outlook writes to people in its address book.

    Harmless too it is an attachment with a class and properties that nobody needs.
    """
    body = files.winmail(filling.words, {filling.name: filling.data}, rtf=True)
    boundary = "----_=_NextPart_001_01DC5722.8E1D0C40"
    top = filling.headers(
        "Parking on the 10th",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/mixed;\r\n\tboundary="{boundary}"',
        "X-MS-Has-Attach: yes",
        "X-MS-TNEF-Correlator: <00000000A1B2C3D4E5F60718293A4B5C6D7E8F90>",
    )
    return (
        top
        + CRLF
        + parts(
            boundary,
            part('Content-Type: text/plain;\n\tcharset="iso-8859-1"', filling.words),
            part(
                'Content-Type: application/ms-tnef;\n\tname="winmail.dat"\nContent-Transfer-Encoding: base64', b64(body)
            ),
        )
    )


@kind()
def exchange_summary_tnef(filling: Filling) -> str:
    """The whole mail is one winmail.dat."""
    body = files.winmail(filling.words, {filling.name: filling.data})
    top = filling.headers("Parking on the 10th", "MIME-Version: 1.0")
    return top + part(
        'Content-Type: application/ms-tnef; name="winmail.dat"\nContent-Transfer-Encoding: binary\n'
        'Content-Disposition: attachment; filename="winmail.dat"'.replace("binary", "base64"),
        b64(body),
    )


@kind()
def outlook_express(filling: Filling) -> str:
    """Version 6, with the Content-Location of its pages and no alternative for the picture."""
    mixed, both = "----=_NextPart_000_0005_01C4CBB1.2A3B4C50", "----=_NextPart_001_0006_01C4CBB1.2A3B4C50"
    shown = (
        '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.0 Transitional//EN">\r\n<HTML><HEAD>\r\n'
        '<META http-equiv=Content-Type content="text/html; charset=iso-8859-1">\r\n'
        '<META content="MSHTML 6.00.2900.2180" name=GENERATOR>\r\n<STYLE></STYLE>\r\n</HEAD>\r\n'
        f"<BODY bgColor=#ffffff>\r\n{filling.rows('<DIV><FONT face=Arial size=2>', '</FONT></DIV>')}</BODY></HTML>\r\n"
    )
    texts = parts(
        both,
        part(
            'Content-Type: text/plain;\n\tcharset="iso-8859-1"\nContent-Transfer-Encoding: quoted-printable',
            quoted(filling.words),
        ),
        part(
            'Content-Type: text/html;\n\tcharset="iso-8859-1"\nContent-Transfer-Encoding: quoted-printable',
            quoted(shown),
        ),
    )
    top = filling.headers(
        "Parking on the 10th",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/mixed;\r\n\tboundary="{mixed}"',
        "X-Priority: 3",
        "X-MSMail-Priority: Normal",
        "X-Mailer: Microsoft Outlook Express 6.00.2900.2180",
        "X-MimeOLE: Produced By Microsoft MimeOLE V6.00.2900.2180",
    )
    both_ = part(f'Content-Type: multipart/alternative;\n\tboundary="{both}"', texts)
    return (
        top
        + CRLF
        + parts(mixed, both_, attached(filling), preamble="This is a multi-part message in MIME format.\r\n\r\n")
    )
