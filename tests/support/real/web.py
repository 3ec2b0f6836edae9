"""Mail as web mail, libraries and services write it: boundaries, orders and habits of each."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.real.pieces import (
    CRLF,
    Filling,
    attached,
    b64,
    hyper,
    kind,
    page,
    part,
    parts,
    plain,
    quoted,
)


@kind()
def gmail(filling: Filling) -> str:
    """Alternative in mixed, a quoted answer, ids on attachments, DKIM."""
    mixed, both = "000000000000c0ffee0629b1e2a3", "000000000000c0ffed0629b1e2a1"
    quote = (
        '<br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">On Fri, Nov 13, 2026 at 4:02 PM Lee &lt;'
        '<a href="mailto:reader@outside.test">reader@outside.test</a>&gt; wrote:<br></div><blockquote '
        'class="gmail_quote" style="margin:0px 0px 0px 0.8ex;border-left:1px solid rgb(204,204,204);'
        'padding-left:1ex"><div dir="ltr">Where can we park?</div></blockquote></div>'
    )
    answer = (
        filling.words
        + "\r\nOn Fri, Nov 13, 2026 at 4:02 PM Lee <reader@outside.test> wrote:\r\n\r\n> Where can we park?\r\n"
    )
    shown = f'<div dir="ltr">{filling.rows("<div>", "</div>")}</div>{quote}{CRLF}'
    texts = parts(
        both,
        part('Content-Type: text/plain; charset="UTF-8"', answer),
        part('Content-Type: text/html; charset="UTF-8"\nContent-Transfer-Encoding: quoted-printable', quoted(shown)),
    )
    report = part(
        f'Content-Type: {filling.media}; name="{filling.name}"\nContent-Disposition: attachment; '
        f'filename="{filling.name}"\nContent-Transfer-Encoding: base64\nContent-ID: <f_m3k2j1h00>\n'
        "X-Attachment-Id: f_m3k2j1h00",
        b64(filling.data),
    )
    top = (
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n        d=riverside.test; s=google; t=1794844800;"
        "\r\n        h=to:subject:message-id:date:from:mime-version:from:to:cc:subject;\r\n"
        "        bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n        b=" + "AbCd" * 20 + "\r\n"
        "X-Google-DKIM-Signature: v=1; a=rsa-sha256; d=1e100.test; s=20230601; b=AbCd\r\n"
        "X-Gm-Message-State: AOJu0YxAbCdEf\r\nX-Received: by 2002:a05:6402:1f0a with SMTP id x;\r\n"
        "        Mon, 16 Nov 2026 07:00:00 -0800 (PST)\r\nMIME-Version: 1.0\r\n"
    )
    top += filling.headers(
        "Re: Parking on the 10th",
        "References: <asked@outside.test>",
        "In-Reply-To: <asked@outside.test>",
        f'Content-Type: multipart/mixed; boundary="{mixed}"',
    )
    return top + CRLF + parts(mixed, part(f'Content-Type: multipart/alternative; boundary="{both}"', texts), report)


@kind()
def gmail_amp(filling: Filling) -> str:
    """A dynamic page between the plain text and the HTML: some programs show it and nothing else."""
    mixed, both = "000000000000aaaa", "000000000000bbbb"
    amp = (
        '<!doctype html>\r\n<html amp4email data-css-strict>\r\n<head>\r\n<meta charset="utf-8">\r\n'
        '<script async src="https://cdn.ampproject.test/v0.js"></script>\r\n'
        f"<style amp4email-boilerplate>body{{visibility:hidden}}</style>\r\n</head>\r\n<body>{filling.rows()}</body></html>\r\n"
    )
    texts = parts(
        both,
        plain(filling, '; charset="UTF-8"'),
        part('Content-Type: text/x-amp-html; charset="UTF-8"', amp),
        hyper(page(filling), '; charset="UTF-8"'),
    )
    top = filling.headers(
        "Parking on the 10th", "MIME-Version: 1.0", f'Content-Type: multipart/mixed; boundary="{mixed}"'
    )
    return (
        top
        + CRLF
        + parts(mixed, part(f'Content-Type: multipart/alternative; boundary="{both}"', texts), attached(filling))
    )


@kind()
def watch_html(filling: Filling) -> str:
    """A small page for watches between the two usual alternatives."""
    texts = parts(
        "watch",
        plain(filling),
        part("Content-Type: text/watch-html; charset=utf-8", f"<b>{filling.rows()}</b>\r\n"),
        hyper(page(filling)),
    )
    top = filling.headers("Parking on the 10th", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=outer")
    return (
        top
        + CRLF
        + parts("outer", part("Content-Type: multipart/alternative; boundary=watch", texts), attached(filling))
    )


@kind()
def enriched(filling: Filling) -> str:
    """text/enriched beside plain text, as programs of the nineties did (RFC 1896)."""
    texts = parts(
        "rich",
        plain(filling, "; charset=us-ascii"),
        part("Content-Type: text/enriched; charset=us-ascii", f"<bold>{filling.words}</bold>"),
    )
    top = filling.headers("Parking on the 10th", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=outer")
    return (
        top
        + CRLF
        + parts("outer", part("Content-Type: multipart/alternative; boundary=rich", texts), attached(filling))
    )


@kind()
def rich_alternative(filling: Filling) -> str:
    """Rich text as the best alternative."""
    rich = "{\\rtf1\\ansi " + filling.words.replace("\r\n", "\\par\r\n") + "}\r\n"
    texts = parts("rich", plain(filling, "; charset=us-ascii"), part("Content-Type: text/rtf", rich))
    top = filling.headers("Parking on the 10th", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=outer")
    return (
        top
        + CRLF
        + parts("outer", part("Content-Type: multipart/alternative; boundary=rich", texts), attached(filling))
    )


@kind()
def markdown_beside(filling: Filling) -> str:
    """text/markdown as an alternative (RFC 7763)."""
    texts = parts(
        "md", plain(filling), part("Content-Type: text/markdown; charset=utf-8", f"# Hello\r\n\r\n{filling.words}"),
        hyper(page(filling)),
    )  # fmt: skip
    top = filling.headers("Parking on the 10th", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=outer")
    return (
        top + CRLF + parts("outer", part("Content-Type: multipart/alternative; boundary=md", texts), attached(filling))
    )


def _library(
    name: str,
    mixed: str,
    both: str,
    *fields: str,
    quote: bool = True,
    spell: str = "multipart/mixed",
    quiet: str = "as-is",
) -> None:
    """One more program that writes text, HTML and a file, and differs in boundaries and fields alone."""

    def make(filling: Filling) -> str:
        said = (f'"{mixed}"', f'"{both}"') if quote else (mixed, both)
        texts = parts(
            both, plain(filling, "; charset=utf-8"), hyper(page(filling), "; charset=utf-8", "quoted-printable")
        )
        top = filling.headers(
            "Parking on the 10th", *fields, "MIME-Version: 1.0", f"Content-Type: {spell};\r\n boundary={said[0]}"
        )
        inner = part(f"Content-Type: multipart/alternative;\n boundary={said[1]}", texts)
        return top + CRLF + parts(mixed, inner, attached(filling))

    kind(quiet, name=name)(make)


_library(
    "yahoo",
    "----=_Part_3412_1894502.1794844800123",
    "----=_Part_3411_7740115.1794844800122",
    "X-Mailer: WebService/1.1.21132 YMailNorrin",
)
_library(
    "zimbra",
    "----=_Part_17_2.3",
    "----=_Part_18_4.5",
    "Thread-Topic: Parking",
    "X-Originating-IP: [192.0.2.7]",
    "X-Mailer: Zimbra 9.0.0_GA_4583 (ZimbraWebClient - GC119 (Win)/9.0.0_GA_4583)",
)
_library("javamail", "----=_Part_1_1234567.1794844800000", "----=_Part_0_7654321.1794844800000")
_library(
    "aol",
    "part1_1a2.3b4c5d6e.4c7f8a9b_boundary",
    "part2_1a2.3b4c5d6e.4c7f8a9b_alt_bound",
    "X-Mailer: AOL 9.0 VR sub 5006",
    "X-Spam-Flag: NO",
)
_library("hotmail", "_0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9_", "_9f8e7d6c-5b4a-3928-1706-f5e4d3c2b1a0_", quote=False)
_library("roundcube", "=_8a7b6c5d4e3f2019", "=_0123456789abcdef", "User-Agent: Roundcube Webmail/1.6.5")
_library(
    "squirrelmail",
    "----=_20261116090000_12345",
    "----=_20261116090000_54321",
    "User-Agent: SquirrelMail/1.4.23",
    "X-Priority: 3 (Normal)",
)
_library("horde", "=_fR8xQ2mLkV1sT0aZ", "=_aZ0tS1vLkM2qX8rF", "User-Agent: Horde Application Framework 5")
_library(
    "phpmailer",
    "b1_1XyZ2aBc3dEf4gHi5jKl",
    "b2_1XyZ2aBc3dEf4gHi5jKl",
    "X-Mailer: PHPMailer 6.9.1 (https://github.test/PHPMailer)",
)
_library("swiftmailer", "_=_swift_v4_1234567890_0a1b2c3d_=_", "_=_swift_v4_1234567890_d3c2b1a0_=_")
_library("python-library", "===============1234567890123456789==", "===============9876543210987654321==")
_library(
    "dotnet",
    "--boundary_0_0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
    "--boundary_1_0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
    quote=False,
)
_library("ruby-mail", "--==_mimepart_6739a1b2c3d4e_1a2b3c4d5e", "--==_mimepart_6739a1b2c3d4f_5e4d3c2b1a")
_library(
    "mime-lite",
    "_----------=_173174480012340",
    "_----------=_173174480012341",
    "X-Mailer: MIME::Lite 3.033 (F2.85; T2.18; A2.21; B3.15; Q3.13)",
)
_library("gomail", "a" * 30 + "1" * 30, "b" * 30 + "2" * 30, quote=False)
_library("nodemailer", "--_NmP-0a1b2c3d4e5f6071-Part_1", "--_NmP-0a1b2c3d4e5f6071-Part_2")
_library(
    "mandrill",
    "_av-aBcDeFgHiJkLmNoPqRsTuV",
    "_av-vUtSrQpOnMlKjIhGfEdCbA",
    "X-Mandrill-User: md_1",
    "X-Native-Encoded: 1",
)
_library(
    "sendgrid",
    "0a1b2c3d4e5f60718293a4b5c6d7e8f900112233",
    "f0e1d2c3b4a5968778695a4b3c2d1e0f00112233",
    "X-SG-EID: AbCd=",
    "X-Entity-ID: AbCd==",
    quote=False,
)
_library(
    "amazon-ses",
    "--_com.amazonaws_0_1",
    "--_com.amazonaws_0_2",
    "Feedback-ID: ::1.us-east-1.AbCd:AmazonSES",
    "X-SES-Outgoing: 2026.11.16-192.0.2.9",
)
_library("android", "--_com.android.email_1234567890", "--_com.android.email_0987654321")
_library(
    "samsung",
    "--_com.samsung.android.email_1794844800",
    "--_com.samsung.android.email_1794844801",
    "X-Mailer: SamsungEmail",
)
_library("blackberry", "part500-boundary-1-1", "part501-boundary-2-2", "X-Mailer: BlackBerry Email (10.3.3.3057)")
_library("guid-in-braces", "{0A1B2C3D-4E5F-6071-8293-A4B5C6D7E8F9}", "{9F8E7D6C-5B4A-3928-1706-F5E4D3C2B1A0}")
_library("angle-boundary", "DC_BOUND_PRE_<1264672917.0000852ed16a>", "DC_BOUND_ALT_<1264672917.0000852ed16b>")
_library("star-boundary", "*-*-*-Next-Part-*-*-*", "*-*-*-Alternative-*-*-*")
_library(
    "vms",
    "Boundary_(ID_aBcD1eFgH2iJkL3)",
    "Boundary_(ID_pQrS4tUvW5xYzA6)",
    "X-Mailer: Oracle Communications Messenger Express",
)
_library("hash-boundary", "#MYBOUNDARY#0a1b", "#MYBOUNDARY#2c3d")
_library("percent-boundary", "--%riverside%100%", "--%outside%200%")
_library("one-letter", "x", "y", quote=False)
_library("seventy-letters", "A" * 70, "B" * 70)
_library("eighty-letters", "A" * 80, "B" * 80, quiet="secure")
_library("capitals", "BOUNDARY-UPPER", "boundary-lower", spell="MULTIPART/Mixed")
_library("single-quotes", "'simple'", "'other'")
_library("with-protocol", "pp1", "pp2", spell='multipart/mixed; charset="utf-8"; type="text/html"; report-type=none')


def _mailing(name: str, *fields: str) -> Callable[[Filling], str]:
    """A newsletter of a service: a page of tables in tables, a hidden line first, a picture that counts readers."""

    def make(filling: Filling) -> str:
        rows = "".join(
            '<tr><td style="padding:8px;font-family:Helvetica,Arial,sans-serif"><table role="presentation" '
            'width="100%" cellpadding="0" cellspacing="0"><tr><td><a href="https://news.riverside.test/c/eJwNyM0">'
            f"Story {at}</a></td></tr></table></td></tr>\r\n"
            for at in range(150)
        )
        shown = (
            '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-'
            'transitional.dtd">\r\n<html xmlns="http://www.w3.org/1999/xhtml" xmlns:v="urn:schemas-microsoft-com:vml">'
            "\r\n<head>\r\n<!--[if mso]><noscript><xml><o:OfficeDocumentSettings><o:PixelsPerInch>96</o:PixelsPerInch>"
            "</o:OfficeDocumentSettings></xml></noscript><![endif]-->\r\n<style>@media only screen and (max-width:600px)"
            "{.full{width:100%!important}}</style>\r\n<title>News</title></head>\r\n"
            '<body style="margin:0;padding:0;background-color:#f4f4f4">\r\n<div style="display:none;max-height:0;'
            'overflow:hidden;mso-hide:all">News of the house &#847; &zwnj; &nbsp;</div>\r\n'
            '<center><table role="presentation" width="100%" bgcolor="#f4f4f4"><tr><td align="center">'
            '<table class="full" width="600" style="width:600px;background:#ffffff">\r\n'
            f"<tr><td>{filling.rows()}</td></tr>\r\n{rows}</table></td></tr></table></center>\r\n"
            '<img src="https://news.riverside.test/o/eJwNyM0.gif" width="1" height="1" alt=""></body></html>\r\n'
        )
        texts = parts("news", plain(filling), hyper(shown, "; charset=utf-8", "quoted-printable"))
        top = filling.headers(
            "News of the house",
            "List-Unsubscribe: <https://news.riverside.test/u/eJwNyM0>, <mailto:leave@riverside.test>",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
            "Precedence: bulk",
            *fields,
            "MIME-Version: 1.0",
            "Content-Type: multipart/mixed; boundary=all",
        )
        return (
            top
            + CRLF
            + parts("all", part("Content-Type: multipart/alternative; boundary=news", texts), attached(filling))
        )

    return make


for _name, _fields in (
    ("newsletter", ()),
    (
        "mailchimp",
        ("X-MC-User: 0a1b2c3d", "X-Mailer: Mailchimp Mailer - **CID0a1b2c3d**", "List-ID: list <1.list-id.test>"),
    ),
    ("hubspot", ("X-HubSpot-NotificationMail: 1", "X-Entity-Ref-ID: 1")),
):
    kind(name=_name)(_mailing(_name, *_fields))
