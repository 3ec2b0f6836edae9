"""Whether clamd says when it could not look: as Debian ships it, it calls "OK" what it gave up on.

Promises: what is sent holds nothing of anybody: an archive that is marked as encrypted and one that is nested deeper
than any configuration allows, some kilobytes together. Clauses: clamd.conf(5), "AlertEncrypted", "AlertExceedsMax",
"MaxRecursion" (at most 100).
"""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable

from gateway.logs import Log
from gateway.scan.port import Clean, Scanner

log = Log("gateway.scan")
DEEP = 120
SECONDS = 20.0
_WHEN = (2026, 1, 1, 0, 0, 0)
_ENCRYPTED_BIT = 1  # of the general purpose flags, APPNOTE 4.4.4


def blind_spots(clamd: Scanner) -> tuple[str, ...]:
    """The lines of clamd.conf that are off though they must be on, for what clamd just called clean and could not read.

    Empty also when it does not answer: that is another trouble, and then nothing counts as scanned.
    """
    until = time.monotonic() + SECONDS
    asked = (("AlertEncrypted", _locked()), ("AlertExceedsMax", _nested()))
    return tuple(setting for setting, data in asked if clamd.scan([data], until) == Clean())


def watch(clamd: Scanner) -> Callable[[], object]:
    """A duty that says in one line what clamd does not say, at the start and whenever it has changed since."""
    known: list[tuple[str, ...]] = [()]

    def run() -> None:
        found = blind_spots(clamd)
        if found == known[0]:
            return
        known[0] = found
        for setting in found:
            log.error("scan:blind", setting=setting)  # sealgate doctor has the line that repairs it
        if not found:
            log.info("scan:sees")

    return run


def _zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("probe.txt", _WHEN), data)
    return out.getvalue()


def _locked() -> bytes:
    made = bytearray(_zipped(b"This is a probe of the mail gateway."))
    made[6] |= _ENCRYPTED_BIT
    made[made.index(b"PK\x01\x02") + 8] |= _ENCRYPTED_BIT
    return bytes(made)


def _nested() -> bytes:
    data = b"This is a probe of the mail gateway."
    for _ in range(DEEP):
        data = _zipped(data)
    return data
