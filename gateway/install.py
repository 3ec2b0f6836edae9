"""A fresh installation: folders with their owners, the root key, the tenant's keys, the node's keys.

Promises: nothing is made unless store, vault, spool and key directory are all absent or empty (a mix is refused and
says what is missing, exit 78); a set-up that was interrupted at any instant goes on where it stopped, because
`setup.json` is the first thing written and the last removed, and every step between may be repeated. Where roles are
users, the folders that hold theirs are root's, so that no role can put something else in another's place. DESIGN §2,
§8.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from gateway import policy as policies
from gateway import rootkeys, senders
from gateway.clock import BASE62
from gateway.errors import Misconfigured
from gateway.roles import Identities, own_tree
from gateway.settings import Settings
from gateway.spool import layout
from gateway.store import presence
from gateway.vault import Vault
from keys.keyholder.config import ROLES, KeyholderConfig, Limits

SETUP = "setup.json"
KEYHOLDER_FILE = "keyholder.json"
LOCKS = ("serve.lock", "roles.lock")


@dataclass(frozen=True, slots=True)
class Setup:
    """What a fresh installation begins with, until its database holds it."""

    tenant: str
    name: str
    origin: str


def state(settings: Settings) -> dict[str, bool]:
    """Which of the four places hold something. The node's own folder belongs to the spool."""
    found = {
        "[store] url": not presence.absent(settings.store.url),
        "[vault] url": not Vault.absent(settings.vault.url),
        "[spool] directory": holds_node(settings),
    }
    if settings.runs_keyholder:
        found["[keys] directory"] = _holds(settings.keys.directory)
    return found


def fresh_keyholder(settings: Settings) -> bool:
    """Whether the machine of the keyholder alone has no store yet; what an interrupted first start left counts not."""
    left = (KEYHOLDER_FILE, KEYHOLDER_FILE + ".new", "keyholder.lock", "keyholder.db.making")
    return not _holds(settings.keys.directory, besides=left)


def holds_node(settings: Settings) -> bool:
    """Whether this node's spool or its own folder holds anything."""
    node = settings.node_directory
    held = _holds(node, besides=(*LOCKS, SETUP + ".new", settings.machine_directory.name))
    return held or _holds(settings.spool.directory, besides=(node.name,))


def fresh(settings: Settings) -> bool:
    """Whether this is a fresh installation (or one whose set-up was interrupted).

    Raises Misconfigured (exit 78) for a mix, naming what is there and what is missing.
    """
    if setup_file(settings).exists():
        if (settings.keys.directory / "keyholder.db").exists():
            rootkeys.need(settings)
        return True
    found = state(settings)
    if not any(found.values()):
        if settings.node.keyholder == "shared":
            raise Misconfigured('[node] keyholder is "shared", and there is no installation yet: start its first node')
        return True
    if settings.on_postgres and not found["[spool] directory"] and found["[store] url"]:
        raise Misconfigured(
            f"[spool] directory: absent or empty, while the database holds an installation. Bring node "
            f"'{settings.node.name}' back from its backup, or, for a further node under a new name: sealgate node add"
        )
    missing = [name for name, present in found.items() if not present]
    if missing:
        raise Misconfigured(
            f"{', '.join(missing)}: absent or empty, while "
            f"{', '.join(name for name, there in found.items() if there)} hold an installation. "
            "Nothing is made anew beside existing data: bring back what is missing from the backup, or, for a new "
            "installation, empty all four"
        )
    if settings.runs_keyholder:
        rootkeys.need(settings)
    return False


def setup_file(settings: Settings) -> Path:
    """Where the set-up notes itself: in a folder that no role can write to."""
    return settings.node_directory / SETUP


def finished(settings: Settings) -> None:
    """Everything stands: the note is taken away."""
    setup_file(settings).unlink(missing_ok=True)
    layout.sync_folder(settings.node_directory)


def lock(settings: Settings, name: str) -> int:
    """Take one of the node's two locks without waiting; a descriptor. Raises BlockingIOError while it is held."""
    descriptor = os.open(settings.node_directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def node_directory(settings: Settings, who: Identities) -> None:
    """The spool's and the node's folders, which hold those of the roles."""
    for path in (settings.spool.directory, settings.node_directory):
        _above(path, who)
        _folder(path, who, None, 0o711 if who.enforced else 0o700)


def prepare(settings: Settings, who: Identities) -> Setup:
    """Write down the set-up, then make folders and owners. May be repeated."""
    path = setup_file(settings)
    if path.exists():
        setup = read_setup(path)
    else:
        tenant = "tnt_" + "".join(secrets.choice(BASE62) for _ in range(16))
        setup = Setup(tenant, settings.tenant.name, f"{settings.public_host}/log/{tenant}")
        note = {"tenant": setup.tenant, "name": setup.name, "origin": setup.origin}
        write(path, json.dumps(note).encode(), 0o644 if who.enforced else 0o600)
    node_folders(settings, who)
    if settings.runs_keyholder:
        keys_folder(settings, who)
    return setup


def keys_folder(settings: Settings, who: Identities) -> None:
    """The folder of the keyholder's store. May be repeated."""
    _above(settings.keys.directory, who)
    _folder(settings.keys.directory, who, "keyholder", 0o700)


def node_folders(settings: Settings, who: Identities) -> None:
    """The folders of one node's roles. May be repeated."""
    _folder(settings.smtp_directory, who, "smtp", 0o700)
    _folder(settings.worker_directory, who, "gateway", 0o700)
    _folder(settings.snapshot_directory, who, "gateway", 0o2750 if who.enforced else 0o700, group="smtp")
    if settings.on_postgres:
        _folder(settings.portal_directory, who, "portal", 0o700)


def machine_folder(settings: Settings, who: Identities) -> None:
    """The folder of this machine's certificates for a keyholder on another one; each file in it is one role's."""
    node_directory(settings, who)
    _folder(settings.machine_directory, who, None, 0o711 if who.enforced else 0o700)


def sockets(settings: Settings, who: Identities) -> None:
    """The folder of the keyholder's sockets; it may lie on a file system that is empty after a restart.

    With the setgid bit the sockets made there have the gateway's group, so that the keyholder need not be in it. Where
    the portal is another user, everybody may pass through to the socket of theirs, and to no other.
    """
    _above(settings.sockets_directory, who)
    mode = (0o2751 if who.apart else 0o2750) if who.enforced else 0o700
    _folder(settings.sockets_directory, who, "keyholder", mode, group="gateway")


def storage(settings: Settings, who: Identities) -> None:
    """Empty places for database, blobs and both directions of the spool, owned by their roles."""
    if settings.store.url.startswith("sqlite:///"):
        database = Path(settings.store.url.removeprefix("sqlite:///")).parent
        _above(database, who)
        _folder(database, who, "gateway", 0o700)
    if settings.vault.url.startswith("file://"):
        vault = Path(settings.vault.url.removeprefix("file://"))
        _above(vault, who)
        if Vault.absent(settings.vault.url):
            Vault.create(settings.vault.url)
        own_tree(vault, who)
    elif Vault.absent(settings.vault.url):
        Vault.create(settings.vault.url)
    spool(settings, who)


def spool(settings: Settings, who: Identities) -> None:
    """Both directions of this node's spool, empty. May be repeated."""
    # smtp writes `in`, and the gateway, whose group it has, reads it and removes what is done; its marks are its own.
    shared = 0o2770 if who.enforced else 0o700
    for name, role, mode in (("in", "smtp", shared), ("out", "gateway", 0o700)):
        directory = settings.spool.directory / name
        layout.create(directory, mode=mode, marks_mode=0o700)
        for part, owner, rights in (
            ("", role, mode), (layout.LOG, role, mode), (layout.LARGE, role, mode), (layout.MARKS, "gateway", 0o700),
        ):  # fmt: skip
            _folder(directory / part, who, owner, rights, group="gateway")


def keyholder_config(settings: Settings, who: Identities, *, create: bool, key_descriptor: int = -1) -> KeyholderConfig:
    """How the keyholder is to run."""
    groups: dict[str, int] = {}
    uids: dict[str, tuple[int, ...]] = {}
    if who.enforced:
        groups = {role: who.gid(role) for role in ("worker", "portal")}
        uids = {role: (who.uid(role),) for role in ("worker", "portal")} | {"operator": (0, who.uid("keyholder"))}
    return KeyholderConfig(
        directory=settings.keys.directory,
        kek_file=settings.keys.kek_file,
        sockets_dir=settings.sockets_directory,
        create=create,
        socket_groups=groups,
        uids=uids,
        die_with_parent=True,
        limits=_limits(),
        reserve_bytes=settings.keys.reserve_bytes,
        provider=settings.keys.provider,
        provider_values=rootkeys.choice(settings).values,
        key_descriptor=key_descriptor,
        listen=tuple((one.host, one.port) for one in settings.keys.listen),
        sockets=ROLES if settings.node.keyholder == "own" else ("operator",),
    )


def keyholder_file(settings: Settings) -> Path:
    """Where `serve` leaves the keyholder's configuration."""
    return settings.keys.directory / KEYHOLDER_FILE


def _limits() -> Limits:
    """The keyholder's numbers; tests and the demo's check shorten some (SEALGATE_TEST_LIMITS, a JSON object)."""
    given = json.loads(os.environ.get("SEALGATE_TEST_LIMITS") or "{}")
    return Limits(**given)


def make_kek(settings: Settings, who: Identities) -> None:
    """The root key, if it lies on this machine and there is none yet; owned by the keyholder alone."""
    rootkeys.make(settings, lambda path: _above(path, who), lambda path: own(path, who, "keyholder"))


def settings_body(settings: Settings) -> dict[str, object]:
    """What the keyholder is asked to vouch for: everything of a tenant that decides what may happen to its mail."""
    name, data, where = policies.source(settings.policy.file)
    policy = policies.parse(name, data, where)
    return {
        "name": settings.tenant.name,
        "display_name": settings.tenant.display_name,
        "phone": settings.tenant.phone,
        "timezone": settings.tenant.timezone,
        "domains": list(settings.tenant.domains),
        "networks": [str(network) for network in settings.smtp.trusted_networks],
        "limits": {key: getattr(settings.smtp, key) for key in ("max_message_bytes", "max_recipients")},
        "public_url": settings.portal.public_url,
        "smarthost": str(settings.courier.smarthost),
        "smarthost_tls": settings.courier.tls,
        "policy": policy.name,
        "policy_version": policy.version,
        "policy_toml": data.decode("utf-8"),
        "message_days": settings.policy.message_days,
        "hold_days": settings.policy.hold_days,
        **_texts(settings),
        **senders.bodies(settings.devices, settings.shared),
    }


def _texts(settings: Settings) -> dict[str, object]:
    """Who is handed the codes that open messages; nothing where no texts are sent."""
    notify = settings.notify
    return {} if notify.sms == "none" else {"sms": notify.sms, "sms_url": notify.sms_url}


def read_setup(path: Path) -> Setup:
    """Raises Misconfigured when the note is damaged."""
    try:
        value = json.loads(path.read_text())
        return Setup(str(value["tenant"]), str(value["name"]), str(value["origin"]))
    except (OSError, ValueError, KeyError) as error:
        raise Misconfigured(
            f"{path} cannot be read; empty store, vault, spool and key directory and start again"
        ) from error


def write_keyholder_file(settings: Settings, who: Identities, *, create: bool, key_descriptor: int = -1) -> Path:
    """Leave the keyholder's configuration in its folder. `key_descriptor`: see KeyholderConfig."""
    path = keyholder_file(settings)
    config = keyholder_config(settings, who, create=create, key_descriptor=key_descriptor)
    write(path, config.to_json().encode(), 0o600, who, "keyholder")
    return path


def _holds(directory: Path, *, besides: tuple[str, ...] = ()) -> bool:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return any(one.name not in besides for one in directory.iterdir())
    return False


def _above(path: Path, who: Identities) -> None:
    """The folders above one of ours that are not there yet. They are root's where roles are users."""
    missing = [one for one in path.parents if not one.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755 if who.enforced else 0o700)


def _folder(path: Path, who: Identities, role: str | None, mode: int, *, group: str | None = None) -> None:
    """One folder with its owner and rights. Without a role it stays with whoever starts us.

    Raises Misconfigured for a link: what root does here must not happen to another folder, now or a moment later.
    """
    with contextlib.suppress(FileExistsError):
        path.mkdir(0o700)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise Misconfigured(f"{path} must be a folder of its own, no link or a file: {error.strerror}") from error
    try:
        if who.enforced and role is not None:
            os.fchown(descriptor, who.uid(role), who.gid(group or role))
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)
    layout.sync_folder(path.parent)


def write(path: Path, content: bytes, mode: int, who: Identities | None = None, role: str | None = None) -> None:
    """A whole new file in the place of an old one, of that role or of whoever starts us.

    The folder may be another user's: nothing there is followed.
    """
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(descriptor, mode)
        if who is not None and role is not None and who.enforced:
            os.fchown(descriptor, who.uid(role), who.gid(role))
        os.fsync(descriptor)
    os.replace(fresh, path)
    layout.sync_folder(path.parent)


def own(path: Path, who: Identities, role: str, *, group: str | None = None) -> None:
    """Give a file to a role's user, where roles are users."""
    if who.enforced:
        os.chown(path, who.uid(role), who.gid(group or role), follow_symlinks=False)
