"""keys.keyholder.rootkey: a provider of the root key that goes away while we run, or is away when we start."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from keys.errors import Unavailable
from keys.keyholder.config import KeyholderConfig
from keys.keyholder.database import NoStore
from keys.keyholder.holder import Holder
from keys.keyholder.rootkey import Answers, Pulse, RootKey, Seal
from keys.providers import Choice, open_provider
from tests.support import rootkeys
from tests.support.keyholder import TENANT, Keyholder, config_in, deposit_for, set_up
from tests.unit.keyholder.conftest import PERSON


def test_what_a_provider_refuses_counts_at_once_and_silence_after_a_while(tmp_path: Path) -> None:
    with rootkeys.rig("vault-transit", tmp_path) as rig:
        root = RootKey(Seal.make(open_provider(rig.choice), rig.choice))
        told: list[Answers] = []
        pulse = Pulse(root, every_seconds=99, silence_seconds=3600, told=told.append)
        pulse.beat()
        assert rig.stop is not None
        assert rig.resume is not None
        rig.stop()
        pulse.beat()
        assert (root.answers, told) == ("yes", [])  # silent, but not for long
        impatient = Pulse(root, every_seconds=99, silence_seconds=0, told=told.append)
        impatient.beat()
        assert root.answers == "silent"
        rig.resume()
        impatient.beat()
        token = Path(rig.choice.values["vault_token_file"])
        token.chmod(0o600)
        good = token.read_text()
        token.write_text("hvs.revoked")
        pulse.beat()
        assert root.answers == "refused"
        token.write_text(good)
        pulse.beat()
        assert told == ["silent", "yes", "refused", "yes"]


def test_while_the_provider_is_away_new_mail_and_readers_wait_and_recalls_go_on(tmp_path: Path) -> None:
    """A real process whose Vault is sealed: deposits are "unavailable", a recall is not; it comes back by itself."""
    with rootkeys.rig("vault-transit", tmp_path) as rig:
        assert rig.stop is not None
        assert rig.resume is not None
        config = config_in(tmp_path, pulse_seconds=0, pulse_silence_seconds=0)
        keyholder = Keyholder(replace(config, provider="vault-transit", provider_values=rig.choice.values))
        keyholder.start()
        try:
            set_up(keyholder)
            item = deposit_for(PERSON)
            keyholder.worker.deposit([item])
            rig.stop()
            until(lambda: keyholder.operator.root_key()["answers"] == "silent")
            with pytest.raises(Unavailable):
                keyholder.worker.deposit([deposit_for(PERSON)])
            keyholder.worker.narrow(TENANT, item.message, None, {"revoke": True}, "usr_x", "req_1")
            rig.resume()
            until(lambda: keyholder.operator.root_key()["answers"] == "yes")
            keyholder.worker.deposit([deposit_for(PERSON)])
            said = keyholder.errors.read_text()
            assert '"kek:silent"' in said
            assert '"kek:answers"' in said
            assert not any(secret in said for secret in rig.secrets)
        finally:
            keyholder.close()


def until(held: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not held():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_provider_that_is_silent_at_the_start_is_no_reason_to_make_anything(tmp_path: Path) -> None:
    with rootkeys.rig("vault-transit", tmp_path) as rig:
        config = replace(config_in(tmp_path), provider="vault-transit", provider_values=rig.choice.values)
        assert rig.stop is not None
        rig.stop()
        with pytest.raises(Unavailable, match="sealed or does not answer"):
            Holder.open(config)
        assert not config.database.exists()
        with pytest.raises(NoStore):
            Holder.open(replace(config, create=False))


def test_a_configuration_is_read_as_it_was_written(tmp_path: Path) -> None:
    from keys.keyholder.config import BadConfig, load, parse

    config = replace(
        config_in(tmp_path), provider="aws-kms", provider_values={"aws_key": "alias/x", "aws_region": "eu-west-1"},
        key_descriptor=7,
    )  # fmt: skip
    file = tmp_path / "keyholder.json"
    file.write_text(config.to_json())
    assert load(file) == config
    assert config.choice == Choice("aws-kms", {"aws_key": "alias/x", "aws_region": "eu-west-1"})
    with pytest.raises(BadConfig, match="provider_values"):
        parse({**json.loads(config.to_json()), "provider_values": {"aws_key": 1}}, "x")
    assert isinstance(config, KeyholderConfig)
