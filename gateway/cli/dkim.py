"""`sealgate dkim`: the keys that sign a clinic's mail, and the DNS records that make them known."""

from __future__ import annotations

import argparse
from typing import Any

from gateway.cli._options import add_config, add_json, add_tenant, settings_of, tenant_of
from gateway.cli._running import keyholder, show
from gateway.clock import from_us
from gateway.errors import Misconfigured
from gateway.mail import dkim
from gateway.settings import Settings

NAME = "dkim"
HELP = "make, list or remove keys that sign mail, and print their DNS records"
_STRING = 250  # one string of a TXT record holds 255 bytes (RFC 1035 3.3)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, words in (
        ("make", "make a key and print the DNS record to publish; mail is signed once [dkim] selectors names it"),
        ("list", "the keys of a clinic, which of them sign, and their records"),
        ("remove", "destroy a key that signs no more"),
    ):
        one = actions.add_parser(name, help=words, description=words)
        if name != "list":
            one.add_argument("selector", metavar="SELECTOR", help="its name in DNS, such as sealgate-r1")
        if name == "make":
            one.add_argument(
                "--algorithm", choices=("rsa", "ed25519"), default="rsa",
                help="rsa (2048 bits, which everybody checks) or ed25519 (beside an rsa key)",
            )  # fmt: skip
        add_tenant(one)
        add_config(one)
        add_json(one)


def run(args: argparse.Namespace) -> int:
    own = tenant_of(settings_of(args), args)
    tenant = _id(own)
    if args.action == "make":
        made = keyholder(own, lambda keys: keys.dkim_make(tenant, args.selector, args.algorithm))
        show(_told(own, made), as_json=args.json, words=_words(own, made, "Publish"))
        return 0
    if args.action == "remove":
        if args.selector in own.dkim.selectors:
            raise Misconfigured(
                f"[dkim] selectors still names '{args.selector}'; take it out, start again, and remove it then"
            )
        if not keyholder(own, lambda keys: keys.dkim_remove(tenant, args.selector)):
            raise Misconfigured(f"there is no key '{args.selector}'; sealgate dkim list shows those there are")
        words = f"{args.selector}: destroyed. Leave its record in DNS a week for mail under way, then take it out."
        show({"selector": args.selector, "removed": True}, as_json=args.json, words=words)
        return 0
    found = keyholder(own, lambda keys: keys.dkim_list(tenant))
    lines = "\n\n".join(_words(own, one, _state(own, one)) for one in found)
    show([_told(own, one) for one in found], as_json=args.json, words=lines or "There is no key yet.")
    return 0


def _id(own: Settings) -> str:
    tenants = keyholder(own, lambda keys: keys.status()["tenants"])
    for id, one in tenants.items():
        if one["name"] == own.tenant.name:
            return str(id)
    raise Misconfigured(f"tenant '{own.tenant.name}' is not in this installation yet; start sealgate serve")


def _state(own: Settings, one: dict[str, Any]) -> str:
    made = from_us(one["made_us"]).date().isoformat()
    return f"made {made}, {'signs' if one['selector'] in own.dkim.selectors else 'does not sign'}; publish"


def _told(own: Settings, one: dict[str, Any]) -> dict[str, Any]:
    record = dkim.record(one["algorithm"], one["public"])
    return {
        **one, "signs": one["selector"] in own.dkim.selectors,
        "records": [{"name": f"{one['selector']}._domainkey.{name}", "type": "TXT", "value": record}
                    for name in _names(own)],
    }  # fmt: skip


def _words(own: Settings, one: dict[str, Any], lead: str) -> str:
    record = dkim.record(one["algorithm"], one["public"])
    strings = " ".join(f'"{record[at : at + _STRING]}"' for at in range(0, len(record), _STRING))
    lines = [f"{one['selector']} ({one['algorithm']}): {lead}"]
    lines += [f"  {one['selector']}._domainkey.{name}. IN TXT ( {strings} )" for name in _names(own)]
    if one["selector"] not in own.dkim.selectors:
        lines.append(f'Then write selectors = [… "{one["selector"]}"] under [dkim], and start again.')
    return "\n".join(lines)


def _names(own: Settings) -> list[str]:
    from gateway.doctor.checks.signing import signing_names

    return signing_names(own)
