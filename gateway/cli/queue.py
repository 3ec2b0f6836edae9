"""`sealgate queue`: what is held or waits and why, what is tried now, and what an officer decides about it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.cli._options import add_config, add_json, add_tenant, settings_of, tenant_of
from gateway.cli._running import control, secret_lines, show
from gateway.settings import Settings

NAME = "queue"
HELP = "list, show, check, retry, return, release or drop mail that waits"
UNSOUND = 1
ACTIONS = (
    ("list", "held messages and deliveries that wait"),
    ("show", "one message: of each recipient the state, the next try and the last answer"),
    ("smarthosts", "how much waits for each smarthost, and what it last answered"),
    ("retry", "try deferred deliveries now: of one message, of one smarthost, or all"),
    ("return", "give up a message that waits: its sender gets a report now"),
    ("check", "whether what waits and what lies in the spool agree"),
    ("release", "send a held message (officer)"),
    ("drop", "do not send a held message (officer)"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, words in ACTIONS:
        one = actions.add_parser(name, help=words, description=words)
        if name == "retry":
            one.add_argument("id", metavar="ID", nargs="?", help="a message id; all when left out")
            one.add_argument(
                "--smarthost", metavar="HOST:PORT", help="what waits for this one, of every clinic that uses it"
            )
        elif name in ("show", "return", "release", "drop"):
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
    settings = settings_of(args)
    if args.action in ("smarthosts", "retry") and not getattr(args, "id", None):
        return _by_smarthost(args, settings)
    settings = tenant_of(settings, args)
    of = {"tenant": settings.tenant.name}
    if args.action == "list":
        found = control(settings, "queue.list", of)
        show(found, as_json=args.json, words="\n".join(map(_line, found)) or "Nothing is held and nothing waits.")
        return 0
    if args.action == "show":
        answer = control(settings, "queue.show", {"id": args.id, **of})
        show(answer, as_json=args.json, words="\n".join(_shown(answer)))
        return 0
    if args.action in ("retry", "return"):
        answer = control(settings, f"queue.{args.action}", {"id": args.id, **of})
        done = "to be tried now" if args.action == "retry" else "returned to the sender"
        more = f"; more of it waits at {', '.join(answer['elsewhere'])}" if answer.get("elsewhere") else ""
        show(answer, as_json=args.json, words=f"{answer['count']} {done}{more}")
        return 0
    if args.action == "check":
        return _checked(control(settings, "queue.check", of), as_json=args.json)
    return _decided(args, settings, of)


def _by_smarthost(args: argparse.Namespace, settings: Settings) -> int:
    """`smarthosts`, and `retry` without a message: of one clinic, of one smarthost, or of the only clinic."""
    host = getattr(args, "smarthost", None)
    given: dict[str, Any] = {"smarthost": host} if host else {}
    if args.tenant is not None or (args.action == "retry" and not host):
        given["tenant"] = tenant_of(settings, args).tenant.name
    elif not host:
        given["all"] = True
    answer = control(settings, f"queue.{args.action}", given)
    if args.action == "retry":
        show(answer, as_json=args.json, words=f"{answer['count']} to be tried now")
        return 0
    lines = [
        f"{one['smarthost']}  {one['waiting']} waiting"
        + (f", the oldest since {one['oldest_at']}, next try {one['next_at']}" if one["waiting"] else "")
        + (f", last answer {_answer(one['last'])} at {one['last']['at']}" if one["last"] else "")
        for one in answer
    ]
    show(answer, as_json=args.json, words="\n".join(lines))
    return 0


def _decided(args: argparse.Namespace, settings: Settings, of: Mapping[str, str]) -> int:
    password, totp = secret_lines(["password", "code from the authenticator app"])
    given = {**of, "id": args.id, "as": args.officer, "password": password, "totp": totp, "reason": args.reason}
    if args.action == "release":
        given["as_is"] = args.as_is
    answer = control(settings, f"queue.{args.action}", given)
    done = "released" if args.action == "release" else "dropped"
    said = "recorded; the policy wants a second officer to confirm it" if answer.get("waiting") else done
    show(answer, as_json=args.json, words=f"{args.id}: {said}")
    return 0


def _checked(answer: Mapping[str, Any], *, as_json: bool) -> int:
    sound = not answer["missing"] and not answer["refused"]
    words = [
        f"{len(answer['missing'])} deliveries without their mail, {answer['refused']} items that do not verify, "
        f"{answer['stray']} copies that nobody waits for (swept after a day)",
        *answer["missing"],
    ]
    show(answer, as_json=as_json, words="\n".join(words))
    return 0 if sound else UNSOUND


def _line(one: Mapping[str, Any]) -> str:
    if "delivery" not in one:
        return f"{one['id']}  {one['state']:<9} {one.get('rule') or one.get('reason') or ''}".rstrip()
    return f"{one['id']}  {_waits(one)}"


def _shown(answer: Mapping[str, Any]) -> Sequence[str]:
    """A message for people: one line of its own, then one for each recipient."""
    head = f"{answer['id']}  {answer['state']}  rule {answer['rule']}, {answer['bytes']} bytes, {answer['received_at']}"
    hold = [f"held until {answer['hold_until']}"] if answer["hold_until"] else []
    by_place: dict[str, list[str]] = {}
    for kind, place, *_ in answer["found"].get("found") or ():
        by_place.setdefault(str(place), []).append(str(kind))
    found = [f"found in {place}: {', '.join(kinds)}" for place, kinds in by_place.items()]
    return [
        head,
        *hold,
        *found,
        *(f"  {one['delivery']}  {one['treatment']:<11} {_waits(one)}" for one in answer["deliveries"]),
    ]


def _waits(one: Mapping[str, Any]) -> str:
    parts = [f"{one['state']:<9}"]
    if one["attempts"]:
        parts.append(f"{one['attempts']} {'try' if one['attempts'] == 1 else 'tries'}")
    if one["status"]:
        parts.append(f"last answer {_answer(one)}")
    if one["next_at"] and one["state"] != "active":
        parts.append(f"next {one['next_at']}, gives up {one['gives_up_at']}")
    return parts[0] + " " + ", ".join(parts[1:]) if parts[1:] else parts[0].rstrip()


def _answer(one: Mapping[str, Any]) -> str:
    """Code, enhanced code and our own word for it."""
    code = f"{one['code']} " if one["code"] else ""
    return f"{code}{one['status']}" + (f" ({one['why']})" if one["why"] else "")
