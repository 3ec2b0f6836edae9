"""What the flows need to know of a tenant, from the settings that the keyholder vouched for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from gateway.mail.address import domain_of, routed
from gateway.policy import Policy
from gateway.settingtypes import Endpoint
from gateway.spool.envelope import Identity


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device as the worker sees it: whose inbox gets what we have to say about its mail, and how that is taken."""

    owner: str = field(repr=False)
    senders: frozenset[str] = field(repr=False)
    assume_phi: bool


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
    devices: Mapping[str, DeviceView] = field(default_factory=dict)
    sms: str = "none"
    """Who carries text messages with codes, and where they are handed in: as [notify]."""
    sms_url: str = ""
    loop: str = field(default="", repr=False)
    """Value of the field that tells the provider's rule that a mail was here; empty where mail goes elsewhere."""

    @property
    def host(self) -> str:
        """Host name of the portal, without port."""
        return self.public_url.split("://", 1)[-1].split("/", 1)[0].rsplit(":", 1)[0]

    def assumed(self, identity: Identity) -> bool:
        """Whether what this sender hands in counts as PHI unread. A device that was taken out since then still does."""
        if identity.kind not in ("device", "certificate"):
            return False
        device = self.devices.get(identity.name)
        return device is None or device.assume_phi

    def internal(self, address: str) -> bool:
        """Whether an address is one of the tenant's own, and names no further way to somebody else's."""
        return not routed(address) and domain_of(address) in self.domains
