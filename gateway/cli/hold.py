"""`sealgate hold`: legal holds, set and lifted as an officer decides."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from gateway.cli._options import add_config, add_json, add_tenant, settings_of, tenant_of
from gateway.cli._running import control, show
from gateway.cli.erase import add_officer, decide

NAME = "hold"
HELP = "set, lift and list legal holds: what is on hold does not end and cannot be erased"
KINDS = {
    "message": ("hold-message", "a message (msg_…)"),
    "person": ("hold-person", "all mail to a person (per_…) or by a member (usr_…)"),
    "tenant": ("hold-tenant", "all mail of the clinic"),
    "period": ("hold-period", "all mail that came on certain days"),
    "lift": ("lift", "end a hold (hld_…): what passed its time is destroyed"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, (_, words) in KINDS.items():
        one = actions.add_parser(name, help=words, description=words)
        if name in ("message", "person", "lift"):
            one.add_argument("id", metavar="ID")
        if name == "period":
            one.add_argument("--from", required=True, metavar="DAY", help="the first day, 2026-11-01")
            one.add_argument("--to", required=True, metavar="DAY", help="the last day")
        add_officer(one)
    one = actions.add_parser("list", help="the holds in force")
    add_config(one)
    add_tenant(one)
    add_json(one)


def run(args: argparse.Namespace) -> int:
    if args.action != "list":
        return decide(args, KINDS[args.action][0])
    settings = tenant_of(settings_of(args), args)
    found = control(settings, "retention.list", {"tenant": settings.tenant.name})["holds"]
    show(found, as_json=args.json, words="\n".join(map(_line, found)) or "Nothing is on hold.")
    return 0


def _line(one: Mapping[str, Any]) -> str:
    from gateway.clock import from_us

    return f"{one['id']}  {one['kind']:<8} {one['object']}  since {from_us(one['set_us']):%Y-%m-%d}, by {one['user']}"
