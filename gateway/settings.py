"""Reads the configuration once: the TOML file, the environment over it, and where secrets lie.

Promises: an unknown section or key is an error that names file, line, key and the nearest known one; a value that does
not fit is refused with a sentence saying what to write; what is missing is named. Only what begins with SEALGATE_TEST_
is read elsewhere, where the tests need it (`gateway.steps`, `gateway.install`, `gateway.bootstrap`).
A value's way: `[smtp] listen = …` in the file, over it `SEALGATE_SMTP__LISTEN=…`; lists in the environment are
separated by commas. Relative paths in the file are relative to the file, those in the environment to the current
folder. Secrets come as `…_file` only. DESIGN §8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from gateway import senders, tenancies
from gateway.errors import Misconfigured
from gateway.section_audit import Audit
from gateway.section_dkim import Dkim
from gateway.section_keys import NEEDS, Keys
from gateway.section_smtp import Smtp
from gateway.sections import (
    Courier,
    Metrics,
    Node,
    Notify,
    Policy,
    Portal,
    Scan,
    Spool,
    Store,
    Tenant,
    Vault,
    Worker,
)
from gateway.senders import Device, Shared
from gateway.settingsfit import unfit
from gateway.settingsreader import Reader
from gateway.settingstext import SECTIONS, example, render_value
from gateway.settingtypes import Endpoint, SecretFile, is_loopback

__all__ = [
    "SECTIONS",
    "Audit",
    "Courier",
    "Dkim",
    "Endpoint",
    "Keys",
    "Node",
    "Notify",
    "Policy",
    "Portal",
    "Scan",
    "SecretFile",
    "Settings",
    "Smtp",
    "Spool",
    "Store",
    "Tenant",
    "Vault",
    "Worker",
    "example",
    "load",
    "render_value",
]

DEFAULT_PATH = Path("/etc/sealgate/sealgate.toml")
_SOCKET_PATH_BYTES = 107  # sun_path of Linux, less its end; see unix(7)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the operator decides, checked."""

    tenant: Tenant
    smtp: Smtp
    portal: Portal
    courier: Courier
    dkim: Dkim
    policy: Policy
    store: Store
    vault: Vault
    keys: Keys
    spool: Spool
    audit: Audit
    scan: Scan
    metrics: Metrics
    notify: Notify
    node: Node
    worker: Worker
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """Where each value came from: `smtp.listen` to `gateway.toml:12`, a variable's name, or `default`."""
    devices: tuple[Device, ...] = ()
    shared: tuple[Shared, ...] = ()
    several: tuple[Settings, ...] = field(default=(), compare=False, repr=False)

    @property
    def tenants(self) -> tuple[Settings, ...]:
        """Each clinic's settings as though it were alone. What is the installation's own is the same in all of them;
        these themselves are those of the first.
        """
        return self.several or (self,)

    @property
    def public_host(self) -> str:
        """The host in links, without port."""
        return re.sub(r":[0-9]+$", "", self.portal.public_url.split("://", 1)[1]).strip("[]")

    @property
    def node_directory(self) -> Path:
        """Folder of this node's keys and sockets; resolved at loading."""
        return cast(Path, self.node.directory)

    @property
    def on_postgres(self) -> bool:
        """Whether worker and portal are processes of their own, on a database server."""
        return self.store.url.startswith("postgresql")

    @property
    def portal_directory(self) -> Path:
        """The portal's own folder where it is a process of its own: the keyholder's pinned public key."""
        return self.node_directory / "portal"

    @property
    def smtp_directory(self) -> Path:
        """The smtp role's own folder: its node key, the keyholder's pinned public key, the last serial it accepted."""
        return self.node_directory / "smtp"

    @property
    def worker_directory(self) -> Path:
        """The worker's own folder: its node key, the control socket."""
        return self.node_directory / "worker"

    @property
    def snapshot_directory(self) -> Path:
        """Written by the worker, read by smtp's group: the snapshot and the health file."""
        return self.node_directory / "snapshot"

    @property
    def machine_directory(self) -> Path:
        """Certificates of this machine for a keyholder on another one, and that one's authority."""
        return self.node_directory / "keyholder"

    @property
    def runs_keyholder(self) -> bool:
        """Whether the keyholder is a process of this node, with its store here."""
        return self.node.keyholder in ("own", "alone")

    @property
    def sockets_directory(self) -> Path:
        """Where the keyholder's sockets are; resolved at loading."""
        return cast(Path, self.keys.sockets_directory)


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of `path`, else of SEALGATE_CONFIG, else of /etc/sealgate/sealgate.toml if it is there.

    Raises Misconfigured, whose text is meant for the person who writes the file.
    """
    if path is None and environ.get("SEALGATE_CONFIG"):
        path = Path(environ["SEALGATE_CONFIG"])
    elif path is None and DEFAULT_PATH.exists():
        path = DEFAULT_PATH
    reader = Reader(path, environ)
    readers = [reader.overlaid(index) for index in range(len(reader.tables))] or [reader]
    found = [
        _settled(Settings(**{name: one.section(name) for name in SECTIONS}, origins=one.origins), one)
        for one in readers
    ]
    found = _with_senders(found, reader)
    if not reader.tables:
        return found[0]
    taken = [
        tenancies.Taken(
            one.at_table, own.tenant.name, own.tenant.domains, own.portal.public_url, own.smtp.trusted_networks,
            one.networks_shared,
        )
        for one, own in zip(readers, found, strict=True)
    ]  # fmt: skip
    if sentence := tenancies.clash(taken):
        raise Misconfigured(sentence)
    return replace(found[0], several=tuple(found))


def _with_senders(found: list[Settings], reader: Reader) -> list[Settings]:
    """Each clinic's settings with its devices and proofs. Raises Misconfigured."""
    smtp = found[0].smtp
    listed = senders.of_clinics(
        [senders.Clinic(own.tenant.name, own.tenant.domains, own.smtp.trusted_networks) for own in found],
        reader.listed("devices"),
        reader.listed("shared"),
        certificates=bool(smtp.client_ca_file and (smtp.submission_listen or smtp.submissions_listen)),
    )
    return [replace(own, devices=listed[own.tenant.name][0], shared=listed[own.tenant.name][1]) for own in found]


def _settled(settings: Settings, reader: Reader) -> Settings:
    """Fill in what follows from other values, and refuse what does not fit together."""

    def wrong(section: str, key: str, sentence: str) -> Misconfigured:
        return Misconfigured(f"{reader.where(section, key)}: {reader.named(section, key)} {sentence}")

    for name, cert, key in (
        ("smtp", "tls_cert_file", "tls_key_file"),
        ("portal", "tls_cert_file", "tls_key_file"),
        ("courier", "client_cert_file", "client_key_file"),
    ):
        part = getattr(settings, name)
        if getattr(part, cert) and not getattr(part, key):
            raise wrong(name, key, f"is missing beside {cert}; write the path of its private key")
        if getattr(part, key) and not getattr(part, cert):
            raise wrong(name, cert, f"is missing beside {key}; write the path of its certificate")
    if settings.on_postgres and not settings.store.portal_url:
        raise wrong("store", "portal_url", "is missing; on PostgreSQL the portal has a database role of its own")
    for key in ("portal_url", "owner_url"):
        if getattr(settings.store, key) and not settings.on_postgres:
            raise wrong("store", key, "has no meaning beside a SQLite database; leave it out")
    if settings.node.keyholder == "shared" and not settings.on_postgres:
        raise wrong("node", "keyholder", 'must be "own" on SQLite, which has one node')
    if settings.node.keyholder == "apart" and settings.keys.address is None:
        raise wrong("keys", "address", 'is missing; keyholder = "apart" needs where the other machine listens')
    if settings.node.keyholder != "apart" and settings.keys.address is not None:
        raise wrong("keys", "address", 'is for [node] keyholder = "apart"; leave it out, or say so there')
    if settings.node.keyholder == "alone" and not settings.keys.listen:
        raise wrong("keys", "listen", 'is missing; keyholder = "alone" serves other machines: "10.0.0.2:8441"')
    if settings.node.keyholder in ("shared", "apart") and settings.keys.listen:
        raise wrong("keys", "listen", "is for the machine that runs the keyholder; leave it out here")
    if settings.node.keyholder == "shared" and settings.keys.sockets_directory is None:
        raise wrong("keys", "sockets_directory", 'is missing; keyholder = "shared" needs the folder of its sockets')
    if pair := unfit(settings.smtp, settings.courier, settings.worker):
        raise wrong(*pair)
    smtp, portal, courier, tenant = settings.smtp, settings.portal, settings.courier, settings.tenant
    for key in ("submission_listen", "submissions_listen"):
        if getattr(smtp, key) and not smtp.tls_cert_file:
            raise wrong("smtp", key, "needs tls_cert_file and tls_key_file, because passwords travel there")
    if not tenant.domains:
        raise wrong("tenant", "domains", 'must name at least one domain, such as ["clinic.example"]')
    if not portal.listen:
        raise wrong("portal", "listen", 'must be "host:port", such as "127.0.0.1:8080"')
    if not portal.public_url:
        first = portal.listen[0]
        if not all(is_loopback(endpoint.host) for endpoint in portal.listen) or not first.port:
            raise wrong("portal", "public_url", 'is missing; write the address in links: "https://mail.clinic.example"')
        portal = replace(portal, public_url=f"http{'s' if portal.tls_cert_file else ''}://localhost:{first.port}")
    if portal.return_path:
        portal = replace(portal, postmaster=portal.postmaster or settings.notify.owner)
        host = urlsplit(portal.public_url).hostname or ""
        if not portal.postmaster:
            raise wrong(
                "portal", "postmaster", "is missing; where return_path is on, anybody may write to postmaster there: "
                f'write who reads it, such as "office@{tenant.domains[0]}"',
            )  # fmt: skip
        if portal.postmaster.rpartition("@")[2].lower() == host:
            raise wrong("portal", "postmaster", f"must not be at {host} itself, or its mail would go round in circles")
    if bool(courier.username) != bool(courier.password_file):
        missing = "password_file" if courier.username else "username"
        raise wrong("courier", missing, "is missing; AUTH needs both username and password_file")
    if courier.username and courier.tls != "verified" and not courier.smarthost.loopback:
        raise wrong("courier", "tls", 'must be "verified" where a password is used, except on loopback')
    if courier.client_cert_file and courier.tls == "none":
        raise wrong("courier", "tls", 'must not be "none" where client_cert_file is used')
    if settings.notify.sms == "http" and not settings.notify.sms_url:
        raise wrong("notify", "sms_url", 'is missing; sms = "http" needs the address of your service')
    node_directory = settings.node.directory or settings.spool.directory / "node"
    node = replace(settings.node, directory=node_directory)
    sockets = settings.keys.sockets_directory or node_directory / "run"
    if len(str(sockets).encode()) + len("/operator.sock") > _SOCKET_PATH_BYTES:
        raise wrong("keys", "sockets_directory", f"is too long for a socket ({sockets}); write a shorter path")
    if settings.keys.directory in settings.keys.kek_file.parents:
        raise wrong("keys", "kek_file", "must lie outside [keys] directory, so that one copy never holds both")
    for key in NEEDS[settings.keys.provider]:
        if not getattr(settings.keys, key):
            needs = ", ".join(NEEDS[settings.keys.provider])
            raise wrong("keys", key, f'is missing; provider = "{settings.keys.provider}" needs {needs}')
    settings = replace(settings, portal=portal, node=node)
    return replace(
        settings,
        keys=replace(settings.keys, sockets_directory=sockets),
        notify=replace(settings.notify, pretend_file=settings.notify.pretend_file or _pretend_file(settings)),
        policy=replace(settings.policy, file=str(settings.policy.file)),
        tenant=replace(tenant, display_name=tenant.display_name or tenant.name),
        smtp=replace(smtp, hostname=smtp.hostname or settings.public_host),
    )


def _pretend_file(settings: Settings) -> Path:
    return settings.worker_directory / "pretend-phone.jsonl"
