"""The clinics of the file at the keyholder: known ones by name, new ones created, their settings put to it.

Promises: a clinic is created once, with keys and a log of its own, before any part that serves it starts; one that
vanished from the file stops the start by name, because taking a clinic out of an installation is not a matter of a
deleted line; settings that the keyholder lets wait are named by their keys, never by their values (DESIGN §4a).
"""

from __future__ import annotations

import secrets
import sys
from typing import Any

from gateway import install
from gateway.clock import BASE62, from_us
from gateway.errors import Misconfigured
from gateway.registry import nearest
from gateway.settings import Settings
from keys.client import OperatorClient, WorkerClient
from keys.errors import Denied


def known(settings: Settings, operator: OperatorClient) -> dict[str, str]:
    """Ids by name of the clinics that the file names. Raises Misconfigured when file and keyholder differ."""
    there = _there(operator)
    _vanished(settings, there)
    for name in (one.tenant.name for one in settings.tenants):
        if name not in there:
            raise Misconfigured(
                f"tenant '{name}' of the file is not a tenant of this installation: {nearest(name, list(there))}; "
                "start the node first whose keyholder this is"
            )
    return there


def known_to(settings: Settings, worker: WorkerClient) -> dict[str, str]:
    """As `known`, asked as the worker of this machine, which may not act as the operator."""
    ids = worker.keys(settings.node.name)["tenants"]
    there = {str(worker.settings(id)["body"].get("name", "")): str(id) for id in ids}
    for name in (one.tenant.name for one in settings.tenants):
        if name not in there:
            raise Misconfigured(
                f"tenant '{name}' of the file is not a tenant of this installation: {nearest(name, list(there))}; "
                "to add one, this machine needs the operator's certificate: sealgate keys request --operator"
            )
    return {one.tenant.name: there[one.tenant.name] for one in settings.tenants}


def put(settings: Settings, operator: OperatorClient) -> dict[str, str]:
    """Create what is new in the file and put every clinic's settings to the keyholder; ids by name.

    Raises Misconfigured.
    """
    there = _there(operator)
    _vanished(settings, there)
    for own in settings.tenants:
        name = own.tenant.name
        if name not in there:
            there[name] = _create(own, operator)
        try:
            answer = operator.put_settings(there[name], install.settings_body(own))
        except Denied as denied:
            if denied.reason != "shared":
                raise
            raise Misconfigured(
                f"tenant '{name}': a domain or the portal's host is another clinic's by the settings in force; take it "
                "away there first, and wait until that is approved"
            ) from denied
        if answer["waiting"]:
            _tell(name, answer)
    return there


def new_id() -> str:
    """A tenant's id: it stands in the origin of its log and in every context of its keys."""
    return "tnt_" + "".join(secrets.choice(BASE62) for _ in range(16))


def _create(own: Settings, operator: OperatorClient) -> str:
    tenant = new_id()
    origin = f"{own.public_host}/log/{tenant}"
    operator.create_tenant(tenant, own.tenant.name, origin)
    print(f"new log: {origin}", flush=True)
    return tenant


def _there(operator: OperatorClient) -> dict[str, str]:
    return {str(one["name"]): str(id) for id, one in operator.status()["tenants"].items()}


def _vanished(settings: Settings, there: dict[str, str]) -> None:
    named = {one.tenant.name for one in settings.tenants}
    gone = sorted(set(there) - named)
    if gone and not named & set(there):
        raise Misconfigured(
            f"[tenant] name '{settings.tenant.name}' is not a tenant of this installation: {', '.join(gone)}"
        )
    if gone:
        raise Misconfigured(
            f"tenant '{gone[0]}' of this installation is missing in the file; bring its table back. Its mail, keys and "
            "log are here: what ends its service and keeps them is sealgate tenant close"
        )


def _tell(name: str, answer: dict[str, Any]) -> None:
    proposal = answer["proposal"]
    when = from_us(proposal["due_us"]).isoformat(timespec="minutes")
    print(
        f"sealgate: settings of '{name}' changed ({', '.join(proposal['keys'])}), and it has an officer: the signed "
        f"ones stay in force. Change {proposal['id']} counts from the first start after {when}, "
        f"{'and is approved' if proposal['approved'] else 'once an officer approves it: sealgate tenant approve'}",
        file=sys.stderr,
    )
