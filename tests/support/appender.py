"""A process of its own for drills: appends to the log of a PostgreSQL database, or numbers what waits there.

    python -m tests.support.appender URL NODE FOLDER append|number

Prints a line for each entry whose commit came back, so that whoever kills it knows what it had promised. The one that
numbers begins when it is given a line.
"""

from __future__ import annotations

import sys
from pathlib import Path

from gateway.audit.event import Action, Actor, Event
from gateway.audit.log import AuditLog
from gateway.audit.numbering import Numbering
from gateway.audit.outbox import Memory
from gateway.clock import SystemClock
from gateway.errors import TryLater
from gateway.store.database import Store

TENANT = "tnt_a"


def main(url: str, node: str, folder: str, what: str) -> None:
    """Until it is killed."""
    clock = SystemClock()
    store = Store.open(url, lease=node)
    audit = AuditLog(store, node, clock, Memory(Path(folder) / f"{node}.json", "drill"))
    audit.attach()
    numbering = Numbering(audit)
    if what == "number":
        sys.stdin.readline()
    while True:
        if what == "number":
            numbering.run_once()
            continue
        object = clock.new_id("obj")
        try:
            store.run(
                lambda tx, object=object: audit.append(  # type: ignore[misc]
                    tx, Event(Action.LINK_VISITED, TENANT, object, Actor("visitor", ""))
                )
            )
        except TryLater:  # the name is still held by the process that was killed
            continue
        print(object, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
