"""`sealgate shared`: what the mail-flow rule of a provider must hold for a network that others use too."""

from __future__ import annotations

import argparse
from typing import Any

from gateway.cli._options import add_config, add_json, settings_of
from gateway.cli._running import show
from gateway.senders import LOOP, MICROSOFT, ORIGINATOR, Shared, loop_value, secret_of, verifier
from gateway.settings import Settings

NAME = "shared"
HELP = "print the fields that the rules of Microsoft 365 or Google Workspace must set and look for"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    settings = settings_of(args)
    found = [_told(own, one) for own in settings.tenants for one in own.shared]
    show(found, as_json=args.json, words="\n\n".join(map(_words, found)) or "There is no [[shared]] network.")
    return 0


def _told(own: Settings, one: Shared) -> dict[str, Any]:
    """Everything but the secret itself, which lies in its file."""
    loop = loop_value(verifier(secret_of(one))) if one.loop else ""
    return {
        "clinic": own.tenant.name, "name": one.name, "provider": one.provider, "header": one.header,
        "secret_file": str(one.secret_file), "originator_org": one.originator_org,
        "loop_header": LOOP if one.loop else "", "loop_value": loop,
    }  # fmt: skip


def _words(one: dict[str, Any]) -> str:
    lines = [
        f"{one['clinic']}: {one['name']} ({one['provider']})",
        f"  the rule sets    {one['header']}: <the text of {one['secret_file']}>",
    ]
    if one["provider"] == MICROSOFT:
        lines.append(f"  Microsoft sets   {ORIGINATOR}: {one['originator_org']}")
    if one["loop_value"]:
        lines.append(f"  the rule leaves alone what has   {one['loop_header']}: {one['loop_value']}")
        lines.append("  and another rule takes that field away")
    return "\n".join(lines)
