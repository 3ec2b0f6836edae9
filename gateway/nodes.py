"""A node's keys and a further node: `sealgate node add` makes a fresh spool beside an existing installation.

Promises: a name is one node's for ever; a node that was added holds nothing but its own keys, its own empty spool and
the keyholder's pinned public key; adding may be repeated after an interruption; the keyholder's own log says that it
was done. DESIGN §2 "Node keys", §8.
"""

from __future__ import annotations

import base64
from typing import Any

from gateway import install
from gateway.errors import Misconfigured
from gateway.roles import Identities
from gateway.settings import Settings
from gateway.spool import nodekey
from keys.client import OperatorClient, WorkerClient
from keys.errors import Denied

NODE_KEY, ADDING = "node.key", "adding"


def add(settings: Settings, who: Identities, operator: OperatorClient) -> None:
    """Make this node's folders, spool and keys, and register it with the keyholder of the installation.

    Raises Misconfigured where there is no installation, for a name that is taken, and for a spool that holds anything.
    """
    if not settings.on_postgres:
        raise Misconfigured("[store] url: a further node needs PostgreSQL; an installation on SQLite has one node")
    name = settings.node.name
    known = operator.status()
    names = {one["name"] for one in known["tenants"].values()}
    for own in settings.tenants:
        if own.tenant.name not in names:
            raise Misconfigured(f"[tenant] name '{own.tenant.name}' is not a tenant of this installation")
    note = settings.node_directory / ADDING
    if name in known["nodes"] and not note.exists():
        raise Misconfigured(f"[node] name '{name}' is a node of this installation already; write another name")
    if install.holds_node(settings) and not note.exists():
        raise Misconfigured(
            f"{settings.spool.directory} or {settings.node_directory} is not empty: a further node begins with an "
            "empty spool of its own"
        )
    install.node_directory(settings, who)
    note.touch(mode=0o600)
    install.node_folders(settings, who)
    install.spool(settings, who)
    node_keys(settings, who, operator)
    note.unlink()


def node_keys(settings: Settings, who: Identities, operator: OperatorClient) -> None:
    """Make both node keys, register their public halves, pin the keyholder's key beside them."""
    public = base64.b64decode(operator.status()["public_key"])
    if settings.on_postgres:
        pin = settings.portal_directory / nodekey.PINNED_NAME
        if not pin.exists():
            nodekey.pin(pin, public)
        install.own(pin, who, "portal")
    for role, owner, directory in (
        ("smtp", "smtp", settings.smtp_directory),
        ("worker", "gateway", settings.worker_directory),
    ):
        path = directory / NODE_KEY
        key = nodekey.load(path) if path.exists() else nodekey.create(path)
        operator.register_node(settings.node.name, role, key.public)
        pin = directory / nodekey.PINNED_NAME
        if not pin.exists():
            nodekey.pin(pin, public)
        for made in (path, pin):
            install.own(made, who, owner)


def check_node_keys(settings: Settings, keyholder: OperatorClient | WorkerClient) -> None:
    """Raises Misconfigured when a key in a role's folder is not the one of the set-up: mail signed with another one is
    refused, so it is better not taken; and a role that pinned another keyholder would believe whatever it signs.
    """
    name = settings.node.name
    known: dict[str, Any] = {}
    if isinstance(keyholder, WorkerClient):
        public = base64.b64decode(keyholder.keys(name)["public_key"])
        known = keyholder.node_keys(name)
    else:
        public = base64.b64decode(keyholder.status()["public_key"])
    for role, directory in (("smtp", settings.smtp_directory), ("worker", settings.worker_directory)):
        mine = nodekey.load(directory / NODE_KEY).public
        try:
            if isinstance(keyholder, OperatorClient):
                keyholder.register_node(name, role, mine)
            elif base64.b64decode(known.get(role, {}).get("public", "")) != mine:
                raise Denied("differs")
        except Denied as error:
            if error.reason == "retired":
                raise Misconfigured(
                    f"node '{settings.node.name}' was taken out of use for good and its keys count no more: "
                    "set a node up under another name, with folders of its own ('sealgate node add')"
                ) from error
            raise Misconfigured(
                f"{directory / NODE_KEY} is not the key with which node '{settings.node.name}' was set up; "
                "bring back the right one"
            ) from error
    portal = [settings.portal_directory] if settings.on_postgres else []
    for directory in (settings.smtp_directory, settings.worker_directory, *portal):
        if nodekey.pinned(directory / nodekey.PINNED_NAME) != public:
            raise Misconfigured(
                f"{directory / nodekey.PINNED_NAME} does not name this installation's keyholder, whose public key is "
                f"{public.hex()}"
            )
