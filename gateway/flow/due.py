"""Jobs made of the rows that still wait: after a pause, after a restart, or because somebody asks.

Promises: rows of one item come into one job, so that it is sent once to all of them; a row whose message was changed by
somebody else makes no job and is named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from gateway.actions.copies import Copies
from gateway.errors import Tampered
from gateway.flow.jobs import Job, Target
from gateway.flow.records import Records
from gateway.store.rows import Row


def jobs(records: Records, conn: Connection, rows: Sequence[Row]) -> tuple[list[Job], list[str]]:
    """A job for each item that these deliveries wait for, and the ids of messages whose row was changed."""
    messages: dict[str, Row] = {}
    changed: list[str] = []
    for id in {row["message"] for row in rows}:
        try:
            found = records.message(conn, id)
        except Tampered:
            changed.append(id)
            continue
        if found is not None:
            messages[id] = found
    grouped: dict[tuple[str, str, str], list[Target]] = defaultdict(list)
    made: dict[tuple[str, str, str], Job] = {}
    for row in rows:
        message = messages.get(row["message"])
        if message is None:
            continue
        key = (row["message"], "out" if row["copy"] else "in", row["copy"] or message["queue"])
        grouped[key].append(records.target(row))
        system = row["treatment"] == "notice"
        params = () if system else records.opened(row)[1]
        since = made[key].since_us if key in made else row["created_at"]
        made[key] = Job(
            tenant=row["tenant"],
            message=row["message"],
            item=key[2],
            direction=key[1],
            mail_from="" if system else records.sender(message),
            mail_params=Copies.headers_only(params) if row["copy"] and not system else params,
            targets=(),
            accepted_us=message["received_at"],
            since_us=min(since, row["created_at"]),
        )
    return [replace(job, targets=tuple(grouped[key])) for key, job in made.items()], changed
