"""Every setting: one frozen class per section of the configuration file, one documented field per key.

Promises: defaults are safe; names carry their unit; the sentence of each field is what `deploy/gateway.toml` prints, so
the example file is made from here and cannot drift. Key names are those of DESIGN §8; those beyond it are additions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway import settingtypes as kinds
from gateway.settingtypes import Endpoint, Network, Parse, SecretFile

REQUIRED: Final = object()


def setting(doc: str, parse: Parse, default: Any = REQUIRED, *, example: Any = None, secret: bool = False) -> Any:
    """A field of a section: its sentence, its parser, its default, and what the example file shows for it."""
    metadata = {"doc": doc, "parse": parse, "example": example, "required": default is REQUIRED, "secret": secret}
    return field(default=None if default is REQUIRED else default, metadata=metadata, repr=not secret)


@dataclass(frozen=True, slots=True)
class Portal:
    """The web pages of recipients and staff."""

    listen: tuple[Endpoint, ...] = setting(
        "Where the portal listens.", kinds.listed(kinds.endpoint), (Endpoint("127.0.0.1", 8080),)
    )
    public_url: str = setting(
        "How browsers reach it, as it stands in links: https, or http on loopback only. Empty is "
        "allowed while the portal listens on loopback alone, and means http://localhost:PORT.",
        kinds.public_url,
        "",
        example="https://mail.clinic.example",
    )
    tls_cert_file: Path | None = setting(
        "Certificate chain, PEM; empty behind a proxy that ends TLS.",
        kinds.path,
        None,
        example="/etc/sealgate/tls/cert.pem",
    )
    tls_key_file: Path | None = setting("Its private key, PEM.", kinds.path, None, example="/etc/sealgate/tls/key.pem")
    trusted_proxies: tuple[Network, ...] = setting(
        "Proxies whose X-Forwarded-For and -Proto are believed.", kinds.listed(kinds.network), (), example=["127.0.0.1"]
    )
    return_path: bool = setting(
        "Mail for the host of public_url comes to this gateway: its MX points here, or the clinic's mail server hands "
        "it on. Then notices carry a return path there, and a bounce that comes late marks the recipient.",
        kinds.flag,
        False,
    )
    postmaster: str = setting(
        "Who reads what anybody may write to postmaster at that host, where return_path is on (RFC 5321 4.5.1); empty "
        "means [notify] owner.",
        kinds.address,
        "",
        example="you@clinic.example",
    )


@dataclass(frozen=True, slots=True)
class Tenant:
    """The clinic this gateway serves."""

    name: str = setting("Short name, used by commands.", kinds.short_name, example="riverside")
    domains: tuple[str, ...] = setting(
        "Its mail domains: who may send, and who is internal.", kinds.listed(kinds.domain), example=["clinic.example"]
    )
    display_name: str = setting(
        "Its name as patients read it; empty means the short name.", kinds.text, "", example="Riverside Clinic"
    )
    phone: str = setting(
        "The number that notices and pages tell people to call.", kinds.phone, "", example="+1 555 010 0199"
    )
    timezone: str = setting("Time zone in which people read times.", kinds.timezone, "UTC", example="America/New_York")


@dataclass(frozen=True, slots=True)
class Courier:
    """Where all outbound mail goes."""

    smarthost: Endpoint = setting(
        "The mail server that takes our mail and delivers it onward.", kinds.smarthost, example="smarthost.example:25"
    )
    tls: str = setting(
        '"verified": STARTTLS (implicit TLS on port 465) with a certificate valid for that name, or no '
        'delivery; "opportunistic": TLS if offered; "none": plain text.',
        kinds.choice("none", "opportunistic", "verified"),
        "verified",
    )
    username: str = setting("User name for AUTH; empty means none.", kinds.text, "", example="gateway")
    password_file: SecretFile | None = setting(
        "File with the password for AUTH.", kinds.secret_file, None, example="/etc/sealgate/smarthost-password"
    )
    client_cert_file: Path | None = setting(
        "Our certificate for the smarthost, PEM.", kinds.path, None, example="/etc/sealgate/tls/client.pem"
    )
    client_key_file: Path | None = setting(
        "Its private key, PEM.", kinds.path, None, example="/etc/sealgate/tls/client-key.pem"
    )
    ca_file: Path | None = setting(
        "Authorities trusted for the smarthost, PEM; empty means those of the system.",
        kinds.path,
        None,
        example="/etc/sealgate/tls/ca.pem",
    )
    timeout_seconds: int = setting("Longest wait for one answer of the smarthost.", kinds.number(1, 900), 60)
    end_timeout_seconds: int = setting(
        "Longest wait for the answer to a whole message (RFC 5321 4.5.3.2.6).", kinds.number(1, 1800), 600
    )
    idle_seconds: int = setting("How long an unused connection is kept.", kinds.number(0, 300), 20)
    max_connections: int = setting("Most connections to the smarthost at once.", kinds.number(1, 100), 4)
    messages_per_connection: int = setting(
        "Messages after which a connection is given up for a new one; many servers count.", kinds.number(1, 10_000), 100
    )
    delay_notice_seconds: int = setting(
        "When mail waits longer than this for the smarthost, its sender is told once (a DSN, where NOTIFY allows it); "
        "0 means never.",
        kinds.number(0, 432_000),
        14_400,
    )


@dataclass(frozen=True, slots=True)
class Store:
    """The database."""

    url: str = setting(
        '"sqlite:////absolute/file.db", or "postgresql+psycopg://role@host/database" with the role of the worker; '
        "a password belongs into a file that ?passfile= names.",
        kinds.store_url,
        "sqlite:////var/lib/sealgate/db/sealgate.db",
        secret=True,
    )
    reserve_bytes: int = setting(
        "Room kept beside an SQLite file, so that recalls and their log entries work on a full disk; 0 keeps none.",
        kinds.number(0, 10_000_000_000),
        67_108_864,
    )
    portal_url: str = setting(
        "PostgreSQL only: the same database with the role of the portal, which sees one tenant at a time.",
        kinds.server_url,
        "",
        example="postgresql+psycopg://sealgate-portal@/sealgate",
        secret=True,
    )
    owner_url: str = setting(
        "PostgreSQL only: the same database with the role that owns the tables; needed by sealgate migrate and by the "
        "first start, not by serving.",
        kinds.server_url,
        "",
        example="postgresql+psycopg://sealgate-owner@/sealgate",
        secret=True,
    )


@dataclass(frozen=True, slots=True)
class Vault:
    """Where sealed objects lie."""

    url: str = setting(
        '"file:///absolute/folder", or "s3://bucket/prefix?endpoint=https://…&credentials=/file" (deploy/S3.md).',
        kinds.vault_url,
        "file:///var/lib/sealgate/vault",
    )


@dataclass(frozen=True, slots=True)
class Spool:
    """Where mail waits, on this machine only."""

    directory: Path = setting("The spool's folder.", kinds.path, Path("/var/lib/sealgate/spool"))
    min_free_bytes: int = setting(
        "With less room than this on its disk new mail is answered 451; what was taken goes on.",
        kinds.number(33_554_432, 1_000_000_000_000),
        67_108_864,
    )


@dataclass(frozen=True, slots=True)
class Scan:
    """Scanners outside this program."""

    clamd: str = setting(
        'ClamAV\'s daemon as "host:port" or "unix:/path"; empty means that nothing is looked through for malware.',
        kinds.clamd,
        "",
        example="unix:/run/clamav/clamd.ctl",
    )
    max_bytes: int = setting(
        "Largest part that is given to it; not above its own StreamMaxLength and MaxFileSize. What is larger counts as "
        "not scanned.",
        kinds.number(65_536, 2_000_000_000),
        100_000_000,
    )
    timeout_seconds: int = setting(
        "Longest wait for one message; what is not done by then counts as not scanned.", kinds.number(1, 600), 60
    )


@dataclass(frozen=True, slots=True)
class Metrics:
    """Figures for a monitoring system (Prometheus); counts and times only."""

    listen: tuple[Endpoint, ...] = setting(
        "Where the worker shows them at /metrics, without TLS or sign-in: loopback or a network of your own. Empty: "
        "nowhere.",
        kinds.listed(kinds.endpoint),
        (),
        example=["127.0.0.1:9464"],
    )


@dataclass(frozen=True, slots=True)
class Notify:
    """Text messages with one-time codes."""

    sms: str = setting(
        '"none", "http" (a service of yours), or "pretend" (the demo\'s phone).',
        kinds.choice("none", "http", "pretend"),
        "none",
    )
    sms_url: str = setting(
        'Where "http" posts number and text as JSON: https, or http on loopback.',
        kinds.service_url,
        "",
        example="https://sms.example/messages",
    )
    sms_token_file: SecretFile | None = setting(
        "File with the bearer token for sms_url.", kinds.secret_file, None, example="/etc/sealgate/sms-token"
    )
    owner: str = setting(
        "Whose inbox gets the notices for senders that nobody reads (scanners, applications, no-reply); one of the "
        "tenant's own addresses. Empty: such notices are not sent, and returned mail goes to the sender all the same.",
        kinds.address,
        "",
        example="office@clinic.example",
    )
    unattended: tuple[str, ...] = setting(
        "Senders that nobody reads, besides those named no-reply or do-not-reply.",
        kinds.listed(kinds.address),
        (),
        example=["scanner@clinic.example"],
    )
    pretend_file: Path | None = setting(
        'Where "pretend" writes its messages, one JSON object a line; empty means '
        "pretend-phone.jsonl in the worker's folder.",
        kinds.path,
        None,
    )


@dataclass(frozen=True, slots=True)
class Policy:
    """What happens to which mail."""

    file: str = setting(
        'A shipped policy ("clinic", "strict", "observe") or the path of your own.', kinds.policy_file, "clinic"
    )
    hold_days: int = setting(
        "Days that held mail waits for an officer before it returns to the sender.", kinds.number(1, 90), 7
    )
    message_days: int = setting("Days that a secure message can be opened.", kinds.number(1, 3650), 90)


@dataclass(frozen=True, slots=True)
class Node:
    """This machine among its like."""

    name: str = setting("Its name, part of spool ids and certificates.", kinds.short_name, "node-1")
    keyholder: str = setting(
        'Who starts the keyholder: "own" (this node), "shared" (another node on this machine; PostgreSQL only), '
        '"apart" (another machine, at [keys] address) or "alone" (this machine is that other one). '
        "See deploy/KEYHOLDER.md.",
        kinds.choice("own", "shared", "apart", "alone"),
        "own",
    )
    directory: Path | None = setting(
        "Keys and sockets of this node; empty means node/ in the spool's folder.",
        kinds.path,
        None,
        example="/var/lib/sealgate/spool/node",
    )


@dataclass(frozen=True, slots=True)
class Worker:
    """How much is done at once, and how long we try."""

    threads: int = setting("Messages worked on at once.", kinds.number(1, 64), 2)
    parsers: int = setting("Isolated processes that read attachments.", kinds.number(1, 64), 2)
    parse_seconds: int = setting(
        "Time to read all parts of one message; what is left then counts as unread.", kinds.number(5, 600), 60
    )
    delivery_threads: int = setting("Messages delivered at once.", kinds.number(1, 64), 4)
    retry_first_seconds: int = setting(
        "Wait before the second attempt; it doubles from there.", kinds.number(1, 3600), 30
    )
    retry_most_seconds: int = setting("Longest wait between attempts.", kinds.number(1, 86_400), 3600)
    give_up_hours: int = setting(
        "Age at which a message returns to its sender (RFC 5321 4.5.4.1).", kinds.number(1, 720), 120
    )
