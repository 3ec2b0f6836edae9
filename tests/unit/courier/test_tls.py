"""How the line is protected, and what is refused when it cannot be."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from gateway.courier import Bounced, Deferred, Delivered, SmtpCourier
from gateway.errors import Misconfigured
from gateway.settings import Endpoint, SecretFile
from tests.support.smarthost import Smarthost
from tests.unit.courier.conftest import outbound

Make = Callable[..., SmtpCourier]


def test_verified_starttls_delivers_with_evidence(courier_to: Make, server_tls: ssl.SSLContext, ca_file: Path) -> None:
    with Smarthost(tls="starttls", context=server_tls) as smarthost:
        (result,) = courier_to(smarthost, tls="verified", ca_file=ca_file).deliver(outbound("a@b.example"))
    assert isinstance(result.outcome, Delivered)
    assert smarthost.messages[0].tls
    evidence = result.outcome.evidence
    assert evidence.verified
    assert evidence.tls_version == "TLSv1.3"
    assert evidence.cipher
    assert len(evidence.certificate_sha256) == 64


def test_reused_tls_connection_is_seen_as_alive(courier_to: Make, server_tls: ssl.SSLContext, ca_file: Path) -> None:
    with Smarthost(tls="starttls", context=server_tls) as smarthost:
        courier = courier_to(smarthost, tls="verified", ca_file=ca_file)
        for _ in range(3):
            courier.deliver(outbound("a@b.example"))
        assert smarthost.connections == 1
        courier.close()


def test_unknown_authority_delivers_nothing(courier_to: Make, server_tls: ssl.SSLContext) -> None:
    with Smarthost(tls="starttls", context=server_tls) as smarthost:
        (result,) = courier_to(smarthost, tls="verified").deliver(outbound("a@b.example"))
    assert result.outcome == Deferred("4.7.5", "certificate")
    assert not any("sender@" in line for line in smarthost.commands)


def test_certificate_for_another_name_delivers_nothing(courier_to: Make, authority: trustme.CA, ca_file: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(context)
    with Smarthost(tls="starttls", context=context) as smarthost:
        (result,) = courier_to(smarthost, tls="verified", ca_file=ca_file).deliver(outbound("a@b.example"))
    assert result.outcome == Deferred("4.7.5", "certificate")
    assert smarthost.messages == []


def test_verified_without_starttls_delivers_nothing(courier_to: Make, ca_file: Path) -> None:
    with Smarthost() as smarthost:
        (result,) = courier_to(smarthost, tls="verified", ca_file=ca_file).deliver(outbound("a@b.example"))
    assert result.outcome == Deferred("4.7.4", "no-tls")
    assert smarthost.commands == []


def test_opportunistic_takes_any_certificate_and_says_so(courier_to: Make, server_tls: ssl.SSLContext) -> None:
    with Smarthost(tls="starttls", context=server_tls) as smarthost:
        (result,) = courier_to(smarthost, tls="opportunistic").deliver(outbound("a@b.example"))
    assert isinstance(result.outcome, Delivered)
    assert smarthost.messages[0].tls
    assert result.outcome.evidence.tls_version
    assert not result.outcome.evidence.verified


def test_opportunistic_goes_plain_where_nothing_is_offered(courier_to: Make) -> None:
    with Smarthost() as smarthost:
        (result,) = courier_to(smarthost, tls="opportunistic").deliver(outbound("a@b.example"))
    assert isinstance(result.outcome, Delivered)
    assert result.outcome.evidence.tls_version == ""


def test_old_tls_is_refused(courier_to: Make, authority: trustme.CA, ca_file: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Smarthost(tls="starttls", context=context) as smarthost:
        (result,) = courier_to(smarthost, tls="opportunistic").deliver(outbound("a@b.example"))
    assert isinstance(result.outcome, Deferred)
    assert smarthost.messages == []


def test_implicit_tls_on_the_submissions_port(
    courier_to: Make, server_tls: ssl.SSLContext, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Smarthost(tls="implicit", context=server_tls) as smarthost:
        monkeypatch.setattr("gateway.courier.connection.SUBMISSIONS_PORT", smarthost.port)
        (result,) = courier_to(smarthost, tls="verified", ca_file=ca_file).deliver(outbound("a@b.example"))
        assert isinstance(result.outcome, Delivered)
        assert result.outcome.evidence.verified
        (result,) = courier_to(smarthost, tls="verified").deliver(outbound("a@b.example"))
        assert result.outcome == Deferred("4.7.5", "certificate")


def test_client_certificate_is_shown(courier_to: Make, authority: trustme.CA, ca_file: Path, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    own = authority.issue_cert("gateway.clinic.example")
    own.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    files = {"client_cert_file": tmp_path / "cert.pem", "client_key_file": tmp_path / "key.pem"}
    with Smarthost(tls="starttls", context=context) as smarthost:
        (result,) = courier_to(smarthost, tls="verified", ca_file=ca_file, **files).deliver(outbound("a@b.example"))
        assert isinstance(result.outcome, Delivered)
        (result,) = courier_to(smarthost, tls="verified", ca_file=ca_file).deliver(outbound("a@b.example"))
        assert isinstance(result.outcome, Deferred)


def test_a_renewed_client_certificate_is_shown_without_a_restart_and_half_a_pair_is_not(
    courier_to: Make, authority: trustme.CA, ca_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    files = {"client_cert_file": tmp_path / "cert.pem", "client_key_file": tmp_path / "key.pem"}

    def issued(by: trustme.CA) -> None:
        leaf = by.issue_cert("gateway.clinic.example")
        leaf.private_key_pem.write_to_path(str(files["client_key_file"]))
        leaf.cert_chain_pems[0].write_to_path(str(files["client_cert_file"]))

    issued(trustme.CA())  # of an authority that the smarthost does not know
    with Smarthost(tls="starttls", context=context) as smarthost:
        courier = courier_to(smarthost, tls="verified", ca_file=ca_file, messages_per_connection=1, **files)
        assert isinstance(courier.deliver(outbound("a@b.example"))[0].outcome, Deferred)
        issued(authority)
        assert isinstance(courier.deliver(outbound("a@b.example"))[0].outcome, Delivered)
        files["client_key_file"].write_text("half a ke")
        with caplog.at_level(logging.ERROR):
            assert isinstance(courier.deliver(outbound("a@b.example"))[0].outcome, Delivered)
        said = [one.msg for one in caplog.records if one.name == "gateway.courier"]
        assert said[-1] == "courier:certificate-refused"


def test_a_renewed_authority_counts_without_a_restart(
    courier_to: Make, authority: trustme.CA, server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    right = ca_file.read_bytes()
    trustme.CA().cert_pem.write_to_path(str(ca_file))
    with Smarthost(tls="starttls", context=server_tls) as smarthost:
        courier = courier_to(smarthost, tls="verified", ca_file=ca_file)
        assert courier.deliver(outbound("a@b.example"))[0].outcome == Deferred("4.7.5", "certificate")
        ca_file.write_bytes(right)
        assert isinstance(courier.deliver(outbound("a@b.example"))[0].outcome, Delivered)


def test_auth_proves_us(courier_to: Make, server_tls: ssl.SSLContext, ca_file: Path, secret: SecretFile) -> None:
    with Smarthost(tls="starttls", context=server_tls, login=("gateway", "hunter-two")) as smarthost:
        courier = courier_to(smarthost, tls="verified", ca_file=ca_file, username="gateway", password_file=secret)
        (result,) = courier.deliver(outbound("a@b.example"))
    assert isinstance(result.outcome, Delivered)
    assert smarthost.messages[0].user == "gateway"


def test_wrong_password_waits_for_repair_instead_of_bouncing(courier_to: Make, secret: SecretFile) -> None:
    with Smarthost(login=("gateway", "other")) as smarthost:
        (result,) = courier_to(smarthost, username="gateway", password_file=secret).deliver(outbound("a@b.example"))
    assert result.outcome == Deferred("4.7.8", "auth", 535)


def test_password_is_read_anew_and_when_gone_mail_waits(courier_to: Make, secret: SecretFile) -> None:
    with Smarthost(login=("gateway", "changed")) as smarthost:
        courier = courier_to(smarthost, username="gateway", password_file=secret)
        secret.path.chmod(0o600)
        secret.path.write_text("changed\n")
        (result,) = courier.deliver(outbound("a@b.example"))
        assert isinstance(result.outcome, Delivered)
        smarthost.cut_all()
        secret.path.unlink()
        (result,) = courier.deliver(outbound("a@b.example"))
        assert result.outcome == Deferred("4.3.5", "setup")
        with pytest.raises(Misconfigured, match="cannot be read"):
            courier_to(smarthost, username="gateway", password_file=secret)


def test_smarthost_that_asks_for_auth_defers() -> None:
    from gateway.courier.reply import Reply, refusal

    assert refusal(Reply(530)) == Deferred("4.3.5", "setup", 530)
    assert refusal(Reply(550)) == Bounced("5.0.0", "other", 550)
    assert refusal(Reply(299)) == Deferred("4.5.0", "protocol", 299)


def test_files_that_are_no_pem_are_named(tmp_path: Path) -> None:
    from gateway.settings import Courier

    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(Misconfigured, match="ca_file"):
        SmtpCourier(Courier(smarthost=Endpoint("127.0.0.1", 25), ca_file=tmp_path / "ca.pem"), "gateway.test")


def test_no_address_secret_or_server_text_reaches_a_log(
    courier_to: Make, secret: SecretFile, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), Smarthost(login=("gateway", "hunter-two")) as smarthost:
        courier = courier_to(smarthost, username="gateway", password_file=secret, timeout_seconds=1)
        for address in ("marked", "550", "temperror", "drop", "timeout", "drop-end", "421"):
            courier.deliver(outbound(f"{address}+marked@b.example", content=b"Subject: marked\r\n\r\nmarked\r\n"))
    ours = [record for record in caplog.records if record.name.startswith("gateway")]
    assert ours
    words = " ".join(f"{record.msg} {record.args} {record.__dict__.get('data')}" for record in ours)
    assert "marked" not in words
    assert "hunter" not in words
    assert "sender@" not in words
