"""What the smtp process needs to know to run; made from the settings by whoever starts it.

Nothing here is secret: the TLS key and the node's signing key are named by file and read by this process alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

RELAY, SUBMISSION, SUBMISSIONS = "relay", "submission", "submissions"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one client, or all of them, may take. Times in seconds.

    Each is a setting of `[smtp]` or `[spool]`: `deploy/mail/limits.md`.
    """

    connections: int = 500
    connections_per_host: int = 50
    errors_per_connection: int = 20
    failed_logins_per_connection: int = 3
    failed_logins_per_host: int = 20
    failed_logins_window_seconds: float = 600.0
    command_seconds: float = 300.0
    stranger_seconds: float = 30.0
    message_seconds: float = 1800.0
    handshake_seconds: float = 30.0
    drain_seconds: float = 20.0
    received_fields: int = 100
    own_passes: int = 10  # trace fields of ours: several gateways may stand in its way, no more than so many
    report_bytes: int = 1 << 20
    free_disk_bytes: int = 64 << 20


@dataclass(frozen=True, slots=True)
class SmtpConfig:
    """One node's smtp process.

    `directory` is smtp's own folder (``node.key``, ``keyholder.pub``, ``serial``); `signs_directory` the one where the
    worker leaves ``snapshot.json`` and ``health.json``; `spool` the folder of the direction ``in``. Addresses are
    (host, port); port 0 lets the system choose, and `ready` tells which.
    """

    hostname: str
    node: str
    directory: Path
    signs_directory: Path
    spool: Path
    listen: tuple[tuple[str, int], ...] = ()
    submission_listen: tuple[tuple[str, int], ...] = ()
    submissions_listen: tuple[tuple[str, int], ...] = ()
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    client_ca_file: Path | None = None
    normalize_newlines: bool = False
    max_message_bytes: int = 150 << 20
    max_recipients: int = 100
    return_hosts: Mapping[str, str] = field(default_factory=dict)
    """Portal hosts to which reports on our notices may come from anywhere, and a domain of the clinic of each."""
    postmasters: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The same hosts, and who reads what comes to postmaster there."""
    limits: Limits = field(default_factory=Limits)
    log_level: str = "INFO"

    @property
    def snapshot_file(self) -> Path:
        return self.signs_directory / "snapshot.json"

    @property
    def health_file(self) -> Path:
        return self.signs_directory / "health.json"
