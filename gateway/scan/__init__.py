"""Looking for malware: the port `Scanner`, what it answers, and its one adapter, ClamAV's daemon."""

from __future__ import annotations

from gateway.scan.clamd import Clamd
from gateway.scan.port import Clean, Infected, Scanner, Unscanned, Verdict

__all__ = ["Clamd", "Clean", "Infected", "Scanner", "Unscanned", "Verdict", "scanner"]


def scanner(address: str, *, max_bytes: int, timeout_seconds: int) -> Scanner | None:
    """The scanner at `[scan] clamd`; None where none is set, and then nothing claims to have been scanned."""
    return Clamd(address, max_bytes=max_bytes, timeout_seconds=float(timeout_seconds)) if address else None
