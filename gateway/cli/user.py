"""`sealgate user`: workforce members, their passwords, and app passwords for submission."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from gateway.accounts.roles import ROLES
from gateway.cli._options import add_config, add_json, add_tenant, settings_of, tenant_of
from gateway.cli._running import control, keyholder, show
from gateway.clock import SystemClock
from gateway.errors import GatewayError, Misconfigured
from gateway.settings import Settings

NAME = "user"
HELP = "add workforce members, make app passwords, disable accounts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, words in (
        ("add", "a new workforce member; prints the address of the authenticator app's secret"),
        ("app-password", "a generated password for mail submission, shown once"),
        ("password", "set a new sign-in password"),
        ("disable", "end sign-in, sessions and submission of an account"),
    ):
        one = actions.add_parser(name, help=words, description=words)
        one.add_argument("address", metavar="ADDRESS")
        if name == "add":
            one.add_argument("--role", required=True, choices=ROLES)
            one.add_argument("--name", default="", help="display name")
        if name in ("add", "password"):
            one.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
        add_config(one)
        add_tenant(one)
        add_json(one)


def run(args: argparse.Namespace) -> int:
    settings = tenant_of(settings_of(args), args)
    answer = ACTIONS[args.action](settings, args)
    if args.action == "add":
        words = f"{answer['id']}\nScan this with an authenticator app: {answer['totp_uri']}"
        if answer["waiting"] is not None:
            words += f"\nThis account waits as change {answer['waiting']['id']}: see sealgate tenant show"
    elif args.action == "app-password":
        words = f"User name {args.address}, password {answer['password']}\nIt is not shown again."
    else:
        words = f"{args.address}: done"
    show(answer, as_json=args.json, words=words)
    return 0


def _password(args: argparse.Namespace) -> str:
    if args.password_stdin:
        return sys.stdin.readline().rstrip("\n")
    if sys.stdin.isatty():
        from getpass import getpass

        return getpass("password: ")
    raise Misconfigured("no password: add --password-stdin and write it to standard input")


def new_password(settings: Settings, args: argparse.Namespace, name: str = "") -> str:
    """A password that is not easy to guess, also for who knows the person. Raises Misconfigured."""
    from zxcvbn import zxcvbn

    password = _password(args)
    known = [args.address, *args.address.split("@"), settings.tenant.name, settings.tenant.display_name, name]
    if len(password) < 8 or zxcvbn(password[:72], user_inputs=[word for word in known if word])["score"] < 3:
        raise Misconfigured(
            "this password is easy to guess: use four unrelated words, or let a password manager make one"
        )
    return password


def _add(settings: Settings, args: argparse.Namespace) -> dict[str, Any]:
    password = new_password(settings, args, args.name)
    user = SystemClock().new_id("usr")
    tenant = _tenant(settings)
    made = keyholder(settings, lambda keys: keys.add_user(tenant, user, args.role, password, name=args.address))
    try:
        control(
            settings,
            "user.record",
            {"id": user, "address": args.address, "role": args.role, "name": args.name, **_of(settings)},
        )
    except GatewayError:
        keyholder(settings, lambda keys: keys.disable_user(tenant, user))
        raise
    return {"id": user, "totp_uri": made["totp_uri"], "waiting": made["waiting"]}


def _app_password(settings: Settings, args: argparse.Namespace) -> dict[str, Any]:
    found = control(settings, "user.find", {"address": args.address, **_of(settings)})
    made = keyholder(settings, lambda keys: keys.app_password(found["tenant"], found["id"], args.address))
    control(settings, "user.changed", {"id": found["id"], "what": "app-password", **_of(settings)})
    return {"username": args.address, "password": made["password"]}


def _set_password(settings: Settings, args: argparse.Namespace) -> dict[str, Any]:
    found = control(settings, "user.find", {"address": args.address, **_of(settings)})
    password = new_password(settings, args)
    keyholder(settings, lambda keys: keys.set_password(found["tenant"], found["id"], password))
    control(settings, "user.changed", {"id": found["id"], "what": "password", **_of(settings)})
    return {"id": found["id"]}


def _disable(settings: Settings, args: argparse.Namespace) -> dict[str, Any]:
    found = control(settings, "user.find", {"address": args.address, **_of(settings)})
    keyholder(settings, lambda keys: keys.disable_user(found["tenant"], found["id"]))
    control(settings, "user.changed", {"id": found["id"], "what": "disabled", **_of(settings)})
    return {"id": found["id"]}


ACTIONS = {"add": _add, "app-password": _app_password, "password": _set_password, "disable": _disable}


def _of(settings: Settings) -> dict[str, str]:
    """Which clinic a control command is about."""
    return {"tenant": settings.tenant.name}


def _tenant(settings: Settings) -> str:
    tenants = keyholder(settings, lambda keys: keys.status()["tenants"])
    for tenant, one in tenants.items():
        if one["name"] == settings.tenant.name:
            return str(tenant)
    raise Misconfigured(f"[tenant] name '{settings.tenant.name}' is not a tenant of this installation")
