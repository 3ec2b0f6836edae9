"""Mail as machines write it: scanners, fax servers, records systems, tickets, calendars, servers' reports."""

from __future__ import annotations

import random

from tests.support import mail_files as files
from tests.support.real.pieces import CRLF, Filling, attached, b64, hyper, kind, page, part, parts, plain, quoted

_TIFF = b"II*\x00\x08\x00\x00\x00" + random.Random("tiff").randbytes(1200)


def _scanner(
    name: str, boundary: str, *fields: str, text: str = "\r\n", head: str = 'text/plain; charset="us-ascii"'
) -> None:
    def make(filling: Filling) -> str:
        top = "".join(f"{one}\r\n" for one in ("From: scanner@riverside.test", "To: reader@outside.test", *fields))
        return f'{top}MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary="{boundary}"\r\n\r\n' + parts(
            boundary, part(f"Content-Type: {head}", text), attached(filling, media="application/pdf")
        )

    kind(name=name, says=False)(make)


_scanner(
    "scanner-konica",
    "KONICA_MINOLTA_Internet_Fax_Boundary",
    "Subject: Message from KM_C250i",
    "Date: Mon, 16 Nov 2026 09:00:00 +0000",
    "Message-Id: <1.KM_C250i@192.0.2.5>",
    "X-Mailer: KONICA MINOLTA bizhub C250i",
)
_scanner(
    "scanner-canon",
    "DC_BOUND_PRE_<1794844800.000085d1a2b3>",
    "Subject: Attached Image",
    "Date: Mon, 16 Nov 2026 09:00:00 -0600",
    "X-Mailer: Canon iR-ADV",
)
_scanner(
    "scanner-ricoh",
    "----=_NextPart_000_RICOH",
    'Subject: Message from "RNP0026738A1B2C"',
    text='This E-mail was sent from "RNP0026738A1B2C" (MP C3004).\r\n\r\nScan Date: 11.16.2026 09:00:00 (-0600)\r\nQueries to: scanner@riverside.test\r\n',
)
_scanner(
    "scanner-xerox",
    "=_XEROX_=",
    "Subject: Scan from a Xerox WorkCentre",
    text="Please open the attached document.\r\n\r\nNumber of Images: 1\r\nAttachment File Type: PDF\r\n\r\nDevice Name: XRX1\r\n",
)
_scanner("scanner-bad-charset", "sb", "Subject: scan", head="text/plain; charset=unknown-8bit")
_scanner(
    "scanner-wrong-charset", "sb", "Subject: scan", head="text/plain; charset=x-user-defined", text="Scan \xa0\r\n"
)
_scanner("scanner-no-text-end", "sb", "Subject: scan", text="")
_scanner("scanner-two-digit-year", "sb", "Subject: scan", "Date: 16 Nov 26 09:00 CST", "Message-ID: <>")


@kind(says=False)
def scanner_file_only(filling: Filling) -> str:
    """The mail is the file, and has neither date nor id."""
    return f"From: scanner@riverside.test\r\nTo: reader@outside.test\r\nSubject: Scan\r\nMIME-Version: 1.0\r\n{attached(filling)}"


@kind("attachments", says=False)
def fax_tiff(filling: Filling) -> str:
    """A page nobody reads but a person."""
    top = filling.headers(
        "FAX from 5550100", "X-FaxServer: 1", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=fax"
    )
    image = part(
        "Content-Type: image/tiff; name=FAX0001.TIF; application=faxbw\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=FAX0001.TIF",
        b64(_TIFF),
    )
    return (
        top
        + CRLF
        + parts("fax", part("Content-Type: text/plain", "You have a fax of 1 page.\r\n"), image, attached(filling))
    )


@kind("attachments", says=False)
def voicemail(filling: Filling) -> str:
    """A voice message (RFC 3801) with its transcription elsewhere."""
    top = filling.headers(
        "Voice Message", "MIME-Version: 1.0 (Voice 2.0)", "Content-Type: multipart/voice-message; boundary=vm"
    )
    sound = part(
        "Content-Type: audio/wav; name=voice.wav\nContent-Transfer-Encoding: base64\nContent-Disposition: inline; voice=Voice-Message; filename=voice.wav\nContent-Duration: 12",
        b64(b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(40)),
    )
    return (
        top
        + CRLF
        + parts("vm", part("Content-Type: text/plain", "You have a voice message.\r\n"), sound, attached(filling))
    )


@kind()
def records_export(filling: Filling) -> str:
    """A text part for people and the export, with names in both notations (RFC 2231)."""
    top = filling.headers(
        "Document from the records system",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: multipart/mixed; boundary=ehr",
    )
    name = filling.name
    export = part(
        f'Content-Type: {filling.media}; name="{name}"\nContent-Disposition: attachment; filename="{name}"; filename*=utf-8\'\'{name}\nContent-Transfer-Encoding: base64',
        b64(filling.data),
    )
    return top + CRLF + parts("ehr", plain(filling), export)


@kind()
def ticket(filling: Filling) -> str:
    """A ticket system's answer: a line to type above, ids, threads."""
    body = f"##- Please type your reply above this line -##\r\n\r\n{filling.words}\r\n--------------------------------\r\nThis email is a service from Riverside.\r\n[A1B2C3-D4E5]\r\n"
    texts = parts(
        "tk",
        part("Content-Type: text/plain;\n charset=utf-8\nContent-Transfer-Encoding: quoted-printable", quoted(body)),
        hyper(page(filling, inside='<p dir="ltr">&nbsp;</p>'), "; charset=utf-8", "quoted-printable"),
    )
    top = filling.headers(
        "[Riverside] Re: Parking on the 10th",
        "Auto-Submitted: auto-generated",
        "X-Auto-Response-Suppress: All",
        "X-Mailer: Zendesk Mailer",
        "References: <a@outside.test>\r\n\t<b@outside.test>",
        "MIME-Version: 1.0",
        "Content-Type: multipart/mixed; boundary=mtk",
    )
    return top + CRLF + parts("mtk", part("Content-Type: multipart/alternative; boundary=tk", texts), attached(filling))


@kind()
def mailman_footer(filling: Filling) -> str:
    """A list puts the mail into mixed and its footer behind."""
    inner = part("Content-Type: multipart/mixed; boundary=in", parts("in", plain(filling), attached(filling)))
    footer = part(
        'Content-Type: text/plain; charset="us-ascii"\nMIME-Version: 1.0\nContent-Transfer-Encoding: 7bit\nContent-Disposition: inline',
        "_______________________________________________\r\nStaff mailing list\r\nStaff@lists.riverside.test\r\nhttps://lists.riverside.test/listinfo/staff\r\n",
    )
    top = (
        "ARC-Seal: i=1; a=rsa-sha256; d=lists.riverside.test; s=k1; t=1794844800; cv=none; b=AbCd\r\n"
        "ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed/relaxed; d=lists.riverside.test; s=k1; h=from:to; bh=AbCd; b=AbCd\r\n"
        "ARC-Authentication-Results: i=1; lists.riverside.test; dkim=pass header.d=riverside.test\r\n"
        "DKIM-Signature: v=1; a=rsa-sha256; d=riverside.test; s=k1; h=from:to:subject; bh=AbCd; b=AbCd\r\n"
    )
    top += filling.headers(
        "[Staff] Parking on the 10th",
        "X-BeenThere: staff@lists.riverside.test",
        "X-Mailman-Version: 2.1.39",
        "Precedence: list",
        "List-Id: Staff <staff.lists.riverside.test>",
        "List-Post: <mailto:staff@lists.riverside.test>",
        "Errors-To: staff-bounces@lists.riverside.test",
        "MIME-Version: 1.0",
        'Content-Type: multipart/mixed; boundary="===============0123456789=="',
    )
    return top + CRLF + parts("===============0123456789==", inner, footer)


@kind()
def list_footer_behind_base64(filling: Filling) -> str:
    """A list that puts its footer as text behind a base64 body."""
    body = b64(filling.words.encode()) + "\r\n_______________________________________________\r\nStaff mailing list\r\n"
    top = filling.headers(
        "[Staff] Parking", "Precedence: list", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=lf"
    )
    return (
        top
        + CRLF
        + parts(
            "lf",
            part("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64", body),
            attached(filling),
        )
    )


@kind(file=False)
def autoreply_exchange(filling: Filling) -> str:
    """Out of office."""
    top = filling.headers(
        "Automatic reply: Parking",
        "Auto-Submitted: auto-generated",
        "X-Auto-Response-Suppress: All",
        "X-MS-Exchange-Inbox-Rules-Loop: amy@riverside.test",
        "In-Reply-To: <a@outside.test>",
        "MIME-Version: 1.0",
    )
    return top + part(
        'Content-Type: text/html; charset="us-ascii"\nContent-Transfer-Encoding: quoted-printable',
        quoted(page(filling)),
    )


def _calendar(name: str, method: str, *lines: str, also_file: bool = False) -> None:
    def make(filling: Filling) -> str:
        said = filling.words.replace("\r\n", "\\n").replace(",", "\\,").replace(";", "\\;")
        invite = files.invite("Parking", said, method=method)
        invite = invite.replace("END:VEVENT", "\r\n".join((*lines, "END:VEVENT")))
        invitation = part(
            f'Content-Type: text/calendar; charset="utf-8"; method={method}\nContent-Transfer-Encoding: base64',
            b64(invite.encode()),
        )
        both = part(
            "Content-Type: multipart/alternative; boundary=cal",
            parts("cal", plain(filling), hyper(page(filling)), invitation),
        )
        top = filling.headers(
            "Invitation: Parking",
            "MIME-Version: 1.0",
            "Content-class: urn:content-classes:calendarmessage",
            "Content-Type: multipart/mixed; boundary=mcal",
        )
        more = (
            [
                part(
                    "Content-Type: application/ics; name=invite.ics\nContent-Disposition: attachment; filename=invite.ics\nContent-Transfer-Encoding: base64",
                    b64(invite.encode()),
                )
            ]
            if also_file
            else []
        )
        return top + CRLF + parts("mcal", both, *more, attached(filling))

    kind(name=name)(make)


_calendar("google-calendar", "REQUEST", "STATUS:CONFIRMED", "TRANSP:OPAQUE", "SEQUENCE:0", also_file=True)
_calendar(
    "outlook-meeting",
    "REQUEST",
    "X-MICROSOFT-CDO-BUSYSTATUS:TENTATIVE",
    "X-MICROSOFT-CDO-IMPORTANCE:1",
    "BEGIN:VALARM",
    "DESCRIPTION:REMINDER",
    "TRIGGER;RELATED=START:-PT15M",
    "ACTION:DISPLAY",
    "END:VALARM",
)
_calendar("meeting-update", "REQUEST", "SEQUENCE:3", "RECURRENCE-ID:20261201T150000Z")
_calendar("meeting-cancelled", "CANCEL", "STATUS:CANCELLED", "SEQUENCE:1")
_calendar("meeting-counter", "COUNTER", "SEQUENCE:1", "COMMENT:Later please")
_calendar("meeting-reply", "REPLY", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:reader@outside.test")


def _report(name: str, human: str, status: str, returned: str = "message/rfc822") -> None:
    def make(filling: Filling) -> str:
        back = filling.headers("Parking", to="nobody@outside.test") + "MIME-Version: 1.0\r\n"
        inside = part(f"Content-Type: {returned}", back + (plain(filling) if returned == "message/rfc822" else ""))
        top = filling.headers(
            "Undelivered Mail Returned to Sender",
            "Auto-Submitted: auto-replied",
            "MIME-Version: 1.0",
            'Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="1A2B3C4D5E.1794844800/mx.riverside.test"',
        )
        return (
            top
            + CRLF
            + parts(
                "1A2B3C4D5E.1794844800/mx.riverside.test",
                part("Content-Description: Notification\nContent-Type: text/plain; charset=us-ascii", human),
                part("Content-Description: Delivery report\nContent-Type: message/delivery-status", status),
                inside,
            )
        )

    kind(name=name, file=False, says=returned == "message/rfc822")(make)


_STATUS = "Reporting-MTA: dns; mx.riverside.test\r\nArrival-Date: Mon, 16 Nov 2026 09:00:00 -0600 (CST)\r\n\r\nFinal-Recipient: rfc822; nobody@outside.test\r\nOriginal-Recipient: rfc822;nobody@outside.test\r\nAction: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.outside.test\r\nDiagnostic-Code: smtp; 550 5.1.1 <nobody@outside.test>: Recipient address rejected: User unknown\r\n"
_report(
    "postfix-bounce",
    "This is the mail system at host mx.riverside.test.\r\n\r\n<nobody@outside.test>: host mx.outside.test said: 550 5.1.1 User unknown\r\n",
    _STATUS,
)
_report(
    "postfix-delay",
    "This is the mail system. Your message could not be delivered for 4 hours.\r\n",
    _STATUS.replace("failed", "delayed").replace("5.1.1", "4.4.1"),
    "text/rfc822-headers",
)
_report(
    "exchange-bounce",
    "Delivery has failed to these recipients or groups:\r\n\r\nnobody@outside.test\r\n",
    _STATUS + "X-Display-Name: Nobody\r\n",
)


@kind(file=False)
def qmail_bounce(filling: Filling) -> str:
    """A report without MIME, the mail below it."""
    top = filling.headers("failure notice")
    return (
        top
        + CRLF
        + f"Hi. This is the qmail-send program at mx.riverside.test.\r\nI'm afraid I wasn't able to deliver your message to the following addresses.\r\n\r\n<nobody@outside.test>:\r\nuser unknown\r\n\r\n--- Below this line is a copy of the message.\r\n\r\nReturn-Path: <amy@riverside.test>\r\nSubject: Parking\r\n\r\n{filling.words}"
    )


@kind(file=False, says=False)
def read_receipt(filling: Filling) -> str:
    """Outlook's receipt (RFC 8098)."""
    top = filling.headers(
        "Read: Parking on the 10th",
        "MIME-Version: 1.0",
        'Content-Type: multipart/report;\r\n\tboundary="----=_NextPart_000_0001_01DC5722.8E1D0C40";\r\n\treport-type=disposition-notification',
    )
    return (
        top
        + CRLF
        + parts(
            "----=_NextPart_000_0001_01DC5722.8E1D0C40",
            part('Content-Type: text/plain;\n\tcharset="us-ascii"', "Your message was read on Monday.\r\n"),
            part(
                "Content-Type: message/disposition-notification",
                "Reporting-UA: riverside.test; Microsoft Outlook 16.0\r\nFinal-Recipient: rfc822;amy@riverside.test\r\nDisposition: manual-action/MDN-sent-manually; displayed\r\n",
            ),
        )
    )


@kind(file=False)
def abuse_report(filling: Filling) -> str:
    """A complaint in the format of RFC 5965."""
    top = filling.headers(
        "complaint", "MIME-Version: 1.0", "Content-Type: multipart/report; report-type=feedback-report; boundary=arf"
    )
    return (
        top
        + CRLF
        + parts(
            "arf",
            part("Content-Type: text/plain", "This is an email abuse report.\r\n"),
            part(
                "Content-Type: message/feedback-report",
                "Feedback-Type: abuse\r\nUser-Agent: Loop/1.0\r\nVersion: 1\r\n",
            ),
            part("Content-Type: message/rfc822", filling.headers("Inner") + CRLF + filling.words),
        )
    )
