"""What a workforce member may be; the keyholder keeps the same list."""

from __future__ import annotations

ROLES = ("staff", "office", "officer", "admin", "auditor")
