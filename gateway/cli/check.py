"""`sealgate check`: is the configuration right, and what is in force, value by value with where it came from.

Promises: what `serve` would refuse of the file, the secret files and the policy is refused here in the same words.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields

from gateway import keyholders, rootkeys
from gateway.cli._limits import page
from gateway.cli._options import add_config, add_json, settings_of
from gateway.doctor.checks.senders import unheeded_devices
from gateway.install import settings_body
from gateway.policy import load as load_policy
from gateway.settings import SECTIONS, SecretFile, Settings, example, render_value
from gateway.tenancies import PLACES
from gateway.vault import Vault

NAME = "check"
HELP = "validate the configuration and print what is in force"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    add_json(parser)
    parser.add_argument("--example", action="store_true", help="print an example file with every setting and exit")
    parser.add_argument("--limits", action="store_true", help="print every limit and time-out with its bounds and exit")


def run(args: argparse.Namespace) -> int:
    if args.example:
        print(example(), end="")
        return 0
    if args.limits:
        print(page(), end="")
        return 0
    settings = settings_of(args)
    for own in settings.tenants:
        for name, key in (("courier", "password_file"), ("notify", "sms_token_file")):
            secret: SecretFile | None = getattr(getattr(own, name), key)
            if secret is not None:
                secret.read()
        policy = load_policy(own.policy.file)
        settings_body(own)  # the secrets of shared networks as well
        if unheeded := unheeded_devices(own, policy):
            print(f"sealgate check: warning: {unheeded}", file=sys.stderr)
    Vault.check(settings.vault.url)
    rows = in_force(settings)
    keyholder = keyholders.in_words(settings)
    root_key = rootkeys.in_words(settings)
    if args.json:
        shown = {key: {"value": value, "from": origin} for key, value, origin in rows}
        print(
            json.dumps(
                {"ok": True, "root_key": root_key, "keyholder": keyholder, "settings": shown},
                indent=2,
                ensure_ascii=False,
            )
        )
        return 0
    width = max(len(f"{key} = {value}") for key, value, _ in rows if len(value) < 60)
    for key, value, origin in rows:
        print(f"{f'{key} = {value}':<{width}}  # {origin}")
    if settings.runs_keyholder:
        print(f"# {root_key}")
    if keyholder:
        print(f"# {keyholder}")
    return 0


def in_force(settings: Settings) -> list[tuple[str, str, str]]:
    """(key, value as TOML, where from) of every setting; what may hold a password is shown as ***."""
    rows = []
    for name, section in SECTIONS.items():
        for item in fields(section):
            value = getattr(getattr(settings, name), item.name)
            shown = '"***"' if item.metadata["secret"] and "@" in str(value) else render_value(value)
            rows.append((f"{name}.{item.name}", shown, settings.origins.get(f"{name}.{item.name}", "default")))
    for own in settings.several:
        for key, (name, place) in PLACES.items():
            value = render_value(getattr(getattr(own, name), place))
            rows.append((f"tenants.{own.tenant.name}.{key}", value, own.origins.get(f"{name}.{place}", "default")))
    for own in settings.tenants:
        for name, listed in (("devices", own.devices), ("shared", own.shared)):
            for one in listed:
                place = f"{name}.{own.tenant.name}.{one.name}"
                rows += [
                    (f"{place}.{item.name}", render_value(getattr(one, item.name)), f"[[{name}]]")
                    for item in fields(one)
                    if item.name not in ("name", "clinic")
                ]
    return [row for row in rows if not (settings.several and tuple(row[0].split(".")) in PLACES.values())]
