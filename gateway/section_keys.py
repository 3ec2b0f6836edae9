"""The section of the settings for the keyholder and its root key; as `gateway.sections`, and apart for its length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway import settingtypes as kinds
from gateway.sections import setting
from gateway.settingtypes import Endpoint

NEEDS: Mapping[str, tuple[str, ...]] = {
    "file": ("kek_file",),
    "systemd-creds": ("credential_file",),
    "pkcs11": ("pkcs11_module", "pkcs11_token", "pkcs11_key", "pkcs11_pin_file"),
    "aws-kms": ("aws_key", "aws_region"),
    "vault-transit": ("vault_address", "vault_key", "vault_token_file"),
}
"""What each provider cannot do without; the adapters in `keys.providers` say the same, and a test compares them."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keyholder, and who guards its root key. The files named here are the keyholder's alone, mode 0400."""

    directory: Path = setting("The keyholder's own folder.", kinds.path, Path("/var/lib/sealgate/keys"))
    provider: str = setting(
        'Who guards the root key: "file", "systemd-creds" (sealed to this machine), "pkcs11" (an HSM), "aws-kms" or '
        '"vault-transit". To change it: sealgate keys rotate.',
        kinds.choice("file", "systemd-creds", "pkcs11", "aws-kms", "vault-transit"),
        "file",
    )
    kek_file: Path = setting(
        'The root key of provider "file", mode 0400, outside all data folders and backups.',
        kinds.path,
        Path("/etc/sealgate/kek"),
    )
    credential_file: Path | None = setting(
        '"systemd-creds": the sealed credential.', kinds.path, None, example="/etc/sealgate/kek.cred"
    )
    pkcs11_module: Path | None = setting(
        '"pkcs11": the library that came with the HSM.',
        kinds.path,
        None,
        example="/usr/lib/softhsm/libsofthsm2.so",
    )
    pkcs11_token: str = setting('"pkcs11": label of the token.', kinds.text, "", example="sealgate")
    pkcs11_key: str = setting(
        '"pkcs11": label of the AES-256 key; a fresh installation makes it.', kinds.text, "", example="sealgate-kek"
    )
    pkcs11_pin_file: Path | None = setting(
        '"pkcs11": file with the PIN, one line.', kinds.path, None, example="/etc/sealgate/pkcs11-pin"
    )
    aws_key: str = setting('"aws-kms": ARN or alias of a symmetric key.', kinds.text, "", example="alias/sealgate")
    aws_region: str = setting('"aws-kms": its region.', kinds.text, "", example="us-east-1")
    aws_endpoint: str = setting(
        '"aws-kms": another address of KMS, such as an endpoint of your own network; empty means the region\'s.',
        kinds.service_url,
        "",
        example="https://kms.us-east-1.amazonaws.com",
    )
    aws_credentials_file: Path | None = setting(
        '"aws-kms": file with an access key, as the AWS CLI writes it; empty means the role of this machine.',
        kinds.path,
        None,
        example="/etc/sealgate/aws",
    )
    vault_address: str = setting(
        '"vault-transit": the server.', kinds.service_url, "", example="https://vault.clinic.example:8200"
    )
    vault_mount: str = setting('"vault-transit": where the engine is mounted.', kinds.text, "transit")
    vault_key: str = setting('"vault-transit": name of the key, type aes256-gcm96.', kinds.text, "", example="sealgate")
    vault_namespace: str = setting(
        '"vault-transit": its namespace, if there are any.', kinds.text, "", example="clinic"
    )
    vault_token_file: Path | None = setting(
        '"vault-transit": file with the token; read at each call, so that it may be renewed.',
        kinds.path,
        None,
        example="/etc/sealgate/vault-token",
    )
    vault_ca_file: Path | None = setting(
        '"vault-transit": authorities trusted for the server, PEM; empty means those of the web.',
        kinds.path,
        None,
        example="/etc/sealgate/tls/vault-ca.pem",
    )
    reserve_bytes: int = setting(
        "Room kept in that folder, so that recalls are recorded on a full disk; 0 keeps none.",
        kinds.number(0, 10_000_000_000),
        67_108_864,
    )
    sockets_directory: Path | None = setting(
        "Where the keyholder's sockets are; empty means run/ in the node's folder.",
        kinds.path,
        None,
        example="/run/sealgate/keys",
    )
    listen: tuple[Endpoint, ...] = setting(
        "Where this machine's keyholder listens for other machines, by mutual TLS; empty means nowhere.",
        kinds.listed(kinds.endpoint),
        (),
        example=["10.0.0.2:8441"],
    )
    address: Endpoint | None = setting(
        'Where the keyholder of keyholder = "apart" listens.',
        kinds.endpoint,
        None,
        example="10.0.0.2:8441",
    )
