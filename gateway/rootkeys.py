"""The root key as the set-up meets it: which provider the settings name, what is made for a fresh installation.

Promises: a root key is made for a fresh installation alone, never beside existing data; what this machine does not keep
(an HSM, a KMS) is never called missing here: the keyholder asks it, and says so. DESIGN §4a (Root KEK), §8.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from gateway.errors import Misconfigured
from gateway.roles import Identities
from gateway.settings import Settings
from keys.errors import KeysError
from keys.providers import Choice, open_provider, provider_class

IN_WORDS = {
    "file": "a file on this machine; whoever has this disk has it",
    "systemd-creds": "sealed by systemd to this machine: its TPM2 chip where it has one, else a key on this disk",
    "pkcs11": "an HSM or smart card, which never lets it go; needs the extra pkcs11",
    "aws-kms": "AWS KMS; needs the extra aws, the network, and kms:Encrypt, kms:Decrypt, kms:DescribeKey on the key",
    "vault-transit": "Vault's Transit engine; needs the extra vault, the network, and update on encrypt/ and decrypt/, "
    "read on keys/ of the key",
}


def choice(settings: Settings) -> Choice:
    """The provider that the settings name, with those of its values that are set."""
    name = settings.keys.provider
    adapter = provider_class(name)
    values = {key: str(getattr(settings.keys, key) or "") for key in (*adapter.NEEDS, *adapter.MAY)}
    return Choice(name, {key: value for key, value in values.items() if value})


def in_words(settings: Settings) -> str:
    """Who guards the root key, where it finds it, and what that is worth; one line for `sealgate check`."""
    chosen = choice(settings)
    where = ", ".join(f"{key} {value}" for key, value in chosen.values.items())
    return f"root key: {chosen.provider} ({where}): {IN_WORDS[chosen.provider]}"


def on_this_machine(settings: Settings) -> Path | None:
    """The file that the root key hangs on, where it is one of this machine's: the key itself, or the sealed one."""
    if settings.keys.provider == "file":
        return settings.keys.kek_file
    return settings.keys.credential_file if settings.keys.provider == "systemd-creds" else None


def need(settings: Settings) -> None:
    """Raises Misconfigured when an existing installation's key has no file any more."""
    path = on_this_machine(settings)
    if path is not None and not path.exists():
        name = "kek_file" if settings.keys.provider == "file" else "credential_file"
        raise Misconfigured(
            f"[keys] {name} {path} is missing, and without it nothing can be opened. "
            "Bring it back from its separate copy; a new one is never made beside existing data"
        )


def make(settings: Settings, above: Callable[[Path], None], own: Callable[[Path], None]) -> None:
    """The root key of a fresh installation, if it lies on this machine and is not there yet.

    `above` makes the folders over it, `own` gives it to the keyholder. Raises Misconfigured.
    """
    path = on_this_machine(settings)
    if path is None:
        return
    if not path.exists():
        above(path)
        try:
            open_provider(choice(settings), create=True)
        except KeysError as error:
            raise Misconfigured(str(error)) from error
    own(path)


class HandedOver:
    """The opened credential, for a keyholder whose user may not open it: a file in memory that it inherits.

    Filled anew before each start of the keyholder, so that a rotated credential counts at once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.descriptor = os.memfd_create("root-key", os.MFD_CLOEXEC)

    def fill(self) -> None:
        """Open the credential. Raises Misconfigured."""
        from keys.providers.systemd_creds import opened_line

        try:
            line = opened_line(self._path)
        except KeysError as error:
            raise Misconfigured(str(error)) from error
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, line, 0)


def handed_over(settings: Settings, who: Identities) -> HandedOver | None:
    """What the parent opens for the keyholder: only where that is another user and systemd did not do it."""
    if settings.keys.provider != "systemd-creds" or not who.enforced or settings.keys.credential_file is None:
        return None
    return HandedOver(settings.keys.credential_file)
