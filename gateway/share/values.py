"""Erasable values beside the log: sealed under the tenant's log key, one context per row (DESIGN §4, §5)."""

from __future__ import annotations

from keys.datakey import ValueKey
from keys.encoding import lp


def seal_value(key: ValueKey, tenant: str, row: str, text: str) -> bytes:
    """Sealed for the `sealed_values` row of that id; it opens nowhere else."""
    return key.seal(lp("sealgate/logvalue/v1", tenant, row), text.encode())


def open_value(key: ValueKey, tenant: str, row: str, sealed: bytes) -> str:
    """The text. Raises keys.errors.Tampered when it was changed or moved."""
    return key.open(lp("sealgate/logvalue/v1", tenant, row), sealed).decode()
