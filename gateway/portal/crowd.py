"""Who may hold a connection to the portal, and for how long without asking anything.

Promises: one network has at most `PER_NETWORK` connections, all together at most `most`, which is well below what the
process may open, so that the files of mail can always be opened; whoever is too slow with a header or a body is cut
off. Proxies that the settings trust, and this machine itself, stand for many networks and have no bound of their own.
All on the loop's thread.
"""

from __future__ import annotations

import asyncio
import ipaddress
import resource
from collections.abc import Sequence
from typing import Protocol

from gateway.logs import Log
from gateway.portal.limits import network_of

PER_NETWORK = 200
MOST = 2000
SHARE = 0.6
"""The portal's part of the descriptors; the rest is for mail, the store and the keyholder."""

SWEEP_SECONDS = 1.0
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
log = Log("sealgate.portal")


class Guest(Protocol):
    """A connection that may be too slow."""

    def late(self, now: float) -> bool:
        """Whether it had its time; `now` in seconds of the loop's clock."""

    def cut(self) -> None:
        """End it now."""


def most_connections() -> int:
    """What the descriptor limit of this process leaves for the portal."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST if limit == resource.RLIM_INFINITY else max(8, min(MOST, int(limit * SHARE)))


class Crowd:
    """Counts connections and looks once a second whether they get on."""

    def __init__(self, most: int, proxies: Sequence[Network] = (), per_network: int = PER_NETWORK) -> None:
        self.most, self.per_network = most, per_network
        self._proxies = tuple(proxies)
        self._networks: dict[str, int] = {}
        self.total = 0
        self.refused = 0
        self.guests: set[Guest] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._told_at = float("-inf")

    def enter(self, address: str, loop: asyncio.AbstractEventLoop) -> str | None:
        """Count one in: the word to `leave` with, or None where that would be too many."""
        name = "" if self._many(address) else network_of(address)
        if self.total >= self.most or (name and self._networks.get(name, 0) >= self.per_network):
            self.refused += 1
            if loop.time() - self._told_at >= 60:  # once a minute, whoever knocks how often
                self._told_at = loop.time()
                log.warning("portal:crowded", count=self.total)
            return None
        self.total += 1
        if name:
            self._networks[name] = self._networks.get(name, 0) + 1
        if self._sweep is None:
            self._sweep = loop.call_later(SWEEP_SECONDS, self._look, loop)
        return name

    def leave(self, name: str) -> None:
        """Count one out."""
        self.total -= 1
        if name:
            self._networks[name] -= 1
            if not self._networks[name]:
                del self._networks[name]

    def _many(self, address: str) -> bool:
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        return ip.is_loopback or any(ip in network for network in self._proxies)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for guest in [one for one in self.guests if one.late(now)]:
            guest.cut()
        self._sweep = loop.call_later(SWEEP_SECONDS, self._look, loop) if self.total else None
