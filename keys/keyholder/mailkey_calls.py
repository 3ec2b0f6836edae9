"""The clients' calls about keys that sign mail: what the operator may do with them, and what the worker is given."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, cast


class MakesMailKeys:
    """Part of the operator's client."""

    @abstractmethod
    def _call(self, method: str, **params: Any) -> Any: ...

    def dkim_make(self, tenant: str, selector: str, algorithm: str) -> dict[str, str]:
        """``selector``, ``algorithm`` (rsa or ed25519), ``public`` (base64, as a DNS record holds it).

        Denied: no-tenant, bad-selector, bad-algorithm, taken, too-many.
        """
        return cast("dict[str, str]", self._call("dkim_make", tenant=tenant, selector=selector, algorithm=algorithm))

    def dkim_list(self, tenant: str) -> list[dict[str, Any]]:
        """The same and ``made_us`` of every key of that tenant, oldest first."""
        return cast("list[dict[str, Any]]", self._call("dkim_list", tenant=tenant))

    def dkim_remove(self, tenant: str, selector: str) -> bool:
        """Destroy a key; whether there was one."""
        return cast("bool", self._call("dkim_remove", tenant=tenant, selector=selector))


class SignsMail:
    """Part of the worker's client."""

    @abstractmethod
    def _call(self, method: str, **params: Any) -> Any: ...

    def dkim_keys(self, tenant: str) -> list[dict[str, str]]:
        """``selector``, ``algorithm`` and ``private`` (PKCS #8, base64) of every key of that tenant."""
        return cast("list[dict[str, str]]", self._call("dkim_keys", tenant=tenant))
