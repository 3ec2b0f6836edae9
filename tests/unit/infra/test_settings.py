"""The configuration: what is taken, what is refused, and in which words."""

from __future__ import annotations

import os
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from gateway.errors import Misconfigured
from gateway.settings import SECTIONS, Endpoint, Settings, example, load
from gateway.settingtypes import SecretFile

LEAST = """\
[tenant]
name = "riverside"
domains = ["clinic.example"]
[portal]
public_url = "https://mail.clinic.example"
[courier]
smarthost = "smarthost.example:25"
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "gateway.toml"
    file.write_text(text, encoding="utf-8")
    return file


def refusal(folder: Path, text: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(Misconfigured) as caught:
        load(write(folder, text), environ or {})
    assert caught.value.exit_code == 78
    return caught.value.public


def test_least_configuration_gets_safe_defaults(tmp_path: Path) -> None:
    settings = load(write(tmp_path, LEAST), {})
    assert settings.courier.tls == "verified"
    assert settings.smtp.trusted_networks == ()
    assert settings.smtp.bare_newlines == "refuse"
    assert settings.smtp.max_recipients == 100
    assert settings.policy.file == "clinic"
    assert settings.courier.smarthost == Endpoint("smarthost.example", 25)
    assert settings.smtp.hostname == settings.public_host == "mail.clinic.example"
    assert settings.tenant.display_name == "riverside"
    assert settings.node_directory == settings.spool.directory / "node"
    assert settings.sockets_directory == settings.node_directory / "run"


def test_settings_cannot_be_changed_after_loading(tmp_path: Path) -> None:
    settings = load(write(tmp_path, LEAST), {})
    with pytest.raises(FrozenInstanceError):
        settings.tenant.name = "other"  # type: ignore[misc]


def test_unknown_key_is_refused_with_file_line_and_nearest_name(tmp_path: Path) -> None:
    words = refusal(tmp_path, LEAST + '[smtp]\nlisen = "127.0.0.1:25"\n')
    assert words == "gateway.toml:9: [smtp] lisen is not a setting; did you mean 'listen'?"


def test_unknown_section_is_refused_with_nearest_name(tmp_path: Path) -> None:
    assert refusal(tmp_path, LEAST + "[smpt]\n") == "gateway.toml:8: [smpt] is not a section; did you mean 'smtp'?"


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("SEALGATE_SMTP__LISEN", "did you mean 'listen'?"),
        ("SEALGATE_SMTP_LISTEN", "did you mean 'SEALGATE_SMTP__LISTEN'?"),
        ("SEALGATE_BANANA", "settings are named SEALGATE_SECTION__KEY"),
    ],
)
def test_unknown_variable_is_refused(tmp_path: Path, variable: str, hint: str) -> None:
    words = refusal(tmp_path, LEAST, {variable: "x"})
    assert variable in words
    assert hint in words


def test_environment_stands_over_the_file_and_is_named_as_origin(tmp_path: Path) -> None:
    file = write(tmp_path, LEAST + '[smtp]\nlisten = "127.0.0.1:2525"\n')
    environ = {"SEALGATE_SMTP__LISTEN": "127.0.0.1:0, [::1]:0", "SEALGATE_SMTP__MAX_RECIPIENTS": "7", "HOME": "/"}
    settings = load(file, environ)
    assert settings.smtp.listen == (Endpoint("127.0.0.1", 0), Endpoint("::1", 0))
    assert [str(endpoint) for endpoint in settings.smtp.listen] == ["127.0.0.1:0", "[::1]:0"]
    assert settings.smtp.max_recipients == 7
    assert settings.origins["smtp.listen"] == "environment variable SEALGATE_SMTP__LISTEN"
    assert settings.origins["tenant.name"] == "gateway.toml:2"
    assert settings.origins["smtp.max_connections"] == "default"


def test_environment_alone_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.settings.DEFAULT_PATH", tmp_path / "absent.toml")
    settings = load(
        None,
        {
            "SEALGATE_TENANT__NAME": "riverside",
            "SEALGATE_TENANT__DOMAINS": "clinic.example,b.example",
            "SEALGATE_COURIER__SMARTHOST": "127.0.0.1:2600",
            "SEALGATE_COURIER__TLS": "none",
        },
    )
    assert settings.tenant.domains == ("clinic.example", "b.example")
    assert settings.portal.public_url == "http://localhost:8080"


def test_missing_required_setting_shows_what_to_write(tmp_path: Path) -> None:
    words = refusal(tmp_path, LEAST.replace('smarthost = "smarthost.example:25"', ""))
    assert words.startswith("gateway.toml: [courier] smarthost is missing; write for example: smarthost = ")
    assert '"smarthost.example:25"' in words


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read: No such file"):
        load(tmp_path / "gateway.toml", {})


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    assert "line 2" in refusal(tmp_path, "[tenant]\nname = riverside\n")


@pytest.mark.parametrize(
    ("section", "line", "sentence"),
    [
        ("smtp", 'listen = "2525"', 'must be "host:port"'),
        ("smtp", 'listen = "127.0.0.1:99999"', "a port is at most 65535"),
        ("smtp", 'listen = "127.0.0.999:25"', "127.0.0.999 is not an address"),
        ("smtp", "listen = 25", "must be one value in quotes"),
        ("smtp", 'trusted_networks = ["192.0.2.7/24"]', "no bits set after the prefix"),
        ("smtp", 'bare_newlines = "keep"', 'must be one of "refuse", "normalize"'),
        ("smtp", "max_recipients = 0", "must be a whole number from 1 to 1000"),
        ("smtp", "max_recipients = true", "must be a whole number"),
        ("smtp", 'submission_listen = "127.0.0.1:587"', "needs tls_cert_file and tls_key_file"),
        ("smtp", 'tls_cert_file = "cert.pem"', "tls_key_file is missing beside tls_cert_file"),
        ("store", 'url = "sqlite:///relative.db"', "four slashes"),
        ("store", 'url = "mysql://x"', "postgresql+psycopg"),
        ("vault", 'url = "/var/vault"', "file:///absolute/folder"),
        ("keys", 'provider = "paper"', 'must be one of "file"'),
        ("keys", 'directory = "/k"\nkek_file = "/k/kek"', "must lie outside [keys] directory"),
        ("keys", 'sockets_directory = "/' + "x" * 110 + '"', "too long for a socket"),
        ("notify", 'sms = "http"', "sms_url is missing"),
        ("notify", 'sms_url = "http://sms.example/"', 'must begin with "https://"'),
        ("scan", 'clamd = "somewhere"', "the port is missing"),
        ("scan", 'clamd = "192.0.2.7:3310"', "goes there unencrypted"),
        ("node", 'name = "Node 1"', "lower-case letters"),
    ],
)
def test_wrong_value_is_refused_with_what_to_write(tmp_path: Path, section: str, line: str, sentence: str) -> None:
    words = refusal(tmp_path, f"{LEAST}[{section}]\n{line}\n")
    assert sentence in words
    assert words.startswith("gateway.toml")
    assert f"[{section}]" in words


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.clinic.example",
        "https://",
        "mail.clinic.example",
        "https://a.example/path",
        "https://user:x@a.example",
        "http://localhost.evil.example",
        "http://127.0.0.1.nip.example",
    ],
)
def test_public_url_must_be_https_except_on_loopback(tmp_path: Path, url: str) -> None:
    words = refusal(tmp_path, LEAST.replace("https://mail.clinic.example", url))
    assert words.startswith("gateway.toml:5: [portal] public_url must")


@pytest.mark.parametrize(
    "url", ["http://localhost:8080", "http://127.0.0.1:1", "http://[::1]:8080", "http://portal.localhost"]
)
def test_public_url_may_be_http_on_loopback(tmp_path: Path, url: str) -> None:
    assert load(write(tmp_path, LEAST.replace("https://mail.clinic.example", url)), {}).portal.public_url == url


def test_public_url_is_asked_for_when_the_portal_is_reachable_from_outside(tmp_path: Path) -> None:
    text = LEAST.replace('public_url = "https://mail.clinic.example"', 'listen = "0.0.0.0:443"')
    assert "public_url is missing" in refusal(tmp_path, text)


def test_password_needs_verified_tls_off_loopback(tmp_path: Path) -> None:
    more = 'username = "gateway"\npassword_file = "secret"\n'
    assert 'must be "verified"' in refusal(tmp_path, LEAST + 'tls = "opportunistic"\n' + more)
    load(write(tmp_path, LEAST.replace("smarthost.example", "127.0.0.1") + 'tls = "opportunistic"\n' + more), {})
    assert "AUTH needs both" in refusal(tmp_path, LEAST + 'username = "gateway"\n')


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = load(write(tmp_path, LEAST + '[spool]\ndirectory = "spool"\n'), {})
    assert settings.spool.directory == tmp_path / "spool"


@pytest.mark.parametrize(
    ("written", "meant"), [("strict", "strict"), ("own.toml", "{}/own.toml"), ("/etc/own.toml", "/etc/own.toml")]
)
def test_policy_is_a_shipped_name_or_a_path_beside_the_file(tmp_path: Path, written: str, meant: str) -> None:
    settings = load(write(tmp_path, LEAST + f'[policy]\nfile = "{written}"\n'), {})
    assert settings.policy.file == meant.format(tmp_path)


def test_secret_is_read_on_demand_and_does_not_print(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter-two\n")
    secret.chmod(0o400)
    text = LEAST + 'username = "gateway"\npassword_file = "secret"\n'
    settings = load(write(tmp_path, text), {})
    assert isinstance(settings.courier.password_file, SecretFile)
    assert settings.courier.password_file.read().reveal() == "hunter-two"
    assert "hunter" not in repr(settings) + str(settings.courier.password_file.read())


@pytest.mark.parametrize(
    ("content", "mode", "sentence"),
    [
        (b"x", 0o404, "open to everybody; run: chmod 0400"),
        (b"", 0o400, "empty or longer"),
        (b"\xff", 0o400, "not UTF-8"),
        (b"x" * 70_000, 0o400, "empty or longer"),
    ],
)
def test_bad_secret_file_is_refused(tmp_path: Path, content: bytes, mode: int, sentence: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(content)
    secret.chmod(mode)
    with pytest.raises(Misconfigured, match=sentence) as caught:
        SecretFile(secret).read()
    assert caught.value.__cause__ is None


def test_absent_secret_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read: No such file"):
        SecretFile(tmp_path / "none").read()


def test_every_design_name_exists() -> None:
    design = {
        "smtp": "listen submission_listen submissions_listen trusted_networks bare_newlines max_message_bytes "
        "max_recipients tls_cert_file tls_key_file",
        "portal": "listen public_url tls_cert_file tls_key_file trusted_proxies",
        "tenant": "name display_name domains phone timezone",
        "courier": "smarthost tls username password_file client_cert_file client_key_file",
        "store": "url",
        "vault": "url",
        "keys": "directory provider kek_file",
        "spool": "directory",
        "scan": "clamd",
        "notify": "sms sms_url sms_token_file",
        "policy": "file",
    }
    for section, names in design.items():
        assert set(names.split()) <= {item.name for item in fields(SECTIONS[section])}, section


def test_sections_and_settings_agree() -> None:
    others = ("origins", "several", "devices", "shared")
    assert list(SECTIONS) == [item.name for item in fields(Settings) if item.name not in others]


def test_example_file_loads_and_each_commented_default_does_too(tmp_path: Path) -> None:
    load(write(tmp_path, example()), {})
    all_on = "\n".join(
        line.removeprefix("#") if line.startswith("#") and not line.startswith("# ") else line
        for line in example().splitlines()
    )
    settings = load(write(tmp_path, all_on.replace('public_url = ""', 'public_url = "https://a.example"')), {})
    assert settings.smtp.max_recipients == 100


def test_environment_of_the_process_is_not_read_behind_our_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "SEALGATE_POLICY__FILE", "strict")
    assert load(write(tmp_path, LEAST), {}).policy.file == "clinic"


def test_where_anybody_may_write_somebody_reads_what_comes_to_postmaster(tmp_path: Path) -> None:
    on = LEAST.replace("[courier]", "return_path = true\n[courier]")
    words = refusal(tmp_path, on)
    assert words.startswith("gateway.toml: [portal] postmaster is missing; ")
    assert '"office@clinic.example"' in words
    own = on.replace("return_path = true", 'return_path = true\npostmaster = "max@mail.clinic.example"')
    assert "must not be at mail.clinic.example itself" in refusal(tmp_path, own)
    named = load(write(tmp_path, own.replace("max@mail.", "max@")), {})
    assert named.portal.postmaster == "max@clinic.example"
    owned = load(write(tmp_path, on + '[notify]\nowner = "office@clinic.example"\n'), {})
    assert owned.portal.postmaster == "office@clinic.example"
    assert load(write(tmp_path, LEAST), {}).portal.postmaster == ""


@pytest.mark.parametrize("name", ["straße.example", "klinik\uff41.example", "λόγος.example"])
def test_a_domain_that_may_mean_another_one_is_refused(tmp_path: Path, name: str) -> None:
    assert "begins with xn--" in refusal(tmp_path, LEAST.replace('["clinic.example"]', f'["{name}"]'))


def test_a_domain_in_other_letters_has_one_ascii_form(tmp_path: Path) -> None:
    settings = load(write(tmp_path, LEAST.replace('["clinic.example"]', '["Bücher.example"]')), {})
    assert settings.tenant.domains == ("xn--bcher-kva.example",)
