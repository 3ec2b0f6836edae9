"""A log that goes on under a new origin after a gap, as its entry says it and `verify` reads it. Pure.

The entry `log:reopened` has the new origin as `object` and as `reason`, with spaces between: the verifier keys of the
release and the system log, the last head signed under the origin before (base64 of the note), and one word why.
Promises: the quoted head is believed only when the log's own key signed it under the name it states. DESIGN §5.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.audit.event import Action
from keys.errors import Tampered
from keys.notes import Checkpoint, Verifier, key_id, open_note, parse_checkpoint, parse_vkey


@dataclass(frozen=True, slots=True)
class Reopened:
    """Entry `entry` opened `origin`; of the origin before, entries `entry` to `lost - 1` are not in this log."""

    entry: int
    origin: str
    before: Verifier
    lost: int
    why: str

    @property
    def words(self) -> str:
        """For people."""
        return (
            f"GAP: entry {self.entry} opened a new origin ({self.why}): entries {self.entry} to {self.lost - 1} of "
            f"{self.before.name} were signed and are lost; the entries before are the same"
        )


def reason_of(release_vkey: str, system_vkey: str, note: str, why: str) -> str:
    """The reason of the entry."""
    return f"{release_vkey} {system_vkey} {base64.b64encode(note.encode()).decode()} {why}"


def parse(entry: int, fields: Mapping[str, Any], current: Verifier) -> Reopened:
    """Raises ValueError with what is wrong. `current`: the log's key under its name of today."""
    try:
        _, _, quoted, why = str(fields["reason"]).split(" ")
        note = base64.b64decode(quoted, validate=True).decode()
        name = note.partition("\n")[0]
        before = Verifier(name, key_id(name, current.public), current.public)
        checkpoint = parse_checkpoint(open_note(note, before))
    except (ValueError, Tampered) as error:
        raise ValueError("quotes no head that was signed with this log's key") from error
    if checkpoint.size <= entry:
        raise ValueError("gives up a head that the log does not end before")
    return Reopened(entry, str(fields["object"]), before, checkpoint.size, why)


def all_of(
    fields: Sequence[Mapping[str, Any] | None], current: Verifier
) -> tuple[list[Reopened], list[tuple[int, str]]]:
    """Every new origin of a log in order, and what is wrong with entries that claim one."""
    found: list[Reopened] = []
    wrong = []
    for index, entry in enumerate(fields):
        if entry is None or entry["action"] != Action.LOG_REOPENED:
            continue
        try:
            found.append(parse(index, entry, current))
        except ValueError as error:
            wrong.append((index, str(error)))
    for number, one in enumerate(found):
        follows = found[number + 1].before.name if number + 1 < len(found) else current.name
        if one.origin != follows:
            wrong.append((one.entry, "opened an origin that the log does not go on under"))
    return found, wrong


def open_any(note: str, vkey: str) -> Checkpoint:
    """A head of this log, under whichever of its origins it was signed. Raises Tampered, ValueError."""
    current = parse_vkey(vkey)
    stem, _, number = current.name.rpartition("/")
    first = stem if number.isdecimal() else current.name
    name = note.partition("\n")[0]
    if name != first and not (name.startswith(f"{first}/") and name.removeprefix(f"{first}/").isdecimal()):
        raise Tampered("a head of another log")
    return parse_checkpoint(open_note(note, Verifier(name, key_id(name, current.public), current.public)))


def given_up(checkpoint: Checkpoint, found: Sequence[Reopened]) -> Reopened | None:
    """The new origin whose gap this head of an earlier one reaches into; None when it does not."""
    return next((one for one in found if one.before.name == checkpoint.origin and checkpoint.size > one.entry), None)
