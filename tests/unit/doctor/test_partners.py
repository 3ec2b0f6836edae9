"""What `doctor` says of partners, and of the portal's host as a return path: each fault, then put right."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from gateway.demo.certificate import make as make_certificate
from gateway.doctor import GREEN, RED, YELLOW, neighbours
from gateway.doctor.checks import partners
from gateway.settings import Endpoint, Settings, load
from tests.support.nameserver import NameServer
from tests.support.smarthost import Smarthost
from tests.unit.doctor.test_neighbours import DOMAIN, HOST, LEAST, look

PARTNER = "lakeside.example"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of an installation that is not there."""
    file = tmp_path / "gateway.toml"
    file.write_text(LEAST.format(folder=tmp_path / "i"))
    return load(file, {})


def with_partner(settings: Settings, folder: Path, until: date) -> Settings:
    policy = folder / "own.toml"
    policy.write_text(
        f'extends = "clinic"\n[[partners]]\ndomain = "{PARTNER}"\nwho = "B. Ortiz"\nwhy = "referrals"\n'
        f"until = {until.isoformat()}\n"
    )
    return replace(
        settings,
        portal=replace(settings.portal, public_url=f"https://{HOST}"),
        tenant=replace(settings.tenant, domains=(DOMAIN,)),
        policy=replace(settings.policy, file=str(policy)),
        courier=replace(settings.courier, smarthost=Endpoint("smarthost.example", 25), tls="verified"),
    )


@pytest.mark.parametrize(("days", "level", "word"), [(-3, YELLOW, "ended"), (3, YELLOW, "ends soon"), (400, GREEN, "")])
def test_an_entry_that_is_over_is_named_with_its_date(
    settings: Settings, tmp_path: Path, days: int, level: str, word: str
) -> None:
    until = datetime.now(UTC).date() + timedelta(days=days)
    found = look("partners.lapsed", with_partner(settings, tmp_path, until))
    assert found.level == level, found
    if word:
        assert f"{word}: {PARTNER} on {until.isoformat()}" in found.found


@contextmanager
def partners_server(monkeypatch: pytest.MonkeyPatch, answer: str) -> Iterator[Endpoint]:
    """A name server with the partner's MX, and how that MX answers STARTTLS."""
    asked: list[str] = []

    def mail_tls(host: str, port: int) -> str:
        asked.append(host)
        return answer

    monkeypatch.setattr(partners.neighbours, "mail_tls", mail_tls)
    table = {(PARTNER, "MX"): ["20 mx2.lakeside.example.", "10 mx1.lakeside.example."]}
    with NameServer(table) as server:
        yield Endpoint("127.0.0.1", server.port)
    assert set(asked) <= {"mx1.lakeside.example"}, "the first in order of preference"


@pytest.mark.parametrize(
    ("answer", "level", "words"),
    [
        (neighbours.VERIFIED, GREEN, "1 verified"),
        (neighbours.UNREACHABLE, GREEN, "1 unreachable"),
        (neighbours.UNVERIFIED, YELLOW, "does not hold for its name"),
        (neighbours.NO_TLS, RED, "offers no TLS"),
    ],
    ids=["verified", "unreachable", "unverified", "no-tls"],
)
def test_what_a_partners_server_answers_to_starttls_is_said(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, level: str, words: str
) -> None:
    own = with_partner(settings, tmp_path, date(2099, 12, 31))
    with partners_server(monkeypatch, answer) as asked:
        found = look("partners.tls", own, asked)
    assert (found.level, words in found.found) == (level, True), found


def test_partners_need_a_verified_way_to_the_smarthost_and_a_domain_that_takes_mail(
    settings: Settings, tmp_path: Path
) -> None:
    own = with_partner(settings, tmp_path, date(2099, 12, 31))
    plain = look("partners.tls", replace(own, courier=replace(own.courier, tls="opportunistic")))
    assert (plain.level, plain.repair) == (RED, '[courier] tls = "verified"')
    with NameServer({(PARTNER, "MX"): ["0 ."]}) as server:
        none = look("partners.tls", own, Endpoint("127.0.0.1", server.port))
    assert (none.level, f"{PARTNER} takes no mail" in none.found) == (YELLOW, True)
    assert look("partners.tls", settings).found == "there are none"


def test_a_mail_servers_tls_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_certificate(cert, key)
    with Smarthost() as plain:
        assert neighbours.mail_tls("localhost", plain.port) == neighbours.NO_TLS
        port = plain.port
    assert neighbours.mail_tls("localhost", port) == neighbours.UNREACHABLE
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    with Smarthost(tls="starttls", context=context) as secure:
        assert neighbours.mail_tls("localhost", secure.port) == neighbours.UNVERIFIED
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        assert neighbours.mail_tls("localhost", secure.port) == neighbours.VERIFIED


RETURN = {
    (HOST, "A"): ["192.0.2.7"],
    (HOST, "MX"): [f"10 {HOST}."],
    (HOST, "TXT"): ['"v=spf1 a:smarthost.example -all"'],
    ("smarthost.example", "A"): ["192.0.2.25"],
}


@pytest.mark.parametrize(
    ("key", "value", "level", "words"),
    [
        ((HOST, "MX"), ["0 ."], RED, "takes no mail"),
        ((HOST, "MX"), ["10 gone.example."], RED, "has no address"),
        ((HOST, "MX"), ["10 smarthost.example."], GREEN, "smarthost.example must hand its mail on"),
        ((HOST, "MX"), None, GREEN, "mail comes here"),
        ((HOST, "TXT"), None, YELLOW, f"{HOST} says nothing"),
        ((HOST, "TXT"), ['"v=spf1 -all"'], YELLOW, f"{HOST} does not name the smarthost"),
    ],
    ids=["null-mx", "mx-without-address", "another-server", "no-mx-but-an-address", "no-spf", "spf-without-us"],
)
def test_the_portals_host_as_a_return_path_has_mx_and_spf(
    settings: Settings, key: tuple[str, str], value: list[str] | None, level: str, words: str
) -> None:
    public = replace(
        settings,
        portal=replace(settings.portal, public_url=f"https://{HOST}", return_path=True),
        smtp=replace(settings.smtp, hostname=HOST),
        courier=replace(settings.courier, smarthost=Endpoint("smarthost.example", 25)),
    )
    with NameServer(dict(RETURN)) as server:
        asked = Endpoint("127.0.0.1", server.port)
        right = look("dns.return", public, asked)
        assert (right.level, "mail comes here" in right.found) == (GREEN, True), right
        if value is None:
            del server.table[key]
        else:
            server.table[key] = value
        found = look("dns.return", public, asked)
    assert (found.level, words in found.found) == (level, True), found
    off = replace(public, portal=replace(public.portal, return_path=False))
    assert look("dns.return", off).level == GREEN
