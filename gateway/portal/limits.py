"""How often a network without proof, a link or a user may ask: slowed, never shut out for over a minute (DESIGN §4b.5).

Promises: no person's counters are touched here; memory is bounded; a flood from one network costs others nothing.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

MOST_BUCKETS = 20_000
WINDOW_SECONDS = 60.0


def network_of(address: str) -> str:
    """The /24 of an IPv4 address, the /56 of an IPv6 one; `unknown` for anything else."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return str(ipaddress.ip_network((ip, 24 if ip.version == 4 else 56), strict=False))


class Limits:
    """Token buckets by route and who asks (network, grant, user): `per_minute` at once, refilled over a minute."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def take(self, route: str, who: str, per_minute: int) -> bool:
        """True when this request is within the limit."""
        now = self._now()
        with self._lock:
            left, at = self._buckets.pop((route, who), (float(per_minute), now))
            left = min(float(per_minute), left + (now - at) * per_minute / WINDOW_SECONDS)
            allowed = left >= 1.0
            self._buckets[(route, who)] = (left - 1.0 if allowed else left, now)
            while len(self._buckets) > MOST_BUCKETS:
                self._buckets.popitem(last=False)
        return allowed
