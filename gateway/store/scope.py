"""For which tenant the present thread of work reads and writes; the database itself holds us to it on PostgreSQL.

Promises: what is read or written inside `acting(tenant)` sees that tenant's rows alone when the database role is held
to one tenant (the portal's); outside of any `acting` such a role sees no row at all, so that a forgotten tenant fails
closed. The worker's role serves every tenant and needs none. SQLite knows no roles. DESIGN §7.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

SETTING = "sealgate.tenant"
"""Name of the PostgreSQL setting that the policies compare with."""

SET = "SELECT set_config('sealgate.tenant', %s, true)"
"""Until the end of the transaction, or back to the savepoint."""

_tenant: ContextVar[str] = ContextVar("tenant", default="")


@contextmanager
def acting(tenant: str) -> Iterator[None]:
    """Everything read and written inside is this tenant's."""
    token = _tenant.set(tenant)
    try:
        yield
    finally:
        _tenant.reset(token)


def tenant() -> str:
    """The tenant acted for; empty when none was named."""
    return _tenant.get()
