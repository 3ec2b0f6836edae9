"""Who may connect how often, and fail to sign in how often. One thread: the event loop's.

A host is an IPv4 address or an IPv6 /64: who has one IPv6 address usually has all of its /64.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

_REMEMBERED_HOSTS = 10_000


def host_of(address: str) -> str:
    """The word under which a client is counted."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)


class Doorkeeper:
    """Counts open connections. Strangers (on no tenant's network, not signed in) have half of them at most."""

    def __init__(self, most: int, most_per_host: int) -> None:
        self._most = most
        self._most_per_host = most_per_host
        self._hosts: dict[str, int] = {}
        self.total = 0
        self.strangers = 0

    def enter(self, host: str, *, stranger: bool = False) -> bool:
        """Count one in, unless that would be too many."""
        if self.total >= self._most or self._hosts.get(host, 0) >= self._most_per_host:
            return False
        if stranger and self.strangers >= max(1, self._most // 2):
            return False
        self.total += 1
        self.strangers += stranger
        self._hosts[host] = self._hosts.get(host, 0) + 1
        return True

    def known(self) -> None:
        """A stranger that was let in is one no longer."""
        self.strangers -= 1

    def leave(self, host: str, *, stranger: bool = False) -> None:
        """Count one out that was let in; `stranger`: it still was one."""
        self.total -= 1
        self.strangers -= stranger
        left = self._hosts[host] - 1
        if left:
            self._hosts[host] = left
        else:
            del self._hosts[host]


class Few:
    """At most so many of something for each key within a window, so that nobody can fill a log at will."""

    def __init__(self, most: int, window_seconds: float) -> None:
        self._most = most
        self._window = window_seconds
        self._counted: dict[str, tuple[float, int]] = {}

    def take(self, key: str, now: float) -> bool:
        """Count one, unless that would be too many; `now` in seconds of any steady clock. Keys are ids of tenants."""
        since, count = self._counted.get(key, (now, 0))
        if now - since >= self._window:
            since, count = now, 0
        self._counted[key] = (since, count + 1)
        return count < self._most


class FailedLogins:
    """Failed sign-ins of each host within a sliding pair of windows; remembers a bounded number of hosts."""

    def __init__(self, most: int, window_seconds: float) -> None:
        self._most = most
        self._window = window_seconds
        self._hosts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def blocked(self, host: str, now: float) -> bool:
        """Whether that host must wait; `now` in seconds of any steady clock."""
        since, count = self._hosts.get(host, (now, 0))
        return count >= self._most and now - since < self._window

    def failed(self, host: str, now: float) -> None:
        """Count a failure."""
        since, count = self._hosts.pop(host, (now, 0))
        if now - since >= self._window:
            since, count = now, 0
        self._hosts[host] = (since, count + 1)
        while len(self._hosts) > _REMEMBERED_HOSTS:
            self._hosts.popitem(last=False)
