"""The tenants' memory-only keys that worker and portal get from the keyholder at start (DESIGN §4).

*directory* seals people, addresses and users; *index* is the HMAC key of searches and retries; *row_mac* authenticates
rows; *log_value* seals erasable values that log entries name.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.errors import NotFound
from gateway.share.mapping import answering
from keys.datakey import ValueKey


@dataclass(frozen=True, slots=True, repr=False)
class TenantKeys:
    """Keys of one tenant; never written anywhere."""

    directory: ValueKey
    index: ValueKey
    row_mac: ValueKey
    log_value: ValueKey


class KeyRing:
    """Keys of every tenant, fetched once and again when a tenant is not known yet.

    `fetch` is the client's `keys` call; it may raise what `answering` maps.
    """

    def __init__(self, fetch: Callable[[], Mapping[str, Any]]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._keys: dict[str, TenantKeys] = {}

    def of(self, tenant: str) -> TenantKeys:
        """Raises NotFound for a tenant that the keyholder does not know."""
        found = self._keys.get(tenant)
        if found is None:
            self.refresh()
            found = self._keys.get(tenant)
        if found is None:
            raise NotFound("no such tenant")
        return found

    def row_mac(self, tenant: str) -> ValueKey:
        """The row-MAC key of that tenant."""
        return self.of(tenant).row_mac

    def tenants(self) -> list[str]:
        """Ids of the tenants known at the last fetch."""
        return sorted(self._keys)

    def refresh(self) -> None:
        """Fetch all of them anew."""
        with self._lock, answering():
            answer = self._fetch()
            self._keys = {
                tenant: TenantKeys(**{name: ValueKey(base64.b64decode(value)) for name, value in keys.items()})
                for tenant, keys in answer["tenants"].items()
            }
