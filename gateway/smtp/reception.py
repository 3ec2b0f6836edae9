"""What anybody may write to: return paths of ours with a report, and postmaster at the portal's host.

Only where mail for the portal's host comes to this gateway (`[portal] return_path`). Pure. Promises: nothing else of a
stranger is taken; mail to postmaster goes to the one address that the settings name, without its envelope sender, so
that nothing is ever sent back to somebody whose address anybody could have written. RFC 5321 4.5.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.smtp import replies
from gateway.smtp.config import SmtpConfig
from gateway.smtp.gate import admit_report
from gateway.smtp.replies import Reply
from gateway.spool.envelope import POSTMASTER, RETURNED, Identity
from gateway.spool.known import Address
from gateway.spool.snapshot import Snapshot, TenantEntry

POSTMASTER_AN_HOUR = 60
"""Mails of strangers to postmaster that are taken in an hour for each host; later ones are answered 451."""
HOUR_SECONDS = 3600.0
STRANGERS = frozenset({RETURNED, POSTMASTER})


@dataclass(frozen=True, slots=True)
class Taken:
    """Whose it is, as what it comes, where it goes, and the portal's host that it was written to."""

    tenant: TenantEntry
    identity: Identity
    address: str
    host: str


def open_to(snapshot: Snapshot, config: SmtpConfig, address: Address | None, answer: Reply, *, signed_in: bool) -> bool:
    """Whether a client that was refused as a sender could still write to a return path or to postmaster."""
    if not config.return_hosts:
        return False
    foreign = answer is replies.NOT_YOUR_DOMAIN and not signed_in
    if foreign and address is not None and snapshot.tenants_of(address):
        return False  # a clinic's own network that writes in another's name
    return foreign or answer is replies.NOT_AUTHORISED


def of_stranger(snapshot: Snapshot, config: SmtpConfig, sender: str, address: str) -> Taken | None:
    """What a stranger's recipient is; None for everything that strangers may not write to."""
    host = postmaster_host(config.postmasters, address)
    if host is not None:
        tenant = snapshot.tenants.get(snapshot.by_domain.get(config.return_hosts.get(host, ""), ""))
        return None if tenant is None else Taken(tenant, Identity(POSTMASTER), config.postmasters[host], host)
    reported = admit_report(snapshot, config.return_hosts, address) if not sender else None
    return None if reported is None else Taken(reported, Identity(RETURNED), address, "")


def postmaster_host(postmasters: Mapping[str, str], address: str) -> str | None:
    """At which of our hosts this is postmaster; the first for a bare ``<postmaster>`` (RFC 5321 4.1.1.3)."""
    local, at, host = address.rpartition("@")
    if not at:
        return next(iter(postmasters), None) if address.lower() == "postmaster" else None
    host = host.lower().rstrip(".")
    return host if local.lower() == "postmaster" and host in postmasters else None


def target(postmasters: Mapping[str, str], address: str) -> str:
    """Where mail to that address goes."""
    host = postmaster_host(postmasters, address)
    return address if host is None else postmasters[host]
