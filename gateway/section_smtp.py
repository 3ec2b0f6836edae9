"""The section of the settings about the door for mail; as `gateway.sections`, and apart for its length.

Its limits and time-outs, with their bounds, are what `deploy/mail/limits.md` lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway import settingtypes as kinds
from gateway.sections import setting
from gateway.settingtypes import Endpoint, Network


@dataclass(frozen=True, slots=True)
class Smtp:
    """Where mail is handed in, and by whom."""

    listen: tuple[Endpoint, ...] = setting(
        "Where mail servers hand in mail, with STARTTLS if a certificate is set.",
        kinds.listed(kinds.endpoint),
        (Endpoint("127.0.0.1", 2525),),
    )
    submission_listen: tuple[Endpoint, ...] = setting(
        "Where mail programs submit with STARTTLS and a password (RFC 6409).",
        kinds.listed(kinds.endpoint),
        (),
        example=["0.0.0.0:587"],
    )
    submissions_listen: tuple[Endpoint, ...] = setting(
        "Where mail programs submit over implicit TLS with a password (RFC 8314).",
        kinds.listed(kinds.endpoint),
        (),
        example=["0.0.0.0:465"],
    )
    trusted_networks: tuple[Network, ...] = setting(
        "Networks of the tenant alone that may send for its domains without a password; never a shared provider's.",
        kinds.listed(kinds.network),
        (),
        example=["192.0.2.0/28"],
    )
    bare_newlines: str = setting(
        'A bare CR or LF inside a message: "refuse" it with 554, or "normalize" and log it.',
        kinds.choice("refuse", "normalize"),
        "refuse",
    )
    max_message_bytes: int = setting(
        "Largest message, announced as SIZE (RFC 1870).", kinds.number(65_536, 2_000_000_000), 157_286_400
    )
    max_recipients: int = setting(
        "Most recipients of one message; each outsider gets an own copy.", kinds.number(1, 1000), 100
    )
    max_connections: int = setting("Most connections at once over all listeners.", kinds.number(1, 20_000), 500)
    max_connections_per_host: int = setting("Most connections at once from one address.", kinds.number(1, 20_000), 50)
    command_timeout_seconds: int = setting(
        "Longest silence before a connection is closed (RFC 5321 4.5.3.2).", kinds.number(10, 3600), 300
    )
    message_timeout_seconds: int = setting(
        "Longest time from DATA to the end of one message.", kinds.number(60, 86_400), 1800
    )
    stranger_timeout_seconds: int = setting(
        "Longest stay on the port for mail servers of a client that no network, device or sign-in lets send.",
        kinds.number(5, 3600),
        30,
    )
    handshake_timeout_seconds: int = setting("Longest time for a TLS handshake.", kinds.number(5, 600), 30)
    drain_timeout_seconds: int = setting(
        "Time that messages under way have to end when we stop.", kinds.number(0, 600), 20
    )
    max_errors_per_connection: int = setting("Refusals after which a connection is closed.", kinds.number(1, 1000), 20)
    max_failed_logins_per_connection: int = setting(
        "Wrong passwords after which a connection is closed.", kinds.number(1, 20), 3
    )
    max_failed_logins_per_host: int = setting(
        "Wrong passwords of one address (IPv6: of one /64) after which it must wait, whatever it says.",
        kinds.number(3, 1000),
        20,
    )
    failed_logins_window_seconds: int = setting(
        "How long they are counted together, and how long it must wait.", kinds.number(60, 86_400), 600
    )
    max_received_per_message: int = setting(
        "Received lines after which a message counts as going round in circles (RFC 5321 6.3).",
        kinds.number(30, 1000),
        100,
    )
    max_passes_per_message: int = setting(
        "Trace lines of gateways like this one after which it counts as such too.", kinds.number(2, 50), 10
    )
    max_report_bytes: int = setting(
        "Largest report from anywhere to a return path of ours, where [portal] return_path is on.",
        kinds.number(65_536, 10_485_760),
        1_048_576,
    )
    client_ca_file: Path | None = setting(
        "Authorities, or self-signed certificates, of clients on the submission ports, PEM; whose a certificate is, "
        "[[devices]] says. Empty: none is asked for.",
        kinds.path,
        None,
        example="/etc/sealgate/tls/devices.pem",
    )
    hostname: str = setting(
        "Our name in greetings and Received lines; empty means the portal's host.",
        kinds.domain,
        "",
        example="mail.clinic.example",
    )
    tls_cert_file: Path | None = setting(
        "Certificate chain, PEM.", kinds.path, None, example="/etc/sealgate/tls/cert.pem"
    )
    tls_key_file: Path | None = setting("Its private key, PEM.", kinds.path, None, example="/etc/sealgate/tls/key.pem")
