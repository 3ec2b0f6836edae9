"""Real clients submit over STARTTLS and implicit TLS with AUTH; no word of theirs is logged."""

from __future__ import annotations

import base64
import shutil
import smtplib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.smtpd import Smtpd, smtpd, trusting
from tests.support.spool import tenant
from tests.unit.smtp.test_dialogs import app_password

SECRETS = ("MARK-body-9911", "MARK-subject-9911", "mark.sender", "mark.rcpt", "mark-user", "MARK-password", "mark.helo")
MESSAGE = b"Subject: MARK-subject-9911\r\nFrom: mark.sender@clinic.test\r\n\r\nMARK-body-9911\r\n.dot\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Smtpd]:
    users = (app_password("mark-user", b"MARK-password-9911"),)
    with smtpd(
        tmp_path_factory.mktemp("clients") / "node",
        tls=True,
        snapshot={"tenants": [tenant(networks=(), users=users)]},
    ) as running:
        yield running


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    path = tmp_path / "mail.eml"
    path.write_bytes(MESSAGE)
    return path


def taken(server: Smtpd, before: int) -> None:
    messages = server.messages()
    assert len(messages) == before + 1
    assert messages[-1].endswith(b"MARK-body-9911\r\n.dot\r\n")
    envelope = server.envelopes()[-1]
    assert envelope.mail_from == "mark.sender@clinic.test"
    assert [one.address for one in envelope.recipients] == ["mark.rcpt@example.test"]
    assert (envelope.identity.kind, envelope.identity.name) == ("app-password", "mark-user")
    assert envelope.tls.startswith("TLSv1.3 ")
    assert envelope.protocol in ("ESMTPSA",)


@pytest.mark.parametrize("listener", ["submission", "submissions", "relay"])
def test_smtplib_submits(server: Smtpd, listener: str) -> None:
    before = len(server.messages())
    port, context = server.ports[listener][0], trusting(server.directory)
    if listener == "submissions":
        client: smtplib.SMTP = smtplib.SMTP_SSL("127.0.0.1", port, local_hostname="mark.helo", context=context)
    else:
        client = smtplib.SMTP("127.0.0.1", port, local_hostname="mark.helo")
        client.starttls(context=context)
    with client:
        client.login("mark-user", "MARK-password-9911")
        client.sendmail("mark.sender@clinic.test", ["mark.rcpt@example.test"], MESSAGE)
    taken(server, before)


@pytest.mark.parametrize(
    ("listener", "scheme", "more"), [("submission", "smtp", ["--ssl-reqd"]), ("submissions", "smtps", [])]
)
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_curl_submits(server: Smtpd, mail: Path, listener: str, scheme: str, more: list[str], mechanism: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    before = len(server.messages())
    command = ["curl", "-sS", "--noproxy", "*", "--cacert", str(server.directory / "ca.pem"), *more]
    command += ["--login-options", f"AUTH={mechanism}", "--user", "mark-user:MARK-password-9911"]
    command += ["--mail-from", "mark.sender@clinic.test", "--mail-rcpt", "mark.rcpt@example.test"]
    command += ["--upload-file", str(mail), f"{scheme}://127.0.0.1:{server.ports[listener][0]}/mark.helo"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    taken(server, before)


@pytest.mark.parametrize(("listener", "option"), [("submission", "-tls"), ("submissions", "-tlsc")])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_swaks_submits(server: Smtpd, mail: Path, listener: str, option: str, mechanism: str) -> None:
    if shutil.which("swaks") is None:
        pytest.skip("swaks is not installed")
    before = len(server.messages())
    command = ["swaks", "--server", "127.0.0.1", "--port", str(server.ports[listener][0]), option]
    command += ["--tls-verify", "--tls-ca-path", str(server.directory / "ca.pem")] if _verifies() else []
    command += ["--auth", mechanism, "--auth-user", "mark-user", "--auth-password", "MARK-password-9911"]
    command += ["--helo", "mark.helo", "--from", "mark.sender@clinic.test", "--to", "mark.rcpt@example.test"]
    command += ["--data", f"@{mail}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    messages = server.messages()
    assert len(messages) == before + 1
    assert b"MARK-body-9911" in messages[-1]


def _verifies() -> bool:
    return False


def test_password_in_clear_is_not_even_asked_for(server: Smtpd) -> None:
    with server.client("submission") as client:
        client.ehlo("mark.helo")
        assert not client.has_extn("auth")
        answer = client.docmd("AUTH", "PLAIN " + base64.b64encode(b"\0mark-user\0MARK-password-9911").decode())
        assert answer[0] == 530
        assert client.mail("mark.sender@clinic.test")[0] == 530


def test_client_that_speaks_no_tls_after_starttls_harms_nobody(server: Smtpd) -> None:
    before = len(server.messages())
    with server.connect("submission") as connection:
        connection.sendall(b"EHLO mark.helo\r\nSTARTTLS\r\n")
        connection.recv(4096)
        connection.sendall(b"MAIL FROM:<mark.sender@clinic.test>\r\n" * 50)
        connection.shutdown(
            socket.SHUT_WR
        )  # what came before the handshake began is thrown away, and it would be awaited
        connection.settimeout(60)
        try:
            while connection.recv(4096):
                pass
        except ConnectionResetError:
            pass
    with server.client("submission") as client:
        assert client.noop()[0] == 250
    assert len(server.messages()) == before


def test_nothing_that_a_client_sent_is_logged_at_the_most_verbose_level(server: Smtpd) -> None:
    with server.connect() as connection:
        connection.sendall(
            b"EHLO mark.helo\r\nMARK-password\r\nMAIL FROM:<mark.sender@x.test>\r\nRCPT TO:<mark.rcpt@\r\n"
        )
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
    log = server.log_text()
    assert '"event":"message:spooled"' in log  # the log is really written, at DEBUG
    for secret in SECRETS:
        assert secret not in log
        assert base64.b64encode(secret.encode()).decode().rstrip("=") not in log
    assert "127.0.0.1" not in log
