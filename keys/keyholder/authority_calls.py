"""The operator's calls about other machines' certificates."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, cast

from keys.keyholder.wire import b64


class AdmitsMachines:
    """Part of the operator's client."""

    @abstractmethod
    def _call(self, method: str, **params: Any) -> Any: ...

    def certify(self, node: str, role: str, request: bytes, days: int) -> dict[str, Any]:
        """A certificate for the key of that request (PKCS #10, PEM): ``certificate``, ``authority`` (both PEM),
        ``serial``, ``expires_us``. Denied: bad-node, bad-role, bad-days (1 to 397), bad-request.
        """
        return cast("dict[str, Any]", self._call("certify", node=node, role=role, request=b64(request), days=days))

    def machines(self) -> list[dict[str, Any]]:
        """Every certificate that was given, newest first: serial, node, role, made_us, expires_us, revoked_us."""
        return cast("list[dict[str, Any]]", self._call("machines"))

    def revoke_machine(self, node: str, role: str | None = None) -> int:
        """Admit that node's certificates (or those of that role) no more, from now on and on open connections."""
        return cast("int", self._call("revoke_machine", node=node, role=role))
