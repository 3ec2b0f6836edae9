"""What `doctor` says of certificates, smarthost, clock, scanner and DNS: broken in each way, then put right."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from gateway.demo.ports import free_port
from gateway.doctor import GREEN, RED, YELLOW
from gateway.doctor.checks import signing
from gateway.doctor.finding import Finding
from gateway.doctor.records import Names, NoAnswer
from gateway.settings import Endpoint, Settings, load
from tests.support import doctoring, pems
from tests.support.doctoring import saying, shell
from tests.support.nameserver import NameServer

LEAST = """\
[tenant]
name = "riverside"
domains = ["riverside.test"]
[portal]
public_url = "http://localhost:8080"
[courier]
smarthost = "127.0.0.1:25"
[store]
url = "sqlite:///{folder}/db/sealgate.db"
[spool]
directory = "{folder}/spool"
[keys]
directory = "{folder}/keys"
kek_file = "{folder}/kek"
[vault]
url = "file://{folder}/vault"
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of an installation that is not there."""
    file = tmp_path / "gateway.toml"
    file.write_text(LEAST.format(folder=tmp_path / "i"))
    return load(file, {})


def look(id: str, settings: Settings, resolver: Endpoint | None = None) -> Finding:
    """What one check finds."""
    return doctoring.look(id, settings, Path("/etc/sealgate/test.toml"), resolver)


CERTIFICATES = {
    "expired": "expired on",
    "another name": "made for mail.elsewhere.example, and not for localhost",
    "another key": "is not the key of",
    "no certificate": "holds no certificate in PEM",
    "an open key": "is open to everybody",
}


@pytest.mark.parametrize("wrong", list(CERTIFICATES))
def test_a_certificate_that_programs_would_refuse(settings: Settings, tmp_path: Path, wrong: str) -> None:
    certificate, key = pems.write(tmp_path, "own", days=60)
    if wrong == "expired":
        certificate, _ = pems.write(tmp_path, "old", days=-2, key_of=key)
    elif wrong == "another name":
        certificate, _ = pems.write(tmp_path, "other", days=60, host="mail.elsewhere.example", key_of=key)
    elif wrong == "another key":
        certificate, _ = pems.write(tmp_path, "stranger", days=60)
    elif wrong == "no certificate":
        certificate.write_text("nothing\n")
    else:
        key.chmod(0o644)
    broken = replace(settings, smtp=replace(settings.smtp, tls_cert_file=certificate, tls_key_file=key))
    found = look("tls.smtp", broken)
    assert (found.level, CERTIFICATES[wrong] in found.found) == (RED, True), found
    if wrong == "an open key":
        shell(found.repair)
    else:
        assert "certbot certonly -d localhost" in found.repair or "one pair" in found.repair
        shutil.copy(pems.write(tmp_path, "new", days=60, key_of=key)[0], certificate)
    assert look("tls.smtp", broken) == Finding(GREEN, "59 days left")


def test_a_certificate_that_ends_soon_or_that_nobody_trusts(settings: Settings, tmp_path: Path) -> None:
    host = "mail.clinic.example"
    certificate, key = pems.write(tmp_path, "own", days=60, host=host)
    portal = replace(settings.portal, public_url=f"https://{host}", tls_cert_file=certificate, tls_key_file=key)
    found = look("tls.portal", replace(settings, portal=portal))
    assert (found.level, "signed by itself" in found.found) == (RED, True), found
    certificate, key = pems.write(tmp_path, "soon", days=1)
    found = look(
        "tls.smtp", replace(settings, smtp=replace(settings.smtp, tls_cert_file=certificate, tls_key_file=key))
    )
    assert (found.level, found.found) == (YELLOW, "24 hours left")


GREETINGS = {
    "nobody": ((), "nobody answers there"),
    "refusing": ((b"554 5.7.1 no service for you\r\n",), "it refuses us at the greeting, answer 554"),
    "no TLS": ((b"220 smarthost.test\r\n", b"250 smarthost.test\r\n", b"221 bye\r\n"), "it offers no STARTTLS"),
    "hanging up": ((b"220 smarthost.test\r\n",), "it hangs up"),
}


@pytest.mark.parametrize("how", list(GREETINGS))
def test_a_smarthost_that_takes_nothing(settings: Settings, how: str) -> None:
    answers, words = GREETINGS[how]
    with saying(*answers) if answers else contextlib.nullcontext(free_port()) as port:
        courier = replace(settings.courier, smarthost=Endpoint("127.0.0.1", port), tls="verified")
        found = look("smarthost.takes", replace(settings, courier=courier))
    assert (found.level, words in found.found) == (RED, True), found
    assert found.repair.endswith("sealgate doctor --config /etc/sealgate/test.toml")


def test_a_smarthost_that_answers(settings: Settings) -> None:
    with saying(b"220 smarthost.test\r\n", b"250 smarthost.test\r\n") as port:
        courier = replace(settings.courier, smarthost=Endpoint("127.0.0.1", port), tls="none")
        found = look("smarthost.takes", replace(settings, courier=courier))
    assert found == Finding(GREEN, f'127.0.0.1:{port} (tls = "none") answers, loopback, 0 extensions')


def test_a_clock_that_the_smarthosts_greeting_contradicts(settings: Settings) -> None:

    def by_greeting(hours: float) -> Finding:
        said = format_datetime(datetime.now(UTC) - timedelta(hours=hours))
        with saying(f"220 smarthost.test ESMTP ready at {said}\r\n".encode()) as port:
            courier = replace(settings.courier, smarthost=Endpoint("127.0.0.1", port))
            return look("clock.right", replace(settings, courier=courier))

    for hours, words in ((3.0, "3.0 hours ahead of the smarthost's clock"), (-50.0, "2 days behind")):
        found = by_greeting(hours)
        assert (found.level, words in found.found) == (RED, True), found
        assert "chron" in found.repair or "timedatectl" in found.repair
    assert by_greeting(0).level != RED


def dated(days: int) -> bytes:
    """What clamd answers whose signatures are so old."""
    return f"ClamAV 1.4.6/27000/{datetime.now(UTC) - timedelta(days=days):%a %b %d %H:%M:%S %Y}\0".encode()


SCANNERS: dict[str, tuple[Callable[[], bytes] | None, str, str]] = {
    "dead": (None, RED, "no answer"),
    "old": (lambda: dated(40), YELLOW, "signatures 40 days old"),
    "none": (lambda: b"ClamAV 1.4.6\0", YELLOW, "no dated signatures"),
    "fresh": (lambda: dated(0), GREEN, "signatures 0 days old"),
}  # fmt: skip


@pytest.mark.parametrize("how", list(SCANNERS))
def test_a_scanner_that_is_dead_or_knows_nothing_new(settings: Settings, how: str) -> None:
    said, level, words = SCANNERS[how]
    with clamd(said()) if said else contextlib.nullcontext(free_port()) as port:
        scan = replace(settings.scan, clamd=f"127.0.0.1:{port}")
        found = look("clamd.answers", replace(settings, scan=scan))
    assert (found.level, words in found.found) == (level, True), found
    assert "clamav" in found.repair or level == GREEN


@contextlib.contextmanager
def clamd(answer: bytes) -> Iterator[int]:
    """A clamd that answers VERSION, and is gone when it is asked to look at something."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            assert peer.recv(64) == b"zVERSION\0"
            listener.close()
            peer.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join(5)
        listener.close()


HOST, DOMAIN = "mail.clinic.example", "clinic.example"
RIGHT = {
    (HOST, "A"): ["192.0.2.7"],
    (DOMAIN, "MX"): ["10 in.clinic.example."],
    (DOMAIN, "TXT"): ['"v=spf1 include:spf.protection.outlook.com -all"'],
    (f"_dmarc.{DOMAIN}", "TXT"): ['"v=DMARC1; p=quarantine"'],
    (f"selector1._domainkey.{DOMAIN}", "TXT"): ['"v=DKIM1; k=rsa; p=AAAA"'],
}
WRONG = {
    "dns.portal": ((HOST, "A"), None, RED, f"{HOST}. IN A the public address of this machine"),
    "dns.mx": ((DOMAIN, "MX"), ["0 ."], YELLOW, f"{DOMAIN}. IN MX 10"),
    "dns.spf": (
        (DOMAIN, "TXT"), ['"v=spf1 ip4:192.0.2.0/28 ~all"'], RED,
        f'{DOMAIN}. IN TXT "v=spf1 ip4:192.0.2.0/28 include:spf.protection.outlook.com ~all"',
    ),
    "dns.dmarc": ((f"_dmarc.{DOMAIN}", "TXT"), None, YELLOW, f'_dmarc.{DOMAIN}. IN TXT "v=DMARC1; p=quarantine"'),
    "dns.dkim": ((f"selector1._domainkey.{DOMAIN}", "TXT"), None, YELLOW, f"selector1._domainkey.{DOMAIN}."),
}  # fmt: skip


@pytest.mark.parametrize("id", list(WRONG))
def test_a_wrong_record_is_answered_with_the_right_one(settings: Settings, id: str) -> None:
    public = replace(
        settings,
        portal=replace(settings.portal, public_url=f"https://{HOST}"),
        tenant=replace(settings.tenant, domains=(DOMAIN,)),
        courier=replace(settings.courier, smarthost=Endpoint("clinic-example.mail.protection.outlook.com", 25)),
    )
    key, value, level, line = WRONG[id]
    with NameServer(dict(RIGHT)) as server:
        asked = Endpoint("127.0.0.1", server.port)
        assert look(id, public, asked).level == GREEN
        if value is None:
            del server.table[key]
        else:
            server.table[key] = value
        found = look(id, public, asked)
        assert (found.level, line in found.repair) == (level, True), found
        server.table[key] = RIGHT[key]
        assert look(id, public, asked).level == GREEN
    silent = look(id, public, asked) if id == "dns.portal" else None
    assert silent is None or (silent.level, "no name server answers" in silent.found) == (YELLOW, True)


@pytest.mark.parametrize(
    ("record", "level", "words"),
    [
        (['"v=DKIM1; k=rsa; p=AA" "AA"'], GREEN, "we sign what we rewrite and write with sealgate-r1"),
        (None, RED, "does not publish 'sealgate-r1'"),
        (['"v=DKIM1; k=rsa; p=BBBB"'], RED, "publishes another key"),
        (['"v=DKIM1; p="'], RED, "does not publish"),
    ],
    ids=["right", "none", "another", "revoked"],
)
def test_doctor_says_that_we_sign_and_whether_our_key_is_published(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, record: list[str] | None, level: str, words: str
) -> None:
    held = {"sealgate-r1": {"selector": "sealgate-r1", "algorithm": "rsa", "public": "AAAA"}}
    monkeypatch.setattr(signing, "_held", lambda case, own: held)
    public = replace(
        settings,
        portal=replace(settings.portal, public_url=f"https://{HOST}"),
        tenant=replace(settings.tenant, domains=(DOMAIN,)),
        dkim=replace(settings.dkim, selectors=("sealgate-r1",)),
    )
    name = f"sealgate-r1._domainkey.{DOMAIN}"
    with NameServer({(name, "TXT"): record} if record else {}) as server:
        asked = Endpoint("127.0.0.1", server.port)
        found = look("dns.dkim", public, asked)
        assert (found.level, words in found.found) == (level, True), found
        if level == RED:
            assert f'{name}. IN TXT "v=DKIM1; k=rsa; p=AAAA"' in found.repair
        held.clear()
        gone = look("dns.dkim", public, asked)
        assert (gone.level, "dkim make sealgate-r1" in gone.repair) == (RED, True), gone


SENDERS = {
    "ip4:192.0.2.0/24 -all": True,
    "ip4:198.51.100.0/24 -all": False,
    "a -all": True,
    "a:elsewhere.example -all": False,
    "mx -all": True,
    "include:_spf.provider.example -all": True,
    "include:nowhere.example -all": False,
    "redirect=_spf.provider.example": True,
    "+all": True,
    "-ip4:192.0.2.0/24 ~all": False,
}


@pytest.mark.parametrize("words", list(SENDERS))
def test_spf_is_read_as_receivers_read_it(settings: Settings, words: str) -> None:
    table = {
        (DOMAIN, "TXT"): [f'"v=spf1 {words}"'],
        (DOMAIN, "A"): ["192.0.2.25"],
        (DOMAIN, "MX"): ["10 smarthost.example."],
        ("smarthost.example", "A"): ["192.0.2.25"],
        ("elsewhere.example", "A"): ["198.51.100.1"],
        ("_spf.provider.example", "TXT"): ['"v=spf1 ip4:192.0.2.16/28 -all"'],
    }
    public = replace(
        settings,
        portal=replace(settings.portal, public_url=f"https://{HOST}"),
        tenant=replace(settings.tenant, domains=(DOMAIN,)),
        courier=replace(settings.courier, smarthost=Endpoint("smarthost.example", 25)),
    )
    with NameServer(table) as server:
        found = look("dns.spf", public, Endpoint("127.0.0.1", server.port))
    assert (found.level == GREEN) is SENDERS[words], found
    if not SENDERS[words]:
        assert "a:smarthost.example" in found.repair


def test_two_spf_records_are_none(settings: Settings) -> None:
    public = replace(settings, portal=replace(settings.portal, public_url=f"https://{HOST}"))
    with NameServer({("riverside.test", "TXT"): ['"v=spf1 -all"', '"v=spf1 +all"']}) as server:
        found = look("dns.spf", public, Endpoint("127.0.0.1", server.port))
    assert (found.level, "2 SPF records, so none counts" in found.found) == (RED, True), found


def test_a_silent_name_server_is_waited_for_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        names = Names(Endpoint("127.0.0.1", silent.getsockname()[1]))
        for _ in range(20):
            with pytest.raises(NoAnswer):
                names.of("clinic.example", "A")
        assert names.silent
