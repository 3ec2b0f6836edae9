"""A notice names a person only where that person signed in: From alone is a claim."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.actions.copies import in_own_name
from gateway.mail.scan import Scanner
from gateway.spool.envelope import Identity
from tests.support.spool import Keyring

AMY = Identity("app-password", "usr_amy", "amy@clinic.test")


@pytest.mark.parametrize(
    ("fields", "identity", "own"),
    [
        (b"From: Amy <Amy@Clinic.test>\r\n", AMY, True),
        (b"From: Dr. Bell <bell@clinic.test>\r\n", AMY, False),
        (b"From: amy@clinic.test, Dr. Bell <bell@clinic.test>\r\n", AMY, False),
        (b"From: amy@clinic.test\r\nFrom: Dr. Bell <bell@clinic.test>\r\n", AMY, False),
        (b'From: "amy@clinic.test" <bell@clinic.test>\r\n', AMY, False),
        (b"", AMY, False),
        (b"From: amy@clinic.test\r\n", Identity("network"), False),
        (b"From: amy@clinic.test\r\n", Identity("app-password", "usr_amy"), False),
    ],
    ids=["own", "another", "both", "twice", "in-the-name", "none", "network", "account-without-address"],
)
def test_only_who_signed_in_is_named(fields: bytes, identity: Identity, own: bool) -> None:
    scanner = Scanner()
    scanner.feed(fields + b"To: b@example.test\r\n\r\nhello\r\n")
    assert in_own_name(replace(Keyring().envelope(), identity=identity), scanner.close()) is own
