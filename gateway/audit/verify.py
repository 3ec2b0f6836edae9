"""Checking an export with nothing but the directory and a key: no database, no network.

`verify` takes the tenant's log by the key it is given, and the release and system logs by the keys that the tenant's
first entry (and each `log:rotated` entry) states. Then it holds the logs against each other: an opening without a
receipt is an alarm; a release without an opening counts as a disclosure and is listed.
Clauses: DESIGN §5; 45 CFR 164.312(b), 164.528 (accounting of disclosures).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.audit import origins
from gateway.audit.event import SYSTEM, Action, parse_receipt
from gateway.audit.origins import Reopened
from gateway.audit.outside import HEADER, header_value, notice_header
from gateway.audit.tiledlog import CheckedLog, Problem, check_log
from gateway.errors import Misconfigured
from keys.encoding import parse_canonical
from keys.errors import Tampered
from keys.merkle import leaf_hash
from keys.notes import Checkpoint, Verifier, open_note, parse_checkpoint, parse_vkey
from keys.notes import vkey as render_vkey

KEYHOLDER_DIR, SYSTEM_DIR, OUTSIDE = "keyholder", "system", "outside.json"
BESIDE = frozenset({KEYHOLDER_DIR, SYSTEM_DIR, OUTSIDE})
_OPENINGS = {Action.OBJECT_OPENED: "share:released", Action.META_OPENED: "meta:released"}
_UNREADABLE = "cannot be read"
_DISCLOSING = frozenset({"share:released", "meta:released", "held:released"})


@dataclass(frozen=True, slots=True)
class Disclosure:
    """A release that no opening answers: counted as opened, because it may have been."""

    entry: int
    action: str
    object: str
    actor: str
    confirmed: bool
    """True when the gateway wrote `opening:unconfirmed` for it."""


@dataclass(frozen=True, slots=True)
class Report:
    """What an export is worth. It holds when there are no problems; disclosures are facts, not faults."""

    problems: tuple[Problem, ...]
    disclosures: tuple[Disclosure, ...]
    sizes: dict[str, int]
    origin: str
    outside: int
    notice: str = ""
    gaps: tuple[Reopened, ...] = ()
    """Where the log went on under a new origin: what was lost is a fact that it states, not a fault."""

    @property
    def holds(self) -> bool:
        """Nothing was found wrong."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class Deposited:
    """A checkpoint that a notice carries, as the export lists it."""

    header: str
    checkpoint: Checkpoint
    at: int


def read_key(key: str) -> str:
    """The vkey of a string or of a file that holds one. Raises Misconfigured for neither."""
    text = key.strip()
    try:
        path = Path(key)
        if path.is_file():
            text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise Misconfigured("--key: the file cannot be read as a verifier key") from error
    try:
        parse_vkey(text)
    except ValueError as error:
        raise Misconfigured(f"--key: {error}; 'sealgate audit key' prints it") from error
    return text


def verify(directory: Path, vkey: str, checkpoint: Path | None = None) -> Report:
    """Check an export. `checkpoint` is a notice (.eml) with a Sealgate-Checkpoint header, or a signed checkpoint.

    Raises ValueError for a vkey that is none. Everything else that is wrong stands in the report.
    """
    verifier = parse_vkey(vkey)
    log = check_log(directory, "", verifier, vkey.strip(), BESIDE)
    logs = [log]
    problems: list[Problem] = []
    disclosures: list[Disclosure] = []
    deposited: list[Deposited] = []
    notice = ""
    gaps: list[Reopened] = []
    if log.checkpoint is not None:
        _check_order(log, problems)
        gaps = _gaps(log, verifier, problems)
        release_key, system_key = _stated(log, problems)
        deposited = _outside(directory, log, verifier, gaps, problems)
        if release_key:
            releases = check_log(
                directory / KEYHOLDER_DIR, KEYHOLDER_DIR, parse_vkey(release_key), release_key, frozenset()
            )
            logs.append(releases)
            if releases.checkpoint is not None:
                _check_releases(releases, verifier, gaps, problems)
                disclosures = _cross(log, releases, problems)
        if system_key:
            system = check_log(directory / SYSTEM_DIR, SYSTEM_DIR, parse_vkey(system_key), system_key, frozenset())
            logs.append(system)
            if system.checkpoint is not None:
                _check_order(system, problems)
                _check_heads(log, system, problems)
                _gaps(system, parse_vkey(system_key), problems)
        if checkpoint is not None:
            notice = _notice(checkpoint, log, verifier, gaps, deposited, problems)
    return Report(
        problems=tuple([problem for one in logs for problem in one.problems] + problems),
        disclosures=tuple(disclosures),
        sizes={one.name or "log": one.size for one in logs},
        origin=verifier.name,
        outside=len(deposited),
        notice=notice,
        gaps=tuple(gaps),
    )


def _gaps(log: CheckedLog, verifier: Verifier, problems: list[Problem]) -> list[Reopened]:
    """Where the log went on under new origins, each quoting a head that its key signed under the one before."""
    found, wrong = origins.all_of(log.fields, verifier)
    problems += [Problem(log.name, index, what) for index, what in wrong]
    return found


def _check_order(log: CheckedLog, problems: list[Problem]) -> None:
    """The log begins with its opening, is of one tenant, and no node's number is missing or doubled."""
    last: dict[str, int] = {}
    tenant = SYSTEM if log.name == SYSTEM_DIR else None
    for index, fields in enumerate(log.fields):
        if fields is None:
            continue
        if index == 0 and fields["action"] != Action.LOG_OPENED:
            problems.append(Problem(log.name, 0, "the log does not begin with log:opened"))
        tenant = tenant or fields["tenant"]
        if fields["tenant"] != tenant:
            problems.append(Problem(log.name, index, "an entry of another tenant"))
        number, node = fields["nseq"], fields["node"]
        if number != last.get(node, 0) + 1 and log.entries[index - 1] is not None:
            what = f"node {node} wrote number {number} after {last.get(node, 0)}: entries are missing or doubled"
            problems.append(Problem(log.name, index, what))
        last[node] = number


def _stated(log: CheckedLog, problems: list[Problem]) -> tuple[str, str]:
    """The vkeys of the release and system logs: those of the latest entry that states any."""
    release = system = ""
    for index, fields in enumerate(log.fields):
        if fields is None or fields["action"] not in (Action.LOG_OPENED, Action.LOG_ROTATED, Action.LOG_REOPENED):
            continue
        try:
            # behind them, where the log went on after a gap, stand the head that was given up, and why
            release, system = fields["reason"].split(" ")[: 2 if fields["action"] == Action.LOG_REOPENED else None]
            parse_vkey(release)
            parse_vkey(system)
        except ValueError:
            problems.append(Problem(log.name, index, "states no keys of the release and system logs"))
            return "", ""
    if log.size and not release and log.fields[0] is not None:
        problems.append(Problem(log.name, 0, "states no keys of the release and system logs"))
    return release, system


def _check_releases(log: CheckedLog, verifier: Verifier, gaps: Sequence[Reopened], problems: list[Problem]) -> None:
    """The keyholder numbers its entries by index, and its first entry names the log it belongs to, under its first
    origin.
    """
    first = gaps[0].before if gaps else verifier
    vkey = render_vkey(first.name, first.public)
    for index, fields in enumerate(log.fields):
        if fields is None:
            continue
        if fields["nseq"] != index:
            problems.append(Problem(log.name, index, "its number is not its place in the log"))
        if index == 0 and (fields["action"], fields["reason"]) != ("log:opened", vkey):
            problems.append(Problem(log.name, 0, "the release log belongs to a log of another key"))


def _cross(log: CheckedLog, releases: CheckedLog, problems: list[Problem]) -> list[Disclosure]:
    """Openings against releases."""
    opened: set[int] = set()
    unconfirmed: set[int] = set()
    handed_on: set[str] = set()
    for index, fields in enumerate(log.fields):
        if fields is None:
            continue
        action = fields["action"]
        if action == Action.MESSAGE_RELEASED:
            handed_on.add(fields["object"])
        wanted = _OPENINGS.get(action) if fields["outcome"] == "ok" else None
        if wanted is None and action != Action.OPENING_UNCONFIRMED:
            continue
        release, why = _release(fields, wanted, releases)
        if release is None:
            problems.append(Problem(log.name, index, f"ALARM: {action} {why}"))
        else:
            (unconfirmed if wanted is None else opened).add(release)
    found = []
    for index, fields in enumerate(releases.fields):
        if fields is None or fields["action"] not in _DISCLOSING or fields["outcome"] != "ok" or index in opened:
            continue
        if fields["action"] == "held:released" and fields["object"] in handed_on:
            continue
        found.append(Disclosure(index, fields["action"], fields["object"], fields["actor"]["id"], index in unconfirmed))
    return found


def _release(fields: dict[str, Any], wanted: str | None, releases: CheckedLog) -> tuple[int | None, str]:
    """The release an opening quotes, or None and what is wrong with it."""
    receipt = parse_receipt(fields["receipt"])
    if receipt is None:
        return None, "without a receipt"
    origin, index, leaf = receipt
    if releases.checkpoint is None or origin != releases.checkpoint.origin:
        return None, "with a receipt of another log"
    if index >= releases.size:
        return None, f"with a receipt for release {index}, which the release log does not have"
    entry, release = releases.entries[index], releases.fields[index]
    if entry is None or release is None:
        return None, f"with a receipt for release {index}, which cannot be read"
    if base64.b64encode(leaf_hash(entry)).decode() != leaf:
        return None, f"with a receipt for another entry than release {index}"
    if wanted is not None and (release["action"], release["object"]) != (wanted, fields["object"]):
        return None, f"with a receipt for {release['action']} of another object"
    if wanted is not None and (release["actor"]["id"], release["proof"]) != (fields["actor"]["id"], fields["proof"]):
        return None, "by another person or with another proof than its receipt"
    return index, ""


def _check_heads(log: CheckedLog, system: CheckedLog, problems: list[Problem]) -> None:
    """What the system log recorded of this log's heads is true of it now."""
    tenant = next((fields["tenant"] for fields in log.fields if fields), None)
    for index, fields in enumerate(system.fields):
        if fields is None or (fields["action"], fields["object"]) != (Action.LOG_CHECKPOINT, tenant):
            continue
        size, _, head = fields["reason"].partition(" ")
        try:
            root = base64.b64decode(head, validate=True)
            wrong = _not_a_prefix(log, int(size), root) if size.isdecimal() else _UNREADABLE
        except ValueError:
            wrong = _UNREADABLE
        if wrong:
            problems.append(Problem(system.name, index, f"records a head that {wrong}"))


def _not_a_prefix(log: CheckedLog, size: int, head: bytes) -> str:
    if size > log.size:
        return f"had {size} entries, and the log has {log.size}"
    return "" if log.root_at(size) == head else f"is not that of the first {size} entries"


def _outside(
    directory: Path, log: CheckedLog, verifier: Verifier, gaps: Sequence[Reopened], problems: list[Problem]
) -> list[Deposited]:
    """The checkpoints left in notices: each signed, proved by its salt, and a prefix of this log."""
    try:
        data = (directory / OUTSIDE).read_bytes()
        items = parse_canonical(data[:-1]) if data.endswith(b"\n") else None
    except (OSError, ValueError):
        items = None
    if not isinstance(items, list):
        problems.append(Problem("", None, f"{OUTSIDE}: missing or changed"))
        return []
    found = []
    for number, item in enumerate(items):
        try:
            note, header, at = item["checkpoint"], item["header"], item["at"]
            checkpoint = parse_checkpoint(open_note(note, [verifier, *(gap.before for gap in gaps)]))
            if origins.given_up(checkpoint, gaps):
                raise ValueError("is of entries that the log gave up")
            if header != header_value(note, base64.b64decode(item["salt"], validate=True), at):
                raise ValueError("its salt does not prove it")
            if sorted(item) != ["at", "checkpoint", "header", "id", "salt"] or not _is_id(item["id"]):
                raise ValueError("other fields")
            wrong = _not_a_prefix(log, checkpoint.size, checkpoint.root)
            if wrong:
                raise ValueError(f"its checkpoint {wrong}")
        except (KeyError, TypeError, ValueError, Tampered) as error:
            problems.append(Problem("", None, f"{OUTSIDE}: item {number}: {error}"))
            continue
        found.append(Deposited(header, checkpoint, at))
    return found


def _is_id(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"chk_[0-9A-Za-z]{16}", value) is not None


def _notice(
    path: Path, log: CheckedLog, verifier: Verifier, gaps: Sequence[Reopened], deposited: list[Deposited],
    problems: list[Problem],
) -> str:  # fmt: skip
    """An old notice, or an old checkpoint, against this log."""
    try:
        data = path.read_bytes()
    except OSError:
        problems.append(Problem("", None, "--checkpoint: the file cannot be read"))
        return ""
    header = notice_header(data)
    if header is None:
        return _old_checkpoint(data, log, verifier, gaps, problems)
    match = next((item for item in deposited if item.header == header), None)
    if match is None:
        what = (
            "the notice's checkpoint is not among those of this export: the export is older, or the log was rewritten"
        )
        problems.append(Problem("", None, f"--checkpoint: {what}"))
        return ""
    return f"the notice fits: the first {match.checkpoint.size} entries are as they were when it was sent"


def _old_checkpoint(
    data: bytes, log: CheckedLog, verifier: Verifier, gaps: Sequence[Reopened], problems: list[Problem]
) -> str:
    try:
        checkpoint = parse_checkpoint(open_note(data.decode(), [verifier, *(gap.before for gap in gaps)]))
    except (Tampered, UnicodeDecodeError):
        problems.append(Problem("", None, f"--checkpoint: neither a notice with {HEADER} nor a checkpoint of this key"))
        return ""
    gap = origins.given_up(checkpoint, gaps)
    if gap is not None and checkpoint.size <= gap.lost:
        return f"the checkpoint has {checkpoint.size} entries, of which {gap.entry} are here: {gap.words}"
    wrong = _not_a_prefix(log, checkpoint.size, checkpoint.root)
    if gap is not None:
        wrong = f"had {checkpoint.size} entries, more than the {gap.lost} that entry {gap.entry} says are lost"
    if wrong:
        problems.append(Problem("", None, f"--checkpoint: the checkpoint {wrong}"))
        return ""
    return f"the checkpoint fits: the first {checkpoint.size} entries are as they were"
