"""What commands read of an installation: the log's database beside its writer, and the keyholder's own log.

Promises: nothing is written here; what a command must leave in the log (an export, a search) the running gateway
writes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gateway.audit.log import AuditLog
from gateway.cli._options import settings_of
from gateway.cli._running import control
from gateway.cli.audit import Installation
from gateway.clock import SystemClock
from gateway.errors import TryLater
from gateway.keyholders import reach
from gateway.settings import Settings
from gateway.store.database import Store
from keys.client import OperatorClient
from keys.errors import Unavailable


class _Lookup:
    """Addresses of a search, looked up by the running gateway, which alone has the index key."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def index(self, tenant: str, address: str) -> bytes:
        return bytes.fromhex(self._ask(tenant, address)["index"])

    def users(self, tenant: str, name: str) -> list[str]:
        return [str(user) for user in self._ask(tenant, name)["users"]]

    def _ask(self, tenant: str, value: str) -> dict[str, Any]:
        return dict(control(self._settings, "log.lookup", {"tenant": tenant, "value": value}))


@contextmanager
def audit_installation(args: argparse.Namespace) -> Iterator[Installation]:
    """The live installation of these arguments. Raises TryLater when the gateway or the keyholder does not answer."""
    settings = settings_of(args)
    store = Store.open(settings.store.url, writing=False)
    keyholder = OperatorClient(reach(settings, "operator"))
    try:
        tenants = keyholder.status()["tenants"]
        only = settings.tenant.name if len(settings.tenants) == 1 else None
        default = next((id for id, one in tenants.items() if one["name"] == only), None)
        yield Installation(
            audit=AuditLog(store, settings.node.name, SystemClock()),
            keyholder=keyholder,
            default_tenant=default,
            before_export=lambda tenant: control(settings, "log.note", {"tenant": tenant, "what": "exported"}),
            lookup=_Lookup(settings),
            exports=settings.audit,
            after_export=lambda tenant, reason: control(
                settings, "log.note", {"tenant": tenant, "what": "kept", "reason": reason}
            ),
            after_search=lambda tenant, query: control(settings, "log.note", {"tenant": tenant, "what": "searched"}),
        )
    except Unavailable as error:
        raise TryLater(
            "the keyholder does not answer; is 'sealgate serve' running, and are you its user or root?"
        ) from error
    finally:
        keyholder.close()
        store.close()
