"""What accounts need of the tenant's keys; `gateway.share.Directory` is the adapter, plugged in by bootstrap."""

from __future__ import annotations

from typing import Protocol


class Directory(Protocol):
    """Seals, opens and indexes what names a person."""

    def index(self, tenant: str, address: str) -> bytes:
        """32 bytes; equal for equal addresses of one tenant."""

    def seal(self, tenant: str, table: str, row: str, text: str) -> bytes:
        """Sealed for one row; it opens nowhere else."""

    def open(self, tenant: str, table: str, row: str, sealed: bytes) -> str:
        """Raises keys.errors.Tampered when it was changed or moved."""
