"""A rig for each key provider: where its key lies, another key of the same kind, a credential that is refused.

SoftHSM2's token, moto's KMS and the double of Vault (`vaultlike`) are each test module's own, in a folder of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from keys.providers import Choice
from tests.support.vaultlike import Vault

PROVIDERS = ("file", "systemd-creds", "pkcs11", "aws-kms", "vault-transit")
MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
PIN = "7391-test"
REGION = "us-east-1"
AWS = {"key": "AKIA-of-the-test", "secret": "a-secret-of-the-test-9fd2"}


@dataclass(frozen=True)
class Rig:
    """`choice` opens; `other` is another key; `refused` has a wrong credential, `absent` none; `stop` and `resume` make
    the provider silent and bring it back. `secrets` must stand in no message.
    """

    choice: Choice
    other: Choice
    refused: Choice | None
    absent: Choice
    secrets: tuple[str, ...]
    stop: Callable[[], object] | None = None
    resume: Callable[[], object] | None = None
    environ: Mapping[str, str] = field(default_factory=dict)


def missing(name: str) -> str:
    """Why a provider cannot be tried on this machine; empty where it can."""
    if name == "pkcs11" and not (module() and shutil.which("softhsm2-util")):
        return "needs softhsm2"
    if name == "systemd-creds":
        if shutil.which("systemd-creds") is None:
            return "needs systemd-creds"
        tried = subprocess.run(
            ["systemd-creds", "encrypt", "--with-key=host", "--name=try", "-", "-"], input=b"try", capture_output=True
        )
        if tried.returncode != 0:
            return "systemd-creds seals nothing here: it needs root and a host key"
    return ""


def module() -> str:
    """Path of SoftHSM's library."""
    return next((one for one in MODULES if os.path.exists(one)), "")


@contextlib.contextmanager
def rig(name: str, folder: Path) -> Iterator[Rig]:
    """The rig of that provider, its files in `folder`."""
    with _MAKERS[name](folder) as made:
        yield made


def _private(path: Path, text: str) -> Path:
    path.write_text(text + "\n")
    path.chmod(0o400)
    return path


@contextlib.contextmanager
def _file(folder: Path) -> Iterator[Rig]:
    from keys.providers.file import FileProvider

    for name in ("kek", "other"):
        FileProvider.open(folder / name, create=True)
    choice = Choice("file", {"kek_file": str(folder / "kek")})
    yield Rig(
        choice,
        Choice("file", {"kek_file": str(folder / "other")}),
        Choice("file", {"kek_file": str(_private(folder / "wrong", "sealgate-kek-v1 not-a-key"))}),
        Choice("file", {"kek_file": str(folder / "absent")}),
        ((folder / "kek").read_text().split()[1],),
    )


@contextlib.contextmanager
def _systemd_creds(folder: Path) -> Iterator[Rig]:
    from keys.providers import systemd_creds

    line = b"sealgate-kek-v1 " + os.urandom(32).hex().encode() + b"\n"
    systemd_creds.seal(folder / "kek.cred", line)
    systemd_creds.seal(folder / "other.cred")
    changed = bytearray((folder / "kek.cred").read_bytes())
    changed[len(changed) // 2] ^= 1
    (folder / "wrong.cred").write_bytes(changed)

    def at(name: str) -> Choice:
        return Choice("systemd-creds", {"credential_file": str(folder / name)})

    yield Rig(at("kek.cred"), at("other.cred"), at("wrong.cred"), at("absent.cred"), (line.split()[1].decode(),))


@contextlib.contextmanager
def _pkcs11(folder: Path) -> Iterator[Rig]:
    tokens, config = folder / "tokens", folder / "softhsm2.conf"
    tokens.mkdir()
    config.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(config)  # the library reads it when it is loaded
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "sealgate", "--pin", PIN, "--so-pin", "8262-test"],
        check=True, capture_output=True,
    )  # fmt: skip
    values = {
        "pkcs11_module": module(), "pkcs11_token": "sealgate", "pkcs11_key": "kek",
        "pkcs11_pin_file": str(_private(folder / "pin", PIN)),
    }  # fmt: skip
    choice = Choice("pkcs11", values)

    def but(**other: str) -> Choice:
        return replace(choice, values=values | other)

    fresh_library()
    try:
        yield Rig(
            choice,
            but(pkcs11_key="other"),
            but(pkcs11_pin_file=str(_private(folder / "wrong-pin", "0000-wrong"))),
            but(pkcs11_pin_file=str(folder / "absent")),
            (PIN, "0000-wrong"),
            stop=lambda: tokens.rename(folder / "away"),
            resume=lambda: (folder / "away").rename(tokens),
            environ={"SOFTHSM2_CONF": str(config)},
        )
    finally:
        fresh_library()
        if before is None:
            os.environ.pop("SOFTHSM2_CONF", None)
        else:
            os.environ["SOFTHSM2_CONF"] = before


def fresh_library() -> None:
    """Begin anew with SoftHSM's library in this process: nobody is signed in, and the configuration is read again."""
    import pkcs11

    pkcs11.lib(module()).reinitialize()


@contextlib.contextmanager
def _aws_kms(folder: Path) -> Iterator[Rig]:
    import boto3
    from moto.server import ThreadedMotoServer

    servers = [ThreadedMotoServer("127.0.0.1", 0, verbose=False)]
    servers[0].start()
    host, port = servers[0].get_host_and_port()
    endpoint = f"http://{host}:{port}"

    def again() -> None:
        servers.append(ThreadedMotoServer(host, port, verbose=False))
        servers[-1].start()

    client = boto3.client(
        "kms", region_name=REGION, endpoint_url=endpoint, aws_access_key_id=AWS["key"],
        aws_secret_access_key=AWS["secret"],
    )  # fmt: skip
    first, other = (client.create_key(Description=name)["KeyMetadata"]["Arn"] for name in ("kek", "other"))
    text = "[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}".format(**AWS)
    values = {
        "aws_key": first, "aws_region": REGION, "aws_endpoint": endpoint,
        "aws_credentials_file": str(_private(folder / "aws", text)),
    }  # fmt: skip
    choice = Choice("aws-kms", values)
    try:
        yield Rig(
            choice,
            replace(choice, values=values | {"aws_key": other}),
            None,  # moto asks nobody who they are, unless it is told to: test_providers does
            replace(choice, values=values | {"aws_credentials_file": str(folder / "absent")}),
            (AWS["secret"], AWS["key"]),
            stop=lambda: servers[-1].stop(),
            resume=again,
        )
    finally:
        servers[-1].stop()


@contextlib.contextmanager
def _vault_transit(folder: Path) -> Iterator[Rig]:
    vault = Vault()
    vault.make("sealgate")
    vault.make("other")
    vault.start()
    values = {
        "vault_address": vault.address, "vault_key": "sealgate",
        "vault_token_file": str(_private(folder / "token", vault.token)),
    }  # fmt: skip
    choice = Choice("vault-transit", values)

    def sealed(yes: bool) -> None:
        vault.sealed = yes

    try:
        yield Rig(
            choice,
            replace(choice, values=values | {"vault_key": "other"}),
            replace(choice, values=values | {"vault_token_file": str(_private(folder / "expired", "hvs.an-old-one"))}),
            replace(choice, values=values | {"vault_token_file": str(folder / "absent")}),
            (vault.token, "hvs.an-old-one"),
            stop=lambda: sealed(True),
            resume=lambda: sealed(False),
        )
    finally:
        vault.stop()


_MAKERS: Mapping[str, Callable[[Path], contextlib.AbstractContextManager[Rig]]] = {
    "file": _file, "systemd-creds": _systemd_creds, "pkcs11": _pkcs11, "aws-kms": _aws_kms,
    "vault-transit": _vault_transit,
}  # fmt: skip
