"""Several clinics in one installation: the tables of `[[tenants]]`, and what two of them may not share.

Promises: a table holds what is one clinic's own, and everything else stands in the sections once; a clinic that names
its own smarthost takes no credential of another one with it; no two clinics share a name, a domain or a portal host,
and none may send from a network of another unless both say so. DESIGN §7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gateway import settingtypes as kinds
from gateway.sections import setting
from gateway.settingtypes import Endpoint, Network, SecretFile

TABLE: Final = "tenants"


@dataclass(frozen=True, slots=True)
class Tenancy:
    """Several clinics: one such table for each, and no [tenant].
    What is left out is as [courier] and [policy] say. The first table's host stands in greetings.
    """

    name: str = setting("Short name, used by commands.", kinds.short_name, example="riverside")
    domains: tuple[str, ...] = setting(
        "Its mail domains; no two clinics share one.", kinds.listed(kinds.domain), example=["clinic.example"]
    )
    public_url: str = setting(
        "Its own address of the portal; no two clinics share a host.",
        kinds.public_url,
        example="https://mail.clinic.example",
    )
    return_path: bool = setting(
        "Mail for the host of its public_url comes to this gateway, as in [portal].", kinds.flag, False
    )
    postmaster: str = setting(
        "Who reads what is written to postmaster at its host, as in [portal].",
        kinds.address,
        "",
        example="you@clinic.example",
    )
    display_name: str = setting("Its name as patients read it.", kinds.text, "", example="Riverside Clinic")
    phone: str = setting("The number that its notices and pages name.", kinds.phone, "", example="+1 555 010 0199")
    timezone: str = setting("Time zone in which people read times.", kinds.timezone, "UTC", example="America/New_York")
    trusted_networks: tuple[Network, ...] = setting(
        "Networks of this clinic alone that may send for its domains without a password.",
        kinds.listed(kinds.network),
        (),
        example=["192.0.2.0/28"],
    )
    networks_shared: bool = setting(
        "Allows networks that overlap with those of another clinic which allows it too: there the sender's domain "
        "alone decides for whom a mail is. Only for a mail server of your own that serves both.",
        kinds.flag,
        False,
    )
    smarthost: Endpoint | None = setting(
        "Its own smarthost, with the six keys below; else that of [courier] with all that stands there.",
        kinds.smarthost,
        None,
        example="smarthost.example:25",
    )
    smarthost_tls: str = setting(
        '"verified", "opportunistic" or "none", as in [courier].',
        kinds.choice("none", "opportunistic", "verified"),
        "verified",
    )
    smarthost_username: str = setting("User name for AUTH there.", kinds.text, "", example="riverside")
    smarthost_password_file: SecretFile | None = setting(
        "File with the password for AUTH there.", kinds.secret_file, None, example="/etc/sealgate/riverside-password"
    )
    smarthost_client_cert_file: Path | None = setting(
        "Our certificate for that smarthost, PEM.", kinds.path, None, example="/etc/sealgate/tls/riverside.pem"
    )
    smarthost_client_key_file: Path | None = setting(
        "Its private key, PEM.", kinds.path, None, example="/etc/sealgate/tls/riverside-key.pem"
    )
    smarthost_ca_file: Path | None = setting(
        "Authorities trusted for that smarthost, PEM.", kinds.path, None, example="/etc/sealgate/tls/ca.pem"
    )
    dkim_selectors: tuple[str, ...] = setting(
        "Keys that sign its rewritten mail, as in [dkim] selectors.",
        kinds.listed(kinds.short_name),
        (),
        example=["sealgate-r1"],
    )
    policy: str = setting("Its policy, as in [policy] file.", kinds.policy_file, "", example="strict")
    hold_days: int = setting("Days that its held mail waits for an officer.", kinds.number(1, 90), 7)
    message_days: int = setting("Days that its secure messages can be opened.", kinds.number(1, 3650), 90)
    owner: str = setting(
        "Whose inbox gets its notices for senders that nobody reads, as in [notify].",
        kinds.address,
        "",
        example="office@clinic.example",
    )
    unattended: tuple[str, ...] = setting(
        "Its senders that nobody reads, as in [notify].",
        kinds.listed(kinds.address),
        (),
        example=["scanner@clinic.example"],
    )


PLACES: Final = {
    "name": ("tenant", "name"), "domains": ("tenant", "domains"), "display_name": ("tenant", "display_name"),
    "phone": ("tenant", "phone"), "timezone": ("tenant", "timezone"), "public_url": ("portal", "public_url"),
    "return_path": ("portal", "return_path"), "postmaster": ("portal", "postmaster"),
    "trusted_networks": ("smtp", "trusted_networks"), "smarthost": ("courier", "smarthost"),
    "smarthost_tls": ("courier", "tls"), "smarthost_username": ("courier", "username"),
    "smarthost_password_file": ("courier", "password_file"),
    "smarthost_client_cert_file": ("courier", "client_cert_file"),
    "smarthost_client_key_file": ("courier", "client_key_file"), "smarthost_ca_file": ("courier", "ca_file"),
    "dkim_selectors": ("dkim", "selectors"),
    "policy": ("policy", "file"), "hold_days": ("policy", "hold_days"), "message_days": ("policy", "message_days"),
    "owner": ("notify", "owner"), "unattended": ("notify", "unattended"),
}  # fmt: skip
"""Which setting of one clinic each key is; `networks_shared` is none, it only lets two tables share a network."""
SMARTHOST: Final = tuple(place for key, place in PLACES.items() if key.startswith("smarthost"))
OWN: Final = tuple(place for key, place in PLACES.items() if place[0] not in ("courier", "policy"))
"""What must not stand in a section beside tables: it would be said twice, or of nobody."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What of one clinic another may not have. `where` is its table's place in the file."""

    where: str
    name: str
    domains: tuple[str, ...]
    public_url: str
    networks: tuple[Network, ...]
    shared: bool


def clash(tenants: Sequence[Taken]) -> str:
    """A sentence for the first thing that two clinics share and must not; empty when there is none."""
    for index, one in enumerate(tenants):
        for other in tenants[:index]:
            at = f"{one.where}: [[{TABLE}]]"
            if one.name == other.name:
                return f"{at} name '{one.name}' is taken by another table; each clinic has a name of its own"
            for domain in one.domains:
                if domain in other.domains:
                    return f"{at} domains: '{domain}' is a domain of '{other.name}'; a domain is one clinic's"
            if _host(one.public_url) == _host(other.public_url):
                return (
                    f"{at} public_url: host '{_host(one.public_url)}' is that of '{other.name}'; each clinic needs a "
                    "host of its own, for browsers keep cookies by host"
                )
            if (pair := _overlap(one, other)) and not (one.shared and other.shared):
                return (
                    f"{at} trusted_networks: {pair[0]} overlaps with {pair[1]} of '{other.name}', so each could send "
                    "as the other; write separate networks, or, for a mail server of your own that serves both, "
                    "networks_shared = true in both"
                )
    return ""


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").rstrip(".").lower()


def _overlap(one: Taken, other: Taken) -> tuple[Network, Network] | None:
    for mine in one.networks:
        for theirs in other.networks:
            if mine.version == theirs.version and mine.overlaps(theirs):
                return mine, theirs
    return None
