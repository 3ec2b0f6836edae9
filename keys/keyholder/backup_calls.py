"""The operator's calls about backups."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, cast

from keys.keyholder.wire import b64, unb64


class MakesBackups:
    """Part of the operator's client."""

    @abstractmethod
    def _call(self, method: str, **params: Any) -> Any: ...

    def backup_begin(self, kind: str, days: int = 0) -> dict[str, Any]:
        """Register a copy (kind keyholder, with its days, or content): ``id``, ``made_us``, ``expires_us``, ``kek``,
        ``public_key``, and for the keyholder's store ``mark`` and ``keys`` for it. Denied("days") with ``most``.
        """
        return cast("dict[str, Any]", self._call("backup_begin", kind=kind, days=days))

    def backup_sign(self, id: str, digest: bytes) -> bytes:
        """The signature that makes it one: over ("sealgate/backup/v1", kind, id, SHA-256 of its manifest).

        Denied: unknown, differs.
        """
        return unb64(self._call("backup_sign", id=id, digest=b64(digest))["signature"])

    def backup_verified(self, id: str) -> None:
        """That copy was restored and held. Denied("unknown") for one that was never finished here."""
        self._call("backup_verified", id=id)

    def backups(self) -> list[dict[str, Any]]:
        """Newest first: id, kind, made_us, expires_us, signed_us, verified_us."""
        return cast("list[dict[str, Any]]", self._call("backups"))
