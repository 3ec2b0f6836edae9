"""The command's frame: discovery, exit codes, and what an error may print."""

from __future__ import annotations

import argparse
import json
import sys
import types
from pathlib import Path

import pytest

from gateway import cli
from gateway.cli.check import in_force
from gateway.errors import TryLater
from gateway.settings import load
from tests.unit.infra.test_settings import LEAST


def give(monkeypatch: pytest.MonkeyPatch, run: object) -> None:
    module = types.ModuleType("gateway.cli.sample")

    def arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--n", type=int)

    vars(module).update(NAME="sample", HELP="a sample", add_arguments=arguments, run=run)
    monkeypatch.setitem(sys.modules, "gateway.cli.sample", module)
    monkeypatch.setattr(cli, "command_names", lambda: ["check", "sample"])


def test_every_command_has_name_help_arguments_and_run() -> None:
    for name in cli.command_names():
        module = cli.command(name)
        assert name == module.NAME
        assert module.HELP
        assert "\n" not in module.HELP
        module.add_arguments(argparse.ArgumentParser())
        assert callable(module.run)


def test_one_command_imports_only_itself(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    give(monkeypatch, lambda args: 3)
    monkeypatch.delitem(sys.modules, "gateway.cli.check", raising=False)
    assert cli.main(["sample"]) == 3
    assert "gateway.cli.check" not in sys.modules


def test_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["chekc"]) == 64
    assert "did you mean 'check'?" in capsys.readouterr().err


def test_wrong_usage_is_64(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    give(monkeypatch, lambda args: 0)
    assert cli.main([]) == 64
    assert cli.main(["sample", "--n", "x"]) == 64
    assert cli.main(["sample", "--what"]) == 64


def test_help_and_version_end_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    assert "check" in capsys.readouterr().out
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("sealgate ")


def test_error_decides_the_exit_code_and_prints_its_public_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(args: object) -> int:
        raise TryLater("marked-detail")

    give(monkeypatch, run)
    assert cli.main(["sample"]) == 75
    shown = capsys.readouterr().err
    assert "Nothing is lost" in shown
    assert "marked-detail" not in shown


def test_unforeseen_error_prints_no_text_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(args: object) -> int:
        raise ValueError("Jane Roe <jane@example.org>")

    give(monkeypatch, run)
    assert cli.main(["sample"]) == 70
    shown = capsys.readouterr().err
    assert "ValueError at test_cli.py:" in shown
    assert "Jane" not in shown


def test_check_prints_values_with_their_origin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(LEAST)
    assert cli.main(["check", "--config", str(file)]) == 0
    shown = capsys.readouterr().out
    assert 'tenant.name = "riverside"' in shown
    assert "# gateway.toml:2" in shown
    assert cli.main(["check", "--json", "--config", str(file)]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["policy.file"] == {"value": '"clinic"', "from": "default"}


def test_what_may_hold_a_password_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    url = "postgresql+psycopg://{}@/s?passfile=/etc/secret"
    file.write_text(LEAST + f'[store]\nurl = "{url.format("u")}"\nportal_url = "{url.format("v")}"\n')
    shown = {key: value for key, value, _ in in_force(load(file, {}))}
    assert shown["store.url"] == shown["store.portal_url"] == '"***"'


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('url = "postgresql+psycopg://u:hunter-two@/s"', "must hold no password"),
        ('url = "postgresql+psycopg://u@db.example/s"', "sslmode=verify-full"),
        ('url = "postgresql+psycopg://u@db.example/s?sslmode=require"', "sslmode=verify-full"),
        ('url = "postgresql+psycopg://u@/s?host=db.example"', "sslmode=verify-full"),
        ('url = "postgresql+psycopg:///s"', "must be"),
        ('url = "postgresql+psycopg://u@/s"', "portal_url is missing"),
        ('portal_url = "postgresql+psycopg://v@/s"', "no meaning beside a SQLite"),
    ],
)
def test_a_server_is_named_without_password_and_proves_who_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, sentence: str
) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(f"{LEAST}[store]\n{line}\n")
    assert cli.main(["check", "--config", str(file)]) == 78
    said = capsys.readouterr().err
    assert sentence in said
    assert "hunter" not in said


def test_worker_and_portal_are_held_apart_on_postgresql_and_one_on_sqlite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(LEAST)
    for role in ("worker", "portal"):
        assert cli.main(["serve", "--role", role, "--config", str(file)]) == 78
        assert "needs PostgreSQL" in capsys.readouterr().err
    url = "postgresql+psycopg://{}@/s"
    file.write_text(LEAST + f'[store]\nurl = "{url.format("u")}"\nportal_url = "{url.format("v")}"\n')
    assert cli.main(["serve", "--role", "gateway", "--config", str(file)]) == 78
    assert "held apart" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["check"], ["serve"], ["serve", "--role", "smtp"], ["serve", "--role", "gateway"]])
def test_a_provider_without_what_it_needs_is_refused_and_told_what(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(LEAST + '[keys]\nprovider = "pkcs11"\npkcs11_token = "x"\n')
    assert cli.main([*command, "--config", str(file)]) == 78
    said = capsys.readouterr().err
    assert "[keys] pkcs11_module is missing" in said
    assert "pkcs11_module, pkcs11_token, pkcs11_key, pkcs11_pin_file" in said
    assert "hunter" not in said


def test_check_says_who_guards_the_root_key_and_what_that_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "gateway.toml"
    for lines, words in (
        ("", "root key: file (kek_file /etc/sealgate/kek)"),
        ('[keys]\nprovider = "aws-kms"\naws_key = "alias/x"\naws_region = "eu-west-1"\n', "kms:Decrypt"),
    ):
        file.write_text(LEAST + lines)
        assert cli.main(["check", "--config", str(file)]) == 0
        assert words in capsys.readouterr().out


def test_the_settings_ask_for_what_the_providers_need() -> None:
    from gateway.section_keys import NEEDS, Keys
    from keys.providers import names, provider_class

    assert sorted(NEEDS) == names()
    fields = set(Keys.__dataclass_fields__)
    for name in names():
        adapter = provider_class(name)
        assert NEEDS[name] == adapter.NEEDS
        assert {*adapter.NEEDS, *adapter.MAY} <= fields


def test_check_reads_the_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(LEAST + '[policy]\nfile = "own.toml"\n')
    assert cli.main(["check", "--config", str(file)]) == 78
    assert "own.toml cannot be read" in capsys.readouterr().err
    (tmp_path / "own.toml").write_text('[[rules]]\nname = "all"\nwhen = ["sunny"]\nthen = "hold"\n')
    assert cli.main(["check", "--config", str(file)]) == 78
    assert "sunny" in capsys.readouterr().err


def test_check_of_a_wrong_file_is_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(LEAST + 'passwort_file = "x"\n')
    assert cli.main(["check", "--config", str(file)]) == 78
    assert "did you mean 'password_file'?" in capsys.readouterr().err


def test_check_reads_secret_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(LEAST + 'username = "g"\npassword_file = "absent"\n')
    assert cli.main(["check", "--config", str(file)]) == 78
    assert "absent cannot be read" in capsys.readouterr().err
