"""Texts by each adapter: taken, refused, repeated, and never in a log."""

from __future__ import annotations

import http.server
import json
import logging
import ssl
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from gateway.errors import Misconfigured, Refused, TryLater
from gateway.notify import SENDERS, TextSender, sender
from gateway.notify.port import NoTextMessages
from gateway.sensitive import Sensitive
from gateway.settings import Notify, SecretFile

NUMBER, TEXT = Sensitive("+15550100199"), Sensitive("Your code is 314159")


class Service(http.server.ThreadingHTTPServer):
    """Keeps requests and answers with `status`."""

    status = 200
    location = ""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.end_headers()
        self.wfile.write(b"marked-service-text")

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def http_sender(service: Service, **kw: object) -> TextSender:
    return sender(Notify(sms="http", sms_url=f"http://127.0.0.1:{service.server_port}/send?x=1", **kw))  # type: ignore[arg-type]


def test_every_word_of_the_setting_has_an_adapter() -> None:
    assert [name for name, _ in SENDERS] == ["http", "none", "pretend"]


def test_none_refuses_so_nobody_waits_for_a_code() -> None:
    with pytest.raises(NoTextMessages):
        sender(Notify()).send(NUMBER, TEXT)


def test_pretend_appends_lines_that_only_the_owner_reads(tmp_path: Path) -> None:
    file = tmp_path / "phone.jsonl"
    phone = sender(Notify(sms="pretend", pretend_file=file))
    phone.send(NUMBER, TEXT, "txt_1")
    phone.send(NUMBER, Sensitive("second"))
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(entry["to"], entry["text"], entry["reference"]) for entry in entries] == [
        ("+15550100199", "Your code is 314159", "txt_1"),
        ("+15550100199", "second", ""),
    ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_pretend_closes_a_file_that_others_could_read(tmp_path: Path) -> None:
    file = tmp_path / "phone.jsonl"
    file.touch(0o644)
    file.chmod(0o644)
    sender(Notify(sms="pretend", pretend_file=file)).send(NUMBER, TEXT)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_pretend_follows_no_link_and_says_try_later(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "phone.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TryLater):
        sender(Notify(sms="pretend", pretend_file=tmp_path / "phone.jsonl")).send(NUMBER, TEXT)
    assert (tmp_path / "elsewhere").read_bytes() == b""


def test_http_posts_number_text_token_and_reference(service: Service, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("hunter-two\n")
    token.chmod(0o400)
    http_sender(service, sms_token_file=SecretFile(token)).send(NUMBER, TEXT, "txt_1")
    ((path, headers, body),) = service.requests
    assert path == "/send?x=1"
    assert json.loads(body) == {"to": "+15550100199", "text": "Your code is 314159"}
    assert headers["Authorization"] == "Bearer hunter-two"
    assert headers["Idempotency-Key"] == "txt_1"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (500, TryLater),
        (503, TryLater),
        (408, TryLater),
        (429, TryLater),
        (400, Refused),
        (401, Refused),
        (404, Refused),
    ],
)
def test_http_status_decides_whether_to_repeat(service: Service, status: int, error: type[Exception]) -> None:
    service.status = status
    with pytest.raises(error) as caught:
        http_sender(service).send(NUMBER, TEXT)
    assert "marked" not in str(caught.value)


def test_http_follows_no_redirection(service: Service) -> None:
    service.status, service.location = 307, f"http://127.0.0.1:{service.server_port}/other"
    with pytest.raises(Refused):
        http_sender(service).send(NUMBER, TEXT)
    assert len(service.requests) == 1


def test_http_with_nobody_there_says_try_later_without_words(service: Service) -> None:
    gone = http_sender(service)
    service.shutdown()
    service.server_close()
    with pytest.raises(TryLater) as caught:
        gone.send(NUMBER, TEXT)
    assert caught.value.__cause__ is None


def test_https_needs_a_certificate_that_holds(service: Service) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    service.socket = context.wrap_socket(service.socket, server_side=True)
    with pytest.raises(TryLater):
        sender(Notify(sms="http", sms_url=f"https://127.0.0.1:{service.server_port}/")).send(NUMBER, TEXT)
    assert service.requests == []


def test_no_proxy_of_the_environment_is_used(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    http_sender(service).send(NUMBER, TEXT)
    assert len(service.requests) == 1


def test_incomplete_settings_are_refused() -> None:
    for settings in (Notify(sms="http"), Notify(sms="pretend"), Notify(sms="pigeon")):
        with pytest.raises(Misconfigured):
            sender(settings)


def test_nothing_of_a_text_reaches_a_log(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    service.status = 500
    with caplog.at_level(logging.DEBUG), pytest.raises(TryLater):
        http_sender(service).send(NUMBER, TEXT, "txt_1")
    words = " ".join(f"{record.msg} {record.args} {record.__dict__.get('data')}" for record in caplog.records)
    assert words
    assert not any(secret in words for secret in ("314159", "5550100199", "marked"))
