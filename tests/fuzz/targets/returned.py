"""What comes back to a return path: reports (RFC 3464), bounces in free words, absence notes, anything at all."""

from __future__ import annotations

import re

from gateway.mail import bouncewords, returned
from gateway.mail.scan import scan
from gateway.mail.source import BytesSource
from tests.fuzz.common import split

ROOMS = ("gateway.mail",)
_TOP = b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n--b\r\n\r\nwords\r\n--b\r\n'
_REPORT = b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\n"
WORDS = [
    *(b"Action: failed", b"Action: delayed", b"Action: delivered", b"Status: 5.1.1", b"Status: 4.4.7", b"\r\n\r\n"),
    *(b"Hi. This is the ", b"<a@b.test>:\r\n", b"--- Below this line is a copy", b"#5.1.1", b"5.0.0.0", b"4.4.7"),
    *(b"created automatically by mail delivery software", b"could not be delivered to", b"X-Failed-Recipients: a\r\n"),
    *(b"had permanent fatal errors", b"transcript of session follows", b"WARNING MESSAGE ONLY", b"> ", b"<b>"),
    *(b"did not reach some or all of the intended recipients", b"Delivery is delayed to", b"\n \n"),
    b"Auto-Submitted: auto-replied\r\n",
    *(b"message/global-delivery-status", b"Content-Transfer-Encoding: base64\r\n", b"--b--\r\n", b"\xff", b"\0"),
]  # fmt: skip
SEEDS = [
    _TOP + _REPORT + b"Final-Recipient: rfc822; a@b.test\r\nAction: failed\r\nStatus: 5.1.1\r\n--b--\r\n\0",
    _TOP + _REPORT + b"Action: delayed\r\nStatus: 4.4.7\r\n\r\nAction: failed\r\n--b--\r\n\1",
    _TOP + _REPORT.replace(b"\r\n\r\nRep", b"\r\nContent-Transfer-Encoding: base64\r\n\r\nRep") + b"QWN0\r\n--b--\0",
    b"Subject: failure notice\r\n\r\nHi. This is the qmail-send program at x.\r\n\r\n<a@b.test>:\r\nno (#5.1.1)\r\n\r\n"
    b"--- Below this line is a copy of the message.\r\n\0",
    b"X-Failed-Recipients: a@b.test\r\nAuto-Submitted: auto-replied\r\n\r\nThis message was created automatically by "
    b"mail delivery software.\r\nA message that you sent could not be delivered to one or more\r\n\0",
    b"Subject: x\r\n\r\n   ----- The following addresses had permanent fatal errors -----\r\n<a@b.test>\r\n\1",
    b"Content-Type: text/html\r\n\r\n<p>Delivery has <b>failed</b> to these recipients</p> 5.1.1\r\n\0",
    b"Auto-Submitted: auto-replied\r\n\r\nI am away.\r\n\0",
    b"\r\n\r\n\0",
]  # fmt: skip
KINDS = {
    "failed": re.compile(r"5\.\d{1,3}\.\d{1,3}"),
    "delayed": re.compile(r"(?:[245]\.\d{1,3}\.\d{1,3})?"),
    "delivered": re.compile(r"(?:[245]\.\d{1,3}\.\d{1,3})?"),
    "auto-reply": re.compile(""),
    "unread": re.compile(""),
}


def check(data: bytes) -> None:
    """One mail: a kind that is known, a status of its shape, and the same however it is handed over."""
    body, choice = split(data, 1)
    came = returned.read(scan(BytesSource(body)), BytesSource(body))
    assert KINDS[came.kind].fullmatch(came.status), came
    said = bouncewords.read(body, bool(choice[0] & 1))
    if said is not None:
        assert said[0] in ("failed", "delayed")
        assert KINDS[said[0]].fullmatch(said[1]), said
        assert said[1][0] == ("5" if said[0] == "failed" else "4")
    if choice[0] & 1:
        assert bouncewords.read(body, True) is not None, "who is named as failed has failed"
    address = body[:120].decode("latin-1")
    parts = returned.parts(address)
    if parts is not None:
        assert "@".join((f"r.{parts[0]}.{parts[1]}", parts[2])) == address.lower().rstrip(".")
