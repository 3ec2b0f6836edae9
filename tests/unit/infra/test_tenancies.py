"""Several clinics in one file: each gets its own, and what two must not share is refused by name."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from gateway.errors import Misconfigured
from gateway.settings import Settings, load
from gateway.tenancies import OWN, PLACES, Tenancy

A = """
[[tenants]]
name = "riverside"
domains = ["riverside.example"]
public_url = "https://mail.riverside.example"
trusted_networks = ["192.0.2.0/28"]
"""
B = """
[[tenants]]
name = "lakeside"
domains = ["lakeside.example", "lakeside.example.net"]
public_url = "https://mail.lakeside.example"
trusted_networks = ["192.0.2.16/28"]
smarthost = "mail.lakeside.example:587"
smarthost_username = "lakeside"
smarthost_password_file = "lakeside-password"
policy = "strict"
message_days = 30
"""
REST = """
[courier]
smarthost = "smarthost.example:25"
username = "everyone"
password_file = "shared-password"
[policy]
hold_days = 9
"""


def read(folder: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    file = folder / "gateway.toml"
    file.write_text(text, encoding="utf-8")
    return load(file, environ or {})


def refusal(folder: Path, text: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(Misconfigured) as caught:
        read(folder, text, environ)
    return caught.value.public


def test_each_clinic_has_settings_of_its_own(tmp_path: Path) -> None:
    settings = read(tmp_path, A + B + REST)
    one, other = settings.tenants
    assert (one.tenant.name, other.tenant.name) == ("riverside", "lakeside")
    assert settings.tenant == one.tenant
    assert other.tenant.domains == ("lakeside.example", "lakeside.example.net")
    assert other.public_host == "mail.lakeside.example"
    assert str(one.smtp.trusted_networks[0]) == "192.0.2.0/28"
    assert (one.policy.file, one.policy.message_days, one.policy.hold_days) == ("clinic", 90, 9)
    assert (other.policy.file, other.policy.message_days, other.policy.hold_days) == ("strict", 30, 9)
    assert one.spool == other.spool
    assert other.origins["tenant.name"] == "gateway.toml:9"


def test_a_smarthost_of_ones_own_takes_no_password_of_another(tmp_path: Path) -> None:
    one, other = read(tmp_path, A + B + REST).tenants
    assert one.courier.username == "everyone"
    assert other.courier.username == "lakeside"
    assert other.courier.password_file is not None
    assert other.courier.password_file.path == tmp_path / "lakeside-password"
    bare = B.replace('smarthost_username = "lakeside"\nsmarthost_password_file = "lakeside-password"\n', "")
    (_, other) = read(tmp_path, A + bare + REST).tenants
    assert (other.courier.username, other.courier.password_file, other.courier.tls) == ("", None, "verified")


def test_one_inline_clinic_is_the_only_one(tmp_path: Path) -> None:
    settings = read(tmp_path, A.replace("[[tenants]]", "[tenant]").split("public_url")[0] + REST)
    assert settings.tenants == (settings,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (A + B.replace("lakeside.example.net", "riverside.example"), "'riverside.example' is a domain of 'riverside'"),
        (A + B.replace("https://mail.lakeside.example", "https://MAIL.riverside.example:8443"), "needs a host of"),
        (A + B.replace('name = "lakeside"', 'name = "riverside"'), "name 'riverside' is taken"),
        (A + B.replace("192.0.2.16/28", "192.0.2.8/29"), "192.0.2.8/29 overlaps with 192.0.2.0/28 of 'riverside'"),
        (A + B + "colour = 1\n", "[[tenants]] colour is no setting"),
        (A + B.replace("message_days", "mesage_days"), "did you mean 'message_days'?"),
        (A + B.replace("message_days = 30", "message_days = 0"), "[[tenants]] message_days must be a whole number"),
        (A.replace('public_url = "https://mail.riverside.example"\n', "") + B, "[[tenants]] public_url is missing"),
        (A + B.replace('smarthost = "mail.lakeside.example:587"\n', ""), "smarthost is missing beside smarthost_user"),
        (A + B.replace('smarthost_username = "lakeside"\n', ""), "[[tenants]] smarthost_username is missing"),
        (A + B + '[tenant]\nname = "third"\n', "[tenant] name belongs into each clinic's table"),
        (A + B + '[smtp]\ntrusted_networks = ["10.0.0.0/8"]\n', "[smtp] trusted_networks belongs into"),
        (A + B + "networks_shared = 1\n", "networks_shared must be true or false"),
        ("tenants = 1\n" + REST, "write [[tenants]]"),
    ],
    ids=["domain", "host", "name", "network", "unknown", "nearest", "value", "missing", "no-smarthost", "half-auth",
         "inline", "section", "flag", "shape"],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    if REST not in text:
        text += REST
    assert words in refusal(tmp_path, text)


def test_an_environment_cannot_speak_for_all_clinics(tmp_path: Path) -> None:
    words = refusal(tmp_path, A + B + REST, {"SEALGATE_PORTAL__PUBLIC_URL": "https://other.example"})
    assert "SEALGATE_PORTAL__PUBLIC_URL" in words


def test_a_shared_network_must_be_said_by_both(tmp_path: Path) -> None:
    shared = B.replace("192.0.2.16/28", "192.0.2.0/28") + "networks_shared = true\n"
    assert "networks_shared = true in both" in refusal(tmp_path, A + shared + REST)
    assert len(read(tmp_path, A + "networks_shared = true\n" + shared + REST).tenants) == 2


def test_every_key_of_a_clinic_has_its_place() -> None:
    assert {item.name for item in fields(Tenancy)} - set(PLACES) == {"networks_shared"}
    assert ("notify", "owner") in OWN
    assert ("courier", "smarthost") not in OWN
