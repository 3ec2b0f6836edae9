"""Mail as desktop programs of thirty years write it: Apple Mail, Thunderbird, Notes, GroupWise and older ones."""

from __future__ import annotations

from tests.support.real.pieces import (
    CRLF,
    Filling,
    attached,
    b64,
    hyper,
    kind,
    logo,
    page,
    part,
    parts,
    plain,
    quoted,
)


@kind()
def apple_mail_between(filling: Filling) -> str:
    """A PDF between two pieces of HTML, in mixed, in alternative; the plain text comes first."""
    both, mixed = "Apple-Mail=_0A1B2C3D-4E5F-6071-8293-A4B5C6D7E8F9", "Apple-Mail=_9F8E7D6C-5B4A-3928-1706-F5E4D3C2B1A0"
    head = "Content-Transfer-Encoding: 7bit\nContent-Type: text/html;\n\tcharset=us-ascii"
    style = ' style="overflow-wrap: break-word; -webkit-nbsp-mode: space; line-break: after-white-space;"'
    before = f"<html><head></head><body{style}>{filling.rows('<div>', '</div>')}</body></html>"
    after = f"<html><head></head><body{style}><div><br></div><div>Amy</div></body></html>"
    inline = part(
        f"Content-Disposition: inline;\n\tfilename={filling.name}\nContent-Type: {filling.media};\n"
        f'\tx-unix-mode=0644;\n\tname="{filling.name}"\nContent-Transfer-Encoding: base64',
        b64(filling.data),
    )
    inner = part(
        f'Content-Type: multipart/mixed;\n\tboundary="{mixed}"',
        CRLF + parts(mixed, part(head, before), inline, part(head, after)),
    )
    text = part("Content-Transfer-Encoding: 7bit\nContent-Type: text/plain;\n\tcharset=us-ascii", filling.words)
    top = filling.headers(
        "Parking on the 10th",
        "Mime-Version: 1.0 (Mac OS X Mail 16.0 \\(3776.700.51\\))",
        f'Content-Type: multipart/alternative;\r\n\tboundary="{both}"',
        "X-Mailer: Apple Mail (2.3776.700.51)",
    )
    return top + CRLF + CRLF + parts(both, text, inner)


@kind()
def iphone(filling: Filling) -> str:
    """Words, the file, and the line about the telephone, in mixed."""
    mixed = "Apple-Mail-0A1B2C3D-4E5F-6071-8293-A4B5C6D7E8F9"
    top = filling.headers(
        "Parking on the 10th",
        f"Content-Type: multipart/mixed; boundary={mixed}",
        "Content-Transfer-Encoding: 7bit",
        "Mime-Version: 1.0 (1.0)",
        "X-Mailer: iPhone Mail (22B91)",
    )
    return (
        top
        + CRLF
        + CRLF
        + parts(
            mixed,
            part("Content-Type: text/plain;\n\tcharset=us-ascii\nContent-Transfer-Encoding: 7bit", filling.words),
            part(
                f"Content-Type: {filling.media};\n\tname={filling.name};\n\tx-apple-part-url=0A1B2C3D\n"
                f"Content-Disposition: inline;\n\tfilename={filling.name}\nContent-Transfer-Encoding: base64",
                b64(filling.data),
            ),
            part(
                "Content-Type: text/plain;\n\tcharset=us-ascii\nContent-Transfer-Encoding: 7bit",
                "\r\n\r\nSent from my iPhone",
            ),
        )
    )


@kind()
def thunderbird_html(filling: Filling) -> str:
    """HTML with a picture in its text, flowed text beside it."""
    mixed, both, related = "------------hQ0u3yR7mWb1c2d3e4f5g6", "------------aB9cD8eF7gH6", "------------zY1xW2vU3tS4"
    shown = (
        '<!DOCTYPE html>\r\n<html>\r\n  <head>\r\n    <meta http-equiv="content-type" content="text/html; '
        f'charset=UTF-8">\r\n  </head>\r\n  <body>\r\n{filling.rows("    <p>", "</p>")}\r\n'
        '    <p><img src="cid:part1.abcdefgh.12345678@riverside.test" alt=""></p>\r\n  </body>\r\n</html>\r\n'
    )
    picture = part(
        'Content-Type: image/png; name="logo.png"\nContent-Disposition: inline; filename="logo.png"\n'
        "Content-Id: <part1.abcdefgh.12345678@riverside.test>\nContent-Transfer-Encoding: base64",
        logo(),
    )
    rel = part(
        f'Content-Type: multipart/related;\n boundary="{related}"',
        parts(related, hyper(shown, "; charset=UTF-8"), picture),
    )
    texts = parts(both, plain(filling, "; charset=UTF-8; format=flowed"), rel)
    top = filling.headers(
        "Parking on the 10th",
        f'Content-Type: multipart/mixed; boundary="{mixed}"',
        "MIME-Version: 1.0",
        "User-Agent: Mozilla Thunderbird",
        "Content-Language: en-US",
        "Autocrypt: addr=amy@riverside.test; keydata=\r\n xsBNBGI0aBcBCADAEXAMPLEKEYDATA+/=",
    )
    return (
        top
        + CRLF
        + parts(
            mixed,
            part(f'Content-Type: multipart/alternative;\n boundary="{both}"', texts),
            attached(filling),
            preamble="This is a multi-part message in MIME format.\r\n",
        )
    )


@kind()
def lotus_notes(filling: Filling) -> str:
    """Blanks and signs of equality in boundaries, upper-case subtypes, fonts for every line."""
    mixed, both = "=_mixed 00538A0B85258C5B_=", "=_alternative 00538A0D85258C5B_="
    texts = parts(
        both,
        part('Content-Type: text/plain; charset="US-ASCII"', filling.words),
        part(
            'Content-Type: text/html; charset="US-ASCII"',
            filling.rows('<font size=2 face="sans-serif">', "</font>\r\n<br>") + CRLF,
        ),
    )
    top = filling.headers(
        "Parking on the 10th",
        "MIME-Version: 1.0",
        "X-KeepSent: 1A2B3C4D:5E6F7081-85258C5B:00538A0B; type=4; name=$KeepSent",
        "X-Mailer: Lotus Notes Release 8.5.3 September 15, 2011",
        "X-MIMETrack: Serialize by Router on MAIL01/Riverside(Release 9.0.1|October 14, 2013) at 11/16/2026 09:00:01,"
        "\r\n\tSerialize complete at 11/16/2026 09:00:01",
        f'Content-Type: multipart/mixed; boundary="{mixed}"',
    )
    report = part(
        f'Content-Type: application/octet-stream; name="{filling.name}"\n'
        f'Content-Disposition: attachment; filename="{filling.name}"\nContent-Transfer-Encoding: base64',
        b64(filling.data),
    )
    return (
        top
        + CRLF
        + parts(
            mixed,
            part(f'Content-Type: multipart/alternative; boundary="{both}"', texts),
            report,
            preamble="This is a multipart message in MIME format.\r\n",
        )
    )


@kind()
def groupwise(filling: Filling) -> str:
    """Parts with descriptions, 8-bit said and none there."""
    mixed, both = "=__Part0A1B2C3D.0__=", "=__Part0A1B2C3D.1__="
    texts = parts(
        both,
        part("Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit", filling.words),
        part(
            "Content-Type: text/html; charset=UTF-8\nContent-Transfer-Encoding: 8bit\nContent-Description: HTML",
            page(filling, '<meta http-equiv="Content-Type" content="text/html; charset=utf-8" />'),
        ),
    )
    top = filling.headers(
        "Parking on the 10th",
        "X-Mailer: Novell GroupWise Internet Agent 18.4.2",
        "Mime-Version: 1.0",
        f'Content-Type: multipart/mixed; boundary="{mixed}"',
    )
    intro = (
        "This is a MIME message. If you are reading this text, you may want to \r\nconsider changing to a mail "
        "reader or gateway that understands how to \r\nproperly handle MIME multipart messages.\r\n\r\n"
    )
    return (
        top
        + CRLF
        + parts(
            mixed,
            part(f'Content-Type: multipart/alternative; boundary="{both}"', texts),
            attached(filling),
            preamble=intro,
        )
    )


@kind()
def eudora(filling: Filling) -> str:
    """Unquoted name with blanks, x-flowed text, the boundary of signs of equality."""
    boundary = "=====================_12345678==_"
    top = filling.headers(
        "Parking on the 10th",
        "X-Mailer: QUALCOMM Windows Eudora Version 7.1.0.9",
        "Mime-Version: 1.0",
        f'Content-Type: multipart/mixed;\r\n\tboundary="{boundary}"',
    )
    report = part(
        f"Content-Type: {filling.media}; name=my {filling.name}\nContent-Transfer-Encoding: base64\n"
        f"Content-Disposition: attachment; filename=my {filling.name}",
        b64(filling.data),
    )
    return (
        top + CRLF + parts(boundary, part('Content-Type: text/plain; charset="us-ascii"; format=flowed', filling.words), report)
    )  # fmt: skip


@kind()
def pine(filling: Filling) -> str:
    """Upper case everywhere, a long preamble, Content-ID on each part."""
    boundary = "-559023410-851401618-1700000000=:12345"
    intro = (
        "  This message is in MIME format.  The first part should be readable text,\r\n"
        "  while the remaining parts are likely unreadable without MIME-aware tools.\r\n\r\n"
    )
    top = filling.headers(
        "Parking on the 10th", "MIME-Version: 1.0", f'Content-Type: MULTIPART/MIXED; BOUNDARY="{boundary}"'
    )
    return (
        top
        + CRLF
        + parts(
            boundary,
            part("Content-Type: TEXT/PLAIN; charset=US-ASCII; format=flowed", filling.words),
            part(
                f"Content-Type: APPLICATION/PDF; name={filling.name}\nContent-Transfer-Encoding: BASE64\n"
                "Content-ID: <Pine.LNX.4.64.0611160900000.12345@host.riverside.test>\nContent-Description: \n"
                f"Content-Disposition: ATTACHMENT; filename={filling.name}",
                b64(filling.data),
            ),
            preamble=intro,
        )
    )


@kind()
def mutt(filling: Filling) -> str:
    """Everything inline, a boundary without any mark."""
    top = filling.headers(
        "Parking on the 10th",
        "MIME-Version: 1.0",
        'Content-Type: multipart/mixed; boundary="ReaqsoxgOBHFXBhH"',
        "Content-Disposition: inline",
        "User-Agent: Mutt/2.2.9 (2022-11-12)",
    )
    return (
        top
        + CRLF
        + CRLF
        + parts(
            "ReaqsoxgOBHFXBhH",
            part("Content-Type: text/plain; charset=us-ascii\nContent-Disposition: inline", filling.words),
            attached(filling),
        )
    )


@kind()
def kmail(filling: Filling) -> str:
    """Boundary with a number, Content-Transfer-Encoding on the multipart."""
    top = filling.headers(
        "Parking on the 10th",
        "User-Agent: KMail/4.14.10 (Linux/5.4; KDE/4.14; x86_64; ; )",
        "MIME-Version: 1.0",
        'Content-Type: multipart/mixed; boundary="nextPart1748213.9aWvKmcTY2"',
        "Content-Transfer-Encoding: 7Bit",
    )
    return (
        top
        + CRLF
        + parts("nextPart1748213.9aWvKmcTY2", plain(filling, '; charset="us-ascii"', "7Bit"), attached(filling))
    )


@kind()
def evolution(filling: Filling) -> str:
    """A signature in the alternative, slashes and pluses in the boundary."""
    mixed, both = "=-aB3/dE5+gH7jK9lM1nO3", "=-pQ5+rS7/tU9vW1xY3zA5"
    texts = parts(
        both,
        plain(filling, '; charset="UTF-8"', "quoted-printable"),
        hyper(page(filling, body=' text="#000000"'), '; charset="utf-8"', "quoted-printable"),
    )
    top = filling.headers(
        "Parking on the 10th",
        f'Content-Type: multipart/mixed; boundary="{mixed}"',
        "User-Agent: Evolution 3.46.4-2",
        "MIME-Version: 1.0",
    )
    return (
        top
        + CRLF
        + CRLF
        + parts(mixed, part(f'Content-Type: multipart/alternative; boundary="{both}"', texts), attached(filling))
    )


@kind()
def the_bat(filling: Filling) -> str:
    """Windows-1251 and a boundary of dashes."""
    boundary = "----------0A1B2C3D4E5F6071"
    text = part(
        "Content-Type: text/plain; charset=windows-1251\nContent-Transfer-Encoding: quoted-printable",
        quoted("Здравствуйте!\r\n" + filling.words, "cp1251"),
    )
    top = filling.headers(
        "=?windows-1251?B?z+Dw6u7i6uA=?=",
        "X-Mailer: The Bat! (v9.3.4) Professional",
        "X-Priority: 3 (Normal)",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/mixed;\r\n boundary="{boundary}"',
    )
    return top + CRLF + parts(boundary, text, attached(filling))


@kind("attachments")
def appledouble(filling: Filling) -> str:
    """A file of the old Mac: its resource fork beside it. Nobody can read a fork, so both leave."""
    fork = b"\x00\x05\x16\x07\x00\x02\x00\x00" + bytes(16) + b"\x00\x01\x00\x00\x00\x09\x00\x00\x00\x26" + bytes(40)
    both = parts(
        "=_double",
        part(
            f'Content-Type: application/applefile; name="%{filling.name}"\nContent-Transfer-Encoding: base64', b64(fork)
        ),
        attached(filling),
    )
    top = filling.headers("Parking on the 10th", "MIME-Version: 1.0", 'Content-Type: multipart/mixed; boundary="=_mix"')
    return (
        top
        + CRLF
        + parts("=_mix", plain(filling), part('Content-Type: multipart/appledouble; boundary="=_double"', both))
    )


@kind(file=False)
def plain_unix_mail(filling: Filling) -> str:
    """No MIME at all."""
    return filling.top + CRLF + filling.words


@kind("secure", file=False)
def sun_mailtool(filling: Filling) -> str:
    """A content type without a slash, its parts marked by dashes: text to everybody else."""
    body = (
        f"----------\r\nX-Sun-Data-Type: text\r\nX-Sun-Data-Description: text\r\nX-Sun-Data-Name: text\r\n"
        f"X-Sun-Charset: us-ascii\r\nX-Sun-Content-Lines: 9\r\n\r\n{filling.words}"
    )
    return filling.headers("Parking on the 10th", "Content-Type: X-sun-attachment") + CRLF + body
