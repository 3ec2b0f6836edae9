"""What anybody may write to: postmaster at the portal's host, so many an hour, and nothing else. RFC 5321 4.5.1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.senders import GOOGLE, verifier
from gateway.smtp import reception
from gateway.smtp.limits import Few
from gateway.spool.envelope import POSTMASTER
from tests.support.smtpd import Smtpd, smtpd
from tests.support.spool import tenant

HOST, READER = "mail.clinic.test", "max@clinic.test"
POSTMASTERS = {HOST: READER}


@pytest.fixture(scope="module", params=["nobodys-network", "providers-network"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Smtpd]:
    """The client's network is nobody's, or one that the clinic shares with strangers."""
    shared = {
        "name": "google", "provider": GOOGLE, "networks": ["127.0.0.0/8"], "header": "X-Sealgate-Proof",
        "originator_org": "", "loop": False, "verifier": verifier("s" * 32).hex(),
    }  # fmt: skip
    found = [shared] if request.param == "providers-network" else []
    with smtpd(
        tmp_path_factory.mktemp("reception") / "s", snapshot={"tenants": [tenant(networks=(), shared=found)]},
        return_hosts={HOST: "clinic.test"}, postmasters=POSTMASTERS,
    ) as running:  # fmt: skip
        yield running


@pytest.mark.parametrize("sender", ["", "x@else.test"])
@pytest.mark.parametrize("address", ["postmaster@mail.clinic.test", "PostMaster@MAIL.clinic.test", "postmaster"])
def test_mail_to_postmaster_is_taken_from_anybody_for_its_reader_and_without_its_sender(
    server: Smtpd, sender: str, address: str
) -> None:
    before = len(server.envelopes())
    with server.client() as client:
        client.ehlo("c.test")
        assert client.mail(sender)[0] == 250
        assert client.rcpt(address)[0] == 250
        assert client.rcpt("postmaster")[0] == 550, "one recipient, and no more"
        assert client.data(b"Subject: hello\r\n\r\nhi\r\n")[0] == 250
    (came,) = server.envelopes()[before:]
    assert (came.identity.kind, came.mail_from) == (POSTMASTER, "")
    assert [one.address for one in came.recipients] == [READER]


@pytest.mark.parametrize("address", ["amy@clinic.test", "postmaster@clinic.test", "postmaster@else.test", READER])
def test_a_stranger_may_write_to_nobody_else(server: Smtpd, address: str) -> None:
    with server.client() as client:
        client.ehlo("c.test")
        assert client.mail("x@else.test")[0] == 250
        assert client.rcpt(address)[0] == 550
        assert client.docmd("DATA")[0] == 503


def test_more_than_so_many_an_hour_wait() -> None:
    few = Few(reception.POSTMASTER_AN_HOUR, reception.HOUR_SECONDS)
    assert [few.take(HOST, 1.0) for _ in range(reception.POSTMASTER_AN_HOUR + 1)].count(False) == 1
    assert few.take(HOST, 1.0 + reception.HOUR_SECONDS)


def test_without_the_setting_postmaster_is_an_address_like_any_other() -> None:
    assert reception.target({}, "postmaster") == "postmaster"
    assert reception.target({}, f"postmaster@{HOST}") == f"postmaster@{HOST}"
    assert reception.target(POSTMASTERS, f"a.postmaster@{HOST}") == f"a.postmaster@{HOST}"


def test_of_several_hosts_each_has_its_reader_and_a_bare_postmaster_is_the_firsts(tmp_path: Path) -> None:
    two = {**POSTMASTERS, "mail.other.test": "eve@other.test"}
    assert reception.target(two, "postmaster@mail.other.test.") == "eve@other.test"
    assert reception.target(two, "POSTMASTER") == READER
