"""An installation of several clinics: `doctor` asks about each, and each finding says which clinic it is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.demo.ports import free_port
from gateway.doctor import GREEN, RED, YELLOW, Case
from gateway.doctor.finding import CHECKS, Finding
from gateway.settings import Endpoint, Settings, load
from tests.support import pems
from tests.support.doctoring import saying
from tests.support.nameserver import NameServer

TEXT = """\
[[tenants]]
name = "riverside"
domains = ["riverside.example"]
public_url = "https://mail.riverside.example"
smarthost = "127.0.0.1:{answers}"
smarthost_tls = "none"
[[tenants]]
name = "lakeside"
domains = ["lakeside.example"]
public_url = "https://mail.lakeside.example"
smarthost = "127.0.0.1:{silent}"
smarthost_tls = "none"
[[tenants]]
name = "hilltop"
domains = ["hilltop.example"]
public_url = "https://mail.hilltop.example"
smarthost = "127.0.0.1:{silent}"
smarthost_tls = "none"
[portal]
tls_cert_file = "{folder}/own.crt"
tls_key_file = "{folder}/own.key"
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
RECORDS = {
    ("mail.riverside.example", "A"): ["192.0.2.7"], ("riverside.example", "MX"): ["10 mx.riverside.example."],
    ("mail.hilltop.example", "A"): ["192.0.2.7"],
}  # fmt: skip


def read(folder: Path, answers: int, silent: int) -> Settings:
    file = folder / "gateway.toml"
    file.write_text(TEXT.format(folder=folder, answers=answers, silent=silent))
    return load(file, {})


def look(id: str, settings: Settings, resolver: Endpoint | None = None, **known: object) -> Finding:
    case = Case(settings, Path("/etc/sealgate/test.toml"), resolver)
    case.__dict__.update(known)  # what is asked once and kept
    return CHECKS.get(id).look(case)


def test_every_clinics_smarthost_is_asked_and_the_silent_one_is_named(tmp_path: Path) -> None:
    lines = (b"220 smarthost.test\r\n", b"250 smarthost.test\r\n", b"221 bye\r\n")
    with saying(*lines) as answers:
        settings = read(tmp_path, answers, free_port())
        found = look("smarthost.takes", settings)
    assert found.level == RED
    assert "riverside" not in found.found
    for name in ("lakeside", "hilltop"):
        assert f"{name}: 127.0.0.1:" in found.found
    assert found.found.count("nobody answers there") == 2
    assert found.repair.count("start it, or open its port") == 1  # one line repairs both


def test_every_clinics_records_are_looked_up_and_a_closed_ones_mail_is_not_missed(tmp_path: Path) -> None:
    settings = read(tmp_path, 25, 25)
    with NameServer(RECORDS) as server:
        resolver = Endpoint("127.0.0.1", server.port)
        found = look("dns.portal", settings, resolver)
        assert (found.level, found.found) == (RED, "lakeside: mail.lakeside.example has no address")
        found = look("dns.mx", settings, resolver, keyholder=None)
        assert found.level == YELLOW
        assert [part.partition(":")[0] for part in found.found.split("; ")] == ["lakeside", "hilltop"]
        assert " and hilltop.example. IN MX 10" in found.repair
        tenants = {f"tnt_{name}": {"name": name, "closed_us": 1} for name in ("hilltop", "lakeside")}
        found = look("dns.mx", settings, resolver, keyholder={"tenants": tenants})
        assert found.level == GREEN
        assert "lakeside: closed" in found.found


@pytest.mark.parametrize("check", ["dns.spf", "dns.dmarc", "dns.dkim"])
def test_no_question_about_domains_stops_at_the_first_clinic(tmp_path: Path, check: str) -> None:
    with NameServer({}) as server:
        resolver = Endpoint("127.0.0.1", server.port)
        found = look(check, read(tmp_path, 25, 25), resolver, keyholder=None)
    assert [name for name in ("riverside", "lakeside", "hilltop") if f"{name}: " in found.found] == [
        "riverside", "lakeside", "hilltop",
    ]  # fmt: skip


def test_a_certificate_that_lacks_one_clinics_name_is_told_for_that_clinic(tmp_path: Path) -> None:
    certificate, key = pems.write(tmp_path, "made", days=60, host="mail.riverside.example")
    settings = read(tmp_path, 25, 25)
    (tmp_path / "own.crt").write_bytes(certificate.read_bytes())
    (tmp_path / "own.key").write_bytes(key.read_bytes())
    (tmp_path / "own.key").chmod(0o600)
    found = look("tls.portal", settings)
    assert found.level == RED
    assert "riverside: signed by itself" in found.found
    assert "lakeside: made for mail.riverside.example, and not for mail.lakeside.example" in found.found
    assert "hilltop: made for" in found.found
