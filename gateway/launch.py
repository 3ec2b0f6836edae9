"""`sealgate serve` without a role: set up what is fresh, then start keyholder, gateway and smtp and watch them.

Promises: the order is keyholder, gateway, smtp, so that a door opens only when what is behind it is ready; nothing is
set up beside existing data; settings that changed are put to the keyholder, which lets them wait once the tenant has an
officer (DESIGN §4a).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from gateway import install
from gateway.errors import GatewayError, Misconfigured, TryLater
from gateway.logs import Log
from gateway.roles import Identities, identities
from gateway.settings import Settings
from gateway.supervise import ChildEnded, Supervisor, python
from keys.client import OperatorClient
from keys.errors import KeysError
from keys.providers.file import FileProvider

log = Log("gateway.launch")


def launch(settings: Settings, config: Path | None, *, single_user: bool, log_level: str) -> int:
    """Runs until SIGTERM. Raises Misconfigured before anything is started or changed when that is impossible."""
    if settings.keys.provider != "file":
        raise Misconfigured(
            f"[keys] provider '{settings.keys.provider}' comes with a later release; write provider = \"file\""
        )
    if not settings.store.url.startswith("sqlite:"):
        raise Misconfigured(
            '[store] url: serving on PostgreSQL comes with a later release; write "sqlite:////path/file.db"'
        )
    who = identities(single_user)
    if not who.enforced:
        print("sealgate: one user for all roles: the boundary between them is not enforced", file=sys.stderr)
    fresh = install.fresh(settings)
    setup = None
    if fresh:
        setup = install.prepare(settings, who)
        install.make_kek(settings, who, lambda path: FileProvider.open(path, create=True))
        install.storage(settings, who)
    else:
        install.sockets(settings, who)
    path = install.keyholder_file(settings)
    path.write_text(install.keyholder_config(settings, who, create=fresh).to_json())
    if who.enforced:
        os.chown(path, who.uid("keyholder"), who.gid("keyholder"))
    supervisor = Supervisor()
    environ = dict(os.environ)
    try:
        supervisor.add("keyholder", python("-m", "keys.keyholder", "--config", str(path)), who.of["keyholder"], environ)
        tenant = _keyholder_ready(settings, who, setup)
        base = ["-m", "gateway", "serve", "--log-level", log_level, *(["--config", str(config)] if config else [])]
        supervisor.add("gateway", python(*base, "--role", "gateway"), who.of["gateway"], environ)
        supervisor.add("smtp", python(*base, "--role", "smtp"), who.of["smtp"], environ)
    except ChildEnded as error:
        supervisor.stop()
        if error.status in (78,):
            raise Misconfigured("a part of the gateway refused its configuration; the line above says why") from error
        raise
    except KeysError as error:
        supervisor.stop()
        raise TryLater("the keyholder does not answer") from error
    except GatewayError:
        supervisor.stop()
        raise
    if setup is not None:
        print(f"new log: {setup.origin}", flush=True)

    def started() -> None:
        print(json.dumps({"ready": True, "tenant": tenant, "portal": settings.portal.public_url}), flush=True)

    return supervisor.run(started)


def _keyholder_ready(settings: Settings, who: Identities, setup: install.Setup | None) -> str:
    operator = OperatorClient(settings.sockets_directory / "operator.sock")
    try:
        if setup is not None:
            operator.create_tenant(setup.tenant, setup.name, setup.origin)
            install.node_keys(settings, who, operator)
        tenants = operator.status()["tenants"]
        tenant = next((id for id, one in tenants.items() if one["name"] == settings.tenant.name), None)
        if tenant is None:
            raise Misconfigured(f"[tenant] name '{settings.tenant.name}' is not a tenant of this installation: "
                                + ", ".join(one["name"] for one in tenants.values()))  # fmt: skip
        answer = operator.put_settings(tenant, install.settings_body(settings))
        if answer["waiting"]:
            print(
                "sealgate: settings of the tenant changed, and it has an officer: the signed ones stay in force "
                "until the change is approved",
                file=sys.stderr,
            )
        return str(tenant)
    finally:
        operator.close()
