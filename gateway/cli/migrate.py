"""`sealgate migrate`: the tables of a PostgreSQL database, and what the two roles may do with them."""

from __future__ import annotations

import argparse

from gateway.cli._options import add_config, add_json, settings_of
from gateway.cli._running import show
from gateway.errors import Misconfigured

NAME = "migrate"
HELP = "make or bring forward the tables on PostgreSQL, and give worker and portal their rights"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument(
        "--owner-url", metavar="URL", help="database URL with the owner's role (default: [store] owner_url)"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from gateway.settingtypes import server_url
    from gateway.store import engines, grants, migrations

    settings = settings_of(args)
    if not settings.on_postgres:
        raise Misconfigured("[store] url is a SQLite file: the gateway makes and keeps its tables itself")
    try:
        owner = server_url(args.owner_url or "") or settings.store.owner_url
    except ValueError as error:
        raise Misconfigured(f"--owner-url {error}") from error
    if not owner:
        raise Misconfigured("nobody is named who owns the tables: add --owner-url, or [store] owner_url")
    before = migrations.version(owner)
    migrations.upgrade(owner)
    worker, portal = (engines.parse(url).username or "" for url in (settings.store.url, settings.store.portal_url))
    grants.apply(owner, worker, portal)
    grants.check(settings.store.url, one_tenant=False)
    grants.check(settings.store.portal_url, one_tenant=True)
    after = migrations.version(owner)
    show(
        {"before": before, "after": after, "worker": worker, "portal": portal}, as_json=args.json,
        words=f"tables: {before or 'none'} -> {after}; rights: {worker}, {portal}",
    )  # fmt: skip
    return 0
