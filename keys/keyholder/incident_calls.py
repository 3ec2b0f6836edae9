"""The operator's calls after something was stolen, and about a day that is to end early."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, cast


class LooksBack:
    """Part of the operator's client: what `sealgate keys incident` and `keys destroy-day` ask."""

    @abstractmethod
    def _call(self, method: str, **params: Any) -> Any: ...

    def incident(self, tenant: str, since_us: int, start: int = 0) -> dict[str, Any]:
        """A page of what the release log says since then: ``entries``, ``refused``, ``next``, ``size``. Ask again from
        ``next`` until that is ``size``. Denied("no-tenant").
        """
        return cast("dict[str, Any]", self._call("incident", tenant=tenant, since_us=since_us, start=start))

    def exposed(self, tenant: str, since_us: int) -> dict[str, Any]:
        """What stood open since then: ``deposited staff recovery inbox held epochs sessions devices cut``."""
        return cast("dict[str, Any]", self._call("exposed", tenant=tenant, since_us=since_us))

    def end_since(self, tenant: str, since_us: int) -> dict[str, int]:
        """End all sessions, and devices, code apps and codes of since then: how many of each. Denied("no-tenant")."""
        return cast("dict[str, int]", self._call("end_since", tenant=tenant, since_us=since_us))

    def destroy_day(self, tenant: str, day: int, unexpired: int = 0) -> dict[str, Any]:
        """Destroy a day's key and all shares under it: ``messages``, ``final_us``.

        Denied: no-tenant, no-day, on-hold, officers, unexpired (the last three with ``messages``).
        """
        return cast("dict[str, Any]", self._call("destroy_day", tenant=tenant, day=day, unexpired=unexpired))
