"""gateway.rootkeys and what quickstart writes of it: who guards the root key, and how the keyholder gets at it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import rootkeys
from gateway.errors import Misconfigured
from gateway.quickstart import plan as planning
from gateway.quickstart.steps import root_key_text
from gateway.quickstart.template import render
from gateway.settings import Settings, load
from keys.providers import systemd_creds
from tests.support import rootkeys as rigs

LEAST = """
[tenant]
name = "elm"
domains = ["elm.test"]
[courier]
smarthost = "127.0.0.1:25"
tls = "none"
"""


def settings(folder: Path, lines: str) -> Settings:
    file = folder / "sealgate.toml"
    file.write_text(f"{LEAST}[keys]\n{lines}\n")
    return load(file, {})


def planned(*, sealed: bool) -> planning.Plan:
    wishes = planning.Wishes("elm.test", "", "127.0.0.1:25", (), "", "+1 555 010 0100", 0, 0, 0, True, Path("/made"))
    return replace(planning.work_out(wishes, None), sealed=sealed)  # type: ignore[arg-type]


def test_quickstart_seals_the_key_where_there_is_a_chip_and_says_so_in_the_file(tmp_path: Path) -> None:
    for sealed, provider in ((True, "systemd-creds"), (False, "file")):
        file = tmp_path / f"{provider}.toml"
        file.write_text(render(planned(sealed=sealed)))
        assert load(file, {}).keys.provider == provider
    unit = root_key_text(tmp_path / "etc/sealgate/kek.cred")
    assert f"LoadCredentialEncrypted={systemd_creds.CREDENTIAL}:{tmp_path}/etc/sealgate/kek.cred" in unit


def test_a_key_on_this_machine_is_made_once_and_is_needed_afterwards(tmp_path: Path) -> None:
    if why := rigs.missing("systemd-creds"):
        pytest.skip(why)
    for lines, name in (
        (f'kek_file = "{tmp_path}/kek"', "kek"),
        (f'provider = "systemd-creds"\ncredential_file = "{tmp_path}/kek.cred"', "kek.cred"),
    ):
        here = settings(tmp_path, lines)
        with pytest.raises(Misconfigured, match="never made beside existing data"):
            rootkeys.need(here)
        owned: list[Path] = []
        rootkeys.make(here, lambda path: None, owned.append)
        first = (tmp_path / name).read_bytes()
        rootkeys.make(here, lambda path: None, owned.append)
        assert (tmp_path / name).read_bytes() == first
        assert owned == [tmp_path / name] * 2
        rootkeys.need(here)


def test_a_key_elsewhere_is_neither_made_nor_missed_here(tmp_path: Path) -> None:
    here = settings(tmp_path, 'provider = "aws-kms"\naws_key = "alias/x"\naws_region = "eu-west-1"')
    assert rootkeys.on_this_machine(here) is None
    rootkeys.need(here)
    rootkeys.make(here, lambda path: None, lambda path: pytest.fail("nothing to own"))
    assert rootkeys.choice(here).values == {"aws_key": "alias/x", "aws_region": "eu-west-1"}


def test_an_opened_credential_is_handed_over_in_memory_and_anew_at_each_start(tmp_path: Path) -> None:
    if why := rigs.missing("systemd-creds"):
        pytest.skip(why)
    path = tmp_path / "kek.cred"
    lines = [b"sealgate-kek-v1 " + os.urandom(32).hex().encode() + b"\n" for _ in range(2)]
    handed = rootkeys.HandedOver(path)
    try:
        with pytest.raises(Misconfigured, match="missing"):
            handed.fill()
        for line in lines:
            path.unlink(missing_ok=True)
            systemd_creds.seal(path, line)
            handed.fill()
            assert os.pread(handed.descriptor, 4096, 0) == line
        assert lines[0].split()[1] not in path.read_bytes()
    finally:
        os.close(handed.descriptor)
