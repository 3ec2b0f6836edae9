"""What the snapshot says of devices and of proofs for shared networks, and whose word a connection's is.

Promises: pure; what has a shape that the keyholder does not sign is a ValueError; secrets are compared as hashes in
constant time, all of them whoever asks. DESIGN §2 "Snapshot", §7.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gateway.senders import MICROSOFT, loop_value, verifier

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class DeviceEntry:
    """One device. `certificates` are SHA-256 in hexadecimal; empty lists do not restrict."""

    name: str
    networks: tuple[Network, ...]
    certificates: frozenset[str]
    senders: frozenset[str] = field(repr=False)

    def is_it(self, address: Address | None, certificate: str) -> bool:
        """Whether a connection can be this device: everything that binds it must hold."""
        if self.networks and not within(address, self.networks):
            return False
        if self.certificates and certificate not in self.certificates:
            return False
        return bool(self.networks or self.certificates)

    def may_send(self, mail_from: str) -> bool:
        """Whether it may send from that address, of whose domain somebody else judges."""
        return not self.senders or mail_from == "" or mail_from.lower() in self.senders


@dataclass(frozen=True, slots=True)
class SharedEntry:
    """One clinic's proof in one shared network. `known` is the secret's verifier."""

    name: str
    networks: tuple[Network, ...]
    header: str
    originator: str
    microsoft: bool
    known: bytes = field(repr=False)

    @property
    def loop(self) -> str:
        """The value of the loop field of this clinic's mail."""
        return loop_value(self.known)

    def proved(self, secrets: list[str], originators: list[str]) -> bool:
        """Whether these values of the two fields prove the clinic: each exactly once, and right."""
        given = secrets[0] if len(secrets) == 1 else ""
        right = hmac.compare_digest(verifier(given), self.known) and given != ""
        if not self.microsoft:
            return right
        named = len(originators) == 1 and originators[0].lower().rstrip(".") == self.originator
        return right and named


def within(address: Address | None, networks: Iterable[Network]) -> bool:
    """Whether an address lies in one of the networks."""
    return address is not None and any(address.version == one.version and address in one for one in networks)


def devices(value: Any) -> tuple[DeviceEntry, ...]:
    """The devices of a tenant in the snapshot."""
    return tuple(
        DeviceEntry(
            name=str(one["name"]),
            networks=_networks(one["networks"]),
            certificates=frozenset(str(text) for text in one["certificates"]),
            senders=frozenset(str(text) for text in one["senders"]),
        )
        for one in value or ()
    )


def shared(value: Any) -> tuple[SharedEntry, ...]:
    """The proofs of a tenant in the snapshot."""
    return tuple(
        SharedEntry(
            name=str(one["name"]),
            networks=_networks(one["networks"]),
            header=str(one["header"]).lower(),
            originator=str(one["originator_org"]).lower(),
            microsoft=one["provider"] == MICROSOFT,
            known=bytes.fromhex(one["verifier"]),
        )
        for one in value or ()
    )


def _networks(value: Any) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(network, strict=False) for network in value)
