"""The tables [[devices]] and [[shared]]: what does not fit is refused by file, line and a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import words
from gateway.doctor.checks.senders import unheeded_devices
from gateway.errors import Misconfigured
from gateway.install import settings_body
from gateway.policy import load as load_policy
from gateway.policy import parse
from gateway.settings import Settings, load

BASE = """[tenant]
name = "riverside"
domains = ["clinic.test"]
[portal]
public_url = "https://mail.clinic.test"
[courier]
smarthost = "mail.test:25"
[smtp]
trusted_networks = "192.0.2.0/28"
"""
SCANNER = """[[devices]]
name = "scan"
kind = "scanner"
networks = "192.0.2.14"
senders = "Scan@clinic.test"
owner = "office@clinic.test"
"""
SHARED = """[[shared]]
name = "m365"
provider = "microsoft-365"
networks = "198.51.100.0/24"
originator_org = "Clinic.test"
secret_file = "secret"
"""


def read(folder: Path, text: str, secret: str = "0123456789abcdef" * 2) -> Settings:
    (folder / "g.toml").write_text(text)
    (folder / "secret").write_text(secret + "\n")
    (folder / "secret").chmod(0o600)
    return load(folder / "g.toml", {})


def test_both_stand_in_what_is_signed_and_the_secret_does_not(tmp_path: Path) -> None:
    body = settings_body(read(tmp_path, BASE + SCANNER + SHARED))
    (device,), (shared,) = body["devices"], body["shared"]  # type: ignore[misc]
    assert (device["name"], device["senders"], device["assume_phi"]) == ("scan", ["scan@clinic.test"], True)
    assert shared["originator_org"] == "clinic.test"
    assert "0123456789abcdef" not in str(body)
    assert not {"devices", "shared"} & set(settings_body(read(tmp_path, BASE)))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (SCANNER.replace("scanner", "printer"), "g.toml:12: [[devices]] kind must be one of"),
        (SCANNER.replace("networks", "network"), "[[devices]] network is no setting; did you mean 'networks'"),
        (SCANNER.replace('networks = "192.0.2.14"\n', ""), "g.toml:10: [[devices]] needs networks or"),
        (SCANNER.replace('owner = "office@clinic.test"\n', ""), "a scanner needs senders and an owner"),
        (SCANNER.replace("office@clinic", "office@other"), "'office@other.test' is no address of clinic.test"),
        (SCANNER.replace('"192.0.2.14"', f'"192.0.2.14"\ncertificate_sha256 = "{"ab" * 32}"'), "client_ca_file"),
        (SCANNER.replace('name = "scan"', 'name = "scan"\nclinic = "lakeside"'), "'lakeside' is none of riverside"),
        (SCANNER + SCANNER.replace('"scan"', '"two"'), "'two' and 'scan' share a network and a sender"),
        (SCANNER + SCANNER.replace("192.0.2.14", "192.0.2.15"), "name 'scan' is taken"),
        (SHARED.replace('originator_org = "Clinic.test"\n', ""), "originator_org is missing"),
        (SHARED.replace("198.51.100.0/24", "192.0.2.0/24"), "overlap with trusted_networks 192.0.2.0/28"),
        (SHARED + 'header = "Subject"\n', "header must be a name of its own"),
        (SHARED + 'header = "x-originatororg"\n', "header must be a name of its own"),
        (SHARED.replace('secret_file = "secret"\n', ""), "g.toml:10: [[shared]] secret_file is missing"),
        (SHARED + SCANNER.replace("192.0.2.14", "198.51.100.9"), "is in the shared network 'm365'"),
    ],
    ids=[
        "kind", "key", "bound to nothing", "owner", "stranger", "certificate", "clinic", "twins", "name",
        "organisation", "trusted", "field", "field of theirs", "secret", "among strangers",
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        read(tmp_path, BASE + text)
    assert sentence in refused.value.public


@pytest.mark.parametrize(
    "secret", ["tiny-7", "with a blank in the middle of it all", "ü" * 40], ids=["few", "blanks", "letters"]
)
def test_a_secret_that_is_short_or_that_no_field_carries_is_refused(tmp_path: Path, secret: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        settings_body(read(tmp_path, BASE + SHARED, secret))
    assert "32 characters or more" in refused.value.public
    assert secret not in refused.value.public


def test_an_own_policy_that_does_not_heed_devices_is_told(tmp_path: Path) -> None:
    own = read(tmp_path, BASE + SCANNER)
    deaf = parse("mine", b'[[rules]]\nname = "all"\nthen = "as-is"\n')
    assert "'mine' has no rule about" in unheeded_devices(own, deaf)
    for name in ("clinic", "strict", "observe"):
        assert unheeded_devices(own, load_policy(name)) == ""
    assert unheeded_devices(read(tmp_path, BASE), deaf) == ""


def test_pages_have_a_word_for_a_device_in_the_log() -> None:
    assert words.say("officer.kind.device") == "Device"
