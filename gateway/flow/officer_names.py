"""Who and what stands behind the ids of a log entry, for the pages of officers and auditors.

Promises: an address is opened from its sealed row here and nowhere on the way; a row that does not pass its check names
nobody and hides nothing else on the page. 45 CFR 164.312(b), 164.502(b).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table

from gateway.audit.search import Found
from gateway.clock import from_us
from gateway.errors import Tampered
from gateway.share import Directory
from gateway.store import schema
from gateway.store.rows import Row, Rows
from keys.errors import Tampered as Broken

CHANGED = "changed"
"""Kind of a name whose row was changed by somebody else."""


@dataclass(frozen=True, slots=True)
class Named:
    """A person or thing: `kind` is a key under `officer.kind`; `page` the id of the person or message to look at."""

    kind: str
    text: str = field(default="", repr=False)
    page: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One entry as a table shows it."""

    index: int
    at: datetime
    action: str
    who: Named
    what: Named
    outcome: str
    reason: str
    proof: int | None
    bytes: int | None
    receipt: str


class Names:
    """Opens names for one answer; each row is read once. Not to be kept: what is opened is forgotten with it."""

    def __init__(
        self, conn: Connection, rows: Rows, directory: Directory, files: Mapping[str, str] | None = None
    ) -> None:
        self._conn = conn
        self._rows = rows
        self._directory = directory
        self._files = files or {}
        self._known: dict[str, Named] = {}

    def line(self, found: Found) -> Line:
        """An entry with its names."""
        fields = found.fields
        return Line(
            found.index, from_us(fields["ts"]), fields["action"], self.actor(fields["actor"]),
            self.of(fields["object"], fields["tenant"]), fields["outcome"], fields["reason"], fields["proof"],
            fields["bytes"], fields["receipt"],
        )  # fmt: skip

    def actor(self, actor: Mapping[str, Any]) -> Named:
        """Who did it."""
        if actor["kind"] in ("person", "user") and actor["id"]:
            return self.of(actor["id"], "")
        name = actor["id"] if actor["kind"] == "device" else ""  # a word of the settings, no id
        return Named(actor["kind"], name, "", actor["id"])

    def of(self, id: str, tenant: str) -> Named:
        """What an id stands for; the id itself where nothing is known of it."""
        if id == tenant or not id:
            return Named("log" if id else "nothing")
        if id not in self._known:
            try:
                self._known[id] = self._look(id)
            except (Tampered, Broken):
                self._known[id] = Named(CHANGED, id=id)
        return self._known[id]

    def _look(self, id: str) -> Named:
        look = _KINDS.get(id.partition("_")[0])
        if look is None:
            return Named("id", id, "", id)
        table, name = look
        row = self._rows.get(self._conn, table, id)
        if row is None:
            return Named("id", id, "", id)
        made: Named = name(self, row)
        return made

    def _person(self, row: Row) -> Named:
        return Named("person", self._directory.open(row["tenant"], "people", row["id"], row["address"]), row["id"],
                     row["id"])  # fmt: skip

    def _user(self, row: Row) -> Named:
        return Named("user", self._directory.open(row["tenant"], "users", row["id"], row["address"]), "", row["id"])

    def _message(self, row: Row) -> Named:
        return Named("message", row["reference"] or "", row["id"], row["id"])

    def _object(self, row: Row) -> Named:
        kind = "file" if row["kind"] in ("file", "original") else "text"
        return Named(kind, self._files.get(row["id"], ""), row["message"], row["id"])

    def _grant(self, row: Row) -> Named:
        who = self.of(row["person"], "").text if row["person"] else ""
        return Named("link", who, row["message"], row["id"])

    def _delivery(self, row: Row) -> Named:
        text = self._directory.open(row["tenant"], "deliveries", row["id"], row["recipient"])
        return Named("delivery", str(json.loads(text).get("address") or ""), row["message"], row["id"])


_KINDS: Mapping[str, tuple[Table, Any]] = {
    "per": (schema.people, Names._person), "usr": (schema.users, Names._user),
    "msg": (schema.messages, Names._message), "obj": (schema.objects, Names._object),
    "lnk": (schema.grants, Names._grant), "dlv": (schema.deliveries, Names._delivery),
}  # fmt: skip
