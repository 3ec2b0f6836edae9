"""The root key in a credential that systemd sealed to this machine: its TPM2 chip, its own host key, or both.

On disk lies only the sealed credential, which another machine cannot open (systemd.exec(5), systemd-creds(1)). It holds
the same line as the file of provider ``file``. The plain key comes to this process by one of three ways: handed over by
the parent that may open it, in the folder that systemd made for the unit (LoadCredentialEncrypted=), or, for root, by
running ``systemd-creds decrypt``. Promises: the key never touches a disk in clear; what the program says is not
repeated. DESIGN §4a (Root KEK).
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from keys.errors import Unavailable, Unusable
from keys.providers import register
from keys.providers._local import MAGIC, LocalKey, fresh_line, key_of
from keys.providers._private import MODE, read_private
from keys.providers.file import sync_directory

CREDENTIAL = "sealgate-kek"
"""The name under which it is sealed; systemd refuses a credential under another one."""
_PROGRAM = "systemd-creds"
_SECONDS = 30


@register("systemd-creds")
class SystemdCredsProvider(LocalKey):
    """The port over a key that was opened once at start."""

    __slots__ = ()
    NEEDS: ClassVar[tuple[str, ...]] = ("credential_file",)
    MAY: ClassVar[tuple[str, ...]] = ()

    def __init__(self, raw: bytes, path: str | os.PathLike[str]) -> None:
        super().__init__(raw, f"systemd-creds {os.fspath(path)}")

    @classmethod
    def opened(cls, values: Mapping[str, str], *, create: bool, secret: bytes | None) -> SystemdCredsProvider:
        """The key of that credential; with `create` it is made and sealed first. Raises Unusable, Unavailable."""
        path = Path(values["credential_file"])
        if create and not os.path.lexists(path):
            seal(path)
        line = secret if secret is not None else opened_line(path)
        raw = key_of(line)
        if raw is None:
            raise Unusable(
                f"{path}: this credential holds no root key; its one line reads '{MAGIC}' and 64 hexadecimal digits"
            )
        return cls(raw, path)


def has_tpm() -> bool:
    """Whether systemd finds a TPM2 chip with its driver here, so that a credential can be bound to it."""
    try:
        found = subprocess.run([_PROGRAM, "has-tpm2", "--quiet"], capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return found.returncode == 0


def seal(path: Path, line: bytes | None = None) -> None:
    """Seal a root key's line (a fresh one if none is given) to this machine, whole or not at all; never over a file.

    The TPM2 chip is used where there is one, beside the machine's host key. Needs root. Raises Unusable.
    """
    sealed = _run(
        ["encrypt", "--with-key=auto", f"--name={CREDENTIAL}", "-", "-"], line or fresh_line(), path, "cannot be sealed"
    )
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(sealed)
                file.flush()
                os.fsync(file.fileno())
            os.link(beside, path)
        finally:
            os.unlink(beside)
        sync_directory(path.parent)
    except OSError as error:
        raise Unusable(f"{path}: the sealed root key cannot be written here: {error.strerror}") from error


def opened_line(path: Path) -> bytes:
    """The line in the credential, from the unit's own folder if systemd made one, else from the program.

    Raises Unusable with what to do.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if folder and os.path.lexists(os.path.join(folder, CREDENTIAL)):
        # systemd lets the unit's user read by an access list, whose mask shows as rights of the group.
        return read_private(
            os.path.join(folder, CREDENTIAL), "the opened credential", "restart the unit", tolerated=0o640
        )
    if not os.path.lexists(path):
        raise Unusable(
            f"{path}: the sealed root key is missing; put it back, or seal the copy on paper anew: "
            f"systemd-creds encrypt --name={CREDENTIAL} - {path}"
        )
    return _run(["decrypt", f"--name={CREDENTIAL}", os.fspath(path), "-"], None, path, "does not open here")


def _run(arguments: list[str], given: bytes | None, path: Path, trouble: str) -> bytes:
    try:
        ended = subprocess.run(
            [_PROGRAM, *arguments], input=given, stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True, timeout=_SECONDS, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise Unusable(f"{path}: the program {_PROGRAM} is missing; it comes with systemd 250 and later") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{path}: {_PROGRAM} did not answer within {_SECONDS} s") from error
    if ended.returncode != 0 or not ended.stdout:
        raise Unusable(
            f"{path}: the sealed root key {trouble}. It opens for root on the machine that sealed it, with its TPM2 "
            f"chip and /var/lib/systemd/credential.secret unchanged; as root, see: {_PROGRAM} decrypt "
            f"--name={CREDENTIAL} {path} - >/dev/null. On another machine seal the copy on paper anew: "
            f"{_PROGRAM} encrypt --name={CREDENTIAL} - {path}"
        )
    return ended.stdout
