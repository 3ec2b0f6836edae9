"""The release log for whoever exports the tenant's logs from the pages: an officer or an auditor, signed in.

Promises: nothing but ids leaves here, as for the operator's command; each export begun is an entry. DESIGN §5.
"""

from __future__ import annotations

from typing import Any

from keys import access
from keys.keyholder import sessions
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import page, record, refused


def release_log_as(tx: Tx, *, session: str, tenant: str, start: int) -> dict[str, Any]:
    """As `releaselog.page`. Denied: no-session, role, another-tenant."""
    live = sessions.need(tx, session, "log:refused", object=tenant)
    verdict = access.may_export(live.facts, tenant)
    if isinstance(verdict, access.Denial):
        raise refused(tx, live.facts.tenant, "log:refused", verdict.reason, object=tenant, actor=live.actor)
    if start == 0:
        record(tx, tenant, "log:read", object=tenant, actor=live.actor, proof=live.facts.proof)
    return page(tx, tenant=tenant, start=start)
