"""Who hears what becomes of a message: its sender, or the named owner of a sender that nobody reads (DESIGN §3b).

Scanners, applications and no-reply senders have no inbox that a person looks into; their notices go to the owner, who
must be of the tenant's own domains, for a notice names recipients. So do those about a sender whose address names a
further way ("pat%other.example@clinic.example"): a server that follows it would take them out of the clinic.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.actions.tenants import TenantView
from gateway.mail.address import routed

_NOBODY = re.compile(r"(?:no-?reply|do-?not-?reply|mailer-daemon)(?:[+-].*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Audience:
    """Of each tenant by id: its owner reads for the senders in `unattended` (addresses, lower case) and for no-reply
    addresses.
    """

    owners: Mapping[str, str] = field(default_factory=dict, repr=False)
    unattended: Mapping[str, frozenset[str]] = field(default_factory=dict, repr=False)
    devices: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    """Of each tenant by id: owners of devices by the addresses that those send from, lower case."""

    def of(self, view: TenantView, sender: str) -> str:
        """Whose inbox a notice about this sender's mail goes to; empty when there is nobody to tell."""
        if not sender:
            return ""
        named = self.devices.get(view.id, {}).get(sender.lower(), "")
        if named:
            return named if view.internal(named) else ""
        local = sender.rpartition("@")[0]
        unread = sender.lower() in self.unattended.get(view.id, ()) or _NOBODY.fullmatch(local)
        if not unread and not routed(sender):
            return sender
        owner = self.owners.get(view.id, "")
        return owner if owner and view.internal(owner) else ""
