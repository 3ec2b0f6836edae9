"""What the flows need to know of a tenant, from the settings that the keyholder vouched for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from gateway.policy import Policy
from gateway.settingtypes import Endpoint


@dataclass(frozen=True, slots=True)
class TenantView:
    """One covered entity as the worker sees it."""

    id: str
    name: str
    display_name: str
    phone: str
    domains: frozenset[str]
    public_url: str
    timezone: str
    policy: Policy
    origin: str
    smarthost: Endpoint
    smarthost_tls: str
    message_for: timedelta = timedelta(days=90)
    hold_for: timedelta = timedelta(days=7)

    @property
    def host(self) -> str:
        """Host name of the portal, without port."""
        return self.public_url.split("://", 1)[-1].split("/", 1)[0].rsplit(":", 1)[0]

    def internal(self, address: str) -> bool:
        """Whether an address is one of the tenant's own."""
        return address.rpartition("@")[2].rstrip(".").lower() in self.domains
