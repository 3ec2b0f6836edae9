"""What one person was sent and opened in a period, with what proves each line: the report that is printed and signed.

Promises: each line quotes its entry, and an opening the keyholder's receipt; the page says of which log, size and root
it was made; a period with more than fits says so and leaves nothing out silently. File names and subjects come by the
keyholder's word, each recorded. 45 CFR 164.528, 164.312(b).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo

from sqlalchemy import Connection, select

from gateway.audit.event import Action, parse_receipt
from gateway.audit.log import AuditLog, hashes
from gateway.audit.query import parse_query
from gateway.audit.search import of_person, page
from gateway.audit.sequencer import latest_note
from gateway.clock import Clock
from gateway.errors import NotFound
from gateway.flow.metas import Metas
from gateway.flow.officer_names import Line, Names
from gateway.flow.sent import FILES, user_of
from gateway.flow.trail import Happened, Origin, Trail
from gateway.share import Directory
from gateway.share.opening import details_of
from gateway.share.portal import PortalClient, Session
from gateway.store import schema, waiting
from gateway.store.database import Store
from gateway.store.rows import Rows
from keys.merkle import root

MOST = 500
DISCLOSING = frozenset({
    Action.LINK_CREATED, Action.MESSAGE_DELIVERED, Action.OBJECT_OPENED, Action.OBJECT_PART, Action.OBJECT_COMPLETED,
    Action.OBJECT_FAILED, Action.OPENING_UNCONFIRMED, Action.LINK_REVOKED, Action.LINK_SHORTENED, Action.LINK_FROZEN,
})  # fmt: skip
_METAS = 200


@dataclass(frozen=True, slots=True)
class ReportLine:
    """One line: the entry, the message's reference, and the keyholder's receipt number where it has one."""

    line: Line
    reference: str
    release: int | None


@dataclass(frozen=True, slots=True)
class Report:
    """Oldest first. `root` is base64; `whole` is False when the period holds more than `MOST` entries; `waiting` says
    how many entries of the log had no number yet and are not among the lines.
    """

    person: str
    address: str = field(repr=False)
    period: str
    lines: tuple[ReportLine, ...]
    whole: bool
    waiting: int
    origin: str
    size: int
    root: str
    made_at: datetime
    made_by: str = field(repr=False)
    note: str = field(repr=False)


class Reports:
    """Makes reports. Thread-safe; everything is handed in."""

    def __init__(
        self, store: Store, rows: Rows, keys: PortalClient, trail: Trail, directory: Directory, audit: AuditLog,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._store = store
        self._rows = rows
        self._keys = keys
        self._trail = trail
        self._directory = directory
        self._audit = audit
        self._clock = clock

    def person(
        self, origin: Origin, session: Session, person: str, period: str, form: str, zone: tzinfo = UTC
    ) -> Report:
        """The report of a period such as ``2026-11-01..2026-11-30``, in days of `zone`; `form` is page, pdf or csv, for
        its entry.

        Raises NotFound, BadQuery.
        """
        terms = parse_query(f"created:{period}")
        tenant = origin.tenant
        with self._store.reading() as conn:
            row = self._rows.get(conn, schema.people, person)
        if row is None or row["tenant"] != tenant:
            raise NotFound("no such person")
        self._trail.record(
            origin, Happened(Action.LOG_EXPORTED, person, user_of(session), reason=form, proof=session["proof"])
        )
        with self._store.reading(log=tenant) as conn:
            unnumbered = waiting.count(conn, tenant)
            found = page(conn, tenant, terms, count=MOST, about=of_person(tenant, person), zone=zone)
            mine = [one for one in found.found[::-1] if one.fields["action"] in DISCLOSING]
            opened = [one.fields["object"] for one in mine if one.fields["object"].startswith("obj_")]
            messages = self._messages(conn, opened)
        files = self._files(origin, session, messages)
        with self._store.reading() as conn:
            names = Names(conn, self._rows, self._directory, files)
            lines = tuple(self._line(names, names.line(one)) for one in mine)
            size = self._audit.size(conn, tenant)
            head = base64.b64encode(root(size, hashes(conn, tenant))).decode()
            note = latest_note(conn, tenant) or ""
            made_by = names.of(str(session["user"]), tenant).text
        return Report(
            person=person, address=self._directory.open(tenant, "people", person, row["address"]), period=period,
            lines=lines, whole=found.older is None, waiting=unnumbered, origin=note.partition("\n")[0], size=size,
            root=head, made_at=self._clock.now(), made_by=made_by, note=note,
        )  # fmt: skip

    def _line(self, names: Names, line: Line) -> ReportLine:
        receipt = parse_receipt(line.receipt)
        message = names.of(line.what.page, "").text if line.what.page.startswith("msg_") else ""
        return ReportLine(line, message, None if receipt is None else receipt[1])

    def _messages(self, conn: Connection, objects: Sequence[str]) -> list[str]:
        if not objects:
            return []
        statement = select(schema.objects.c.message).where(schema.objects.c.id.in_(sorted(set(objects))[:MOST]))
        return sorted(set(conn.execute(statement).scalars()))[:_METAS]

    def _files(self, origin: Origin, session: Session, messages: list[str]) -> Mapping[str, str]:
        """File names by object id, as far as the keyholder lets this session see them."""
        metas = Metas(self._trail, origin)
        metas.ask(self._keys, session, user_of(session), messages, "report")
        if not metas.messages:
            return {}
        with self._store.reading() as conn:
            statement = select(schema.objects).where(schema.objects.c.message.in_(metas.messages))
            rows = [one for one in self._rows.find(conn, statement) if one["kind"] in FILES]
        return {one["id"]: str(metas.opened(one["message"], one, details_of).get("name", "")) for one in rows}
