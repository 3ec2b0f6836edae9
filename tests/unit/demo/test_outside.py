"""The demo's pages about the outside world: everything escaped, one origin, links that can be clicked."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import httpx2
import pyotp
import pytest

from gateway.demo.clinic import Clinic, Member, next_code
from gateway.demo.outside import Outside
from gateway.demo.sink import Received

LINK = "http://localhost:8080/m/" + "Ab0" * 11 + "X"
SECRET = pyotp.random_base32()
HOSTILE = "<script>alert(1)</script>"


def received(subject: str, body: str, more: str = "") -> Received:
    head = f"From: {HOSTILE} <amy@riverside.test>\r\nSubject: {subject}\r\n{more}\r\n"
    return Received("amy@riverside.test", (f"{HOSTILE}@patient.test",), (head + body).encode())


@pytest.fixture
def pages() -> Iterator[tuple[httpx2.Client, str]]:
    mails = [
        received(HOSTILE, f"{HOSTILE} open {LINK} soon"),
        received("odd", "text", "Content-Type: text/plain; charset=no-such-thing\r\n"),
        Received("", (), b"\xff\xfe\x00 no header at all"),
    ]
    members = [Member("amy@riverside.test", "staff", "Amy Reyes", secret=SECRET) for _ in range(2)]
    clinic: Any = SimpleNamespace(
        sink=SimpleNamespace(mails=mails), texts=lambda: [{"to": "+15550100143", "text": HOSTILE}], amy=members[0],
        olga=members[1], portal="http://localhost:8080",
    )  # fmt: skip
    outside = Outside(cast(Clinic, clinic))
    outside.start()
    with httpx2.Client(base_url=outside.url) as client:
        yield client, outside.url
    outside.stop()


@pytest.mark.parametrize(
    "path", ["/mail", "/mail/1", "/mail/2", "/mail/3", "/phone", "/sign-in", "/nothing", "/mail/9"]
)
def test_every_page_is_escaped_and_says_that_it_is_a_demo(pages: tuple[httpx2.Client, str], path: str) -> None:
    answer = pages[0].get(path)
    assert answer.status_code == (404 if path in ("/nothing", "/mail/9") else 200)
    assert "<script" not in answer.text
    assert "<strong>DEMO</strong>" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_the_personal_link_can_be_clicked_and_nothing_else(pages: tuple[httpx2.Client, str]) -> None:
    text = pages[0].get("/mail/1").text
    assert f'<a href="{LINK}" rel="noreferrer">{LINK}</a>' in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; open" in text


def test_the_raw_mail_is_plain_text(pages: tuple[httpx2.Client, str]) -> None:
    answer = pages[0].get("/mail/1/raw")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert HOSTILE in answer.text


def test_another_name_for_this_address_is_refused(pages: tuple[httpx2.Client, str]) -> None:
    assert pages[0].get("/sign-in", headers={"host": "evil.example"}).status_code == 421
    assert pages[0].get("/sign-in", headers={"host": pages[1].removeprefix("http://")}).status_code == 200


def test_a_code_is_never_given_twice() -> None:
    first, step = next_code(SECRET, 0)
    second, later = next_code(SECRET, step)
    assert later == step + 1
    assert len(first) == len(second) == 6
