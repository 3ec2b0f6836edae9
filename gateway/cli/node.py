"""`sealgate node add NAME`: a further node of an installation on PostgreSQL, with a fresh spool and keys of its own.
`sealgate node retire NAME`: one that is stopped and empty loses its keys for good; prints its disposal report.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from gateway.cli._options import add_config, add_json, settings_of
from gateway.cli._running import keyholder, show
from gateway.errors import Misconfigured

NAME = "node"
HELP = "add a node to an installation on PostgreSQL, or take one out of use for good"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["add", "retire"])
    parser.add_argument("name", metavar="NAME", help="the node's name, as its [node] name says")
    parser.add_argument("--single-user", action="store_true", help="as serve does: one user for all roles")
    add_config(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from gateway import nodes, owners, roles
    from gateway.settingtypes import short_name
    from gateway.store import presence

    settings = settings_of(args)
    if args.action == "retire":
        made = keyholder(settings, lambda client: client.retire_node(args.name))
        show({"node": args.name, **made}, as_json=args.json, words=made["report"].rstrip("\n"))
        return 0
    try:
        name = short_name(args.name)
    except ValueError as error:
        raise Misconfigured(f"the node's name {error}") from error
    if settings.origins.get("node.name") not in (None, "default") and settings.node.name != name:
        raise Misconfigured(f"the configuration names this node '{settings.node.name}': write [node] name = \"{name}\"")
    settings = replace(settings, node=replace(settings.node, name=name))
    if presence.absent(settings.store.url):
        raise Misconfigured("[store] url: there is no installation yet; its first node is made by: sealgate serve")
    who = roles.identities(args.single_user, apart=settings.on_postgres)
    owners.readable(settings, who, args.config)
    keyholder(settings, lambda client: nodes.add(settings, who, client))
    show({"node": name}, as_json=args.json, words=f"node {name}: added; start it with: sealgate serve")
    return 0
