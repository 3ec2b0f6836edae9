"""`sealgate queue`: what is held or waits, and what an officer decides about it."""

from __future__ import annotations

import argparse

from gateway.cli._options import add_config, add_json, add_tenant, settings_of, tenant_of
from gateway.cli._running import control, secret_lines, show

NAME = "queue"
HELP = "list, show, retry, release or drop mail that waits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, words in (
        ("list", "held messages and deliveries that wait"),
        ("show", "one message: why it is where it is"),
        ("retry", "try deferred deliveries now"),
        ("release", "send a held message (officer)"),
        ("drop", "do not send a held message (officer)"),
    ):
        one = actions.add_parser(name, help=words, description=words)
        if name == "retry":
            one.add_argument("id", metavar="ID", nargs="?", help="a message id; all when left out")
        elif name != "list":
            one.add_argument("id", metavar="ID", help="a message id")
        if name in ("release", "drop"):
            one.add_argument("--as", dest="officer", metavar="ADDRESS", required=True, help="the officer who decides")
            one.add_argument("--reason", default="", help="why, for the log of the keyholder")
        if name == "release":
            one.add_argument(
                "--as-is", action="store_true",
                help="send it as it came; without this it goes out protected, as a secure message",
            )  # fmt: skip
        add_config(one)
        add_tenant(one)
        add_json(one)


def run(args: argparse.Namespace) -> int:
    settings = tenant_of(settings_of(args), args)
    of = {"tenant": settings.tenant.name}
    if args.action == "list":
        found = control(settings, "queue.list", of)
        lines = [
            f"{one['id']}  {one['state']:<9} {one.get('rule') or one.get('status') or one.get('reason') or ''}"
            for one in found
        ]
        show(found, as_json=args.json, words="\n".join(lines) or "Nothing is held and nothing waits.")
        return 0
    if args.action in ("show", "retry"):
        answer = control(settings, f"queue.{args.action}", {"id": args.id, **of})
        show(answer, as_json=args.json, words="" if args.action == "show" else f"{answer['count']} to be tried now")
        return 0
    password, totp = secret_lines(["password", "code from the authenticator app"])
    given = {**of, "id": args.id, "as": args.officer, "password": password, "totp": totp, "reason": args.reason}
    if args.action == "release":
        given["as_is"] = args.as_is
    answer = control(settings, f"queue.{args.action}", given)
    done = "released" if args.action == "release" else "dropped"
    said = "recorded; the policy wants a second officer to confirm it" if answer.get("waiting") else done
    show(answer, as_json=args.json, words=f"{args.id}: {said}")
    return 0
