"""Reads the configuration once: the TOML file, the environment over it, and where secrets lie.

Promises: an unknown section or key is an error that names file, line, key and the nearest known one; a value that does
not fit is refused with a sentence saying what to write; what is missing is named. Only what begins with SEALGATE_TEST_
is read elsewhere, where the tests need it (`gateway.steps`, `gateway.install`, `gateway.bootstrap`).
A value's way: `[smtp] listen = …` in the file, over it `SEALGATE_SMTP__LISTEN=…`; lists in the environment are
separated by commas. Relative paths in the file are relative to the file, those in the environment to the current
folder. Secrets come as `…_file` only. DESIGN §8.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast

from gateway.errors import Misconfigured
from gateway.registry import nearest
from gateway.sections import (
    Courier,
    Keys,
    Metrics,
    Node,
    Notify,
    Policy,
    Portal,
    Scan,
    Smtp,
    Spool,
    Store,
    Tenant,
    Vault,
    Worker,
)
from gateway.settingtypes import Endpoint, SecretFile, is_loopback

__all__ = [
    "SECTIONS",
    "Courier",
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
    "refuse_later",
    "render_value",
]

DEFAULT_PATH = Path("/etc/sealgate/sealgate.toml")
PREFIX = "SEALGATE_"
_OUTSIDE_SECTIONS = ("SEALGATE_CONFIG",)  # variables that are ours and no setting; also SEALGATE_TEST_…
SECTIONS: dict[str, type[Any]] = {
    "tenant": Tenant,
    "smtp": Smtp,
    "portal": Portal,
    "courier": Courier,
    "policy": Policy,
    "store": Store,
    "vault": Vault,
    "keys": Keys,
    "spool": Spool,
    "scan": Scan,
    "metrics": Metrics,
    "notify": Notify,
    "node": Node,
    "worker": Worker,
}
_LATER: tuple[tuple[str, str, Callable[[Settings], bool], str], ...] = (
    ("vault", "url", lambda s: not s.vault.url.startswith("file:"),
     'a vault outside this machine comes with a later release; write "file:///absolute/folder"'),
    ("keys", "provider", lambda s: s.keys.provider != "file",
     'other than "file" comes with a later release; write provider = "file"'),
)  # fmt: skip
_SOCKET_PATH_BYTES = 107  # sun_path of Linux, less its end; see unix(7)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the operator decides, checked."""

    tenant: Tenant
    smtp: Smtp
    portal: Portal
    courier: Courier
    policy: Policy
    store: Store
    vault: Vault
    keys: Keys
    spool: Spool
    scan: Scan
    metrics: Metrics
    notify: Notify
    node: Node
    worker: Worker
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """Where each value came from: `smtp.listen` to `gateway.toml:12`, a variable's name, or `default`."""

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
    reader = _Reader(path, environ)
    return _settled(Settings(**{name: reader.section(name) for name in SECTIONS}, origins=reader.origins), reader)


def refuse_later(settings: Settings) -> None:
    """Raises Misconfigured for a setting whose name is fixed and which has no effect in this release."""
    for section, key, asked, sentence in _LATER:
        if asked(settings):
            where = settings.origins.get(f"{section}.{key}", "default")
            raise Misconfigured(f"{where}: [{section}] {key} {sentence}")


class _Reader:
    """One configuration file and one environment, turned into sections."""

    def __init__(self, path: Path | None, environ: Mapping[str, str]) -> None:
        self.path = path
        self.file = path.name if path else "the environment"
        self.origins: dict[str, str] = {}
        self._lines: dict[tuple[str, str], int] = {}
        self._values: dict[tuple[str, str], tuple[Any, str, Path]] = {}
        if path is not None:
            self._read_file(path)
        self._read_environment(environ)

    def section(self, name: str) -> Any:
        """The section's class, filled in."""
        values: dict[str, Any] = {}
        for item in fields(SECTIONS[name]):
            key = f"{name}.{item.name}"
            raw, where, base = self._values.get((name, item.name), (None, "default", Path("/")))
            self.origins[key] = where
            if where == "default":
                if item.metadata["required"]:
                    raise Misconfigured(
                        f"{self.file}: [{name}] {item.name} is missing; write for example: "
                        f"{item.name} = {render_value(item.metadata['example'])}   # {item.metadata['doc']}"
                    )
                continue
            try:
                empty = raw == "" and item.default in (None, "") and not item.metadata["required"]
                values[item.name] = item.default if empty else _anchored(item.metadata["parse"](raw), base)
            except ValueError as error:
                raise Misconfigured(f"{where}: [{name}] {item.name} {error}") from error
        return SECTIONS[name](**values)

    def where(self, section: str, key: str) -> str:
        """`file:line` or the variable's name, of a value that stands somewhere, else the file."""
        origin = self.origins.get(f"{section}.{key}", "default")
        return self.file if origin == "default" else origin

    def _read_file(self, path: Path) -> None:
        try:
            data = path.read_bytes()
            source = data.decode("utf-8")
            document = tomllib.loads(source)
        except OSError as error:
            raise Misconfigured(f"configuration file {path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise Misconfigured(f"{path.name}: is not UTF-8 text") from error
        except tomllib.TOMLDecodeError as error:
            raise Misconfigured(f"{path.name}: is not TOML: {error}") from error
        self._lines = _line_numbers(source)
        base = path.absolute().parent
        for name, table in document.items():
            if name not in SECTIONS:
                raise Misconfigured(f"{self._at(name, '')}: [{name}] is not a section; {nearest(name, list(SECTIONS))}")
            if not isinstance(table, dict):
                raise Misconfigured(f"{self._at(name, '')}: {name} must be a section; write [{name}] above its keys")
            for key, value in table.items():
                self._take(name, key, value, self._at(name, key), base)

    def _read_environment(self, environ: Mapping[str, str]) -> None:
        ours = {name: value for name, value in environ.items() if name.startswith(PREFIX)}
        for variable, value in sorted(ours.items()):
            if variable in _OUTSIDE_SECTIONS or variable.startswith("SEALGATE_TEST_"):
                continue
            name, _, key = variable.removeprefix(PREFIX).lower().partition("__")
            if name not in SECTIONS or not key:
                known = [f"{PREFIX}{part}__{item.name}".upper() for part in SECTIONS for item in fields(SECTIONS[part])]
                close = difflib.get_close_matches(variable, known, n=1, cutoff=0.8)
                hint = f"did you mean '{close[0]}'?" if close else "settings are named SEALGATE_SECTION__KEY"
                raise Misconfigured(f"environment variable {variable} is not a setting; {hint}")
            self._take(name, key, value, f"environment variable {variable}", Path.cwd())

    def _take(self, name: str, key: str, value: Any, where: str, base: Path) -> None:
        known = [item.name for item in fields(SECTIONS[name])]
        if key not in known:
            raise Misconfigured(f"{where}: [{name}] {key} is not a setting; {nearest(key, known)}")
        self._values[name, key] = (value, where, base)

    def _at(self, name: str, key: str) -> str:
        line = self._lines.get((name, key)) or self._lines.get((name, ""))
        return f"{self.file}:{line}" if line else self.file


def _line_numbers(source: str) -> dict[tuple[str, str], int]:
    """Where each plain `[section]` and `key =` stands; tomllib does not say. Unusual spellings simply have no line."""
    found: dict[tuple[str, str], int] = {}
    section = ""
    for index, line in enumerate(source.splitlines(), 1):
        if header := re.match(r"\s*\[\s*([A-Za-z0-9_-]+)\s*\]", line):
            section = header[1]
            found.setdefault((section, ""), index)
        elif pair := re.match(r"\s*([A-Za-z0-9_-]+)(?:\.([A-Za-z0-9_-]+))?\s*=", line):
            place = (section, pair[1]) if section else (pair[1], pair[2] or "")
            found.setdefault(place, index)
            found.setdefault((place[0], ""), index)
    return found


def _anchored(value: Any, base: Path) -> Any:
    if isinstance(value, Path):
        return base / value
    if isinstance(value, SecretFile):
        return SecretFile(base / value.path)
    return value


def _settled(settings: Settings, reader: _Reader) -> Settings:
    """Fill in what follows from other values, and refuse what does not fit together."""

    def wrong(section: str, key: str, sentence: str) -> Misconfigured:
        return Misconfigured(f"{reader.where(section, key)}: [{section}] {key} {sentence}")

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
    if settings.node.keyholder == "shared" and settings.keys.sockets_directory is None:
        raise wrong("keys", "sockets_directory", 'is missing; keyholder = "shared" needs the folder of its sockets')
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


def render_value(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(render_value(item) for item in value) + "]"
    if isinstance(value, int):
        return str(value)
    shown = "" if value is None else str(value)
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'


def example() -> str:
    """The text of `deploy/gateway.toml`: every setting with its sentence; what has a default stands commented out."""
    lines = [
        "# Sealgate's settings. Made from gateway/sections.py by: python -m gateway check --example",
        "#",
        '# What is commented out shows its default, or after "e.g." an example. Each key can be set by the',
        "# environment too: [smtp] listen is SEALGATE_SMTP__LISTEN. Secrets come as …_file only.",
    ]
    for name, section in SECTIONS.items():
        lines += ["", f"# {(section.__doc__ or '').strip()}", f"[{name}]"]
        for item in fields(section):
            lines.append(f"# {item.metadata['doc']}")
            if item.metadata["required"]:
                lines.append(f"{item.name} = {render_value(item.metadata['example'])}")
            elif item.default in (None, "", ()) and item.metadata["example"] is not None:
                shown = render_value(item.metadata["example"])
                lines.append(f"#{item.name} = {render_value(item.default)}   # e.g. {shown}")
            else:
                lines.append(f"#{item.name} = {render_value(item.default)}")
    return "\n".join(lines) + "\n"
