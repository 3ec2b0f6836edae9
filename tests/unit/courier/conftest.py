"""A courier to a test smarthost, and messages to send."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.courier import Outbound, Recipient, SmtpCourier
from gateway.settings import Courier, Endpoint, SecretFile
from tests.support.smarthost import Smarthost

MESSAGE = b"Subject: hello\r\n\r\nfirst\r\n.second\r\n..third\r\n"


def outbound(*recipients: str | Recipient, content: bytes = MESSAGE, **kw: Any) -> Outbound:
    people = tuple(item if isinstance(item, Recipient) else Recipient(item) for item in recipients)
    blocks = [content[at : at + 7] for at in range(0, len(content), 7)]
    return Outbound(
        **{
            "mail_from": "sender@clinic.example",
            "recipients": people,
            "size": len(content),
            "chunks": lambda: iter(blocks),
        }
        | kw
    )


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


def settings(smarthost: Smarthost, **kw: Any) -> Courier:
    plain = Courier(
        smarthost=Endpoint("127.0.0.1", smarthost.port), tls="none", timeout_seconds=5, end_timeout_seconds=5
    )
    return replace(plain, **kw)


@pytest.fixture
def courier_to() -> Iterator[Callable[..., SmtpCourier]]:
    """`courier_to(smarthost, tls="verified", …)`."""
    made: list[SmtpCourier] = []

    def make(smarthost: Smarthost, **kw: Any) -> SmtpCourier:
        clock = {key: kw.pop(key) for key in ("monotonic",) if key in kw}
        made.append(SmtpCourier(settings(smarthost, **kw), "gateway.clinic.example", **clock))
        return made[-1]

    yield make
    for courier in made:
        courier.close()


@pytest.fixture
def secret(tmp_path: Path) -> SecretFile:
    file = tmp_path / "password"
    file.write_text("hunter-two\n")
    file.chmod(0o400)
    return SecretFile(file)
