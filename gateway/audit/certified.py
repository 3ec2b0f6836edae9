"""Checks a certificate of destruction with an export of the log alone: no database, no network, no word of ours.

Promises: a certificate holds only when the whole export does, the keyholder's key that the log states signed it, and
both logs have the entry that names it by its hash. keys/FORMAT.md §13; DESIGN §4a, §5.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.audit.event import Action
from gateway.audit.tiledlog import CheckedLog, check_log
from gateway.audit.verify import BESIDE, KEYHOLDER_DIR, verify
from keys.errors import Tampered
from keys.notes import open_note, parse_vkey

HEADING = "Sealgate certificate of destruction v1"


@dataclass(frozen=True, slots=True)
class Certified:
    """What the check found: the lines of the certificate, where the logs name it, and what does not hold."""

    lines: tuple[tuple[str, str], ...] = ()
    entry: int | None = None
    release: int | None = None
    problems: tuple[str, ...] = field(default=())

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def check_certificate(directory: Path, vkey: str, certificate: bytes) -> Certified:
    """Check the signed text against an export. Raises ValueError for a vkey that is none."""
    report = verify(directory, vkey)
    if not report.holds:
        return Certified(problems=tuple(str(one) for one in report.problems))
    log = check_log(directory, "", parse_vkey(vkey), vkey.strip(), BESIDE)
    key = _release_key(log)
    releases = check_log(directory / KEYHOLDER_DIR, KEYHOLDER_DIR, parse_vkey(key), key, frozenset())
    try:
        text = open_note(certificate.decode("utf-8"), parse_vkey(key))
    except (Tampered, UnicodeDecodeError):
        return Certified(problems=("the certificate was changed, or another keyholder signed it",))
    heading, *rest = text.splitlines()
    if heading != HEADING:
        return Certified(problems=("this is no certificate of destruction",))
    lines = tuple((name, value) for name, _, value in (line.partition(": ") for line in rest))
    digest = hashlib.sha256(certificate).hexdigest()
    entry, release = _entry(log, digest), _entry(releases, digest)
    problems = [] if release is not None else ["the keyholder's log has no entry of this certificate"]
    if entry is None:
        problems.append("the log has no entry of this certificate: it may be younger than the export")
    return Certified(lines, entry, release, tuple(problems))


def _entry(log: CheckedLog, digest: str) -> int | None:
    def named(fields: dict[str, Any] | None) -> bool:
        return fields is not None and fields["action"] == Action.CERTIFICATE_ISSUED and fields["reason"] == digest

    return next((index for index, fields in enumerate(log.fields) if named(fields)), None)


def _release_key(log: CheckedLog) -> str:
    stated = [
        fields["reason"].split(" ")[0]
        for fields in log.fields
        if fields is not None and fields["action"] in (Action.LOG_OPENED, Action.LOG_ROTATED, Action.LOG_REOPENED)
    ]
    return str(stated[-1])
