"""Mail goes in from the clients people use and out through a real Postfix (story 1, done-when 3 of the main job)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.demo import documents, mails
from gateway.demo.clinic import Clinic
from tests.e2e.conftest import running
from tests.support.faulty import eventually
from tests.support.needs import need
from tests.support.postfix import Postfix

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def clinic(shared: Clinic) -> Clinic:
    return shared


def message(clinic: Clinic, recipient: str) -> bytes:
    mail = mails.lab_report(recipient)
    return mail.as_bytes(policy=mail.policy.clone(linesep="\r\n"))


def assert_protected(clinic: Clinic, recipient: str) -> None:
    copy = clinic.sink.wait_for(recipient)[0]
    assert copy.link is not None
    assert copy.link.startswith(clinic.portal + "/m/")
    everything = copy.everything()
    pdf = documents.lab_report()
    assert pdf[:64] not in everything
    assert mails.LAB_FILE.encode() not in everything
    assert documents.PATIENT.encode() not in everything


@pytest.mark.parametrize("tls", ["--tls", "--tls-on-connect"])
def test_swaks_submits(clinic: Clinic, tmp_path: Path, tls: str) -> None:
    recipient = f"swaks{tls.strip('-')}@patient.test"
    data = tmp_path / "mail.eml"
    data.write_bytes(message(clinic, recipient))
    port = clinic.submission_port if tls == "--tls" else clinic.submissions_port
    subprocess.run(
        [need("swaks"), "--server", f"localhost:{port}", tls, "--auth", "PLAIN", "--auth-user", clinic.amy.address,
         "--auth-password", clinic.amy.app_password, "-f", clinic.amy.address, "-t", recipient, "-d", f"@{data}"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert_protected(clinic, recipient)


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_curl_submits(clinic: Clinic, tmp_path: Path, scheme: str) -> None:
    recipient = f"curl{scheme}@patient.test"
    data = tmp_path / "mail.eml"
    data.write_bytes(message(clinic, recipient))
    port = clinic.submission_port if scheme == "smtp" else clinic.submissions_port
    subprocess.run(
        [need("curl"), "-sS", "--ssl-reqd", "--cacert", str(clinic.certificate), f"{scheme}://localhost:{port}",
         "--user", f"{clinic.amy.address}:{clinic.amy.app_password}", "--mail-from", clinic.amy.address,
         "--mail-rcpt", recipient, "--upload-file", str(data)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert_protected(clinic, recipient)


@pytest.mark.parametrize("implicit_tls", [False, True])
def test_smtplib_submits(clinic: Clinic, implicit_tls: bool) -> None:
    recipient = f"smtplib{implicit_tls}@patient.test"
    mails.submit(clinic, mails.lab_report(recipient), implicit_tls=implicit_tls)
    assert_protected(clinic, recipient)


def test_wrong_app_password_is_refused(clinic: Clinic) -> None:
    import smtplib
    import ssl

    with smtplib.SMTP("localhost", clinic.submission_port, timeout=60) as server:
        server.starttls(context=ssl.create_default_context(cafile=str(clinic.certificate)))
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            server.login(clinic.amy.address, "x" * 24)
    assert refused.value.smtp_code == 535


@pytest.fixture(scope="module")
def behind_postfix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Clinic, Postfix]]:
    with Postfix() as postfix:
        for clinic in running(tmp_path_factory.mktemp("postfix"), smarthost=f"127.0.0.1:{postfix.port}"):
            yield clinic, postfix


@pytest.mark.postfix
@pytest.mark.root
def test_a_real_postfix_takes_the_mail(behind_postfix: tuple[Clinic, Postfix]) -> None:
    clinic, postfix = behind_postfix
    sent = mails.send(clinic, mails.newsletter())
    mails.submit(clinic, mails.lab_report(), implicit_tls=False)
    found = {}
    for words in (b"Our opening hours", b"Your results"):
        eventually(lambda words=words: [one for one in postfix.wait(1) if words in one.content])  # type: ignore[misc]
        found[words] = next(one.content for one in postfix.wait(1) if words in one.content)
    clean, protected = found.values()
    assert clean.replace(b"\r\n", b"\n").endswith(sent.replace(b"\r\n", b"\n"))
    assert b"/m/" in protected
    assert documents.lab_report()[:64] not in protected


@pytest.mark.postfix
@pytest.mark.root
def test_what_postfix_refuses_comes_back_as_a_dsn(behind_postfix: tuple[Clinic, Postfix]) -> None:
    clinic, postfix = behind_postfix
    mail = mails.newsletter()
    mail.replace_header("To", "550@outside.test")
    mails.send(clinic, mail)
    eventually(lambda: [one for one in postfix.wait(1) if b"multipart/report" in one.content])
    returned = next(one for one in postfix.wait(1) if b"multipart/report" in one.content)
    assert b"Final-Recipient: rfc822; 550@outside.test" in returned.content
    assert b"Auto-Submitted: auto-replied" in returned.content
    assert b"parking lot" not in returned.content
