"""Deposits that no transaction named: what a crash between step 7 and step 8 leaves at the keyholder (DESIGN §4).

Promises: a share is destroyed only when it was deposited before the given time and the database has no row of its
message; the keyholder records each destruction. A step begun again takes new ids, so nothing waits for the old ones.
"""

from __future__ import annotations

from sqlalchemy import select

from gateway.logs import Log
from gateway.share import answering
from gateway.store import schema
from gateway.store.database import Store
from keys.client import WorkerClient
from keys.errors import Denied

log = Log("gateway.orphans")
PAGE = 500


def destroy_orphans(store: Store, keyholder: WorkerClient, tenants: list[str], before_us: int) -> int:
    """Have those shares destroyed; how many. Raises TryLater, and goes on from there when it is called again."""
    count = 0
    for tenant in tenants:
        after = ""
        while True:
            with answering():
                page = keyholder.messages(tenant, after, before_us, PAGE)
            if not page:
                break
            after = page[-1]
            table = schema.messages
            with store.reading() as conn:
                known = set(conn.execute(select(table.c.id).where(table.c.id.in_(page))).scalars())
            for message in page:
                if message not in known:
                    log.warning("orphan:destroyed", tenant=tenant, message=message)
                    try:
                        with answering():
                            keyholder.destroy_message(tenant, message)
                    except Denied as denied:
                        if denied.reason != "on-hold":  # then it goes when the hold is lifted
                            raise
                    else:
                        count += 1
    return count
