"""REQUIRETLS at the door, and a stranger's report that comes from a provider's network."""

from __future__ import annotations

from pathlib import Path

from gateway.senders import GOOGLE, verifier
from gateway.spool.envelope import RETURNED
from tests.support.smtpd import smtpd, trusting
from tests.support.spool import tenant

EXTENSIONS = {"8BITMIME": True, "DSN": True, "REQUIRETLS": True}


def test_requiretls_is_offered_over_tls_where_the_smarthost_has_it_and_travels_on(tmp_path: Path) -> None:
    with smtpd(tmp_path / "s", tls=True, snapshot={"extensions": EXTENSIONS}) as server:
        with server.client() as client:
            client.ehlo("c.test")
            assert not client.has_extn("requiretls")
            assert client.mail("a@clinic.test", ["REQUIRETLS"])[0] == 555
            client.starttls(context=trusting(tmp_path / "s"))
            client.ehlo("c.test")
            assert client.has_extn("requiretls")
            assert client.mail("a@clinic.test", ["REQUIRETLS=YES"])[0] == 501
            assert client.mail("a@clinic.test", ["REQUIRETLS"])[0] == 250
            client.rcpt("b@example.test")
            assert client.data(b"Subject: x\r\n\r\nhi\r\n")[0] == 250
        assert ("REQUIRETLS", "") in server.envelopes()[-1].mail_params


def test_without_it_at_the_smarthost_it_is_not_known(tmp_path: Path) -> None:
    with smtpd(tmp_path / "s", tls=True) as server, server.client() as client:
        client.starttls(context=trusting(tmp_path / "s"))
        client.ehlo("c.test")
        assert not client.has_extn("requiretls")
        assert client.mail("a@clinic.test", ["REQUIRETLS"])[0] == 555


def test_a_strangers_report_from_a_providers_network_needs_no_proof_and_all_else_does(tmp_path: Path) -> None:
    shared = {
        "name": "google", "provider": GOOGLE, "networks": ["127.0.0.0/8"], "header": "X-Sealgate-Proof",
        "originator_org": "", "loop": False, "verifier": verifier("s" * 32).hex(),
    }  # fmt: skip
    snapshot = {"tenants": [tenant(networks=(), shared=[shared])]}
    path = f"r.{'a' * 26}.{'b' * 16}@mail.clinic.test"
    with smtpd(tmp_path / "s", snapshot=snapshot, return_hosts={"mail.clinic.test": "clinic.test"}) as server:
        for recipient, wanted in ((path, 250), ("b@example.test", 550)):
            with server.client() as client:
                client.ehlo("c.test")
                assert client.mail("")[0] == 250
                assert client.rcpt(recipient)[0] == 250
                assert client.data(b"Subject: undeliverable\r\n\r\nhi\r\n")[0] == wanted
        assert RETURNED in [one.identity.kind for one in server.envelopes()]
