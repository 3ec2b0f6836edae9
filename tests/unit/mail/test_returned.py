"""What comes back is read for its status and nothing else; what is no report is no failure."""

from __future__ import annotations

import pytest

from gateway.mail import returned
from gateway.mail.returned import CameBack
from gateway.mail.scan import Scanner
from gateway.mail.source import BytesSource

HEAD = b'MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'


def report(*groups: str, kind: str = "message/delivery-status", encoding: str = "7bit") -> bytes:
    body = "\r\n\r\n".join(("Reporting-MTA: dns; mx.test", *groups)).encode()
    return (
        HEAD + b"--b\r\n\r\nwords\r\n--b\r\nContent-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n" %
        (kind.encode(), encoding.encode()) + body + b"\r\n--b--\r\n"
    )  # fmt: skip


def read(data: bytes) -> CameBack:
    scanner = Scanner()
    scanner.feed(data)
    return returned.read(scanner.close(), BytesSource(data))


FAILED = "Final-Recipient: rfc822; a@b.test\r\nAction: failed\r\nStatus: 5.1.1"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (report(FAILED), CameBack("failed", "5.1.1")),
        (report(FAILED.replace("failed", "FAILED (for ever)").replace("\r\n", "\n")), CameBack("failed", "5.1.1")),
        (report(FAILED, kind="message/global-delivery-status"), CameBack("failed", "5.1.1")),
        (report("Action: delayed\r\nStatus: 4.4.1"), CameBack("delayed", "4.4.1")),
        (report("Action: delayed\r\nStatus: 4.4.1", FAILED), CameBack("failed", "5.1.1")),
        (report("Action: delivered\r\nStatus: 2.0.0"), CameBack("delivered", "2.0.0")),
        (report("Action: failed"), CameBack("failed", "5.0.0")),
        (report("Action: failed\r\nStatus: 4.4.7"), CameBack("failed", "5.0.0")),
        (report("Action: failed\r\nStatus: 5.1.1234567\r\n"), CameBack("failed", "5.1.123")),
        (report("Action: danced\r\nStatus: 5.1.1"), CameBack("unread")),
        (report("Status: 5.1.1"), CameBack("unread")),
        (b"Subject: away\r\nAuto-Submitted: auto-replied\r\n\r\naway\r\n", CameBack("auto-reply")),
        (b"Subject: away\r\nPrecedence: bulk\r\n\r\naway\r\n", CameBack("auto-reply")),
        (b"Subject: Undelivered\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\n", CameBack("unread")),
        (b"", CameBack("unread")),
        (HEAD + b"--b\r\nContent-Type: message/delivery-status\r\n\r\n\xff\x00\xfe" * 3, CameBack("unread")),
    ],
    ids=[
        "failed", "other-spelling", "international", "delayed", "the-worst-counts", "delivered", "without-status",
        "failed-with-4", "overlong-status", "unknown-action", "without-action", "away", "bulk", "words-only", "empty",
        "noise",
    ],
)  # fmt: skip
def test_of_what_came_back_the_action_and_the_status_are_read(data: bytes, expected: CameBack) -> None:
    assert read(data) == expected


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (f"r.{'a' * 26}.{'b' * 16}@Mail.Clinic.Test", "mail.clinic.test"),
        (f"R.{'A' * 26}.{'B' * 16}@mail.clinic.test", "mail.clinic.test"),
        (f"r.{'a' * 26}.{'b' * 15}@mail.clinic.test", None),
        (f"r.{'a' * 26}.{'1' * 16}@mail.clinic.test", None),
        ("postmaster@mail.clinic.test", None),
        ("", None),
    ],
    ids=["ours", "upper-case", "short", "alphabet", "postmaster", "nobody"],
)
def test_the_shape_of_a_return_path_survives_a_change_of_case(address: str, host: str | None) -> None:
    found = returned.parts(address)
    assert (found[2] if found else None) == host
    assert found is None or found[:2] == ("a" * 26, "b" * 16)
