"""A fresh installation: folders with their owners, the root key, the tenant's keys, the node's keys.

Promises: nothing is made unless store, vault, spool and key directory are all absent or empty (a mix is refused and
says
what is missing, exit 78); a set-up that was interrupted goes on where it stopped, because every step may be repeated
and
`setup.json` is removed only by the gateway once its database stands. DESIGN §8.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.clock import BASE62
from gateway.errors import Misconfigured
from gateway.policy import load as load_policy
from gateway.roles import Identities
from gateway.settings import Settings
from gateway.spool import layout, nodekey
from gateway.store.database import Store
from gateway.vault import Vault
from keys.client import OperatorClient
from keys.keyholder.config import KeyholderConfig, Limits

SETUP = "setup.json"
NODE_KEY = "node.key"


@dataclass(frozen=True, slots=True)
class Setup:
    """What a fresh installation begins with, until its database holds it."""

    tenant: str
    name: str
    origin: str


def state(settings: Settings) -> dict[str, bool]:
    """Which of the four places hold something."""
    store = not Store.absent(settings.store.url)
    return {
        "[store] url": store,
        "[vault] url": not Vault.absent(settings.vault.url),
        "[spool] directory": _holds(settings.spool.directory),
        "[keys] directory": _holds(settings.keys.directory),
    }


def fresh(settings: Settings) -> bool:
    """Whether this is a fresh installation (or one whose set-up was interrupted).

    Raises Misconfigured (exit 78) for a mix, naming what is there and what is missing.
    """
    if setup_file(settings).exists():
        return True
    found = state(settings)
    if not any(found.values()):
        return True
    missing = [name for name, present in found.items() if not present]
    if missing:
        raise Misconfigured(
            f"{', '.join(missing)}: absent or empty, while "
            f"{', '.join(name for name, there in found.items() if there)} hold an installation. "
            "Nothing is made anew beside existing data: bring back what is missing from the backup, or, for a new "
            "installation, empty all four"
        )
    if not settings.keys.kek_file.exists():
        raise Misconfigured(
            f"[keys] kek_file {settings.keys.kek_file} is missing, and without it nothing can be opened. "
            "Bring it back from its separate copy; a new one is never made beside existing data"
        )
    return False


def setup_file(settings: Settings) -> Path:
    """Where the set-up notes itself."""
    return settings.worker_directory / SETUP


def prepare(settings: Settings, who: Identities) -> Setup:
    """Make folders and owners and write down the set-up. May be repeated."""
    _folder(settings.spool.directory, who, "gateway", 0o711 if who.enforced else 0o700, parents=True)
    _folder(settings.node_directory, who, "gateway", 0o711 if who.enforced else 0o700, parents=True)
    _folder(settings.smtp_directory, who, "smtp", 0o700)
    _folder(settings.worker_directory, who, "gateway", 0o700)
    _folder(settings.snapshot_directory, who, "gateway", 0o2750 if who.enforced else 0o700, group="smtp")
    _folder(settings.keys.directory, who, "keyholder", 0o700, parents=True)
    sockets(settings, who)
    path = setup_file(settings)
    if path.exists():
        return read_setup(path)
    tenant = "tnt_" + "".join(secrets.choice(BASE62) for _ in range(16))
    setup = Setup(tenant, settings.tenant.name, f"{settings.public_host}/log/{tenant}")
    _write(
        path,
        json.dumps({"tenant": setup.tenant, "name": setup.name, "origin": setup.origin}).encode(),
        who,
        "gateway",
        0o600,
    )
    return setup


def sockets(settings: Settings, who: Identities) -> None:
    """The folder of the keyholder's sockets; it may lie on a file system that is empty after a restart."""
    _folder(
        settings.sockets_directory, who, "keyholder", 0o750 if who.enforced else 0o700, group="gateway", parents=True
    )


def storage(settings: Settings, who: Identities) -> None:
    """Empty places for database, blobs and both directions of the spool, owned by their roles."""
    if settings.store.url.startswith("sqlite:///"):
        _folder(Path(settings.store.url.removeprefix("sqlite:///")).parent, who, "gateway", 0o700, parents=True)
    if settings.vault.url.startswith("file://"):
        vault = Path(settings.vault.url.removeprefix("file://"))
        _folder(vault, who, "gateway", 0o700, parents=True)
        if Vault.absent(settings.vault.url):
            Vault.create(settings.vault.url)
            _own_tree(vault, who, "gateway")
    shared = 0o2770 if who.enforced else 0o700
    for name, role, mode in (("in", "smtp", shared), ("out", "gateway", 0o700)):
        directory = settings.spool.directory / name
        layout.create(directory, mode=mode, marks_mode=mode)
        for folder in (directory, *(directory / part for part in (layout.LOG, layout.LARGE, layout.MARKS))):
            if who.enforced:
                os.chown(folder, who.uid(role), who.gid("gateway"))
                folder.chmod(mode)


def node_keys(settings: Settings, who: Identities, operator: OperatorClient) -> None:
    """Make both node keys, register their public halves, pin the keyholder's key beside them."""
    import base64

    public = base64.b64decode(operator.status()["public_key"])
    for role, owner, directory in (
        ("smtp", "smtp", settings.smtp_directory),
        ("worker", "gateway", settings.worker_directory),
    ):
        path = directory / NODE_KEY
        key = nodekey.load(path) if path.exists() else nodekey.create(path)
        operator.register_node(settings.node.name, role, key.public)
        pin = directory / nodekey.PINNED_NAME
        if not pin.exists():
            nodekey.pin(pin, public)
        for made in (path, pin):
            _own(made, who, owner)


def keyholder_config(settings: Settings, who: Identities, *, create: bool) -> KeyholderConfig:
    """How the keyholder is to run."""
    gateway = who.uid("gateway")
    groups = {"worker": who.gid("gateway"), "portal": who.gid("gateway")} if who.enforced else {}
    uids = {"worker": (gateway,), "portal": (gateway,), "operator": (0, who.uid("keyholder"))} if who.enforced else {}
    return KeyholderConfig(
        directory=settings.keys.directory,
        kek_file=settings.keys.kek_file,
        sockets_dir=settings.sockets_directory,
        create=create,
        socket_groups=groups,
        uids=uids,
        die_with_parent=True,
        limits=_limits(),
    )


def keyholder_file(settings: Settings) -> Path:
    """Where `serve` leaves the keyholder's configuration."""
    return settings.keys.directory / "keyholder.json"


def _limits() -> Limits:
    """The keyholder's numbers; tests and the demo's check shorten some (SEALGATE_TEST_LIMITS, a JSON object)."""
    given = json.loads(os.environ.get("SEALGATE_TEST_LIMITS") or "{}")
    return Limits(**given)


def make_kek(settings: Settings, who: Identities, create: Callable[[Path], object]) -> None:
    """The root key of the file provider, if there is none yet; owned by the keyholder alone."""
    path = settings.keys.kek_file
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755 if who.enforced else 0o700)
        create(path)
    _own(path, who, "keyholder")


def settings_body(settings: Settings) -> dict[str, object]:
    """What the keyholder is asked to vouch for: everything of a tenant that decides what may happen to its mail."""
    policy = load_policy(settings.policy.file)
    return {
        "name": settings.tenant.name,
        "display_name": settings.tenant.display_name,
        "phone": settings.tenant.phone,
        "timezone": settings.tenant.timezone,
        "domains": list(settings.tenant.domains),
        "networks": [str(network) for network in settings.smtp.trusted_networks],
        "limits": {
            "max_message_bytes": settings.smtp.max_message_bytes,
            "max_recipients": settings.smtp.max_recipients,
        },
        "public_url": settings.portal.public_url,
        "smarthost": str(settings.courier.smarthost),
        "smarthost_tls": settings.courier.tls,
        "policy": policy.name,
        "policy_version": policy.version,
        "message_days": settings.policy.message_days,
        "hold_days": settings.policy.hold_days,
    }


def read_setup(path: Path) -> Setup:
    """Raises Misconfigured when the note is damaged."""
    try:
        value = json.loads(path.read_text())
        return Setup(str(value["tenant"]), str(value["name"]), str(value["origin"]))
    except (OSError, ValueError, KeyError) as error:
        raise Misconfigured(
            f"{path} cannot be read; empty store, vault, spool and key directory and start again"
        ) from error


def _holds(directory: Path) -> bool:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return any(directory.iterdir())
    return False


def _folder(
    path: Path, who: Identities, role: str, mode: int, *, group: str | None = None, parents: bool = False
) -> None:
    if parents:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755 if who.enforced else 0o700)
    path.mkdir(exist_ok=True)
    if who.enforced:
        os.chown(path, who.uid(role), who.gid(group or role))
    path.chmod(mode)


def _write(path: Path, content: bytes, who: Identities, role: str, mode: int) -> None:
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _own(fresh, who, role)
    os.replace(fresh, path)
    layout.sync_folder(path.parent)


def _own(path: Path, who: Identities, role: str) -> None:
    if who.enforced:
        os.chown(path, who.uid(role), who.gid(role))


def _own_tree(path: Path, who: Identities, role: str) -> None:
    for found in (path, *path.rglob("*")):
        _own(found, who, role)
