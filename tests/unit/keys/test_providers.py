"""keys.providers: one suite for every provider of the root key, each against a key of its own.

SoftHSM2 stands for an HSM, moto for AWS KMS, a double written from the API's documentation for Vault's Transit; where
there is no TPM2 chip, systemd-creds seals with the machine's host key.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from keys import providers
from keys.errors import KeysError, Tampered, Unavailable, Unusable
from keys.providers import Choice, KeyProvider, open_provider
from tests.support import rootkeys
from tests.support.rootkeys import Rig
from tests.unit.keys.conftest import flips


@pytest.fixture(scope="module")
def kms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rootkeys.rig("aws-kms", tmp_path_factory.mktemp("kms")) as made:
        yield made


@pytest.fixture(scope="module", params=rootkeys.PROVIDERS)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    why = rootkeys.missing(request.param)
    if why:
        pytest.skip(why)
    if request.param == "aws-kms":
        yield request.getfixturevalue("kms")
        return
    with rootkeys.rig(request.param, tmp_path_factory.mktemp(request.param)) as made:
        open_provider(made.choice, create=True)
        yield made


@pytest.fixture
def provider(rig: Rig) -> KeyProvider:
    return open_provider(rig.choice)


def refused(choice: Choice, rig: Rig) -> KeysError:
    with pytest.raises((Unusable, Unavailable)) as caught:
        open_provider(choice)
    quiet(caught.value, rig)
    return caught.value


def quiet(error: BaseException | None, rig: Rig) -> None:
    """Neither the message nor what it was raised from holds a secret."""
    while error is not None:
        assert not any(secret in str(error) for secret in rig.secrets)
        error = error.__cause__


def test_every_provider_has_its_rig() -> None:
    assert sorted(rootkeys.PROVIDERS) == providers.names()


def test_what_was_wrapped_opens_for_its_context_alone(provider: KeyProvider) -> None:
    wrapped = provider.wrap(b"k" * 32, b"day 1")
    assert provider.unwrap(wrapped, b"day 1") == b"k" * 32
    assert b"k" * 32 not in wrapped
    assert provider.wrap(b"k" * 32, b"day 1") != wrapped
    with pytest.raises(Tampered):
        provider.unwrap(wrapped, b"day 2")


def test_a_key_opened_again_is_the_same_one(rig: Rig, provider: KeyProvider) -> None:
    again = open_provider(rig.choice)
    assert (again.check_value, again.name) == (provider.check_value, provider.name)
    assert again.unwrap(provider.wrap(b"k" * 32, b"x"), b"x") == b"k" * 32
    assert provider.check_value.isascii()
    assert 8 <= len(provider.check_value) <= 64


def test_another_key_has_another_check_value_and_opens_nothing(rig: Rig, provider: KeyProvider) -> None:
    other = open_provider(rig.other, create=True)
    assert other.check_value != provider.check_value
    with pytest.raises(Tampered):
        other.unwrap(provider.wrap(b"k" * 32, b"x"), b"x")


def test_a_changed_wrap_does_not_open(provider: KeyProvider) -> None:
    wrapped = provider.wrap(b"k" * 32, b"x")
    changed = flips(wrapped)
    if not provider.local:  # each is a request: some of every region
        changed = [one for n, one in enumerate(changed) if n % 97 == 0]
    for one in (*changed, wrapped[:-1], wrapped[:9], wrapped + b"\0", b""):
        with pytest.raises(Tampered):
            provider.unwrap(one, b"x")


def test_a_missing_credential_is_named_with_what_to_do(rig: Rig) -> None:
    error = refused(rig.absent, rig)
    assert isinstance(error, Unusable)
    assert "absent" in str(error)
    assert any(word in str(error) for word in ("write", "put"))


@pytest.mark.parametrize(
    "rig", [one for one in rootkeys.PROVIDERS if one != "aws-kms"], indirect=True
)  # it has a test of its own below
def test_a_wrong_credential_is_refused_with_what_to_do(rig: Rig) -> None:
    assert rig.refused is not None
    if rig.choice.provider == "pkcs11":
        rootkeys.fresh_library()  # who is signed in is the whole process
    error = refused(rig.refused, rig)
    assert isinstance(error, Unusable)
    assert any(word in str(error).lower() for word in ("write", "reads", "root"))


# A sealed credential may be read by anybody: it opens on this machine alone.
@pytest.mark.parametrize("rig", [one for one in rootkeys.PROVIDERS if one != "systemd-creds"], indirect=True)
def test_a_credential_that_others_may_read_is_refused(rig: Rig) -> None:
    name = next(one for one in rig.choice.values if one.endswith("_file"))
    path = Path(rig.choice.values[name])
    before = path.stat().st_mode & 0o777
    path.chmod(0o444)
    try:
        assert f"chmod 0400 {path}" in str(refused(rig.choice, rig))
    finally:
        path.chmod(before)


def test_a_missing_setting_is_named(rig: Rig) -> None:
    needs = providers.provider_class(rig.choice.provider).NEEDS
    for name in needs:
        short = replace(rig.choice, values={key: value for key, value in rig.choice.values.items() if key != name})
        assert f"[keys] {name} is missing" in str(refused(short, rig))


def test_a_choice_is_read_as_it_was_written(rig: Rig) -> None:
    assert Choice.decode(rig.choice.encode()) == rig.choice
    with pytest.raises(Tampered):
        Choice.decode(b"[1]")


# A token of files cannot be unplugged; that it is logged out has a test of its own below.
@pytest.mark.parametrize("rig", [one for one in rootkeys.PROVIDERS if one != "pkcs11"], indirect=True)
def test_a_provider_that_stops_says_so_and_comes_back_by_itself(rig: Rig, provider: KeyProvider) -> None:
    wrapped = provider.wrap(b"k" * 32, b"x")
    if rig.stop is None or rig.resume is None:
        assert provider.local  # nothing outside is needed once it is open
        assert provider.unwrap(wrapped, b"x") == b"k" * 32
        return
    rig.stop()
    try:
        with pytest.raises((Unavailable, Unusable)) as caught:
            provider.unwrap(wrapped, b"x")
        quiet(caught.value, rig)
    finally:
        rig.resume()
    assert provider.unwrap(wrapped, b"x") == b"k" * 32


# --- what only one of them has -----------------------------------------------------------------------------------


@pytest.fixture
def softhsm(tmp_path: Path) -> Iterator[Rig]:
    if why := rootkeys.missing("pkcs11"):
        pytest.skip(why)
    with rootkeys.rig("pkcs11", tmp_path) as made:
        yield made


def test_a_token_that_was_logged_out_is_signed_in_again(softhsm: Rig) -> None:
    import pkcs11

    provider = open_provider(softhsm.choice, create=True)
    wrapped = provider.wrap(b"k" * 32, b"x")
    token = pkcs11.lib(rootkeys.module()).get_token(token_label="sealgate")
    # Closing a session that is signed in signs the whole process out (C_Logout).
    provider._session.close()  # type: ignore[attr-defined]
    token.open().close()
    assert provider.unwrap(wrapped, b"x") == b"k" * 32


def test_a_token_that_was_away_is_found_when_it_is_back_and_keys_do_not_change_places(softhsm: Rig) -> None:
    provider, other = open_provider(softhsm.choice, create=True), open_provider(softhsm.other, create=True)
    wrapped, theirs = provider.wrap(b"k" * 32, b"x"), other.wrap(b"o" * 32, b"x")
    assert softhsm.stop is not None
    assert softhsm.resume is not None
    softhsm.stop()
    for _ in range(3):
        with pytest.raises(Unavailable):
            provider.unwrap(wrapped, b"x")
    softhsm.resume()
    # Begun anew, the module numbers sessions and keys as before, in the order in which they are asked for.
    assert provider.unwrap(wrapped, b"x") == b"k" * 32
    assert other.unwrap(theirs, b"x") == b"o" * 32
    again = other.wrap(b"n" * 32, b"x")
    with pytest.raises(Tampered):
        provider.unwrap(again, b"x")
    assert other.unwrap(again, b"x") == b"n" * 32


def test_a_refused_pin_is_not_tried_again(softhsm: Rig) -> None:
    provider = open_provider(softhsm.choice, create=True)
    wrapped = provider.wrap(b"k" * 32, b"x")
    pin = Path(softhsm.choice.values["pkcs11_pin_file"])
    pin.chmod(0o600)
    pin.write_text("0000-wrong\n")
    provider._session.close()  # type: ignore[attr-defined]
    for _ in range(3):
        with pytest.raises(Unusable, match="refuses the PIN"):
            provider.unwrap(wrapped, b"x")
    pin.write_text(rootkeys.PIN + "\n")
    assert provider.unwrap(wrapped, b"x") == b"k" * 32


def test_a_token_without_our_key_gets_none_unless_it_is_to_be_made(softhsm: Rig) -> None:
    with pytest.raises(Unusable, match="no AES key"):
        open_provider(softhsm.choice)
    made = open_provider(softhsm.choice, create=True)
    assert open_provider(softhsm.choice, create=True).check_value == made.check_value


def test_a_module_or_token_that_is_not_there_is_named(softhsm: Rig, tmp_path: Path) -> None:
    values = softhsm.choice.values
    with pytest.raises(Unusable, match="cannot be loaded"):
        open_provider(Choice("pkcs11", {**values, "pkcs11_module": str(tmp_path / "none.so")}))
    with pytest.raises(Unavailable, match="no slot holds this token"):
        open_provider(Choice("pkcs11", {**values, "pkcs11_token": "another"}))


def test_kms_refusals_say_what_to_do(kms: Rig) -> None:
    """The answers of KMS as its API reference lists them, given by botocore's own stubber."""
    from botocore.stub import Stubber

    provider = open_provider(kms.choice)
    for code, words in (
        ("UnrecognizedClientException", "does not know the credential"),
        ("ExpiredTokenException", "has expired"),
        ("AccessDeniedException", "kms:Decrypt"),
        ("NotFoundException", "no such key"),
        ("DisabledException", "disabled"),
    ):
        with Stubber(provider._client) as stub:  # type: ignore[attr-defined]
            stub.add_client_error("encrypt", service_error_code=code, service_message=f"{rootkeys.AWS['secret']} leaks")
            with pytest.raises(Unusable, match=words) as caught:
                provider.wrap(b"k" * 32, b"x")
            quiet(caught.value, kms)


def test_kms_alias_that_leads_to_another_key_is_another_key(kms: Rig, tmp_path: Path) -> None:
    import boto3

    client = boto3.client(
        "kms", region_name=rootkeys.REGION, endpoint_url=kms.choice.values["aws_endpoint"],
        aws_access_key_id="x", aws_secret_access_key="x",
    )  # fmt: skip
    name = f"alias/{tmp_path.name.lower().replace('_', '-')}"
    client.create_alias(AliasName=name, TargetKeyId=kms.choice.values["aws_key"])
    alias = replace(kms.choice, values={**kms.choice.values, "aws_key": name})
    before = open_provider(alias)
    assert before.check_value == open_provider(kms.choice).check_value
    client.update_alias(AliasName=name, TargetKeyId=kms.other.values["aws_key"])
    assert open_provider(alias).check_value == open_provider(kms.other).check_value != before.check_value


def test_a_key_that_vault_rotated_still_opens(tmp_path: Path) -> None:
    from tests.support.vaultlike import Vault

    vault = Vault()
    vault.make("sealgate")
    vault.start()
    try:
        token = tmp_path / "token"
        token.write_text(vault.token)
        token.chmod(0o400)
        choice = Choice(
            "vault-transit",
            {"vault_address": vault.address, "vault_key": "sealgate", "vault_token_file": str(token)},
        )
        provider = open_provider(choice)
        wrapped = provider.wrap(b"k" * 32, b"x")
        vault.rotate("sealgate")
        assert provider.unwrap(wrapped, b"x") == b"k" * 32
        assert provider.wrap(b"k" * 32, b"x").startswith(b"vault:v2:")
        assert open_provider(choice).check_value == provider.check_value
        vault.garbage = True
        with pytest.raises(Unavailable):
            provider.unwrap(wrapped, b"x")
    finally:
        vault.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="systemd-creds seals for root alone")
def test_a_credential_that_the_unit_was_given_is_read_from_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As systemd lays it down for LoadCredentialEncrypted=: a folder of the unit's own, named in the environment."""
    if why := rootkeys.missing("systemd-creds"):
        pytest.skip(why)
    with rootkeys.rig("systemd-creds", tmp_path) as made:
        expected = open_provider(made.choice).check_value
        folder = tmp_path / "credentials"
        folder.mkdir(mode=0o700)
        (folder / "sealgate-kek").write_text(f"sealgate-kek-v1 {made.secrets[0]}\n")
        (folder / "sealgate-kek").chmod(0o440)
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
        monkeypatch.setenv("PATH", "/nonexistent")  # the program is not needed then
        assert open_provider(made.choice).check_value == expected
        handed = open_provider(made.other, secret=(folder / "sealgate-kek").read_bytes())
        assert handed.check_value == expected


def test_kms_refuses_a_wrong_credential(tmp_path: Path) -> None:
    """moto that asks who somebody is: an access key that nobody made is refused as AWS would."""
    from moto import mock_aws
    from moto.core import set_initial_no_auth_action_count

    file = tmp_path / "aws"
    file.write_text("[default]\naws_access_key_id = AKIA-nobody-made-this\naws_secret_access_key = not-the-one\n")
    file.chmod(0o400)
    values = {"aws_key": "alias/sealgate", "aws_region": rootkeys.REGION, "aws_credentials_file": str(file)}

    @set_initial_no_auth_action_count(0)
    def asked() -> None:
        with pytest.raises(Unusable, match="does not know the credential") as caught:
            open_provider(Choice("aws-kms", values))
        assert "not-the-one" not in str(caught.value)

    made = mock_aws()
    made.start(reset=False)  # what others made there stays
    try:
        asked()
    finally:
        made.stop()
